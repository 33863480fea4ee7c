"""One client's work is not everybody's wait: an honest client and a signal among clients that ask for very much.

Seconds say little on a busy machine, so it is counted what the others have been sent meanwhile: served one
after the other, they would have got everything before the honest client gets a byte.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, Running, pync, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 60
NAMES = 1000
#: By service: what a greedy client asks for, and how much it is sent at least; what an honest one asks, and gets.
FLOODS = {
    "--hello": (b"\n" * 65_536, 9 * 65_536, b"Bob\n", b"Hello, Bob!"),
    "--http": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 16, 1600 * NAMES, b"GET /s/one HTTP/1.0\r\n\r\n", b"only this"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with very many names, and a file in one of its own."""
    for number in range(NAMES):
        (tmp_path / f"name-{number}").touch()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "one").write_text("only this")
    return tmp_path


class Greedy:
    """Clients that have asked for very much, and read all they are sent."""

    def __init__(self, port: int, words: bytes) -> None:
        self.sent = 0
        self.selector = selectors.DefaultSelector()
        for _ in range(CLIENTS):
            sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
            sock.sendall(words)
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ)

    def read_until(self, honest: socket.socket | None, expected: bytes = b"") -> None:
        """Read until the honest client has this, or without one until all connections have ended."""
        got = b""
        if honest is not None:
            self.selector.register(honest, selectors.EVENT_READ)
        while self.selector.get_map() and (honest is None or expected not in got):
            ready = self.selector.select(PATIENCE)
            assert ready, f"after {self.sent} bytes: {got!r}"
            for key, _ in ready:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                data = self._read(sock)
                if sock is honest:
                    got += data
                else:
                    self.sent += len(data)
        if honest is not None:
            self.selector.unregister(honest)

    def _read(self, sock: socket.socket) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = sock.recv(1 << 16)
        if not data:
            self.selector.unregister(sock)
            sock.close()
        return data

    def close(self) -> None:
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self.selector.close()


@contextlib.contextmanager
def flooded(service: str, folder: Path) -> Iterator[tuple[Running, int, Greedy]]:
    with pync("-v", "-l", "-k", "127.0.0.1", "0", service, cwd=folder) as process:
        port = process.port()
        greedy = Greedy(port, FLOODS[service][0])
        with contextlib.closing(greedy):
            yield process, port, greedy


@pytest.mark.parametrize("service", FLOODS)
def test_an_honest_client_is_answered_while_the_greedy_ones_wait_for_most_of_theirs(service: str, folder: Path) -> None:
    _, most, words, expected = FLOODS[service]
    with flooded(service, folder) as (_, port, greedy):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as honest:
            honest.sendall(words)
            greedy.read_until(honest, expected)
        assert greedy.sent < most * CLIENTS / 2


@pytest.mark.parametrize("service", FLOODS)
def test_a_signal_ends_it_while_the_greedy_ones_wait_for_most_of_theirs(service: str, folder: Path) -> None:
    with flooded(service, folder) as (process, _, greedy):
        stop(process)
        greedy.read_until(None)
        assert greedy.sent < FLOODS[service][1] * CLIENTS / 2
        assert process.code() == 128 + signal.SIGTERM
