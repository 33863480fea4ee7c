"""The test's own end of a connection: accept, connect, read to the end, reset.

Plain sockets with a time limit, so that each FIN and each reset is under the test's control.
Processes are started by `tests.running`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Running


def port_of(server: socket.socket) -> str:
    """The port as a word of the command line."""
    return str(server.getsockname()[1])


@contextlib.contextmanager
def accepted(server: socket.socket) -> Iterator[socket.socket]:
    """The next connection of a server socket."""
    connection, _ = server.accept()
    connection.settimeout(PATIENCE)
    with connection:
        yield connection


@contextlib.contextmanager
def connected(listener: Running) -> Iterator[socket.socket]:
    """A connection to a pync that listens on port 0."""
    with socket.create_connection(("127.0.0.1", listener.port()), PATIENCE) as sock:
        yield sock


def receive_all(sock: socket.socket) -> bytes:
    """Everything up to the peer's end of data."""
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def be_reset(address: Any) -> None:
    """Connect there and read nothing but a reset, which may come before connecting is done."""
    with pytest.raises(ConnectionResetError), socket.create_connection(address[:2], PATIENCE) as sock:
        assert sock.recv(1)


def until_reset(sock: socket.socket) -> bytes:
    """Everything up to the peer's reset, which has to come instead of an end of data."""
    data = bytearray()
    with pytest.raises(ConnectionResetError):
        while piece := sock.recv(1 << 16):
            data += piece
    return bytes(data)


def reset(sock: socket.socket) -> None:
    """Close with a RST instead of a FIN (socket(7), SO_LINGER)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
