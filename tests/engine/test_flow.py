"""One direction, from any kind of source to any kind of sink, by every way there is of moving bytes.

The first half moves real bytes between real descriptors on the real loop. The second half looks
closely, on a loop whose clock stands still until it is moved. What two flows make of each other's
ends is tested in test_session.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import pty
import random
import select
import socket
import struct
import threading
import tty
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.engine import flow as flow_module
from pync.engine.flow import Flow
from pync.net.endpoint import (
    LINES,
    PIPE,
    Calling,
    FileEndpoint,
    NothingEndpoint,
    PatientEndpoint,
    PipeEndpoint,
    SocketEndpoint,
    local_endpoint,
)
from pync.net.loop import Loop
from pync.net.move import CHUNK, Copy, Sendfile, Splice
from pync.wire.pacing import Pause, Rate
from tests.net.test_move import Memory, Upper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pync.net.endpoint import Endpoint
    from pync.net.move import Mover

needs_splice = pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has no splice")


# --- a loop that the test holds in its hand


class Handle:
    """A timer of the jumping loop."""

    def __init__(self, when: float, call: Callable[[], Any]) -> None:
        self.when = when
        self.call = call
        self.waiting = True

    def cancel(self) -> None:
        self.waiting = False


#: How late a jump is: poll(2) counts milliseconds, so that nobody is woken too early.
LATE = 0.0005


class JumpingLoop:
    """asyncio's six names over real descriptors and a clock that only `advance` and `run_out` move.

    `settle` lets everything that is ready have its turn until nothing is ready any more: with both
    ends in this process that is a state of rest, and whatever never comes to rest is spinning.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.readers: dict[int, Callable[[], Any]] = {}
        self.writers: dict[int, Callable[[], Any]] = {}
        self._timers: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Handle:
        handle = Handle(when, lambda: callback(*args))
        self._timers.append(handle)
        return handle

    def add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        assert fd >= 0
        self.readers[fd] = lambda: callback(*args)

    def add_writer(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        assert fd >= 0
        self.writers[fd] = lambda: callback(*args)

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def remove_writer(self, fd: int) -> bool:
        return self.writers.pop(fd, None) is not None

    @property
    def timers(self) -> list[Handle]:
        """Those that still wait, the next one first."""
        self._timers = sorted((timer for timer in self._timers if timer.waiting), key=lambda timer: timer.when)
        return self._timers

    @property
    def empty(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self.readers or self.writers or self.timers)

    def settle(self) -> None:
        for _ in range(20_000):
            if not self._turn():
                return
        pytest.fail("it spins: something is ready again and again")

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that is due in it."""
        until = self.now + seconds
        self.settle()
        while self.timers and self.timers[0].when <= until:
            self._jump()
        self.now = max(self.now, until)

    def run_out(self) -> None:
        """Let time pass until nobody waits for a time any more."""
        self.settle()
        for _ in range(10_000):
            if not self.timers:
                return
            self._jump()
        pytest.fail("there is always another timer")

    def _jump(self) -> None:
        self.now = max(self.now, self.timers[0].when + LATE)
        self.settle()

    def _turn(self) -> bool:
        due = [timer for timer in self.timers if timer.when <= self.now]
        for timer in due:
            if timer.waiting:
                timer.waiting = False
                timer.call()
        return self._poll() or bool(due)

    def _poll(self) -> bool:
        poll = select.poll()
        for fd in {*self.readers, *self.writers}:
            poll.register(fd, select.POLLIN * (fd in self.readers) | select.POLLOUT * (fd in self.writers))
        called = False
        for fd, events in poll.poll(0):
            for callbacks, own in ((self.readers, select.POLLIN), (self.writers, select.POLLOUT)):
                if fd in callbacks and events & (own | select.POLLHUP | select.POLLERR):
                    called = True
                    callbacks[fd]()
        return called


# --- every kind of source, every kind of sink


class Feeder:
    """Writes data to a descriptor in random pieces, from a thread, and closes it."""

    def __init__(self, fd: int, data: bytes, seed: int) -> None:
        self._fd = fd
        self._data = data
        self._random = random.Random(seed)
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self) -> None:
        rest = memoryview(self._data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while rest:
                piece = rest[: self._random.choice((1, 100, 4096, 65536, 1 << 20))]
                rest = rest[os.write(self._fd, piece) :]
        os.close(self._fd)


class Collector:
    """Reads a descriptor to its end, from a thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pieces: list[bytes] = []
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self) -> None:
        with contextlib.suppress(OSError):  # a terminal ends with EIO
            while piece := os.read(self._fd, 1 << 16):
                self._pieces.append(piece)
        os.close(self._fd)

    def data(self) -> bytes:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return b"".join(self._pieces)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


