"""The relay and those who follow it: whom it tells of a session's begin and end, and that the kernel goes on moving.

Ends of data are tested in test_session and in cli/, what is made of the figures in meter/.
"""

from __future__ import annotations

import io
import os
import pty
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pync.console import Console
from pync.handlers.stdio import Peer, Relay
from pync.net.endpoint import SocketEndpoint
from pync.net.loop import Loop
from pync.net.move import Copy, Sendfile, Splice, SpliceThrough
from pync.outcome import Outcome
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pync.net.loop import Reactor


class Passing:
    """A stage that changes nothing."""

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class Meter:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.stage = Passing()

    def begin(self, loop: Reactor, counts: Callable[[], tuple[int, int]], input_fd: int) -> None:
        self.counts = counts
        self.told.append(("begin", counts(), input_fd))

    def end(self) -> None:
        self.told.append(("end", self.counts()))

    def clear(self) -> None:
        self.told.append("clear")

    def stages(self) -> list[Passing]:
        return [self.stage]

    def close(self) -> None:
        self.told.append("close")


class Told(Outcome):
    """An outcome that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def begin(self) -> None:
        self.told.append("begin")

    def met(self, name: str, address: Any) -> None:
        self.told.append(("met", name, address))

    def moved(self, sent: int | None, received: int | None, seconds: float) -> None:
        assert seconds >= 0
        self.told.append(("moved", sent, received))

    def hashed(self, digests: Iterable[tuple[str, Any, str | None]]) -> None:
        self.told += [(direction, digest.size) for direction, digest, _ in digests]

    def failed(self, text: str) -> None:
        self.told.append(("failed", text))


class Place:
    """Descriptors, sockets and files that are closed at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.descriptors: list[int] = []
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)

    def pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self.descriptors += ends
        return ends

    def terminal(self) -> int:
        ends = pty.openpty()
        self.descriptors += ends
        return ends[1]

    def file(self, content: bytes = b"") -> int:
        (self.directory / "file").write_bytes(content)
        fd = os.open(self.directory / "file", os.O_RDWR)
        self.descriptors.append(fd)
        return fd

    def close(self) -> None:
        for fd in self.descriptors:
            os.close(fd)
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def followed(stdin: int | None, stdout: int | None, **plan: Any) -> tuple[Relay, Console, Meter, Told, io.StringIO]:
    said = io.StringIO()
    console = Console(stdin, stdout, said)
    console.meter = meter = Meter()
    console.outcome = outcome = Told()
    return Relay(planned(**plan), console), console, meter, outcome, said


@pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has no splice")
@pytest.mark.parametrize(("sink", "mover"), [("pipe", Splice), ("file", SpliceThrough), ("terminal", Copy)])
def test_a_meter_takes_nothing_from_the_kernel_but_what_goes_to_a_terminal(
    place: Place, sink: str, mover: type[object]
) -> None:
    stdout = {"pipe": lambda: place.pipe()[1], "file": place.file, "terminal": place.terminal}[sink]()
    relay, _, _, _, _ = followed(place.file(b"data"), stdout)
    loop = Loop()
    peer = SocketEndpoint(place.ours)
    down, up = relay.downward(loop, peer, []), relay.upward(loop, peer)
    try:
        assert type(down._mover) is mover
        assert up is not None
        assert type(up._mover) is Sendfile
    finally:
        down.stop()
        loop.close()
        relay.close()


@pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has no splice")
@pytest.mark.parametrize(("content", "movers"), [(b"data", (Sendfile, Splice)), (b"GET / HTTP/1.1\r\n", (Copy, Copy))])
def test_a_request_is_looked_at_and_all_else_is_left_to_the_kernel(
    place: Place, content: bytes, movers: tuple[type[object], type[object]]
) -> None:
    relay, _, _, _, _ = followed(place.file(content), place.pipe()[1])
    loop = Loop()
    peer = Peer(place.ours)
    down = relay.downward(loop, peer, [])
    up = relay.upward(loop, peer, partial(relay._watch_for_request, loop, peer, down))
    assert up is not None
    try:
        down.start(lambda _: None)
        up.start(lambda _: None)
        assert (type(up._mover), type(down._mover)) == movers
        assert (peer.answer is None) == (content == b"data")
    finally:
        down.stop()
        loop.close()
        relay.close()


