"""One client and a service that answers: order, back-pressure, files, silence, limits, ends.

Services are made here, for the one thing that a test looks at; the clock is the test's. The real
services are in wire/test_services, with the installed command in cli/test_services.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.engine import conversation
from pync.engine.conversation import PIECE, READ, Conversation
from pync.engine.parting import GRACE
from pync.errors import NETWORK, TIMEOUT, Fault
from pync.wire.services import Chargen, Echo, FilePiece, Hello, Service, Upper
from tests.engine.test_flow import JumpingLoop, tcp_pair
from tests.running import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Scene:
    """A conversation and its client's end of the socket."""

    def __init__(
        self,
        service: Service,
        *,
        idle: float | None = None,
        tcp: bool = False,
        buffers: int | None = None,
        start: bool = True,
    ) -> None:
        self.loop = JumpingLoop()
        near, self.sock = tcp_pair() if tcp else socket.socketpair()
        for sock in (near, self.sock):
            sock.setblocking(False)
            if buffers is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        self.near = near
        self.ends: list[Fault | None] = []
        self.talk = Conversation(self.loop, near, "somebody", self._over, service, idle)
        if start:
            self.talk.start()
            self.loop.settle()

    def _over(self, talk: Conversation, fault: Fault | None) -> None:
        assert talk is self.talk
        assert self.near.fileno() == -1, "closed before anybody is told"
        self.ends.append(fault)

    def send(self, data: bytes) -> None:
        assert self.sock.send(data) == len(data)
        self.loop.settle()

    def push(self, data: memoryview) -> int:
        """What the connection takes of it."""
        try:
            count = self.sock.send(data)
        except BlockingIOError:
            count = 0
        self.loop.settle()
        return count

    def received(self, most: int = 1 << 30) -> bytes | None:
        """What has come since it looked, b"" at the FIN, None where there is nothing."""
        pieces: list[bytes] = []
        while most > 0:
            try:
                pieces.append(self.sock.recv(min(most, 1 << 20)))
            except BlockingIOError:
                break
            if not pieces[-1]:
                break
            most -= len(pieces[-1])
            self.loop.settle()
        return b"".join(pieces) if pieces else None

    def end(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)
        self.loop.settle()

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Over TCP even the loopback takes its time."""

        def holds() -> Any:
            self.loop.settle()
            return condition()

        eventually(holds, what)

    def fault(self) -> Fault:
        (fault,) = self.ends
        assert fault is not None
        return fault

    @property
    def listens(self) -> bool:
        return self.near.fileno() in self.loop.readers

    def close(self) -> None:
        self.talk.close()
        self.sock.close()
        assert self.near.fileno() == -1
        assert self.loop.empty, "somebody still waits"


@contextlib.contextmanager
def scene(service: Service, **given: Any) -> Iterator[Scene]:
    made = Scene(service, **given)
    try:
        yield made
    finally:
        made.close()


class Loud(Service):
    """Answers each read with so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.heard = 0

    def feed(self, data: bytes) -> bytes:
        self.heard += len(data)
        return bytes(self.size)


