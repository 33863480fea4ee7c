"""Blocks allocated ahead of a file's end: that they are there, change nothing that is seen, and go again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pync.net import space
from pync.net.space import STEP, Ahead
from tests.running import pync
from tests.sockets import connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 512  # st_blocks counts in these (stat(2))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A file that has been written to, at its end."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"begun")
    if not Ahead(fd).extend():
        pytest.skip("this system or file system allocates nothing ahead")
    os.ftruncate(fd, 5)
    yield fd
    os.close(fd)


def allocated(fd: int) -> int:
    return os.fstat(fd).st_blocks * BLOCK


def test_a_step_is_allocated_and_the_file_stays_as_long_as_it_is(file: int) -> None:
    ahead = Ahead(file)
    assert ahead.extend()
    assert allocated(file) >= STEP
    assert os.fstat(file).st_size == 5
    ahead.give_back()
    assert allocated(file) < STEP
    assert os.pread(file, 10, 0) == b"begun"


def test_what_others_have_added_stays(file: int, tmp_path: Path) -> None:
    ahead = Ahead(file)
    assert ahead.extend()
    with open(tmp_path / "file", "ab") as other:
        other.write(b", and more")
    ahead.give_back()
    assert (tmp_path / "file").read_bytes() == b"begun, and more"


@pytest.mark.parametrize("flags", [os.O_APPEND, 0], ids=["appending", "not at the end"])
def test_a_file_that_does_not_simply_grow_is_left_alone(file: int, tmp_path: Path, flags: int) -> None:
    other = os.open(tmp_path / "file", os.O_WRONLY | flags)
    before = allocated(other)
    assert not Ahead(other).extend()
    assert allocated(other) == before
    os.close(other)


def test_a_system_that_refuses_is_not_asked_again(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def full(fd: int, *_: int) -> int:
        asked.append(fd)
        return -1

    monkeypatch.setattr(space, "_fallocate", lambda: full)
    ahead = Ahead(file)
    assert [ahead.extend(), ahead.extend()] == [False, False]
    assert asked == [file]


def test_a_received_file_has_its_bytes_and_no_block_more(tmp_path: Path, file: int) -> None:
    size = (1 << 25) + 300_000
    path = tmp_path / "received"
    with open(path, "wb") as taken, pync("-l", "127.0.0.1", "0", stdout=taken) as listener:
        with connected(listener) as sock:
            sock.sendall(b"\xa5" * size)
            with open(path, "rb") as seen:
                while allocated(seen.fileno()) <= size + (1 << 20):  # bounded by the test's time
                    assert os.fstat(seen.fileno()).st_size <= size
        listener.finish()
    assert path.stat().st_size == size
    assert path.stat().st_blocks * BLOCK < size + (1 << 20)
    assert path.read_bytes() == b"\xa5" * size