def test_only_what_goes_to_a_terminal_passes_through_the_meter(place: Place) -> None:
    for stdout, seen in ((place.pipe()[1], False), (place.terminal(), True)):
        relay, _, meter, _, _ = followed(None, stdout)
        loop = Loop()
        down = relay.downward(loop, SocketEndpoint(place.ours), [])
        assert (meter.stage in down._stages) == seen
        down.stop()
        loop.close()
        relay.close()


def test_a_session_is_told_from_its_begin_to_its_end(place: Place) -> None:
    stdin = place.file(b"question")
    relay, console, meter, outcome, said = followed(stdin, place.pipe()[1], hash="sha256")
    console.verbose = 1
    place.theirs.sendall(b"answer")
    place.theirs.shutdown(socket.SHUT_WR)
    assert relay.run(place.ours, "somebody", total=None) == 0
    relay.close()
    assert meter.told == [("begin", (0, 0), stdin), ("end", (8, 6)), "clear"]
    assert outcome.told == [
        "begin",
        ("met", "somebody", ""),
        ("moved", 8, 6),
        ("sent", 8),
        ("received", 6),
    ]
    assert said.getvalue().startswith("sent 8 bytes, received 6 bytes in ")


def test_an_input_that_is_not_read_is_none_to_the_meter(place: Place) -> None:
    relay, _, meter, _, _ = followed(place.file(b"question"), place.pipe()[1], no_stdin=True)
    place.theirs.close()
    relay.run(place.ours, "somebody", total=None)
    relay.close()
    assert meter.told[0] == ("begin", (0, 0), -1)


def test_a_fault_is_told_to_the_summary_behind_what_was_moved(place: Place) -> None:
    relay, _, meter, outcome, said = followed(None, place.pipe()[1])
    assert relay.run(place.ours, "somebody", total=0.01) == 3
    relay.close()
    assert [told[0] for told in meter.told if told != "clear"] == ["begin", "end"]
    assert outcome.told[-2:] == [
        ("moved", 0, 0),
        ("failed", "somebody: not done within the total timeout: timed out"),
    ]
    assert said.getvalue() == "pync: somebody: not done within the total timeout: timed out\n"


def test_a_signal_ends_what_the_meter_shows_too(place: Place) -> None:
    relay, _, meter, outcome, _ = followed(None, place.pipe()[1])
    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        with pytest.raises(KeyboardInterrupt):
            relay.run(place.ours, "somebody", total=None)
    finally:
        signal.signal(signal.SIGALRM, before)
        relay.close()
    assert [told[0] for told in meter.told] == ["begin", "end"]
    assert outcome.told[-1] == ("moved", 0, 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_without_followers_the_summary_is_words_for_those_who_asked(place: Place) -> None:
    said = io.StringIO()
    console = Console(place.file(b"question"), place.pipe()[1], said)
    console.verbose = 1
    relay = Relay(planned(), console)
    place.theirs.shutdown(socket.SHUT_WR)
    assert relay.run(place.ours, "somebody", total=None) == 0
    relay.close()
    assert said.getvalue().startswith("sent 8 bytes, received 0 bytes in ")


def test_the_peer_is_told_with_the_numbers_of_its_address(place: Place) -> None:
    relay, _, _, outcome, _ = followed(None, place.pipe()[1])
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        sock.setblocking(False)
        server.accept()[0].close()
        relay.run(sock, "localhost (127.0.0.1)", total=None)
        relay.close()
        assert outcome.told[1] == ("met", "localhost (127.0.0.1)", server.getsockname())