class Log(Service):
    """Writes down what it was asked, and closes once."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def greet(self) -> bytes:
        self.said.append("greet")
        return b"hello\n"

    def feed(self, data: bytes) -> bytes:
        self.said.append(f"feed {data.decode()}")
        self.closing = data == b"bye"
        return b"[" + data + b"]"

    def more(self) -> bytes:
        self.said.append("more")
        return b""

    def end(self) -> bytes:
        self.said.append("end")
        return b"last words"

    def close(self) -> None:
        self.said.append("close")


# --- asking and answering


def test_it_greets_answers_and_says_last_words_in_that_order() -> None:
    log = Log()
    with scene(log) as talk:
        assert talk.received() == b"hello\n"
        talk.send(b"one")
        assert talk.received() == b"[one]"
        talk.send(b"two")
        talk.end()
        assert talk.received() == b"[two]last words"
        assert talk.received() == b""
        assert talk.ends == [None]
        assert (talk.talk.sent, talk.talk.received) == (6 + 5 + 5 + 10, 6)
    assert log.said == ["greet", "more", "feed one", "more", "feed two", "more", "end", "more", "close"]


def test_a_service_that_closes_sends_all_and_then_its_end() -> None:
    with scene(Log()) as talk:
        talk.send(b"bye")
        assert talk.received() == b"hello\n[bye]"
        assert talk.received() == b""
        assert talk.ends == []  # until the client has seen it
        talk.sock.close()
        talk.loop.settle()
        assert talk.ends == [None]


@given(
    st.sampled_from([Echo, Upper]),
    st.lists(st.one_of(st.integers(1, 20_000), st.integers(-20_000, -1)), max_size=40),
    st.integers(0, 1 << 32),
)
def test_whatever_is_sent_comes_back_wherever_it_is_cut(kind: type[Service], turns: list[int], seed: int) -> None:
    """A positive turn sends so many bytes, a negative one reads; the sockets have next to no room."""
    source = random.Random(seed)
    sent = got = b""
    with scene(kind(), buffers=1) as talk:
        for turn in turns:
            if turn < 0:
                got += talk.received(-turn) or b""
            else:
                data = bytes(source.choices(b"abcXYZ \n", k=turn))
                sent += data[: talk.push(memoryview(data))]
        talk.end()
        while (piece := talk.received()) != b"":
            got += piece or b""
        assert got == (sent.upper() if kind is Upper else sent)
        assert (talk.talk.sent, talk.talk.received) == (len(got), len(sent))
        assert talk.ends == [None]


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=20))
def test_messages_are_answered_in_their_order(names: list[bytes]) -> None:
    names = [name.replace(b"\n", b"-").replace(b"\r", b"-") for name in names if name != b"exit"]
    with scene(Hello()) as talk:
        for name in names:
            talk.send(name + b"\n")
        talk.end()
        answers = b"".join(b"Hello, %b!\n" % name for name in names)
        assert talk.received() == Hello.GREETING + answers


# --- back-pressure


def test_nothing_is_read_while_an_answer_is_unsent() -> None:
    loud = Loud(4 << 20)
    with scene(loud) as talk:
        talk.send(b"x")
        assert not talk.listens
        for _ in range(10):
            talk.push(memoryview(bytes(READ)))
        assert loud.heard == 1
        assert len(talk.received(1 << 20) or b"") == 1 << 20
        assert loud.heard == 1
        assert len(talk.received(3 << 20) or b"") == 3 << 20
        assert loud.heard > 1


def test_no_more_is_read_at_once_than_may_be_answered() -> None:
    class Largest(Service):
        most = 0

        def feed(self, data: bytes) -> bytes:
            self.most = max(self.most, len(data))
            return b""

    largest = Largest()
    with scene(largest, tcp=True) as talk:
        rest = memoryview(bytes(4 << 20))
        while rest:
            rest = rest[talk.push(rest) :]
        talk.wait_for(lambda: talk.talk.received == 4 << 20, "all has arrived")
        assert largest.most <= READ


def test_a_client_that_never_reads_does_not_grow_our_memory() -> None:
    import tracemalloc

    with scene(Echo()) as talk:
        data = memoryview(bytes(1 << 20))
        tracemalloc.start()
        try:
            while talk.push(data):
                pass
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(100):
                talk.push(data)
                talk.loop.advance(0.1)
            assert tracemalloc.get_traced_memory()[0] - before < READ
        finally:
            tracemalloc.stop()
        assert talk.ends == []


def test_a_service_without_end_lets_others_have_their_turn() -> None:
    with scene(Chargen()) as talk:
        first = talk.received(100_000) or b""
        second = talk.received(100_000) or b""
        assert len(first + second) == 200_000
        assert (first + second).startswith(first[:7030] * 2)  # 95 lines, then the pattern begins anew


def test_a_client_who_has_had_enough_of_a_service_without_end_is_no_failure() -> None:
    with scene(Chargen(), tcp=True) as talk:
        eventually(lambda: talk.received(1000), "something is said")
        talk.sock.close()
        talk.wait_for(lambda: talk.ends, "its leaving is noticed")
        assert talk.ends == [None]


# --- files


class Filing(Service):
    """Answers the first question with a piece of an open file between `head ` and `after`."""

    def __init__(self, path: Path, count: int, offset: int = 0) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self._answers: list[bytes | FilePiece] = [FilePiece(self.fd, offset, count), b"after"]
        self._asked = False

    def feed(self, data: bytes) -> bytes:
        asked, self._asked = self._asked, True
        return b"" if asked else b"head "

    def more(self) -> bytes | FilePiece:
        return self._answers.pop(0) if self._asked and self._answers else b""

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture(params=["sendfile", "copied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent by the kernel, and by us, where the system has no sendfile."""
    if request.param == "sendfile" and not hasattr(os, "sendfile"):
        pytest.skip("this system has no sendfile")
    if request.param == "copied":
        monkeypatch.delattr(os, "sendfile", raising=False)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("size", [1, READ, 3 * PIECE + 17])
