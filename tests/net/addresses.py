"""Addresses of the loopback for the tests of connecting: one that answers, one that refuses.

And the check that a test leaves no descriptor behind. No test is here.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pync.net.loop import run_until_done
from pync.net.race import Race
from pync.net.resolve import Address
from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pync.errors import Fault
    from pync.net.loop import Reactor
    from pync.net.race import Dialed, Failure, Opener


def descriptors() -> set[str]:
    """The open descriptors of this process, without the one that lists them."""
    found = os.listdir("/dev/fd")
    return {name for name in found if os.path.exists(f"/dev/fd/{name}")}


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def tcp(sockaddr: Any) -> Address:
    return Address(socket.AF_INET6 if len(sockaddr) == 4 else socket.AF_INET, socket.SOCK_STREAM, sockaddr)


@contextlib.contextmanager
def loopback_server(host: str, family: int) -> Iterator[socket.socket]:
    try:
        sock = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"{host} cannot be bound here: {error}")
    with sock:
        sock.settimeout(PATIENCE)
        yield sock


def refused(family: int = socket.AF_INET) -> Address:
    """An address where nobody listens."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with loopback_server(host, family) as sock:
        return tcp(sock.getsockname())


def race(
    addresses: list[Address], open_socket: Opener, limit: float | None, host: str
) -> tuple[socket.socket, Address, list[Failure]]:
    """Run a race to its end on a loop of its own: the winner, and the failures of those tried before."""
    races: list[Race] = []

    def begin(loop: Reactor, on_done: Callable[[Dialed | Fault], object]) -> Race:
        races.append(Race(loop, addresses, open_socket, limit, host, on_done))
        return races[0]

    return *run_until_done(begin), races[0].failures
