"""Copy, splice and sendfile, step by step: whatever the ends do, the bytes arrive and little is held.

Copies run between endpoints of memory that give and take what hypothesis says; splice and sendfile
between real descriptors. Movers on a loop, and the fall-back to copying, are tested in engine/test_flow.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.net import move
from pync.net.endpoint import DATAGRAM, FILE, NOTHING, PIPE, SOCKET, TTY, FileEndpoint, PipeEndpoint, SocketEndpoint
from pync.net.move import (
    DONE,
    MORE,
    NOT_JOINABLE,
    SINK_FULL,
    SOURCE_DRY,
    Copy,
    Sendfile,
    Splice,
    SpliceThrough,
    choose,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pync.net.loop import Reactor, TimerHandle
    from pync.net.move import Mover, Stage

KINDS = [SOCKET, PIPE, TTY, FILE, DATAGRAM, NOTHING]
NO_LIMIT = 1 << 40
SOON = 0.01
#: Small, so that a few hundred bytes are many chunks.
CHUNK = 64

needs_splice = pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has no splice")
needs_sendfile = pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has not Linux's sendfile")


class Never:
    def cancel(self) -> None: ...


class Memory:
    """An endpoint of memory: `turns` says how much each call may move, 0 for "would block", then everything.

    Who waits for it is called back after `SOON`.
    """

    fd = -1
    waiting = 0

    def __init__(self, data: bytes = b"", turns: Sequence[int] = (), kind: str = "memory") -> None:
        self.kind = kind
        self._left = data
        self._turns = list(turns)
        self.pieces: list[bytes] = []
        self.read = 0
        self._again: TimerHandle = Never()

    def watch_read(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        self._again.cancel()
        if callback is not None:
            self._again = loop.call_at(loop.time() + SOON, self._call, loop, callback)

    def _call(self, loop: Reactor, callback: Callable[[], object]) -> None:
        self.watch_read(loop, callback)
        callback()

    watch_write = watch_read

    def _turn(self) -> int:
        return self._turns.pop(0) if self._turns else NO_LIMIT

    def read_into(self, buffer: memoryview) -> int | None:
        size = min(self._turn(), len(buffer))
        if not size:
            return None
        piece, self._left = self._left[:size], self._left[size:]
        buffer[: len(piece)] = piece
        self.read += len(piece)
        return len(piece)

    def write(self, data: memoryview | bytes) -> int | None:
        size = self._turn()
        if not size:
            return None
        self.pieces.append(bytes(data[:size]))
        return min(size, len(data))

    @property
    def written(self) -> bytes:
        return b"".join(self.pieces)

    def half_close(self) -> None: ...
    def close(self) -> None: ...


class Upper:
    """A stage that changes every byte."""

    def feed(self, data: bytes) -> bytes:
        return data.upper()

    def end(self) -> bytes:
        return b""


class Hoard:
    """A stage that keeps everything to the end."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        self._kept += data
        return b""

    def end(self) -> bytes:
        return self._kept + b"<end>"


class Pair:
    """A stage that gives pairs of bytes only, and what is left over at the end."""

    def __init__(self) -> None:
        self._odd = b""

    def feed(self, data: bytes) -> bytes:
        data = self._odd + data
        even = len(data) & ~1
        self._odd = data[even:]
        return data[:even]

    def end(self) -> bytes:
        return self._odd


@pytest.fixture(autouse=True, scope="module")
def _small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move, "CHUNK", CHUNK)
        yield


def run(mover: Mover, limits: Sequence[int] = ()) -> list[str]:
    """Move to the end; what each step answered."""
    answers = []
    for step in range(100_000):
        answers.append(mover.move(limits[step] if step < len(limits) else NO_LIMIT))
        if answers[-1] == DONE:
            return answers
    return pytest.fail("it never ends")


DATA = st.binary(max_size=500) | st.lists(st.sampled_from([b"\n", b"line\n", b"x" * 70]), max_size=9).map(b"".join)
TURNS = st.lists(st.integers(0, 100), max_size=40)
LIMITS = st.lists(st.integers(1, 100), max_size=40)


# --- copying