def fifo(path: str) -> tuple[int, int]:
    os.mkfifo(path)
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(read, True)
    return read, os.open(path, os.O_WRONLY)


@contextlib.contextmanager
def source_of(kind: str, path: str, data: bytes, seed: int) -> Iterator[Endpoint]:
    """An endpoint that gives these bytes and ends."""
    with contextlib.ExitStack() as stack:
        if kind == "file":
            with open(path, "wb") as file:
                file.write(data)
            given = os.open(path, os.O_RDONLY)
            stack.callback(os.close, given)
            yield local_endpoint(given, writing=False)
            return
        if kind in ("tcp", "unix"):
            near, far = tcp_pair() if kind == "tcp" else socket.socketpair()
            near.setblocking(False)
            stack.enter_context(near)
            source: Endpoint = SocketEndpoint(near)
            write = far.detach()
        else:
            given, write = fifo(path) if kind == "fifo" else os.pipe()
            stack.callback(os.close, given)
            source = PatientEndpoint(given, PIPE) if kind == "patient pipe" else local_endpoint(given, writing=False)
            stack.callback(source.close)
        feeder = Feeder(write, data, seed)
        yield source
    feeder.thread.join(30)


class Sink:
    """An endpoint, and what has arrived at its other end once it is closed."""

    def __init__(self, endpoint: Endpoint, close: Callable[[], object], arrived: Callable[[], bytes]) -> None:
        self.endpoint = endpoint
        self.close = close
        self.arrived = arrived


def sink_of(kind: str, path: str) -> Sink:
    if kind == "nothing":
        return Sink(NothingEndpoint(), lambda: None, lambda: b"")
    if kind in ("file", "append"):
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if kind == "append" else 0)
        given = os.open(path, flags, 0o600)
        return Sink(local_endpoint(given, writing=True), lambda: os.close(given), lambda: _content(path))
    if kind in ("tcp", "unix"):
        near, far = tcp_pair() if kind == "tcp" else socket.socketpair()
        near.setblocking(False)
        return Sink(SocketEndpoint(near), near.close, Collector(far.detach()).data)
    if kind == "terminal":
        read, given = pty.openpty()
        tty.setraw(given)
    else:
        read, given = fifo(path) if kind == "fifo" else os.pipe()
    endpoint = PatientEndpoint(given, PIPE) if kind == "patient pipe" else local_endpoint(given, writing=True)

    def close() -> None:
        endpoint.close()
        os.close(given)

    return Sink(endpoint, close, Collector(read).data)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


SOURCES = ["file", "pipe", "patient pipe", "fifo", "tcp", "unix"]
SINKS = ["file", "append", "pipe", "patient pipe", "fifo", "terminal", "tcp", "unix", "nothing"]
MOVERS: dict[str, Callable[[Endpoint, Endpoint], Mover] | None] = {
    "chosen": None,
    "copy": Copy,
    "splice": Splice,
    "sendfile": Sendfile,
}
SIZES = [0, 1, 4097, 65537, 300_001]


def possible(source: str, sink: str, mover: str) -> bool:
    """sendfile from a file to a pipe waits for the pipe, and splice needs a number: nobody chooses those."""
    if mover == "sendfile" and source == "file":
        return sink not in ("pipe", "patient pipe", "fifo", "nothing")
    return sink != "nothing" or mover in ("chosen", "copy")


def force(monkeypatch: pytest.MonkeyPatch, mover: str) -> None:
    """Make every flow begin with this way of moving."""
    kind = MOVERS[mover]
    if mover in ("splice", "sendfile") and not hasattr(os, "splice"):
        pytest.skip(f"this system has not Linux's {mover}")
    if kind is not None:
        monkeypatch.setattr(flow_module, "choose", lambda source, sink, seen: kind(source, sink))


