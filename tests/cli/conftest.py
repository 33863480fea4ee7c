"""Fixtures for the black-box tests: a server socket under the test's control, accepted connections.

Processes are started by `tests.running`; here are only the sockets of the other end.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listening TCP socket for pync to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@pytest.fixture
def udp_server() -> Iterator[socket.socket]:
    """A bound UDP socket for pync to send to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock
