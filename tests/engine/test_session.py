"""Two directions and their ends: cli.md's table "End of data", on a clock that the test moves.

A scene has pync's three streams and the peer in its hand: pipes for input and output, a socket pair
for the connection. The last part runs sessions on asyncio's loop too. The same table, black box, is
in cli/test_end_of_data.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.engine.flow import Flow
from pync.engine.session import LAST_WORDS, Policy, Session
from pync.errors import NETWORK, TIMEOUT, Fault
from pync.net.endpoint import PIPE, FileEndpoint, PipeEndpoint, SocketEndpoint
from pync.net.loop import Loop
from pync.wire.pacing import Pause
from tests.engine.test_flow import Collector, Feeder, JumpingLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor

PLENTY = 1 << 20


def nonblocking_pipe() -> tuple[PipeEndpoint, PipeEndpoint]:
    """The reading end, the writing end."""
    ends = [PipeEndpoint(fd, PIPE) for fd in os.pipe()]
    for end in ends:
        os.set_blocking(end.fd, False)
    return ends[0], ends[1]


class Scene:
    """A session between an input pipe, an output pipe and a peer, all in the test's hand."""

    def __init__(
        self,
        *,
        input: bool = True,
        source: Endpoint | None = None,
        terminal: bool = False,
        sink: Endpoint | None = None,
        most_reads: int | None = None,
        pacers: tuple[Any, ...] = (),
        **policy: Any,
    ) -> None:
        self.loop = JumpingLoop()
        self.near, self.peer = socket.socketpair()
        for sock in (self.near, self.peer):
            sock.setblocking(False)
        self._input, self._typing = nonblocking_pipe()
        self._reading, self._output = nonblocking_pipe()
        self._open = {"typing", "reading", "peer"}
        connection = SocketEndpoint(self.near)
        up = Flow(self.loop, source or self._input, connection, pacers=pacers) if input else None
        down = Flow(self.loop, connection, sink or self._output, most_reads=most_reads)
        self.session = Session(self.loop, connection, up, down, Policy(**policy), name="somebody", terminal=terminal)
        self.finished: list[Session] = []
        self.session.start(self.finished.append)
        self.loop.settle()

    def close(self) -> None:
        self.near.close()
        self.peer.close()
        for end in (self._input, self._output):
            end.close()
        for name, end in (("typing", self._typing), ("reading", self._reading)):
            if name in self._open:
                end.close()

    # what our side does

    def type(self, data: bytes) -> None:
        assert self._typing.write(data) == len(data)
        self.loop.settle()

    def end_input(self) -> None:
        self._open.remove("typing")
        self._typing.close()
        self.loop.settle()

    def close_output(self) -> None:
        self._open.remove("reading")
        self._reading.close()
        self.loop.settle()

    def shown(self) -> bytes:
        """What has come out of our output since we looked."""
        buffer = memoryview(bytearray(PLENTY))
        count = self._reading.read_into(buffer)
        self.loop.settle()
        return bytes(buffer[: count or 0])

    def stall_output(self) -> None:
        while self._output.write(bytes(1 << 16)) is not None:
            pass

    # what the peer does

    def send(self, data: bytes) -> None:
        assert self.peer.send(data) == len(data)
        self.loop.settle()

    def received(self) -> bytes | None:
        """What the peer has got since it looked; None where there is nothing, b"" at our FIN."""
        try:
            return self.peer.recv(PLENTY)
        except BlockingIOError:
            return None

    def peer_ends(self) -> None:
        self.peer.shutdown(socket.SHUT_WR)
        self.loop.settle()

    def peer_leaves(self) -> None:
        self.peer.close()
        self.loop.settle()

    # how it stands

    @property
    def goes_on(self) -> bool:
        return not self.finished

    @property
    def ended_well(self) -> bool:
        return self.finished == [self.session] and self.session.fault is None

    def fault(self) -> Fault:
        assert self.finished == [self.session]
        assert self.session.fault is not None
        return self.session.fault