@given(DATA, TURNS, TURNS, LIMITS, st.booleans())
def test_a_copy_delivers_everything_and_holds_one_chunk_at_most(
    data: bytes, reads: list[int], writes: list[int], limits: list[int], by_line: bool
) -> None:
    source, sink = Memory(data, reads), Memory(turns=writes)
    mover = Copy(source, sink, by_line=by_line)
    answer, step = "", 0
    while answer != DONE:
        limit = limits[step] if step < len(limits) else NO_LIMIT
        before = len(sink.written)
        answer = mover.move(limit)
        held = source.read - len(sink.written)
        step += 1
        assert held <= CHUNK
        assert len(sink.written) - before <= limit
        assert mover.moved == len(sink.written)
        assert answer != SOURCE_DRY or not held, "it waits for more before it has delivered what it holds"
        assert answer != SINK_FULL or held
    assert sink.written == data
    assert mover.moved == len(data)


@given(DATA, TURNS, TURNS, LIMITS, st.booleans())
def test_a_unit_is_complete_only_when_all_of_it_is_delivered(
    data: bytes, reads: list[int], writes: list[int], limits: list[int], by_line: bool
) -> None:
    """-W and the pauses ask: to stop at such a point must lose nothing of the unit."""
    source, sink = Memory(data, reads), Memory(turns=writes)
    mover = Copy(source, sink, by_line=by_line)
    assert mover.at_boundary()
    answer, step = "", 0
    while answer != DONE:
        answer = mover.move(limits[step] if step < len(limits) else NO_LIMIT)
        step += 1
        held = source.read - len(sink.written)
        line_ended = by_line and sink.written.endswith(b"\n")
        assert mover.at_boundary() == (not held) or (line_ended and held)


@given(
    st.lists(st.tuples(DATA, TURNS, TURNS), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 100)), max_size=80),
    st.booleans(),
)
def test_copies_that_share_a_buffer_never_see_each_others_bytes(
    each: list[tuple[bytes, list[int], list[int]]], turns: list[tuple[int, int]], by_line: bool
) -> None:
    shared = memoryview(bytearray(CHUNK))
    sinks = [Memory(turns=writes) for _, _, writes in each]
    movers = [
        Copy(Memory(data, reads), sink, by_line=by_line, buffer=shared)
        for (data, reads, _), sink in zip(each, sinks, strict=True)
    ]
    for who, limit in turns:
        movers[who % len(movers)].move(limit)
        shared[:] = b"?" * CHUNK  # whoever is next reads into it
    for mover, sink, (data, _, _) in zip(movers, sinks, each, strict=True):
        run(mover)
        assert sink.written == data
        assert mover.moved == len(data)


@given(DATA, TURNS)
def test_every_read_that_brings_bytes_is_counted(data: bytes, reads: list[int]) -> None:
    source = Memory(data, reads)
    mover = Copy(source, Memory())
    answers = run(mover)
    assert mover.reads == len([answer for answer in answers if answer == MORE]) - 1  # the last one brings the end


@given(st.lists(st.sampled_from([b"\n", b"a\n", b"bcd\n", b"x" * 9 + b"\n"]), max_size=20), st.binary(max_size=9))
def test_by_line_each_write_ends_with_its_line_or_with_the_read(lines: list[bytes], last: bytes) -> None:
    data = b"".join(lines) + last.replace(b"\n", b"")
    sink = Memory()
    run(Copy(Memory(data), sink, by_line=True))
    assert sink.written == data
    assert all(piece.count(b"\n") == piece.endswith(b"\n") for piece in sink.pieces)


def test_a_line_that_is_longer_than_the_window_of_the_search_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move, "CHUNK", 1 << 18)
    lines = [b"a" * 5_000 + b"\n", b"b" * 100_000 + b"\n", b"c\n"]
    sink = Memory()
    run(Copy(Memory(b"".join(lines)), sink, by_line=True))
    assert sink.pieces == lines


STAGES: list[tuple[list[Callable[[], Stage]], Callable[[bytes], bytes]]] = [
    ([Upper], bytes.upper),
    ([Hoard], lambda data: data + b"<end>"),
    ([Pair], bytes),
    ([Hoard, Upper], lambda data: (data + b"<end>").upper()),
    ([Upper, Hoard, Pair], lambda data: data.upper() + b"<end>"),
]


@pytest.mark.parametrize(("stages", "whole"), STAGES)
@given(data=DATA, reads=TURNS, writes=TURNS)
def test_stages_see_all_bytes_in_order_and_then_the_end(
    stages: list[Callable[[], Stage]],
    whole: Callable[[bytes], bytes],
    data: bytes,
    reads: list[int],
    writes: list[int],
) -> None:
    sink = Memory(turns=writes)
    run(Copy(Memory(data, reads), sink, [stage() for stage in stages]))
    assert sink.written == whole(data)


