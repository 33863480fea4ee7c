"""The one face of sockets, pipes, terminals, files and devices: never blocks, never sets O_NONBLOCK.

Every kind of descriptor that a shell hands to a program is handed to `local_endpoint` here, on a
system with /proc and as on one without. Who reads from whom is tested with `net.move` and `engine.flow`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import socket
import tty
from typing import TYPE_CHECKING, Any

import pytest

from pync.net import endpoint
from pync.net.endpoint import (
    FILE,
    LARGE_PIPE,
    NOTHING,
    PIPE,
    SOCKET,
    TTY,
    Descriptor,
    FileEndpoint,
    NothingEndpoint,
    PatientEndpoint,
    SocketEndpoint,
    grow_pipe,
    in_background,
    local_endpoint,
)
from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pync.net.endpoint import Endpoint

LINUX = os.path.exists("/proc/self/fd")
#: Nothing here may block: a call that does is interrupted and fails.
pytestmark = pytest.mark.timeout(5)
#: More than any pipe, socket or terminal of these tests holds.
PLENTY = 1 << 24


@pytest.fixture(params=["anew", "patient"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How pipes and terminals are opened: anew through /proc, or not at all because there is no /proc."""
    if request.param == "anew" and not LINUX:
        pytest.skip("this system has no /proc/self/fd")
    if request.param == "patient":
        real = os.open

        def without_proc(path: Any, *rest: Any, **named: Any) -> int:
            if str(path).startswith("/proc/"):
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
            return real(path, *rest, **named)

        monkeypatch.setattr(os, "open", without_proc)
    return str(request.param)


class Ends:
    """The descriptor that pync is given, and the one at the other end."""

    def __init__(self, given: int, other: int) -> None:
        self.given = given
        self.other = other
        self.flags = fcntl.fcntl(given, fcntl.F_GETFL)

    def close(self) -> None:
        for fd in (self.given, self.other):
            with contextlib.suppress(OSError):
                os.close(fd)

    def close_other(self) -> None:
        os.close(self.other)


def pipe(writing: bool) -> Ends:
    read, write = os.pipe()
    return Ends(write, read) if writing else Ends(read, write)


def fifo(writing: bool, path: str) -> Ends:
    os.mkfifo(path)
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # blocking, it would wait for a writer
    os.set_blocking(read, True)
    write = os.open(path, os.O_WRONLY)
    return Ends(write, read) if writing else Ends(read, write)


def pair() -> Ends:
    near, far = socket.socketpair()
    return Ends(near.detach(), far.detach())


def terminal() -> Ends:
    master, slave = pty.openpty()
    tty.setraw(slave)
    return Ends(slave, master)


#: name → (kind, maker); the maker gets the direction and a path that does not exist.
POLLED: dict[str, tuple[str, Callable[[bool, str], Ends]]] = {
    "socket": (SOCKET, lambda writing, path: pair()),
    "pipe": (PIPE, lambda writing, path: pipe(writing)),
    "fifo": (PIPE, fifo),
    "terminal": (TTY, lambda writing, path: terminal()),
}
each_polled = pytest.mark.parametrize("name", POLLED)


@contextlib.contextmanager
def opened(name: str, tmp_path: Path, *, writing: bool) -> Iterator[tuple[Endpoint, Ends]]:
    """An endpoint of this kind; at the end its descriptor must be as it was given."""
    kind, make = POLLED[name]
    ends = make(writing, str(tmp_path / "fifo"))
    local = local_endpoint(ends.given, writing=writing)
    try:
        assert local.kind == kind
        assert isinstance(local, Descriptor)
        yield local, ends
        assert fcntl.fcntl(ends.given, fcntl.F_GETFL) == ends.flags
    finally:
        local.close()
        assert os.fstat(ends.given), "the descriptor is not ours to close"
        ends.close()


def read(local: Endpoint, size: int = 1 << 16) -> bytes | None:
    buffer = memoryview(bytearray(size))
    count = local.read_into(buffer)
    return None if count is None else bytes(buffer[:count])


def await_ready(fd: int, event: int) -> None:
    """Until poll(2) says so: a terminal hands bytes over in its own time."""
    poll = select.poll()
    poll.register(fd, event)
    assert poll.poll(PATIENCE * 1000)


def fill(local: Endpoint) -> int:
    """Write until it would block: how much it took. A terminal may take more a moment later."""
    if isinstance(local, PatientEndpoint) and local.kind == TTY:
        pytest.skip("a terminal that is ready promises no room for PIPE_BUF bytes, as pipes do")
    total = 0
    while (count := local.write(bytes(PLENTY - total))) is not None:
        total += count
        assert total < PLENTY, "it takes everything"
    return total