def run_flow(flow: Flow, loop: Loop) -> None:
    flow.start(lambda _: loop.stop())
    loop.run()
    loop.close()


@pytest.mark.parametrize(
    ("source", "sink", "mover"),
    [triple for triple in itertools.product(SOURCES, SINKS, MOVERS) if possible(*triple)],
)
def test_whatever_goes_in_comes_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, sink: str, mover: str
) -> None:
    force(monkeypatch, mover)
    for size in SIZES:
        data = random.Random(size).randbytes(size)
        out = sink_of(sink, str(tmp_path / f"out{size}"))
        with source_of(source, str(tmp_path / f"in{size}"), data, seed=size) as into:
            loop = Loop()
            flow = Flow(loop, into, out.endpoint)
            run_flow(flow, loop)
            out.close()
            assert flow.error is None
            assert flow.moved == size
            assert out.arrived() == (b"" if sink == "nothing" else data)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("sink", ["pipe", "tcp"])
@pytest.mark.parametrize("source", ["file", "tcp"])
def test_a_rate_limit_changes_no_byte(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, sink: str, plain: bool
) -> None:
    if plain:
        for name in ("splice", "sendfile"):
            monkeypatch.delattr(os, name, raising=False)
    data = random.Random(1).randbytes(100_001)
    out = sink_of(sink, str(tmp_path / "out"))
    with source_of(source, str(tmp_path / "in"), data, seed=1) as into:
        loop = Loop()
        run_flow(Flow(loop, into, out.endpoint, pacers=[Rate(2_000_000, loop.time())]), loop)
        out.close()
        assert out.arrived() == data


