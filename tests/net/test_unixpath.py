"""The life of a unix path: stale ones replaced, live ones and other files left alone, ours removed.

The same through the command is in cli/test_listen.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pync.net import unixpath
from pync.net.unixpath import BoundPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "datagram"])


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "socket")


def bound(path: str, kind: int) -> tuple[socket.socket, BoundPath]:
    sock, own = socket.socket(socket.AF_UNIX, kind), BoundPath()
    try:
        own.bind(sock, path)
    except OSError:
        sock.close()
        raise
    return sock, own


@KINDS
def test_a_path_is_there_while_it_is_bound_and_gone_afterwards(path: str, kind: int) -> None:
    sock, own = bound(path, kind)
    with sock:
        assert os.path.exists(path)
        own.remove()
        own.remove()  # a second time is harmless
    assert not os.path.exists(path)


def test_what_was_never_bound_removes_nothing() -> None:
    BoundPath().remove()


@KINDS
def test_a_stale_path_is_replaced(path: str, kind: int) -> None:
    bound(path, kind)[0].close()
    sock, own = bound(path, kind)
    with sock:
        own.remove()


@KINDS
def test_a_path_in_use_is_an_error_and_stays(path: str, kind: int) -> None:
    with bound(path, kind)[0] as live:
        if kind == socket.SOCK_STREAM:
            live.listen()
        own = BoundPath()
        with socket.socket(socket.AF_UNIX, kind) as second, pytest.raises(OSError) as caught:
            own.bind(second, path)
        assert caught.value.errno == errno.EADDRINUSE
        own.remove()
        assert os.path.exists(path)


def test_another_file_is_never_removed(path: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    own = BoundPath()
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError):
        own.bind(sock, path)
    own.remove()
    with open(path, encoding="ascii") as file:
        assert file.read() == "precious"


@pytest.mark.parametrize("closed", [False, True], ids=["in use", "closed"])
def test_a_path_that_has_become_another_sockets_is_left_alone(path: str, closed: bool) -> None:
    sock, own = bound(path, socket.SOCK_STREAM)
    os.unlink(path)
    if closed:
        sock.close()  # so that the number of its file may be given to the next
    with sock, socket.socket(socket.AF_UNIX) as successor:
        successor.bind(path)
        own.remove()
        assert os.path.exists(path)


def test_a_path_that_could_not_be_bound_is_not_ours(path: str) -> None:
    class Late(socket.socket):
        """Another process is a moment earlier."""

        def bind(self, address: object, /) -> None:
            earlier.bind(address)  # type: ignore[arg-type]
            super().bind(address)  # type: ignore[arg-type]

    own = BoundPath()
    with socket.socket(socket.AF_UNIX) as earlier, Late(socket.AF_UNIX) as late:
        with pytest.raises(OSError):
            own.bind(late, path)
        own.remove()
        assert os.path.exists(path)


def test_of_three_that_start_at_one_stale_path_one_serves_it(path: str) -> None:
    """Threads are as good as processes here: each opens the directory that it locks."""
    rounds = 150
    barrier = threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(rounds):
            bound(path, socket.SOCK_STREAM)[0].close()

            def start() -> tuple[socket.socket, BoundPath] | None:
                barrier.wait()
                with contextlib.suppress(OSError):
                    return bound(path, socket.SOCK_STREAM)
                return None

            served = [one for one in pool.map(lambda _: start(), range(3)) if one]
            assert len(served) == 1
            sock, own = served[0]
            own.remove()
            assert not os.path.exists(path), "the socket at the path was that of the one that serves"
            sock.close()


def test_a_directory_that_another_program_keeps_locked_holds_nothing_up_for_long(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unixpath, "TURN", 0.05)
    bound(path, socket.SOCK_STREAM)[0].close()
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    sock, own = bound(path, socket.SOCK_STREAM)
    own.remove()
    sock.close()
    os.close(directory)
    assert not os.path.exists(path)


def test_a_signal_between_binding_and_the_next_step_finds_the_path_kept(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(socket.socket):
        def bind(self, address: object, /) -> None:
            super().bind(address)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    own = BoundPath()
    with Interrupted(socket.AF_UNIX) as sock, pytest.raises(KeyboardInterrupt):
        own.bind(sock, path)
    assert os.path.exists(path)
    own.remove()
    assert not os.path.exists(path)