# --- what waits: sockets, pipes, terminals


@each_polled
def test_reading_where_nothing_is_yet_gives_none(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=False) as (local, _):
        assert read(local) is None


@each_polled
def test_what_was_written_at_the_other_end_is_read(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=False) as (local, ends):
        os.write(ends.other, b"hello")
        await_ready(local.fd, select.POLLIN)
        assert read(local) == b"hello"
        assert read(local) is None


@each_polled
def test_a_read_brings_no_more_than_the_buffer_holds(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=False) as (local, ends):
        os.write(ends.other, b"hello")
        await_ready(local.fd, select.POLLIN)
        assert read(local, 2) == b"he"
        assert read(local) == b"llo"


@pytest.mark.parametrize("name", ["socket", "pipe", "fifo"])
def test_the_end_of_data_reads_as_nothing_again_and_again(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=False) as (local, ends):
        os.write(ends.other, b"last words")
        ends.close_other()
        assert [read(local) for _ in range(3)] == [b"last words", b"", b""]


@pytest.mark.skipif(not LINUX, reason="other systems may answer with an error")
def test_a_terminal_that_has_gone_away_is_at_its_end(tmp_path: Path) -> None:
    with opened("terminal", tmp_path, writing=False) as (local, ends):
        ends.close_other()
        assert read(local) == b""


def test_the_end_of_data_key_ends_a_terminals_input(tmp_path: Path) -> None:
    master, slave = pty.openpty()  # not raw: the terminal's own line discipline makes the end of data
    ends = Ends(slave, master)
    local = local_endpoint(slave, writing=False)
    try:
        os.write(master, b"line\n\x04")
        await_ready(local.fd, select.POLLIN)
        assert read(local) == b"line\n"
        await_ready(local.fd, select.POLLIN)
        assert read(local) == b""
    finally:
        local.close()
        ends.close()


@each_polled
def test_what_is_written_arrives_at_the_other_end(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=True) as (local, ends):
        assert local.write(memoryview(b"hello")) == 5
        await_ready(ends.other, select.POLLIN)
        assert os.read(ends.other, 100) == b"hello"


@each_polled
def test_writing_where_no_room_is_gives_none_and_goes_on_when_there_is(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=True) as (local, ends):
        taken = fill(local)
        assert taken
        assert local.write(b"more") is None
        os.set_blocking(ends.other, False)
        with contextlib.suppress(BlockingIOError):
            while os.read(ends.other, 1 << 20):
                pass
        await_ready(local.fd, select.POLLOUT)
        assert local.write(b"more") == 4


# Without a terminal: only for pipes does POSIX promise that a ready one takes PIPE_BUF bytes.
@pytest.mark.parametrize("name", [name for name in POLLED if name != "terminal"])
def test_a_sink_that_has_almost_no_room_does_not_block(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=True) as (local, ends):
        fill(local)
        os.set_blocking(ends.other, False)
        for size in (1, 100, 4095, 4097):
            with contextlib.suppress(BlockingIOError):
                os.read(ends.other, size)
            fill(local)


@pytest.mark.parametrize("name", ["socket", "pipe", "fifo"])
def test_writing_to_somebody_who_has_left_is_a_broken_pipe(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=True) as (local, ends):
        ends.close_other()
        with pytest.raises(BrokenPipeError):
            local.write(b"hello")


@each_polled
def test_waiting_for_the_endpoint_is_waiting_for_the_descriptor(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=False) as (local, ends):
        assert not select.select([local.fd], [], [], 0)[0]
        os.write(ends.other, b"hello")
        await_ready(local.fd, select.POLLIN)
        assert select.select([local.fd], [], [], 0)[0]


@each_polled
@pytest.mark.parametrize("writing", [False, True])
def test_the_descriptor_is_never_set_nonblocking(name: str, writing: bool, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=writing) as (local, ends):
        _ = fill(local) if writing else read(local)
        assert not fcntl.fcntl(ends.given, fcntl.F_GETFL) & os.O_NONBLOCK
        assert not fcntl.fcntl(ends.other, fcntl.F_GETFL) & os.O_NONBLOCK