@needs_splice
def test_a_pair_that_stops_being_joinable_is_copied_from_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel may change its mind in the middle: what was moved before still counts."""
    steps = [0]
    real = os.splice

    def twice(*args: Any, **named: Any) -> int:
        steps[0] += 1
        if steps[0] > 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(*args, **named)

    monkeypatch.setattr(os, "splice", twice)
    data = random.Random(2).randbytes(300_001)
    out = sink_of("pipe", "")
    with source_of("tcp", "", data, seed=2) as into:
        loop = Loop()
        flow = Flow(loop, into, out.endpoint)
        run_flow(flow, loop)
        out.close()
        assert out.arrived() == data
    assert flow.moved == len(data)
    assert steps[0] == 3


# --- looking closely


@pytest.fixture
def loop() -> JumpingLoop:
    return JumpingLoop()


@pytest.fixture
def pipes() -> Iterator[Callable[[], tuple[PipeEndpoint, PipeEndpoint]]]:
    """Makes pipes: the reading end, the writing end, both non-blocking."""
    made: list[PipeEndpoint] = []

    def make() -> tuple[PipeEndpoint, PipeEndpoint]:
        ends = [PipeEndpoint(fd, PIPE) for fd in os.pipe()]
        for end in ends:
            os.set_blocking(end.fd, False)
        made.extend(ends)
        return ends[0], ends[1]

    yield make
    for end in made:
        with contextlib.suppress(OSError):
            end.close()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


def read(end: PipeEndpoint) -> bytes:
    """All that the pipe holds."""
    data = b""
    buffer = memoryview(bytearray(1 << 20))
    while count := end.read_into(buffer):
        data += buffer[:count]
    return data


def fill(end: Endpoint) -> None:
    while end.write(bytes(1 << 16)) is not None:
        pass


class Ends(list[Flow]):
    """What `on_end` was called with."""

    def __call__(self, flow: Flow) -> None:
        self.append(flow)


def test_the_end_is_reported_once_and_leaves_nothing_behind(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (_, sink) = pipes(), pipes()
    ends = Ends()
    flow = Flow(loop, source, sink)
    flow.start(ends)
    loop.settle()
    assert flow.running
    assert not ends
    write.close()
    loop.run_out()
    assert ends == [flow]
    assert not flow.running
    assert flow.error is None
    assert loop.empty


@pytest.mark.parametrize("state", ["waiting for the source", "waiting for the sink", "pausing", "between two turns"])
def test_a_flow_that_is_stopped_moves_nothing_more_and_reports_nothing(
    loop: JumpingLoop, pipes: Any, state: str
) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    ends = Ends()
    pacers = [Pause(5.0)] if state == "pausing" else []
    flow = Flow(loop, source, sink, pacers=pacers)
    if state == "waiting for the sink":
        fill(sink)
    if state != "waiting for the source":
        write.write(b"data")
    flow.start(ends)
    if state != "between two turns":
        loop.settle()
    flow.stop()
    assert loop.empty
    read(sink_end)
    write.write(b"more")
    write.close()
    loop.run_out()
    assert not ends
    assert read(sink_end) == b""


def test_a_flow_waits_for_its_source_only_while_that_is_dry(loop: JumpingLoop, pipes: Any) -> None:
    (source, _), (_, sink) = pipes(), pipes()
    Flow(loop, source, sink).start(Ends())
    loop.settle()
    assert (set(loop.readers), set(loop.writers)) == ({source.fd}, set())


class Counting(SocketEndpoint):
    """A socket that knows how much was read from it."""

    taken = 0

    def read_into(self, buffer: memoryview) -> int | None:
        count = super().read_into(buffer)
        self.taken += count or 0
        return count


@pytest.mark.parametrize("plain", [False, True], ids=["splice", "copy"])
def test_a_stalled_sink_stalls_the_source_and_holds_one_chunk_at_most(
    loop: JumpingLoop,
    pipes: Any,
    sockets: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    plain: bool,
) -> None:
    if plain:
        monkeypatch.delattr(os, "splice", raising=False)
    elif not hasattr(os, "splice"):
        pytest.skip("this system has no splice")
    near, far = sockets
    sink_end, sink = pipes()
    source = Counting(near)
    flow = Flow(loop, source, sink)
    flow.start(Ends())
    data = random.Random(3).randbytes(1 << 24)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(data):  # until the peer itself is stalled
            loop.settle()
            sent += far.send(memoryview(data)[sent:])
    assert sent < len(data)
    loop.settle()
    assert source.taken - (flow.moved if plain else 0) <= CHUNK
    assert (set(loop.readers), set(loop.writers)) == (set(), {sink.fd})
    assert flow.held_up_here
    received = bytearray()
    while len(received) < sent:
        received += read(sink_end)
        loop.settle()
    assert received == data[:sent]
    assert not flow.held_up_here


def test_a_sink_that_cannot_be_awaited_is_tried_again_soon(loop: JumpingLoop, pipes: Any) -> None:
    source, write = pipes()
    write.write(b"data")
    sink = Memory(turns=[0, 0, 0])
    flow = Flow(loop, source, sink)
    started = loop.now
    flow.start(Ends())
    loop.run_out()
    assert sink.written == b"data"
    assert 0 < loop.now - started < 1
    flow.stop()
    assert loop.empty


def test_an_endless_source_lets_others_have_their_turn() -> None:
    """Two flows that are always ready share one loop, and a timer still comes to its right."""
    loop = Loop()
    with open("/dev/zero", "rb", buffering=0) as first, open("/dev/zero", "rb", buffering=0) as second:
        flows = [Flow(loop, FileEndpoint(file.fileno()), NothingEndpoint()) for file in (first, second)]
        loop.call_at(loop.time() + 0.02, loop.stop)
        for flow in flows:
            flow.start(lambda flow: pytest.fail("it has no end"))
        loop.run()
        for flow in flows:
            flow.stop()
    loop.close()
    assert min(flow.moved for flow in flows) > max(flow.moved for flow in flows) / 4


# --- holding


def test_a_flow_that_is_held_moves_nothing_until_it_is_released(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    flow = Flow(loop, source, sink)
    flow.start(Ends())
    loop.settle()
    flow.hold()
    write.write(b"data")
    loop.run_out()
    assert read(sink_end) == b""
    assert loop.empty
    flow.release()
    loop.settle()
    assert read(sink_end) == b"data"


def test_a_flow_may_be_held_before_it_starts(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    write.write(b"data")
    flow = Flow(loop, source, sink)
    flow.hold()
    flow.start(Ends())
    loop.run_out()
    assert read(sink_end) == b""
    flow.release()
    loop.settle()
    assert read(sink_end) == b"data"


def test_every_hold_needs_a_release_of_its_own(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    write.write(b"data")
    flow = Flow(loop, source, sink)
    flow.hold()
    flow.hold()
    flow.start(Ends())
    flow.release()
    loop.run_out()
    assert read(sink_end) == b""
    flow.release()
    loop.run_out()
    assert read(sink_end) == b"data"


def test_a_release_after_the_stop_moves_nothing(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    write.write(b"data")
    flow = Flow(loop, source, sink)
    flow.hold()
    flow.start(Ends())
    flow.stop()
    flow.release()
    loop.run_out()
    assert read(sink_end) == b""


class Holding:
    """A stage that holds its flow when it sees bytes, as the telnet stage does when answers wait."""

    def __init__(self) -> None:
        self.flow: Flow | None = None

    def feed(self, data: bytes) -> bytes:
        assert self.flow is not None
        self.flow.hold()
        return data

    def end(self) -> bytes:
        return b""


@pytest.mark.parametrize("full", [False, True], ids=["sink has room", "sink is full"])
def test_a_stage_that_holds_its_flow_in_mid_step_neither_loses_nor_spins(
    loop: JumpingLoop, pipes: Any, full: bool
) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    stage = Holding()
    flow = stage.flow = Flow(loop, source, sink, stages=[stage])
    if full:
        fill(sink)
    flow.start(Ends())
    write.write(b"first")
    loop.settle()
    filling = read(sink_end)
    write.write(b"second")
    loop.settle()  # held, with a source that has bytes and a sink that has room: nothing may be awaited
    assert loop.empty
    flow.release()
    loop.settle()
    assert (filling + read(sink_end)).lstrip(b"\0") == b"firstsecond"
    assert loop.empty


# --- pacers


class Clocked(Memory):
    """A sink that notes when each piece came."""

    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop
        self.times: list[float] = []

    def write(self, data: memoryview | bytes) -> int | None:
        self.times.append(self._loop.now)
        return super().write(data)


@given(st.integers(1, 5000), st.integers(0, 20_000))
def test_a_rate_is_kept_at_every_moment_and_reached_over_all(rate: int, size: int) -> None:
    loop = JumpingLoop()
    started = loop.now
    sink = Clocked(loop)
    size = min(size, rate * 20)
    flow = Flow(loop, Memory(bytes(size)), sink, pacers=[Rate(rate, started)])
    ends = Ends()
    flow.start(ends)
    loop.run_out()
    burst = max(2.0, rate / 10)
    sent = 0
    for at, piece in zip(sink.times, sink.pieces, strict=True):
        sent += len(piece)
        assert sent <= rate * (at - started) + burst + 1e-3
    assert sent == size
    assert ends == [flow]
    assert loop.now - started <= size / rate + 1


def test_lines_leave_together_as_far_as_the_rate_lets_them(loop: JumpingLoop) -> None:
    sink = Clocked(loop)
    sink.kind = LINES
    Flow(loop, Memory(b"one\n" * 100), sink, pacers=[Rate(1000, loop.time())], by_line=True).start(Ends())
    loop.run_out()
    assert all(piece.endswith(b"\n") for piece in sink.pieces)
    assert len(sink.pieces) < 12
    assert b"".join(sink.pieces) == b"one\n" * 100


def test_a_pause_comes_after_each_line(loop: JumpingLoop) -> None:
    sink = Clocked(loop)
    started = loop.now
    Flow(loop, Memory(b"one\ntwo\nthree\nrest"), sink, pacers=[Pause(2.0)], by_line=True).start(Ends())
    loop.run_out()
    assert sink.pieces == [b"one\n", b"two\n", b"three\n", b"rest"]
    assert [at - started for at in sink.times] == pytest.approx([0, 2, 4, 6], abs=0.01)


def test_a_pause_comes_after_each_read_where_lines_do_not_matter(loop: JumpingLoop) -> None:
    sink = Clocked(loop)
    started = loop.now
    Flow(loop, Memory(b"abcdef", turns=[2, 2, 2]), sink, pacers=[Pause(2.0)]).start(Ends())
    loop.run_out()
    assert [at - started for at in sink.times] == pytest.approx([0, 2, 4], abs=0.01)


def test_the_slowest_pacer_sets_the_pace(loop: JumpingLoop) -> None:
    sink = Clocked(loop)
    started = loop.now
    pacers = [Pause(1.0), Pause(3.0)]
    Flow(loop, Memory(b"ab", turns=[1, 1]), sink, pacers=pacers).start(Ends())
    loop.run_out()
    assert [at - started for at in sink.times] == pytest.approx([0, 3], abs=0.01)


def test_the_smallest_budget_is_what_may_leave(loop: JumpingLoop) -> None:
    sink = Clocked(loop)
    started = loop.now
    Flow(loop, Memory(b"abc"), sink, pacers=[Pause(0.1), Rate(1, started)]).start(Ends())
    loop.run_out()
    assert sink.pieces == [b"a", b"b", b"c"]
    assert [at - started for at in sink.times] == pytest.approx([0, 1, 2], abs=0.01)


def test_a_pause_shows(loop: JumpingLoop) -> None:
    flow = Flow(loop, Memory(b"ab", turns=[1, 1]), Memory(), pacers=[Pause(3.0)])
    flow.start(Ends())
    loop.settle()
    assert flow.pausing
    assert flow.held_up_here
    loop.run_out()
    assert not flow.pausing


def test_what_has_moved_last_shows(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (_, sink) = pipes(), pipes()
    flow = Flow(loop, source, sink)
    flow.start(Ends())
    assert flow.last_moved == loop.now
    loop.advance(5)
    write.write(b"data")
    loop.settle()
    assert flow.last_moved == loop.now
    loop.advance(5)
    assert flow.last_moved == loop.now - 5


# --- -W


@given(st.integers(1, 8), st.lists(st.integers(1, 9), min_size=1, max_size=8), st.lists(st.integers(0, 5), max_size=12))
def test_the_reads_allowed_are_taken_and_delivered_whole(most: int, reads: list[int], writes: list[int]) -> None:
    loop = JumpingLoop()
    data = bytes(range(sum(reads)))
    sink = Memory(turns=writes)
    flow = Flow(loop, Memory(data, turns=list(reads)), sink, most_reads=most)
    ends = Ends()
    flow.start(ends)
    loop.run_out()
    assert ends == [flow]
    assert sink.written == data[: sum(reads[:most])]
    assert flow.read_enough == (most <= len(reads))


@pytest.mark.parametrize("plain", [False, True], ids=["splice", "copy"])
def test_the_last_read_allowed_is_not_lost_when_the_sink_is_full(
    loop: JumpingLoop,
    pipes: Any,
    sockets: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    plain: bool,
) -> None:
    if plain:
        monkeypatch.delattr(os, "splice", raising=False)
    near, far = sockets
    sink_end, sink = pipes()
    fill(sink)
    ends = Ends()
    flow = Flow(loop, SocketEndpoint(near), sink, most_reads=1)
    flow.start(ends)
    far.send(b"first")
    loop.settle()
    assert not ends
    filling = read(sink_end)
    loop.settle()
    assert ends == [flow]
    assert (filling + read(sink_end)).lstrip(b"\0") == b"first"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_the_last_read_allowed_reaches_a_file_however_it_was_opened(
    loop: JumpingLoop, sockets: tuple[socket.socket, socket.socket], tmp_path: Path, mode: str
) -> None:
    near, far = sockets
    path = tmp_path / "out"
    far.send(b"first")
    ends = Ends()
    before = len(os.listdir("/dev/fd"))
    with path.open(mode, buffering=0) as file:
        Flow(loop, SocketEndpoint(near), FileEndpoint(file.fileno()), most_reads=1).start(ends)
        loop.run_out()
    assert len(ends) == 1
    assert path.read_bytes() == b"first"
    assert len(os.listdir("/dev/fd")) == before, "the flow has kept a descriptor"


# --- errors


def test_a_sink_that_is_closed_ends_the_flow_and_is_to_blame(loop: JumpingLoop, pipes: Any) -> None:
    (source, write), (sink_end, sink) = pipes(), pipes()
    sink_end.close()
    write.write(b"data")
    ends = Ends()
    flow = Flow(loop, source, sink)
    flow.start(ends)
    loop.settle()
    assert ends == [flow]
    assert isinstance(flow.error, BrokenPipeError)
    assert flow.sink_to_blame
    assert loop.empty


@pytest.mark.parametrize("mover", ["copy", "splice"])
@pytest.mark.parametrize("blame", ["source", "sink"])
def test_between_a_connection_and_a_pipe_the_right_one_is_blamed(
    monkeypatch: pytest.MonkeyPatch, pipes: Any, mover: str, blame: str
) -> None:
    force(monkeypatch, mover)
    near, far = tcp_pair()
    sink_end, sink = pipes()
    loop = Loop()
    with near, far:
        near.setblocking(False)
        flow = Flow(loop, SocketEndpoint(near), sink)
        if blame == "sink":
            sink_end.close()
            far.sendall(b"data")
        else:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.close()
        run_flow(flow, loop)
    assert flow.error is not None
    assert flow.error.errno == (errno.EPIPE if blame == "sink" else errno.ECONNRESET)
    assert flow.sink_to_blame == (blame == "sink")


@pytest.mark.parametrize("mover", ["copy", "sendfile"])
def test_between_a_file_and_a_connection_that_is_gone_the_connection_is_blamed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mover: str
) -> None:
    force(monkeypatch, mover)
    near, far = tcp_pair()
    loop = Loop()
    with near, far, source_of("file", str(tmp_path / "in"), bytes(1 << 22), 0) as source:
        near.setblocking(False)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        flow = Flow(loop, source, SocketEndpoint(near))
        run_flow(flow, loop)
    assert flow.error is not None
    assert flow.error.errno in (errno.EPIPE, errno.ECONNRESET)
    assert flow.sink_to_blame


def test_a_file_that_cannot_be_read_is_to_blame(loop: JumpingLoop, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        ends = Ends()
        flow = Flow(loop, FileEndpoint(fd), SocketEndpoint(near))
        flow.start(ends)
        loop.run_out()
    os.close(fd)
    assert ends == [flow]
    assert isinstance(flow.error, IsADirectoryError)
    assert not flow.sink_to_blame


def test_a_full_disk_is_the_sinks_error(loop: JumpingLoop) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb", buffering=0) as file:
        flow = Flow(loop, Memory(b"data"), FileEndpoint(file.fileno()))
        flow.start(Ends())
    assert flow.error is not None
    assert flow.error.errno == errno.ENOSPC
    assert flow.sink_to_blame


# --- which way is taken


def test_bytes_that_are_to_be_seen_pass_their_stages(loop: JumpingLoop, pipes: Any, sockets: Any) -> None:
    near, far = sockets
    sink_end, sink = pipes()
    Flow(loop, SocketEndpoint(near), sink, stages=[Upper()]).start(Ends())
    far.send(b"hello")
    loop.settle()
    assert read(sink_end) == b"HELLO"


@needs_splice
@pytest.mark.parametrize(
    ("given_", "used"),
    [({}, True), ({"stages": [Upper()]}, False), ({"by_line": True}, False)],
    ids=["nobody", "a stage", "by line"],
)
def test_splice_serves_where_nobody_needs_to_see_the_bytes(
    loop: JumpingLoop, pipes: Any, sockets: Any, monkeypatch: pytest.MonkeyPatch, given_: dict[str, Any], used: bool
) -> None:
    calls: list[int] = []
    real = os.splice

    def counted(*args: Any, **named: Any) -> int:
        calls.append(1)
        return real(*args, **named)

    monkeypatch.setattr(os, "splice", counted)
    near, far = sockets
    _, sink = pipes()
    Flow(loop, SocketEndpoint(near), sink, **given_).start(Ends())
    far.send(b"hello")
    loop.settle()
    assert bool(calls) == used


def test_another_systems_sendfile_does_not_stand_in_the_way(
    loop: JumpingLoop, sockets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS and the BSDs the offset must be a number (os.sendfile)."""

    def sendfile(out_fd: int, in_fd: int, offset: int, count: int) -> int:
        if offset is None:
            raise TypeError("'NoneType' object cannot be interpreted as an integer")
        return pytest.fail("nobody knows where the file stands")

    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(os, "sendfile", sendfile, raising=False)
    monkeypatch.delattr(os, "splice", raising=False)
    near, far = sockets
    with source_of("file", str(tmp_path / "in"), b"data", 0) as source:
        Flow(loop, source, SocketEndpoint(near)).start(Ends())
        loop.run_out()
    assert far.recv(100) == b"data"