def test_a_source_is_not_read_again_after_its_end() -> None:
    source = Memory(b"")
    mover = Copy(source, Memory(), [Hoard()])
    run(mover)
    source.read_into = lambda buffer: pytest.fail("read after the end")  # type: ignore[method-assign]
    assert mover.move(NO_LIMIT) == DONE


def test_whoever_fails_is_to_blame() -> None:
    class Broken(Memory):
        def read_into(self, buffer: memoryview) -> int | None:
            raise ConnectionResetError(errno.ECONNRESET, "reset")

        def write(self, data: memoryview | bytes) -> int | None:
            raise BrokenPipeError(errno.EPIPE, "broken")

    reading, writing = Copy(Broken(), Memory()), Copy(Memory(b"data"), Broken())
    with pytest.raises(ConnectionResetError):
        reading.move(NO_LIMIT)
    with pytest.raises(BrokenPipeError):
        writing.move(NO_LIMIT)
    assert (reading.sink_to_blame, writing.sink_to_blame) == (False, True)


def test_a_read_that_fails_after_a_write_is_blamed_on_the_source() -> None:
    source = Memory(b"data")
    mover = Copy(source, Memory())
    mover.move(NO_LIMIT)

    def fail(buffer: memoryview) -> int | None:
        raise OSError(errno.EIO, "Input/output error")

    source.read_into = fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="Input/output"):
        mover.move(NO_LIMIT)
    assert not mover.sink_to_blame


def test_an_empty_datagram_is_no_end() -> None:
    source = Memory(b"", kind=DATAGRAM)
    mover = Copy(source, Memory())
    assert [mover.move(NO_LIMIT) for _ in range(3)] == [MORE] * 3
    assert mover.reads == 3


def test_a_datagram_leaves_whole_whatever_the_limit() -> None:
    sink = Memory(turns=[0], kind=DATAGRAM)
    mover = Copy(Memory(b"datagram"), sink)
    assert [mover.move(1), mover.move(1)] == [SINK_FULL, MORE]
    assert sink.pieces == [b"datagram"]


# --- real descriptors


@pytest.fixture
def pipe() -> Iterator[tuple[PipeEndpoint, PipeEndpoint]]:
    """Reading end, writing end; non-blocking, as pync opens them."""
    ends = [PipeEndpoint(fd, PIPE) for fd in os.pipe()]
    for end in ends:
        os.set_blocking(end.fd, False)
    yield ends[0], ends[1]
    for end in ends:
        if end.fd >= 0:
            end.close()