def test_a_piece_of_a_file_goes_out_between_what_is_said(size: int, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size + 100)
    (tmp_path / "file").write_bytes(data)
    with scene(Filing(tmp_path / "file", size, 50), tcp=True) as talk:
        talk.send(b"?")
        expected = b"head " + data[50 : 50 + size] + b"after"
        got = b""
        while len(got) < len(expected):
            talk.loop.settle()
            got += talk.received() or b""
        assert got == expected
        assert talk.talk.sent == len(expected)
        assert talk.ends == []


@pytest.mark.usefixtures("way")
def test_a_file_that_becomes_shorter_ends_the_conversation(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    with scene(Filing(tmp_path / "file", 2000)) as talk:
        talk.send(b"?")
        assert talk.received() == b"head " + bytes(1000)
        assert talk.received() == b""
        assert talk.fault().text == "connection with somebody lost: the file became shorter while it was sent"
        assert talk.fault().code == NETWORK


@pytest.mark.usefixtures("way")
def test_a_client_that_reads_nothing_of_a_file_keeps_it_waiting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8 << 20))
    service = Filing(tmp_path / "file", 8 << 20)
    with scene(service) as talk:
        talk.send(b"?")
        sent = talk.talk.sent
        assert 0 < sent < 8 << 20
        talk.push(memoryview(b"more?"))
        assert talk.talk.received == 1
        assert len(talk.received() or b"") == 5 + (8 << 20) + 5
        assert talk.talk.received == 6
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(service.fd)


# --- silence and limits


class Timed(Service):
    """A service whose limits the test sets; it counts what it is told."""

    def __init__(self, **limits: float) -> None:
        self.quiet = limits.get("quiet")
        self.time_limit = limits.get("time_limit")
        self.stall_limit = limits.get("stall_limit")
        self.told: list[str] = []
        self.words = b""

    def feed(self, data: bytes) -> bytes:
        return bytes(8 << 20) if data == b"much" else b"ok" if data.endswith(b"\n") else b""

    def lull(self) -> bytes:
        self.told.append("lull")
        return b"lull"

    def expire(self) -> bytes:
        self.told.append("expire")
        self.closing = True
        return self.words


def test_a_lull_is_told_after_silence_and_once() -> None:
    service = Timed(quiet=0.1)
    with scene(service) as talk:
        talk.loop.advance(1)
        assert service.told == []
        for _ in range(5):
            talk.send(b"a")
            talk.loop.advance(0.09)
        assert service.told == []
        talk.loop.advance(0.02)
        assert service.told == ["lull"]
        assert talk.received() == b"lull"
        talk.loop.advance(5)
        assert service.told == ["lull"]


def test_a_lull_behind_an_unsent_answer_comes_when_that_is_taken() -> None:
    service = Timed(quiet=0.1)
    with scene(service) as talk:
        talk.send(b"much")
        talk.loop.advance(5)
        assert service.told == []
        assert talk.loop.timers == []  # nothing to look at before the client reads
        assert len(talk.received() or b"") == 8 << 20
        talk.loop.advance(0.09)
        assert service.told == []
        talk.loop.advance(0.02)
        assert talk.received() == b"lull"


