"""--loop: a server does the same on asyncio's loop and on uvloop as on our own, signals and ends included.

What a server does at all is tested elsewhere, on the default loop.
"""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, pync, run_pync, stop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["asyncio", "uvloop"])
def foreign(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The words for a listener on that loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed here")
    return ("--loop", request.param, "127.0.0.1", "0")


def client(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def receive_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def test_an_echo_of_many_bytes_comes_back_whole_after_our_end(foreign: tuple[str, ...]) -> None:
    data = bytes(range(256)) * (1 << 14)
    with pync("-l", "-k", "--echo", *foreign) as server, client(server.port()) as sock:

        def send() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert hashlib.sha256(receive_all(sock)).digest() == hashlib.sha256(data).digest()
        sender.join()


def test_a_message_without_a_newline_is_answered_after_its_silence(foreign: tuple[str, ...]) -> None:
    with pync("-l", "-k", "--hello", *foreign) as server, client(server.port()) as sock:
        assert sock.recv(1024) == b"Welcome!"
        sock.sendall(b"Michael")
        assert sock.recv(1024) == b"Hello, Michael!"


def test_our_input_reaches_every_client_and_theirs_our_output(foreign: tuple[str, ...]) -> None:
    with pync("-l", "-k", *foreign) as server:
        port = server.port()
        with client(port) as one, client(port) as other:
            one.sendall(b"one\n")
            assert server.read(4) == b"one\n"
            other.sendall(b"other\n")
            assert server.read(6) == b"other\n"
            server.stdin.write(b"to all")
            server.stdin.close()
            assert receive_all(one) == receive_all(other) == b"to all"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_in_order_and_one_asks_for_its_counts(
    number: signal.Signals, code: int, foreign: tuple[str, ...]
) -> None:
    with pync("-l", "-k", "-v", "--echo", *foreign) as server, client(server.port()) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        stop(server, signal.SIGUSR1)
        server.wait_for("connections: 1 now, 1 at most, 1 in all")
        stop(server, number)
        assert server.code() == code
        assert receive_all(sock) == b""


def test_programs_and_files_are_served(tmp_path: Path, foreign: tuple[str, ...]) -> None:
    (tmp_path / "file").write_bytes(b"data" * 100_000)
    with pync("-l", "-k", "-c", "sort", *foreign) as server:
        assert run_pync("127.0.0.1", str(server.port()), stdin=b"b\na\n") == (0, b"a\nb\n", [])
    with pync("-l", "-k", "--http-root", str(tmp_path), *foreign) as server, client(server.port()) as sock:
        sock.sendall(b"GET /file HTTP/1.0\r\n\r\n")
        assert receive_all(sock).endswith(b"\r\n\r\n" + b"data" * 100_000)


def test_a_reader_of_our_output_that_leaves_ends_it_quietly(foreign: tuple[str, ...]) -> None:
    with pync("-l", "-k", "-d", *foreign, stdin=subprocess.DEVNULL) as server:
        server.port()
        server.stdout.close()
        assert server.code() == 0


def test_another_name_is_a_usage_error() -> None:
    code, _, (message,) = run_pync("-l", "-k", "--echo", "--loop", "twisted", "0")
    assert code == 2
    assert "'twisted' is no event loop: write quick or asyncio or uvloop" in message
