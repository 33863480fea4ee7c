"""The life of a unix path: stale ones replaced, live ones and other files left alone, ours removed.

The same through the command is in cli/test_listen.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

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
    own.bind(sock, path)
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


def test_a_path_that_has_become_somebody_elses_is_left_alone(path: str) -> None:
    sock, own = bound(path, socket.SOCK_STREAM)
    os.unlink(path)
    with sock, socket.socket(socket.AF_UNIX) as successor:
        successor.bind(path)
        own.remove()
        assert os.path.exists(path)


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