@pytest.mark.parametrize("words", [b"", b"408"])
def test_a_request_that_takes_too_long_gets_last_words_once(words: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AGAIN", GRACE / 2)
    service = Timed(time_limit=10.0)
    service.words = words
    with scene(service) as talk:
        talk.loop.advance(9)
        talk.send(b"drip")  # slowly is no answer
        talk.loop.advance(0.9)
        assert service.told == []
        talk.loop.advance(0.2)
        assert talk.received() == (words or b"")
        assert talk.received() == b""
        talk.loop.advance(GRACE + 1)
        assert service.told == ["expire"]
        assert talk.ends == [None]


def test_the_time_of_a_request_begins_anew_with_each_answer() -> None:
    service = Timed(time_limit=10.0)
    with scene(service) as talk:
        for _ in range(5):
            talk.loop.advance(8)
            talk.send(b"line\n")
        assert talk.received() == b"ok" * 5
        talk.loop.advance(10.1)
        assert service.told == ["expire"]


def test_while_an_answer_is_on_its_way_no_request_is_late() -> None:
    service = Timed(time_limit=10.0)
    with scene(service) as talk:
        talk.send(b"much")
        talk.loop.advance(30)
        assert service.told == []
        talk.received()
        talk.loop.advance(10.1)
        assert service.told == ["expire"]


def test_a_client_that_takes_nothing_is_closed_and_one_that_takes_little_is_not() -> None:
    with scene(Timed(stall_limit=60.0)) as talk:
        talk.loop.advance(600)  # there is nothing to take
        talk.send(b"much")
        for _ in range(5):
            talk.loop.advance(50)
            assert talk.received(1 << 20)
        assert talk.ends == []
        talk.loop.advance(61)
        assert talk.fault().text == "somebody: takes nothing for 60 s: closed"
        assert talk.fault().code == TIMEOUT


@pytest.mark.parametrize("waiting", [False, True], ids=["nothing is sent", "nothing is taken"])
def test_an_idle_conversation_is_timed_out(waiting: bool) -> None:
    with scene(Timed(), idle=5.0) as talk:
        for _ in range(5):
            talk.loop.advance(4)
            talk.send(b"a")
        if waiting:
            talk.send(b"much")
        talk.loop.advance(4.9)
        assert talk.ends == []
        talk.loop.advance(0.2)
        assert talk.fault().text == "somebody: no data for 5 s: timed out"
        assert talk.fault().code == TIMEOUT


def test_all_limits_at_once_end_it_once() -> None:
    with scene(Timed(quiet=5.0, time_limit=5.0, stall_limit=5.0), idle=5.0) as talk:
        talk.send(b"a")
        talk.loop.run_out()
        assert len(talk.ends) == 1


# --- ends


def test_the_last_answer_survives_what_the_client_sent_too_much() -> None:
    """Closing with unread data resets, and a reset takes away what the client has not read yet."""
    with scene(Log(), tcp=True) as talk:
        eventually(talk.received, "the greeting")
        talk.sock.setblocking(True)
        talk.sock.settimeout(PATIENCE)
        talk.sock.sendall(b"bye")
        talk.wait_for(lambda: talk.talk.sent > 6, "the answer")
        for _ in range(10):
            talk.sock.sendall(b"still talking" * 1000)
            talk.loop.settle()
        talk.loop.advance(GRACE * 1.1)
        assert talk.ends == [None]
        assert talk.sock.recv(100) == b"[bye]"


@pytest.mark.parametrize("step", ["greet", "feed", "more", "end", "lull", "expire", "close"])
def test_an_exception_in_a_service_ends_its_conversation_only(step: str) -> None:
    def fail(*_: Any) -> bytes:
        raise ZeroDivisionError("oops")

    service = Timed(quiet=0.1, time_limit=1.0)
    setattr(service, step, fail)
    talk = Scene(service, start=False)
    talk.talk.start()
    talk.loop.settle()
    if not talk.ends:
        talk.send(b"x")
    if not talk.ends:
        talk.loop.advance(2.0 if step in ("lull", "expire") else 0.0)
    if not talk.ends:
        talk.end()
    assert talk.near.fileno() == -1
    assert len(talk.ends) == 1
    if step != "close":
        assert talk.fault().text == "connection with somebody closed: internal error: ZeroDivisionError('oops')"
    talk.sock.close()
    assert talk.loop.empty


def test_a_reset_is_told_in_one_line() -> None:
    with scene(Echo(), tcp=True) as talk:
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.sock.close()
        talk.wait_for(lambda: talk.ends, "the reset")
        assert talk.fault().text == "connection with somebody lost: Connection reset by peer"
        assert talk.fault().code == NETWORK


def test_closing_tells_nobody_and_may_come_at_any_time() -> None:
    for prepare in (lambda talk: None, lambda talk: talk.send(b"bye"), lambda talk: talk.end()):
        log = Log()
        with scene(log) as talk:
            prepare(talk)
            told = list(talk.ends)
            talk.talk.close()
            talk.talk.close()
            assert talk.ends == told
            assert log.said.count("close") == 1


def test_closing_in_the_middle_of_an_answer_gives_everything_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8 << 20))
    service = Filing(tmp_path / "file", 8 << 20)
    with scene(service) as talk:
        talk.send(b"?")
    assert talk.ends == []
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(service.fd)