class Scenes:
    """Makes scenes, looks over them at the end and clears them away."""

    def __init__(self) -> None:
        self._made: list[Scene] = []

    def __call__(self, **given_: Any) -> Scene:
        self._made.append(Scene(**given_))
        return self._made[-1]

    def clear(self) -> None:
        for made in self._made:
            assert len(made.finished) <= 1, "a session ends once"
            if made.finished:
                assert made.loop.empty, "a session that has ended waits for nothing"
            made.session.finish()
            assert made.loop.empty
            made.close()


@pytest.fixture
def scene() -> Iterator[Scenes]:
    scenes = Scenes()
    yield scenes
    scenes.clear()


# --- our input ends


def test_our_end_is_passed_on_after_the_last_byte_and_the_answer_is_still_read(scene: Scenes) -> None:
    now = scene()
    now.type(b"question")
    now.end_input()
    assert [now.received(), now.received()] == [b"question", b""]
    assert now.goes_on
    now.loop.advance(3600)
    now.send(b"answer")
    assert now.shown() == b"answer"
    now.peer_ends()
    assert now.ended_well


def test_an_empty_input_is_an_end_too(scene: Scenes) -> None:
    now = scene()
    now.end_input()
    assert now.received() == b""
    assert now.goes_on


def test_our_end_waits_until_a_slow_peer_has_taken_everything(scene: Scenes) -> None:
    now = scene()
    sent = 0
    while now.session.sent == sent:  # until the peer's buffer is full
        now.type(bytes(4096))
        sent += 4096
    while now._typing.write(bytes(4096)) is not None:
        sent += 4096
    now.end_input()
    taken = 0
    while data := now.received():
        taken += len(data)
        now.loop.settle()
    assert data == b""  # the FIN, and not merely silence
    assert taken == now.session.sent == sent


def test_without_an_input_nothing_is_passed_on_until_the_peers_end(scene: Scenes) -> None:
    now = scene(input=False)
    now.send(b"data")
    assert now.received() is None
    assert now.shown() == b"data"
    now.peer_ends()
    assert now.ended_well
    assert (now.session.sent, now.session.received) == (0, 4)


def test_a_listener_with_an_empty_input_holds_its_end_back_until_the_peers_end(scene: Scenes) -> None:
    now = scene(hold_empty=True)
    now.end_input()
    now.loop.advance(3600)
    assert now.received() is None
    now.send(b"data")
    assert now.shown() == b"data"
    now.peer_ends()
    assert now.ended_well


def test_a_listener_whose_input_has_had_a_byte_passes_its_end_on(scene: Scenes) -> None:
    now = scene(hold_empty=True)
    now.type(b"x")
    now.end_input()
    assert [now.received(), now.received()] == [b"x", b""]


def test_no_shutdown_keeps_our_end_to_ourselves(scene: Scenes) -> None:
    now = scene(half_close=False)
    now.type(b"question")
    now.end_input()
    assert [now.received(), now.received()] == [b"question", None]
    assert now.goes_on
    now.send(b"answer")
    now.peer_ends()
    assert now.shown() == b"answer"
    assert now.ended_well


def test_send_only_leaves_when_everything_is_delivered(scene: Scenes) -> None:
    now = scene(send_only=True)
    now.type(b"data")
    assert now.goes_on
    now.end_input()
    assert now.ended_well
    assert [now.received(), now.received()] == [b"data", b""]


def test_half_closing_towards_a_peer_that_is_gone_is_no_failure(scene: Scenes) -> None:
    now = scene()
    now.peer_ends()
    now.near.shutdown(socket.SHUT_RDWR)
    now.end_input()
    assert now.ended_well


# --- the peer's data ends


def test_the_peers_end_after_ours_is_the_end(scene: Scenes) -> None:
    now = scene()
    now.end_input()
    now.send(b"last words")
    now.peer_ends()
    assert now.ended_well
    assert now.shown() == b"last words"


def test_the_peers_end_waits_until_our_output_has_taken_everything(scene: Scenes) -> None:
    now = scene()
    now.end_input()
    now.stall_output()
    now.send(b"last words")
    now.peer_ends()
    assert now.goes_on
    now.loop.advance(3600)
    shown = b""
    while now.goes_on:
        shown += now.shown()
    assert (shown + now.shown()).endswith(b"last words")
    assert now.ended_well


