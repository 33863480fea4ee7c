"""One output for many, one input for many: the shared ends by themselves, with endpoints of memory.

What clients make of them is in test_hub.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.handlers.shared import MOST_PIECES, MOST_WAITING, Broadcast, ClientEndpoint, Copies, Lane, Output
from pync.net.endpoint import Descriptor
from tests.engine.test_flow import JumpingLoop, tcp_pair

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate(Descriptor):
    """An output that takes as much as the test allows, and fails where it is told to."""

    kind = "gate"

    def __init__(self) -> None:
        self.fd, self._other = os.pipe()  # never ready to be written: the test opens the gate
        self.room = 0
        self.taken = b""
        self.error: OSError | None = None

    def read_into(self, buffer: memoryview) -> int | None:
        raise AssertionError("nobody reads an output")

    def write(self, data: memoryview | bytes) -> int | None:
        if self.error is not None:
            raise self.error
        if not self.room:
            return None
        piece = bytes(data[: self.room])
        self.room -= len(piece)
        self.taken += piece
        return len(piece)

    def half_close(self) -> None: ...

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._other)


class Tap:
    def __init__(self) -> None:
        self.seen = b""

    def feed(self, data: bytes) -> bytes:
        self.seen += data
        return data

    def end(self) -> bytes:
        return b""


class Scene:
    """An output behind a gate, with a tap; `faults` is what it told of failing."""

    def __init__(self) -> None:
        self.loop = JumpingLoop()
        self.gate = Gate()
        self.tap = Tap()
        self.faults: list[OSError] = []
        self.output = Output(self.loop, self.gate, [self.tap], self.faults.append)

    def open(self, room: int) -> None:
        """The gate lets so much through, and the loop notices."""
        self.gate.room += room
        if self.gate.fd in self.loop.writers:
            self.loop.writers[self.gate.fd]()

    def lane(self, order: list[Lane]) -> Lane:
        """A client who waits for its turn."""
        lane = Lane(self.output)
        lane.watch_write(self.loop, lambda: order.append(lane))
        return lane


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.output.close()
    assert made.loop.empty


def test_a_piece_is_taken_whole_or_not_at_all(scene: Scene) -> None:
    lane = Lane(scene.output)
    scene.open(3)
    assert lane.write(b"12345") == 5
    assert scene.gate.taken == b"123"
    assert lane.write(b"67") is None
    scene.open(100)
    assert lane.write(b"67") == 2
    assert scene.gate.taken == b"1234567"


def test_whoever_waits_is_called_in_its_turn_and_only_while_there_is_room(scene: Scene) -> None:
    scene.output.take(b"x")
    order: list[Lane] = []
    first, second, third = (scene.lane(order) for _ in range(3))
    second.watch_write(scene.loop, None)
    scene.open(1)
    assert order == [first, third]
    order.clear()
    greedy = Lane(scene.output)
    scene.output.take(b"y")
    greedy.watch_write(scene.loop, lambda: greedy.write(b"zz"))
    patient = scene.lane(order)
    scene.open(1)
    assert order == []  # the greedy one has filled it again
    scene.open(100)
    assert order == [patient]
    assert scene.gate.taken == b"xyzz"


def test_waiting_again_and_again_keeps_one_place(scene: Scene) -> None:
    scene.output.take(b"x")
    order: list[Lane] = []
    lane = scene.lane(order)
    for _ in range(10):
        lane.watch_write(scene.loop, None)
        lane.watch_write(scene.loop, lambda: order.append(lane))
    scene.open(1)
    assert order == [lane]


@given(st.lists(st.one_of(st.integers(1, 50), st.binary(min_size=1, max_size=40)), max_size=60))
def test_the_taps_see_what_the_output_gets_in_the_same_order(turns: list[int | bytes]) -> None:
    """A number opens the gate so far, bytes are what a client has to say, and once in five what it leaves behind."""
    scene = Scene()
    expected = b""
    for index, turn in enumerate(turns):
        if isinstance(turn, int):
            scene.open(turn)
        elif index % 5 == 0:
            expected += turn if scene.output.take_last(turn) else b""
        elif scene.output.take(turn):
            expected += turn
    assert scene.tap.seen == expected
    assert scene.output.unwritten == len(expected) - len(scene.gate.taken)
    scene.open(1 << 20)
    assert scene.gate.taken == expected
    scene.output.close()


def test_last_words_wait_in_bounded_memory(scene: Scene) -> None:
    taken = [scene.output.take_last(b"word") for _ in range(MOST_PIECES + 10)]
    assert taken == [True] * MOST_PIECES + [False] * 10
    assert scene.tap.seen == b"word" * MOST_PIECES
    scene.open(1 << 20)
    assert scene.output.take_last(b"again")
    assert scene.gate.taken == b"word" * MOST_PIECES + b"again"


def test_a_failing_output_tells_once_and_takes_nothing_more(scene: Scene) -> None:
    scene.gate.error = OSError(errno.ENOSPC, "no space")
    assert scene.output.take(b"x")
    assert not scene.output.take(b"y")
    assert scene.output.take_last(b"z")  # gone with the output: nothing to report
    assert [fault.errno for fault in scene.faults] == [errno.ENOSPC]
    assert scene.output.unwritten == 0


def test_flush_gives_up_in_time() -> None:
    """On the real clock: the gate's descriptor never becomes writable."""
    from pync.net.loop import Loop

    loop, gate = Loop(), Gate()
    output = Output(loop, gate, [], lambda error: None)
    output.take(b"x")
    output.flush(0.01)
    assert output.unwritten == 1
    gate.room = 1
    output.take_last(b"")
    output.flush(0.01)
    output.close()
    loop.close()