def test_what_a_stage_still_holds_is_delivered_at_the_end(loop: JumpingLoop) -> None:
    class Last:
        def feed(self, data: bytes) -> bytes:
            return data

        def end(self) -> bytes:
            return b"<end>"

    sink = Memory(turns=[2, 0, 1, 0])
    ends = Ends()
    flow = Flow(loop, Memory(b"data"), sink, stages=[Last()])
    flow.start(ends)
    loop.run_out()
    assert sink.written == b"data<end>"
    assert ends == [flow]


# --- endpoints without a descriptor, which call


class Shelf(Calling):
    """Holds so many bytes; whoever waits is called when `open` or `put` has changed something."""

    kind = "shelf"

    def __init__(self, room: int = 0) -> None:
        super().__init__()
        self.room = room
        self.bytes = b""
        self.ended = False

    @property
    def awaited(self) -> bool:
        return self._callback is not None

    def open(self, room: int) -> None:
        self.room += room
        self.ready()

    def put(self, data: bytes, *, ended: bool = False) -> None:
        self.bytes += data
        self.ended = ended
        self.ready()

    def read_into(self, buffer: memoryview) -> int | None:
        if not self.bytes:
            return 0 if self.ended else None
        piece, self.bytes = self.bytes[: len(buffer)], self.bytes[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, data: memoryview | bytes) -> int | None:
        if not self.room:
            return None
        piece = bytes(data[: self.room])
        self.room -= len(piece)
        self.bytes += piece
        return len(piece)