def test_the_peers_end_is_the_end_when_our_input_is_a_terminal(scene: Scenes) -> None:
    now = scene(terminal=True)
    now.type(b"typed")
    now.send(b"bye")
    now.peer_ends()
    assert now.ended_well
    assert now.shown() == b"bye"


def test_after_the_peers_end_our_input_is_sent_to_its_end(scene: Scenes) -> None:
    now = scene()
    now.peer_ends()
    now.loop.advance(3600)
    now.type(b"still talking")
    assert now.received() == b"still talking"
    assert now.goes_on
    now.end_input()
    assert now.ended_well
    assert now.received() == b""


def test_after_the_peers_end_a_peer_that_takes_nothing_more_is_a_failure(scene: Scenes) -> None:
    now = scene()
    now.peer_leaves()
    assert now.goes_on
    now.type(b"still talking")
    assert now.fault().code == NETWORK
    assert "somebody" in now.fault().text


def test_a_peer_that_takes_nothing_more_may_still_answer_but_it_is_not_whole(scene: Scenes) -> None:
    now = scene()
    now.peer.shutdown(socket.SHUT_RD)
    now.type(b"lost")
    assert now.goes_on
    now.send(b"answer")
    assert now.shown() == b"answer"
    now.peer_ends()
    assert now.fault().code == NETWORK
    assert now.fault().text.startswith("connection with somebody lost: ")


def test_as_many_reads_as_allowed_are_the_end(scene: Scenes) -> None:
    now = scene(most_reads=2)
    now.send(b"one ")
    now.send(b"two")
    assert now.ended_well
    assert now.shown() == b"one two"


# --- -q


def test_q_leaves_that_long_after_our_end_whatever_the_peer_does(scene: Scenes) -> None:
    now = scene(quit_after=2.0)
    now.loop.advance(100)
    now.end_input()
    now.loop.advance(1.9)
    assert now.goes_on
    now.send(b"still here")
    now.loop.advance(0.2)
    assert now.ended_well
    assert now.shown() == b"still here"


def test_q_0_leaves_at_once_but_delivers_first(scene: Scenes) -> None:
    now = scene(quit_after=0.0)
    now.type(b"data")
    now.end_input()
    now.loop.advance(0.01)
    assert now.ended_well
    assert [now.received(), now.received()] == [b"data", b""]


def test_a_negative_q_waits_for_ever(scene: Scenes) -> None:
    now = scene(quit_after=-1.0)
    now.end_input()
    now.loop.advance(1e6)
    assert now.goes_on
    now.peer_ends()
    assert now.ended_well


def test_a_peer_that_ends_before_q_is_over_ends_it(scene: Scenes) -> None:
    now = scene(quit_after=60.0)
    now.end_input()
    now.peer_ends()
    assert now.ended_well


def test_q_leaves_a_silent_input_after_the_peers_end(scene: Scenes) -> None:
    """A pipe that says nothing cannot be told from one that is busy: -q is the word for it."""
    now = scene(quit_after=2.0)
    now.loop.advance(10)
    now.type(b"first")
    now.peer_ends()
    now.loop.advance(1.9)
    assert now.goes_on
    now.type(b"second")
    now.loop.advance(1.9)
    assert now.goes_on
    now.loop.advance(0.2)
    assert now.ended_well
    assert now.received() == b"firstsecond"


def test_q_does_not_leave_while_the_peer_talks_and_our_input_is_open(scene: Scenes) -> None:
    now = scene(quit_after=1.0)
    now.loop.advance(1000)
    assert now.goes_on


def test_an_input_that_ends_within_q_of_the_peers_end_is_delivered(scene: Scenes) -> None:
    now = scene(quit_after=5.0)
    now.peer_ends()
    now.type(b"in time")
    now.end_input()
    assert now.ended_well
    assert now.received() == b"in time"