# --- our input


@given(st.lists(st.binary(max_size=100), max_size=20), st.lists(st.integers(1, 64), max_size=60))
def test_copies_give_what_was_put_in_any_portions(pieces: list[bytes], sizes: list[int]) -> None:
    copies, got = Copies(lambda: None), b""
    pieces = [piece for piece in pieces if piece]
    for piece in pieces:
        copies.put(piece)
    for size in sizes + [100] * 40:
        buffer = memoryview(bytearray(size))
        count = copies.read_into(buffer)
        got += bytes(buffer[: count or 0])
    assert got == b"".join(pieces)
    assert copies.waiting == 0
    assert copies.read_into(memoryview(bytearray(1))) is None
    copies.end()
    assert copies.read_into(memoryview(bytearray(1))) == 0


def test_input_that_comes_byte_by_byte_does_not_cost_a_hundred_times_its_size() -> None:
    import tracemalloc

    copies, count = Copies(lambda: None), 50_000
    tracemalloc.start()
    try:
        for _ in range(count):
            copies.put(b"x")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert copies.waiting == count
    assert held < 3 * count


def test_room_is_told_once_when_a_full_copy_is_read_from() -> None:
    told: list[str] = []
    copies = Copies(lambda: told.append("room"))
    copies.put(bytes(MOST_WAITING + 10))
    buffer = memoryview(bytearray(8))
    copies.read_into(buffer)
    assert told == []
    for _ in range(5):
        copies.read_into(buffer)
    assert told == ["room"]


def test_broadcast_gives_to_all_or_waits() -> None:
    room = False
    takers = [Copies(lambda: None), Copies(lambda: None)]
    broadcast = Broadcast(lambda: room, lambda: takers)
    assert broadcast.write(b"x") is None
    room = True
    assert broadcast.write(b"xyz") == 3
    assert [copies.waiting for copies in takers] == [3, 3]


@pytest.mark.parametrize(
    "use",
    [
        lambda: Lane(cast("Output", None)).read_into(memoryview(b"")),
        lambda: Copies(lambda: None).write(b""),
        lambda: Broadcast(lambda: True, list).read_into(memoryview(b"")),
    ],
)
def test_nobody_uses_them_the_wrong_way_round(use: Any) -> None:
    with pytest.raises(NotImplementedError):
        use()


def test_a_client_who_has_ended_is_checked_on_by_the_system() -> None:
    import socket

    near, far = tcp_pair()
    with near, far:
        endpoint, buffer = ClientEndpoint(near), memoryview(bytearray(10))
        far.sendall(b"x")
        assert endpoint.read_into(buffer) == 1
        assert not near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        far.shutdown(socket.SHUT_WR)
        assert endpoint.read_into(buffer) == 0
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