@pytest.fixture
def connection() -> Iterator[tuple[SocketEndpoint, socket.socket]]:
    """A TCP connection: our end, the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    near.setblocking(False)
    with near, peer:
        yield SocketEndpoint(near), peer


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def drain(fd: int) -> bytes:
    data = b""
    while True:
        try:
            piece = os.read(fd, 1 << 20)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


def arrived(near: SocketEndpoint, count: int) -> None:
    """Wait until the socket holds so much: loopback delivers in its own time."""
    near.sock.settimeout(30)
    try:
        near.sock.recv(count, socket.MSG_PEEK | socket.MSG_WAITALL)
    finally:
        near.sock.setblocking(False)


@needs_splice
def test_splice_moves_what_is_there_and_then_waits_for_either_side(
    connection: tuple[SocketEndpoint, socket.socket], pipe: tuple[PipeEndpoint, PipeEndpoint]
) -> None:
    near, peer = connection
    mover = Splice(near, pipe[1])
    assert {mover.move(NO_LIMIT), mover.move(NO_LIMIT)} == {SOURCE_DRY, SINK_FULL}
    peer.sendall(b"hello")
    arrived(near, 5)
    assert mover.move(NO_LIMIT) == MORE
    assert drain(pipe[0].fd) == b"hello"
    assert (mover.moved, mover.reads) == (5, 1)
    assert mover.move(NO_LIMIT) == SOURCE_DRY
    peer.shutdown(socket.SHUT_WR)
    arrived(near, 1)
    assert mover.move(NO_LIMIT) == DONE


@needs_splice
def test_splice_keeps_to_the_limit(
    connection: tuple[SocketEndpoint, socket.socket], pipe: tuple[PipeEndpoint, PipeEndpoint]
) -> None:
    near, peer = connection
    peer.sendall(b"hello")
    arrived(near, 5)
    mover = Splice(near, pipe[1])
    mover.move(2)
    assert drain(pipe[0].fd) == b"he"
    mover.move(NO_LIMIT)
    assert drain(pipe[0].fd) == b"llo"


@needs_splice
def test_splice_into_a_full_pipe_asks_for_the_sink_before_it_spins(
    connection: tuple[SocketEndpoint, socket.socket], pipe: tuple[PipeEndpoint, PipeEndpoint]
) -> None:
    near, peer = connection
    while pipe[1].write(bytes(1 << 16)) is not None:
        pass
    peer.sendall(b"hello")
    arrived(near, 5)
    mover = Splice(near, pipe[1])
    answers = [mover.move(NO_LIMIT) for _ in range(4)]
    assert answers.count(SINK_FULL) == 2
    assert mover.moved == 0
    drain(pipe[0].fd)
    assert mover.move(NO_LIMIT) == MORE


@needs_splice
def test_a_pipe_without_a_reader_is_to_blame_and_a_reset_is_not(
    connection: tuple[SocketEndpoint, socket.socket], pipe: tuple[PipeEndpoint, PipeEndpoint]
) -> None:
    near, peer = connection
    mover = Splice(near, pipe[1])
    peer.sendall(b"hello")
    arrived(near, 5)
    pipe[0].close()
    pipe[0].fd = -1
    with pytest.raises(BrokenPipeError):
        mover.move(NO_LIMIT)
    assert mover.sink_to_blame


@needs_splice
def test_a_reset_is_blamed_on_the_source(
    connection: tuple[SocketEndpoint, socket.socket], pipe: tuple[PipeEndpoint, PipeEndpoint]
) -> None:
    near, peer = connection
    mover = Splice(near, pipe[1])
    reset(peer)
    with pytest.raises(ConnectionResetError):
        while mover.move(NO_LIMIT) != DONE:  # the reset may take a moment
            pass
    assert not mover.sink_to_blame


@needs_splice
def test_splice_without_a_pipe_is_not_joinable_and_takes_nothing(
    connection: tuple[SocketEndpoint, socket.socket], tmp_path: Path
) -> None:
    near, peer = connection
    peer.sendall(b"hello")
    arrived(near, 5)
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError) as caught:
        Splice(near, FileEndpoint(file.fileno())).move(NO_LIMIT)
    assert caught.value.errno in NOT_JOINABLE
    assert near.sock.recv(100) == b"hello"


@contextlib.contextmanager
def splicing_through(near: SocketEndpoint, sink: int) -> Iterator[SpliceThrough]:
    """The mover, which must give back the two descriptors of its own pipe."""
    before = len(os.listdir("/dev/fd"))
    mover = SpliceThrough(near, FileEndpoint(sink))
    yield mover
    mover.close()
    assert len(os.listdir("/dev/fd")) == before


@needs_splice
def test_splice_through_a_pipe_of_its_own_writes_to_a_file_what_a_socket_brings(
    connection: tuple[SocketEndpoint, socket.socket], tmp_path: Path
) -> None:
    near, peer = connection
    path = tmp_path / "file"
    with path.open("wb") as file, splicing_through(near, file.fileno()) as mover:
        assert mover.move(NO_LIMIT) == SOURCE_DRY
        peer.sendall(b"hello")
        arrived(near, 5)
        assert mover.move(2) == MORE
        assert path.read_bytes() == b"he"
        assert mover.move(NO_LIMIT) == MORE
        assert path.read_bytes() == b"hello"
        assert (mover.moved, mover.reads, mover.at_boundary()) == (5, 2, True)
        peer.shutdown(socket.SHUT_WR)
        arrived(near, 1)
        assert mover.move(NO_LIMIT) == DONE
        assert mover.close() == b""


@needs_splice
def test_a_file_that_takes_no_splice_gives_back_what_was_read(
    connection: tuple[SocketEndpoint, socket.socket], tmp_path: Path
) -> None:
    """As those opened to append do (splice(2), EINVAL): it shows only when the bytes have left the socket."""
    near, peer = connection
    peer.sendall(b"hello")
    arrived(near, 5)
    with (tmp_path / "file").open("ab") as file, splicing_through(near, file.fileno()) as mover:
        with pytest.raises(OSError) as caught:
            mover.move(NO_LIMIT)
        assert caught.value.errno in NOT_JOINABLE
        assert not mover.at_boundary()
        assert mover.close() == b"hello"
        assert mover.close() == b""
        assert mover.moved == 0


@needs_splice
@pytest.mark.parametrize("blame", ["source", "sink"])
def test_splice_through_a_pipe_blames_the_right_side(
    connection: tuple[SocketEndpoint, socket.socket], tmp_path: Path, blame: str
) -> None:
    near, peer = connection
    if blame == "source":
        reset(peer)
    else:
        peer.sendall(b"hello")
        arrived(near, 5)
    path = tmp_path / "file"
    path.touch()
    with path.open("rb" if blame == "sink" else "wb") as file, splicing_through(near, file.fileno()) as mover:
        with pytest.raises(OSError) as caught:
            while mover.move(NO_LIMIT) != DONE:  # the reset may take a moment
                pass
        assert caught.value.errno == (errno.ECONNRESET if blame == "source" else errno.EBADF)
        assert mover.sink_to_blame == (blame == "sink")


# --- between two sockets


class Joint:
    """A mover from one TCP or unix connection to another; the test has the far ends."""

    def __init__(self, family: int, ends: contextlib.ExitStack) -> None:
        self.far_source, near_source = self._connection(family, ends)
        self.far_sink, near_sink = self._connection(family, ends)
        near_source.setblocking(False)
        near_sink.setblocking(False)
        self.far_sink.setblocking(False)
        self.source, self.sink = SocketEndpoint(near_source), SocketEndpoint(near_sink)
        mover = choose(self.source, self.sink, seen=False)
        assert isinstance(mover, SpliceThrough)
        self.mover = mover
        ends.callback(mover.close)

    @staticmethod
    def _connection(family: int, ends: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
        if family == socket.AF_UNIX:
            far, near = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                far = socket.create_connection(server.getsockname())
                near, _ = server.accept()
        return ends.enter_context(far), ends.enter_context(near)

    def move_until(self, *answers: str, limit: int = NO_LIMIT) -> str:
        for _ in range(1_000_000):
            if (answer := self.mover.move(limit)) in answers:
                return answer
        return pytest.fail(f"it never answers {answers}")

    def fill_up(self, pattern: bytes) -> int:
        """Send, and move, until neither the sink nor the source takes any more; how many bytes were sent."""
        sent = 0
        self.far_source.setblocking(False)
        answer = ""
        while answer != SINK_FULL:
            with contextlib.suppress(BlockingIOError):
                sent += self.far_source.send(pattern[sent % 256 :])
            answer = self.move_until(SINK_FULL, SOURCE_DRY)
        self.far_source.setblocking(True)
        return sent


@pytest.fixture(params=[socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
def joint(request: pytest.FixtureRequest) -> Iterator[Joint]:
    with contextlib.ExitStack() as ends:
        yield Joint(request.param, ends)


#: Each byte tells its place, so that nothing lost, doubled or swapped goes unseen.
PATTERN = bytes(range(256)) * 4096


@needs_splice
@pytest.mark.parametrize("limit", [NO_LIMIT, 70_001])
def test_a_socket_that_is_full_is_waited_for_and_gets_every_byte(joint: Joint, limit: int) -> None:
    sent = joint.fill_up(PATTERN)
    assert joint.mover.holds()
    assert not joint.mover.at_boundary()
    assert joint.mover.move(NO_LIMIT) == SINK_FULL
    joint.far_source.shutdown(socket.SHUT_WR)
    received, answer = b"", ""
    while answer != DONE:
        received += drain(joint.far_sink.fileno())
        answer = joint.move_until(SINK_FULL, SOURCE_DRY, DONE, limit=limit)
    joint.sink.half_close()
    joint.far_sink.settimeout(30)
    while piece := joint.far_sink.recv(1 << 20):
        received += piece
    assert received == (PATTERN * (sent // len(PATTERN) + 1))[:sent]
    assert joint.mover.moved == sent


@needs_splice
def test_the_end_of_one_direction_leaves_the_other_open(joint: Joint) -> None:
    back = choose(joint.sink, joint.source, seen=False)
    assert back is not None
    joint.far_source.sendall(b"question")
    joint.far_source.shutdown(socket.SHUT_WR)
    joint.move_until(DONE)
    joint.sink.half_close()
    joint.far_sink.settimeout(30)
    assert joint.far_sink.recv(100, socket.MSG_WAITALL) == b"question"
    joint.far_sink.sendall(b"answer")
    arrived(joint.sink, 6)
    assert back.move(NO_LIMIT) == MORE
    assert joint.far_source.recv(100) == b"answer"
    back.close()


@needs_splice
@pytest.mark.parametrize("blame", ["source", "sink"])
def test_a_socket_that_breaks_off_is_blamed(joint: Joint, blame: str) -> None:
    if joint.source.sock.family == socket.AF_UNIX and blame == "source":
        pytest.skip("a unix socket cannot be reset by its peer")
    reset(joint.far_source if blame == "source" else joint.far_sink)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:  # the reset may take a moment
            if blame == "sink":
                joint.far_source.send(b"more")
            joint.mover.move(NO_LIMIT)
    assert joint.mover.sink_to_blame == (blame == "sink")


@needs_splice
def test_what_was_read_is_kept_for_the_copy_that_goes_on(joint: Joint) -> None:
    sent = joint.fill_up(PATTERN)
    moved, held = joint.mover.moved, joint.mover.close()
    start = moved % 256
    assert held == (PATTERN * 2)[start : start + len(held)]
    joint.far_source.shutdown(socket.SHUT_WR)
    copy = Copy(joint.source, joint.sink, begun=held)
    received = b""
    while copy.move(NO_LIMIT) != DONE:
        received += drain(joint.far_sink.fileno())
    joint.sink.half_close()
    joint.far_sink.settimeout(30)
    while piece := joint.far_sink.recv(1 << 20):
        received += piece
    assert len(received) == sent
    assert received == (PATTERN * (sent // len(PATTERN) + 1))[:sent]


@given(st.binary(max_size=300), DATA, TURNS)
def test_a_copy_goes_on_with_what_another_mover_has_begun(begun: bytes, data: bytes, writes: list[int]) -> None:
    sink = Memory(turns=writes)
    mover = Copy(Memory(data), sink, begun=begun)
    assert mover.at_boundary() == (not begun)
    run(mover)
    assert sink.written == begun + data


@pytest.mark.skipif(not hasattr(fcntl, "F_GETPIPE_SZ"), reason="pipes have one size here")
@pytest.mark.parametrize("mover_type", [Copy, pytest.param(Splice, marks=needs_splice)])
def test_a_pipe_grows_once_it_has_carried_bulk_and_not_before(
    connection: tuple[SocketEndpoint, socket.socket],
    pipe: tuple[PipeEndpoint, PipeEndpoint],
    mover_type: type[Copy] | type[Splice],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(move, "CHUNK", 1 << 16)
    near, peer = connection
    before = fcntl.fcntl(pipe[1].fd, fcntl.F_GETPIPE_SZ)
    mover = mover_type(near, pipe[1])
    sizes = []
    for _ in range(3):
        peer.sendall(bytes(1 << 15))
        arrived(near, 1 << 15)
        while mover.move(NO_LIMIT) == MORE:
            pass
        drain(pipe[0].fd)
        sizes.append(fcntl.fcntl(pipe[1].fd, fcntl.F_GETPIPE_SZ))
    assert sizes[:2] == [before, before]
    assert sizes[2] > before


@needs_sendfile
@given(st.binary(max_size=300), st.integers(0, 300), LIMITS)
def test_sendfile_sends_from_where_the_file_stands_to_its_end(data: bytes, offset: int, limits: list[int]) -> None:
    near, peer = socket.socketpair()
    with near, peer, open(os.memfd_create("source"), "r+b", buffering=0) as file:
        file.write(data)
        file.seek(offset)
        near.setblocking(False)
        mover = Sendfile(FileEndpoint(file.fileno()), SocketEndpoint(near))
        run(mover, limits)
        near.close()
        received = drain(peer.fileno())
    assert received == data[offset:]
    assert mover.moved == len(received)


@needs_sendfile
def test_sendfile_to_a_full_socket_waits_for_it(tmp_path: Path) -> None:
    near, peer = socket.socketpair()
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 8192)
    with near, peer, path.open("rb") as file:
        near.setblocking(False)
        peer.setblocking(False)
        mover = Sendfile(FileEndpoint(file.fileno()), SocketEndpoint(near))
        received, answer = b"", ""
        while answer != DONE:
            while (answer := mover.move(NO_LIMIT)) == MORE:
                pass
            assert answer in (SINK_FULL, DONE)
            received += drain(peer.fileno())
    assert received == path.read_bytes()


@needs_sendfile
def test_a_peer_that_is_gone_is_blamed_on_the_sink(tmp_path: Path) -> None:
    near, peer = socket.socketpair()
    path = tmp_path / "file"
    path.write_bytes(b"data")
    with near, path.open("rb") as file:
        peer.close()
        mover = Sendfile(FileEndpoint(file.fileno()), SocketEndpoint(near))
        with pytest.raises(BrokenPipeError):
            mover.move(NO_LIMIT)
    assert mover.sink_to_blame


@needs_sendfile
@pytest.mark.parametrize("code", [errno.EIO, errno.EISDIR])
def test_a_file_that_cannot_be_read_is_blamed_on_the_source(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*args: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "sendfile", fail)
    with socket.socket() as sock:
        mover = Sendfile(FileEndpoint(0), SocketEndpoint(sock))
        with pytest.raises(OSError, match=os.strerror(code)):
            mover.move(NO_LIMIT)
    assert not mover.sink_to_blame


@needs_sendfile
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_sendfile_cannot_read_is_not_joinable_and_loses_nothing(kind: str) -> None:
    near, peer = socket.socketpair()
    source, write = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    try:
        os.write(write, b"hello")
        with near, peer, pytest.raises(OSError) as caught:
            Sendfile(FileEndpoint(source), SocketEndpoint(near)).move(NO_LIMIT)
        assert caught.value.errno in NOT_JOINABLE
        assert os.read(source, 100) == b"hello"
    finally:
        os.close(source)
        os.close(write)


# --- the choice


#: All other pairs are copied.
WITHOUT_COPY: dict[tuple[str, str], tuple[str, type[Mover]]] = {
    (SOCKET, PIPE): ("splice", Splice),
    (SOCKET, FILE): ("splice", SpliceThrough),
    (SOCKET, SOCKET): ("splice", SpliceThrough),
    (FILE, SOCKET): ("sendfile", Sendfile),
}


def chosen(source: str, sink: str, *, seen: bool = False, blocking: Sequence[str] = ()) -> type[Mover] | None:
    """The type of the mover between two ends, real ones by their descriptors; `blocking` are those left so."""
    with contextlib.ExitStack() as ends:
        endpoints = []
        for kind, name in ((source, "source"), (sink, "sink")):
            sock = ends.enter_context(socket.socket())
            sock.setblocking(name in blocking)
            endpoint = Memory(kind=kind)
            endpoint.fd = sock.fileno()
            endpoints.append(endpoint)
        mover = choose(*endpoints, seen=seen)
        if mover is None:
            return None
        mover.close()
        return type(mover)


@needs_splice
@pytest.mark.parametrize("sink", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_few_pairs_go_without_a_copy(source: str, sink: str) -> None:
    assert chosen(source, sink) is WITHOUT_COPY.get((source, sink), ("", None))[1]


@pytest.mark.parametrize(("source", "sink"), WITHOUT_COPY)
def test_bytes_that_must_be_seen_are_copied(source: str, sink: str) -> None:
    assert chosen(source, sink, seen=True) is None


@needs_splice
@pytest.mark.parametrize("blocking", ["source", "sink"])
def test_between_sockets_of_which_one_blocks_bytes_are_copied(blocking: str) -> None:
    """Splice would wait in the call, whatever its flags."""
    assert chosen(SOCKET, SOCKET, blocking=[blocking]) is None


@needs_splice
def test_where_no_descriptor_is_left_for_a_pipe_bytes_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pipe", fail)
    assert chosen(SOCKET, SOCKET) is None


@pytest.mark.parametrize(("source", "sink"), WITHOUT_COPY)
def test_where_the_system_call_is_missing_bytes_are_copied(
    monkeypatch: pytest.MonkeyPatch, source: str, sink: str
) -> None:
    monkeypatch.delattr(os, WITHOUT_COPY[source, sink][0], raising=False)
    assert chosen(source, sink) is None


def test_another_systems_sendfile_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and the BSDs have one that wants an offset: there is no "from where it stands" (os.sendfile)."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delattr(os, "splice", raising=False)
    assert chosen(FILE, SOCKET) is None