def test_without_a_half_close_q_is_how_it_ends(scene: Scenes) -> None:
    now = scene(half_close=False, quit_after=1.0)
    now.end_input()
    now.loop.advance(1.1)
    assert now.ended_well
    assert now.received() is None


def test_by_silence_q_starts_anew_with_every_datagram(scene: Scenes) -> None:
    now = scene(half_close=False, quit_after=1.0, by_silence=True, idle=0.5)
    now.end_input()
    for _ in range(5):
        now.loop.advance(0.9)
        now.send(b"datagram")
    assert now.goes_on
    now.loop.advance(1.1)
    assert now.ended_well


# --- our output is gone


def test_a_reader_that_leaves_is_noticed_at_the_next_byte_and_is_no_failure(scene: Scenes) -> None:
    now = scene()
    now.close_output()
    now.send(b"data")
    assert now.ended_well
    assert now.session.output_gone


def test_a_reader_that_leaves_is_noticed_without_a_byte_where_the_runner_looks(scene: Scenes) -> None:
    now = scene()
    now.session.output_closed()
    assert now.ended_well
    assert now.session.output_gone


def test_an_output_that_is_full_is_a_failure_that_says_so(scene: Scenes) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb", buffering=0) as full:
        now = scene(sink=FileEndpoint(full.fileno()))
        now.send(b"data")
    assert (now.fault().text, now.fault().code) == ("write to standard output: No space left on device", NETWORK)


# --- what breaks


class Failing(FileEndpoint):
    """What cannot be read."""

    def __init__(self, code: int) -> None:
        super().__init__(-1, "failing")  # of no kind that goes without a copy
        self._code = code

    def read_into(self, buffer: memoryview) -> int | None:
        raise OSError(self._code, os.strerror(self._code))


def test_an_input_that_cannot_be_read_is_a_failure_that_says_so(scene: Scenes) -> None:
    fault = scene(source=Failing(errno.EISDIR)).fault()
    assert (fault.text, fault.code) == ("read from standard input: Is a directory", NETWORK)


@pytest.mark.parametrize(("code", "terminal"), [(errno.EIO, True), (errno.EBADF, False)])
def test_an_input_that_is_not_ours_to_read_is_none_at_all(scene: Scenes, code: int, terminal: bool) -> None:
    """A terminal in whose background we run, a descriptor open for writing only: as with -d."""
    now = scene(source=Failing(code), terminal=terminal)
    assert now.goes_on
    assert now.received() is None  # no FIN
    now.send(b"data")
    assert now.shown() == b"data"
    now.peer_ends()
    assert now.ended_well


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_reset_before_the_end_is_a_failure_that_names_the_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    near.setblocking(False)
    loop = Loop()
    reading, output = nonblocking_pipe()
    with near, peer:
        connection = SocketEndpoint(near)
        session = Session(loop, connection, None, Flow(loop, connection, output), Policy(), name="somebody")
        session.start(lambda _: loop.stop())
        peer.sendall(b"data")
        reset(peer)
        loop.run()
    loop.close()
    reading.close()
    output.close()
    assert session.fault is not None
    assert (session.fault.text, session.fault.code) == (
        "connection with somebody lost: Connection reset by peer",
        NETWORK,
    )


@pytest.mark.parametrize(
    ("code", "exit_code"), [(errno.ETIMEDOUT, TIMEOUT), (errno.ECONNRESET, NETWORK), (errno.EHOSTUNREACH, NETWORK)]
)
def test_a_connection_that_the_system_gives_up_has_its_own_code(code: int, exit_code: int) -> None:
    loop = JumpingLoop()
    with socket.socket() as sock:
        down = Flow(loop, Failing(code), FileEndpoint(-1))
        session = Session(loop, SocketEndpoint(sock), None, down, Policy(), name="somebody")
        finished: list[Session] = []
        session.start(finished.append)
    assert finished == [session]
    assert session.fault is not None
    assert session.fault.code == exit_code
    assert session.fault.text == f"connection with somebody lost: {os.strerror(code)}"


