"""Connections whose headers are awaited: how many, for how long, and what becomes of the others.

Over real connections to a server in a thread. What the command says of them is in cli/test_proxy_protocol.
"""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pync.serving import proxied
from pync.serving.proxied import Proxied
from pync.wire.proxyheader import header
from tests.running import PATIENCE, eventually
from tests.serving.test_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLD = header(2, ("192.0.2.7", 5555), ("192.0.2.1", 80))


@contextlib.contextmanager
def awaiting(count: int, address: Any) -> Iterator[list[socket.socket]]:
    """So many connections without a header."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(count)]


def is_served(address: Any) -> bool:
    with socket.create_connection(address, PATIENCE) as sock:
        sock.sendall(TOLD + b"ping")
        return sock.recv(4) == b"ping"


def test_when_too_many_headers_are_awaited_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied, "MOST_AWAITED", 3)
    with serving(proxied=Proxied) as (server, address), awaiting(4, address) as silent:
        assert silent[0].recv(1) == b""
        assert is_served(address)
        silent[3].sendall(TOLD + b"pong")
        assert silent[3].recv(4) == b"pong"
        assert server.counts()["refused_by_limit"] >= 1


def test_a_header_that_is_late_is_counted_and_its_connection_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied, "WITHIN", 0.05)
    with serving(proxied=Proxied, verbose=1) as (server, address), awaiting(1, address) as silent:
        assert silent[0].recv(1) == b""
        eventually(lambda: server.counts()["refused_by_rule"], "it is counted")
        assert "refused by rule: the handshake was not done within 0.05 s" in server.said.getvalue()
        assert server.counts()["total"] == 0


def test_who_is_no_trusted_proxy_is_closed_before_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(proxied=partial(Proxied, trusts=lambda _: False)) as (_, address), awaiting(1, address) as silent:
        assert silent[0].recv(1) == b""


def test_a_server_of_one_client_drops_the_others_that_wait() -> None:
    with serving(proxied=Proxied, once=True) as (server, address), awaiting(2, address) as silent:
        assert is_served(address)
        assert [sock.recv(1) for sock in silent] == [b"", b""]
        assert server.outcome.result(PATIENCE) == 0


def test_a_server_that_ends_waits_for_no_header() -> None:
    with serving(proxied=Proxied) as (server, address), awaiting(1, address) as silent:
        eventually(lambda: server.ask(lambda: len(vars(server.server)["_proxied"]._awaited)), "it is awaited")
        assert server.stop() == 0
        assert silent[0].recv(1) == b""