@each_polled
@pytest.mark.parametrize("writing", [False, True])
def test_closing_gives_back_what_was_opened_and_nothing_else(name: str, writing: bool, tmp_path: Path) -> None:
    ends = POLLED[name][1](writing, str(tmp_path / "fifo"))
    before = os.listdir("/dev/fd")
    local_endpoint(ends.given, writing=writing).close()
    assert len(os.listdir("/dev/fd")) == len(before)
    os.fstat(ends.given)
    ends.close()


@each_polled
def test_what_is_opened_is_not_inherited_by_children(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=False) as (local, ends):
        if local.fd != ends.given:
            assert not os.get_inheritable(local.fd)


@pytest.mark.parametrize("name", ["pipe", "fifo", "terminal"])
def test_half_closing_what_has_one_direction_changes_nothing(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path, writing=True) as (local, _):
        local.half_close()
        assert local.write(b"hello") == 5


@pytest.mark.parametrize(("name", "patient"), [("pipe", True), ("fifo", True), ("terminal", True), ("socket", False)])
def test_without_proc_pipes_and_terminals_are_asked_before_each_call(
    name: str, patient: bool, way: str, tmp_path: Path
) -> None:
    with opened(name, tmp_path, writing=False) as (local, ends):
        assert isinstance(local, PatientEndpoint) == (patient and way == "patient")
        if isinstance(local, PatientEndpoint):
            assert local.fd == ends.given


def test_a_pipe_with_a_high_number_is_served_too(tmp_path: Path) -> None:
    """select(2) knows 1024 descriptors; a program that calls pync.run may have more."""
    import resource

    high = 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= high + 8:
        pytest.skip("this user may not have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, high + 8), hard))
    source, write = os.pipe()
    given = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, high)
    try:
        local = local_endpoint(given, writing=False)
        assert read(local) is None
        os.write(write, b"hello")
        assert read(local) == b"hello"
        local.close()
    finally:
        for fd in (source, write, given):
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- FIFOs whose other end is gone before we look


@pytest.mark.parametrize("left", [b"", b"last words"])
def test_a_fifo_whose_writers_have_left_gives_what_they_wrote_and_then_the_end(left: bytes, tmp_path: Path) -> None:
    ends = fifo(False, str(tmp_path / "fifo"))
    os.write(ends.other, left)
    ends.close_other()
    local = local_endpoint(ends.given, writing=False)
    try:
        pieces = [read(local) for _ in range(2)]
        assert pieces[: 1 + bool(left)] == ([left] if left else []) + [b""]
    finally:
        local.close()
        ends.close()


@pytest.mark.parametrize("make", [lambda path: fifo(True, path), lambda path: pipe(True)], ids=["fifo", "pipe"])
def test_a_sink_whose_readers_have_left_before_we_look_is_a_broken_pipe(
    make: Callable[[str], Ends], tmp_path: Path
) -> None:
    ends = make(str(tmp_path / "fifo"))
    ends.close_other()
    local = local_endpoint(ends.given, writing=True)
    try:
        with pytest.raises(BrokenPipeError):
            local.write(b"hello")
    finally:
        local.close()
        ends.close()


# --- sockets


def test_half_closing_a_socket_sends_the_end_of_data_and_still_reads(tmp_path: Path) -> None:
    with opened("socket", tmp_path, writing=True) as (local, ends):
        local.write(b"question")
        local.half_close()
        assert os.read(ends.other, 100) == b"question"
        assert os.read(ends.other, 100) == b""
        os.write(ends.other, b"answer")
        assert read(local) == b"answer"


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE])
def test_half_closing_towards_a_peer_that_is_gone_is_no_error(code: int) -> None:
    class Gone(socket.socket):
        def shutdown(self, how: int) -> None:
            raise OSError(code, os.strerror(code))

    with Gone() as sock:
        SocketEndpoint(sock).half_close()


def test_half_closing_a_socket_that_fails_for_another_reason_is_an_error() -> None:
    class Broken(socket.socket):
        def shutdown(self, how: int) -> None:
            raise OSError(errno.EBADF, "Bad file descriptor")

    with Broken() as sock, pytest.raises(OSError, match="Bad file descriptor"):
        SocketEndpoint(sock).half_close()


def test_half_closing_a_socket_that_is_not_connected_is_no_error() -> None:
    with socket.socket() as sock:
        SocketEndpoint(sock).half_close()


def test_a_connected_socket_is_closed_with_its_endpoint() -> None:
    near, far = socket.socketpair()
    with far:
        SocketEndpoint(near).close()
        assert near.fileno() == -1


# --- what is always ready: files and devices