def test_the_first_fault_is_the_one_that_counts(scene: Scenes) -> None:
    now = scene()
    now.session.finish(Fault("first"))
    now.session.finish(Fault("second"))
    assert now.fault().text == "first"


# --- time


def test_silence_for_the_idle_time_is_a_timeout(scene: Scenes) -> None:
    now = scene(idle=5.0)
    now.loop.advance(4.9)
    assert now.goes_on
    now.loop.advance(0.2)
    assert (now.fault().text, now.fault().code) == ("somebody: no data for 5 s: timed out", TIMEOUT)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_data_in_either_direction_ends_the_silence(scene: Scenes, direction: str) -> None:
    now = scene(idle=5.0)
    for _ in range(4):
        now.loop.advance(4.0)
        (now.type if direction == "up" else now.send)(b"data")
    assert now.goes_on
    now.loop.advance(5.1)
    assert now.fault().code == TIMEOUT


def test_a_slow_reader_of_our_output_is_not_the_peers_silence(scene: Scenes) -> None:
    now = scene(idle=5.0)
    now.stall_output()
    now.send(b"data")
    now.loop.advance(60)
    assert now.goes_on
    while now.shown():
        pass
    now.loop.advance(11)
    assert now.fault().code == TIMEOUT


def test_a_pause_of_our_own_is_not_the_peers_silence(scene: Scenes) -> None:
    now = scene(idle=1.0, pacers=(Pause(30.0),))
    now.type(b"first")
    now.loop.advance(20)
    assert now.goes_on


def test_a_peer_that_takes_nothing_is_silent(scene: Scenes) -> None:
    now = scene(idle=5.0)
    while now._typing.write(bytes(1 << 16)) is not None:
        now.loop.settle()
    now.loop.advance(5.1)
    assert now.goes_on  # what was read of our input has a moment more
    now.loop.advance(LAST_WORDS)
    assert now.fault().code == TIMEOUT
    assert now.session.reset_by is not None


def test_what_was_read_is_delivered_when_the_time_is_over(scene: Scenes) -> None:
    now = scene(idle=5.0)
    while now._typing.write(bytes(1 << 16)) is not None:
        now.loop.settle()
    now.loop.advance(5.1)
    arrived = 0
    while data := now.received():
        arrived += len(data)
        now.loop.settle()
    assert now.fault().code == TIMEOUT
    assert arrived == now.session.sent
    assert now.session.reset_by is not None


def test_an_input_that_ended_with_what_was_read_last_needs_no_reset(scene: Scenes) -> None:
    now = scene(total=5.0, pacers=(Pause(10.0),))
    now.type(b"first")
    now.type(b"last")
    now.end_input()
    now.session.break_off(Fault("enough"))
    now.loop.advance(0.1)
    assert now.received() == b"first"
    now.loop.advance(LAST_WORDS)
    assert now.session.reset_by is not None  # a pause held the rest back

    again = scene(total=5.0)
    again.type(b"all")
    again.end_input()
    again.session.break_off(Fault("enough"))
    assert again.session.reset_by is None


@pytest.mark.parametrize("kind", ["terminal", "no input", "ended"])
def test_there_is_no_reset_where_nothing_is_missing(kind: str, scene: Scenes) -> None:
    now = scene(total=5.0, terminal=kind == "terminal", input=kind != "no input")
    if kind == "ended":
        now.end_input()
    now.loop.advance(5.1)
    assert now.fault().code == TIMEOUT
    assert now.session.reset_by is None


def test_a_session_that_ends_in_time_has_no_timeout(scene: Scenes) -> None:
    now = scene(idle=5.0, total=6.0)
    now.end_input()
    now.peer_ends()
    assert now.ended_well
    now.loop.advance(100)
    assert now.ended_well


def test_the_total_time_ends_even_a_lively_session(scene: Scenes) -> None:
    now = scene(total=10.0)
    for _ in range(9):
        now.loop.advance(1.0)
        now.send(b"data")
    assert now.goes_on
    now.loop.advance(1.1)
    assert now.fault().code == TIMEOUT
    assert "somebody" in now.fault().text