def test_a_source_that_calls_is_waited_for_without_a_timer(loop: JumpingLoop) -> None:
    source, sink, ends = Shelf(), Memory(), Ends()
    flow = Flow(loop, source, sink)
    flow.start(ends)
    assert source.awaited
    assert loop.empty
    for piece in (b"one ", b"two "):
        source.put(piece)
        assert sink.written.endswith(piece)
    assert source.awaited
    source.put(b"three", ended=True)
    assert sink.written == b"one two three"
    assert ends == [flow]
    assert not source.awaited
    assert loop.empty


def test_a_sink_that_calls_is_waited_for_without_a_timer(loop: JumpingLoop) -> None:
    sink, ends = Shelf(), Ends()
    flow = Flow(loop, Memory(b"all of it"), sink)
    flow.start(ends)
    assert flow.held_up_here
    assert loop.empty
    for room in (1, 3):
        sink.open(room)
        assert sink.awaited
    assert sink.bytes == b"all "
    sink.open(100)
    assert sink.bytes == b"all of it"
    assert ends == [flow]
    assert not sink.awaited


def test_whoever_is_held_or_stopped_is_not_called(loop: JumpingLoop) -> None:
    source, sink = Shelf(), Memory()
    flow = Flow(loop, source, sink)
    flow.start(Ends())
    flow.hold()
    assert not source.awaited
    source.put(b"while it was held")
    loop.settle()
    assert sink.written == b""
    flow.release()
    loop.settle()
    assert sink.written == b"while it was held"
    flow.stop()
    assert not source.awaited
    source.put(b"after the end")
    loop.settle()
    assert sink.written == b"while it was held"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.lists(st.integers(1, 40), max_size=40))
def test_between_two_ends_that_call_no_byte_is_lost_and_no_time_passes(pieces: list[bytes], rooms: list[int]) -> None:
    loop, ends = JumpingLoop(), Ends()
    source, sink = Shelf(), Shelf()
    Flow(loop, source, sink, buffer=memoryview(bytearray(16))).start(ends)
    for piece, room in itertools.zip_longest(pieces, rooms):
        source.put(piece or b"")
        sink.open(room or 0)
    source.put(b"", ended=True)
    sink.open(1 << 20)
    loop.settle()
    assert sink.bytes == b"".join(pieces)
    assert len(ends) == 1
    assert loop.empty