def test_a_file_is_read_from_where_it_stands_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"header and body")
    with path.open("rb", buffering=0) as file:
        file.read(len(b"header "))
        local = local_endpoint(file.fileno(), writing=False)
        assert (local.kind, type(local)) == (FILE, FileEndpoint)
        assert [read(local, 4), read(local), read(local)] == [b"and ", b"body", b""]
        local.close()
        assert file.tell() == len(b"header and body")


def test_a_file_is_written_from_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("r+b", buffering=0) as file:
        file.seek(3)
        local = local_endpoint(file.fileno(), writing=True)
        assert local.write(memoryview(b"abc")) == 3
        local.half_close()
        local.close()
        assert file.tell() == 6
    assert path.read_bytes() == b"012abc6789"


def test_a_file_opened_to_append_is_written_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old ")
    with path.open("ab", buffering=0) as file:
        local = local_endpoint(file.fileno(), writing=True)
        assert local.kind == FILE
        local.write(b"new")
        assert fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
    assert path.read_bytes() == b"old new"


def test_dev_null_is_at_its_end_and_takes_everything() -> None:
    with open(os.devnull, "r+b", buffering=0) as file:
        local = local_endpoint(file.fileno(), writing=False)
        assert (local.kind, type(local)) == (FILE, FileEndpoint)
        assert read(local) == b""
        assert local_endpoint(file.fileno(), writing=True).write(bytes(PLENTY)) == PLENTY


def test_a_full_device_is_an_error() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        local_endpoint(file.fileno(), writing=True).write(b"x")


def test_a_directory_is_an_error_when_read(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            read(local_endpoint(fd, writing=False))
    finally:
        os.close(fd)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="only epoll tells which devices can wait")
def test_a_device_that_can_wait_is_asked_before_each_call() -> None:
    with open("/dev/random", "rb", buffering=0) as file:
        local = local_endpoint(file.fileno(), writing=False)
        assert (local.kind, type(local)) == (FILE, PatientEndpoint)
        assert isinstance(local, PatientEndpoint)
        data = read(local, 16)
        assert data is None or data


def test_without_epoll_a_device_counts_as_always_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    with open("/dev/random", "rb", buffering=0) as file:
        assert type(local_endpoint(file.fileno(), writing=False)) is FileEndpoint


# --- what is not there


@pytest.mark.parametrize("writing", [False, True])
def test_a_closed_descriptor_is_an_error(writing: bool) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.close(write_end)
    with pytest.raises(OSError, match="Bad file descriptor"):
        local_endpoint(read_end, writing=writing)


def test_nothing_takes_everything_and_is_at_its_end() -> None:
    nothing = NothingEndpoint()
    assert (nothing.kind, nothing.fd) == (NOTHING, -1)
    assert nothing.write(bytes(1000)) == 1000
    assert read(nothing) == b""
    nothing.half_close()
    nothing.close()


# --- terminals in the background, the size of pipes


@pytest.mark.parametrize(
    ("is_terminal", "foreground", "background"), [(True, 1, False), (True, 2, True), (False, 2, False)]
)
def test_only_a_terminal_with_another_group_in_front_is_in_the_background(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, foreground: int, background: bool
) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: is_terminal)
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: foreground)
    monkeypatch.setattr(os, "getpgrp", lambda: 1)
    assert in_background(0) is background


def test_a_terminal_that_does_not_control_us_is_not_in_the_background(tmp_path: Path) -> None:
    ends = terminal()
    assert not in_background(ends.given)
    ends.close()
    assert not in_background(ends.given)


@pytest.mark.skipif(not hasattr(fcntl, "F_GETPIPE_SZ"), reason="pipes have one size here")
def test_a_pipe_is_grown_for_bulk_data() -> None:
    ends = pipe(writing=True)
    grow_pipe(ends.given)
    assert fcntl.fcntl(ends.given, fcntl.F_GETPIPE_SZ) >= LARGE_PIPE
    ends.close()


def test_a_pipe_that_may_not_grow_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    ends = pipe(writing=True)
    monkeypatch.setattr(fcntl, "F_SETPIPE_SZ", 1031, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    grow_pipe(ends.given)
    monkeypatch.undo()
    ends.close()


def test_where_pipes_have_one_size_growing_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.delattr(fcntl, "F_SETPIPE_SZ", raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda *args: asked.append(args))
    grow_pipe(0)
    assert asked == []


def test_every_kind_has_a_name_of_its_own() -> None:
    kinds = [SOCKET, PIPE, TTY, FILE, NOTHING, endpoint.DATAGRAM]
    assert len(set(kinds)) == len(kinds)