def test_without_limits_a_silent_session_waits_for_ever(scene: Scenes) -> None:
    now = scene()
    now.loop.advance(1e6)
    assert now.goes_on
    assert not now.loop.timers


# --- the same on any loop


class Driver:
    """Runs one session on a loop of the test's choice."""

    def __init__(self, kind: str) -> None:
        self._quick = Loop() if kind == "quick" else None
        self._asyncio = asyncio.new_event_loop() if kind == "asyncio" else None

    @property
    def loop(self) -> Reactor:
        loop = self._quick or self._asyncio
        assert loop is not None
        return loop

    def run(self, session: Session) -> None:
        if self._quick:
            session.start(lambda _: self.stop())
            self._quick.run()
            self._quick.close()
        elif self._asyncio:
            session.start(lambda _: self.stop())
            self._asyncio.run_forever()
            self._asyncio.close()

    def stop(self) -> None:
        loop = self._quick or self._asyncio
        assert loop is not None
        loop.stop()


both_loops = pytest.mark.parametrize("kind", ["quick", "asyncio"])


@both_loops
@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(0, 9))
def test_both_directions_arrive_identical_on_either_loop(kind: str, up: int, down: int, seed: int) -> None:
    rng = random.Random(seed)
    sent, answered = rng.randbytes(up), rng.randbytes(down)
    driver = Driver(kind)
    near, far = socket.socketpair()
    near.setblocking(False)
    source, typing = os.pipe()
    reading, sink = os.pipe()
    ends = [PipeEndpoint(source, PIPE), PipeEndpoint(sink, PIPE)]
    for end in ends:
        os.set_blocking(end.fd, False)
    with near:
        connection = SocketEndpoint(near)
        session = Session(
            driver.loop,
            connection,
            Flow(driver.loop, ends[0], connection),
            Flow(driver.loop, connection, ends[1]),
            Policy(),
        )
        feeder, output, peer = Feeder(typing, sent, seed), Collector(reading), PeerThatAnswers(far, answered)
        driver.run(session)
        for end in ends:
            end.close()
    assert session.fault is None
    assert (session.sent, session.received) == (up, down)
    assert output.data() == answered
    assert peer.data() == sent
    feeder.thread.join(30)


class PeerThatAnswers(Collector):
    """Reads to our end of data, then answers and ends: only a half-close lets this work."""

    def __init__(self, sock: socket.socket, answer: bytes) -> None:
        self._sock = sock
        self._answer = answer
        super().__init__(sock.fileno())

    def _collect(self) -> None:
        with self._sock:
            while piece := self._sock.recv(1 << 16):
                self._pieces.append(piece)
            self._sock.sendall(self._answer)


@both_loops
def test_a_timeout_comes_on_either_loop(kind: str) -> None:
    driver = Driver(kind)
    near, far = socket.socketpair()
    near.setblocking(False)
    reading, sink = nonblocking_pipe()
    with near, far:
        connection = SocketEndpoint(near)
        session = Session(
            driver.loop, connection, None, Flow(driver.loop, connection, sink), Policy(idle=0.02), name="somebody"
        )
        driver.run(session)
    reading.close()
    sink.close()
    assert session.fault is not None
    assert session.fault.code == TIMEOUT


@both_loops
def test_files_at_both_ends_need_no_readiness_on_either_loop(kind: str, tmp_path: Any) -> None:
    """epoll, which asyncio uses, refuses regular files."""
    (tmp_path / "in").write_bytes(bytes(range(256)) * 1000)
    driver = Driver(kind)
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, (tmp_path / "in").open("rb") as into, (tmp_path / "out").open("wb", buffering=0) as out:
        connection = SocketEndpoint(near)
        session = Session(
            driver.loop,
            connection,
            Flow(driver.loop, FileEndpoint(into.fileno()), connection),
            Flow(driver.loop, connection, FileEndpoint(out.fileno())),
            Policy(),
        )
        echo = PeerThatAnswers(far, b"answer")
        driver.run(session)
    assert session.fault is None
    assert echo.data() == bytes(range(256)) * 1000
    assert (tmp_path / "out").read_bytes() == b"answer"
