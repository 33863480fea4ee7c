"""The quick loop means what asyncio's means: every test of the six names runs on both, and on poll and select.

The order of timers, callbacks that take each other away, both directions of one descriptor. What
flows and sessions make of a loop is tested with them.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import socket
from typing import TYPE_CHECKING, Protocol

import pytest

from pync.errors import Fault
from pync.net import wake
from pync.net.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pync.net.loop import Reactor

    class Runnable(Reactor, Protocol):
        """A loop that the test runs and stops."""

        def run(self) -> None: ...
        def stop(self) -> None: ...
        def close(self) -> None: ...


class Asyncio(asyncio.SelectorEventLoop):
    """asyncio's loop with the quick loop's word for running."""

    def run(self) -> None:
        self.run_forever()


def without(monkeypatch: pytest.MonkeyPatch, best: str) -> None:
    """Take away what is quicker than `best`."""
    if best != "epoll":
        monkeypatch.delattr(select, "epoll", raising=False)
    if best == "select":
        monkeypatch.delattr(selectors, "PollSelector", raising=False)


@pytest.fixture(params=["epoll", "poll", "select", "asyncio"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runnable]:
    without(monkeypatch, "epoll" if request.param == "asyncio" else request.param)
    made: Runnable = Asyncio() if request.param == "asyncio" else Loop()
    yield made
    made.close()


@pytest.fixture(params=["epoll", "poll", "select"])
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """The quick loop alone, where it promises more than asyncio does."""
    without(monkeypatch, request.param)
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def run_soon(loop: Runnable) -> None:
    """Let everything that is ready have its turn, twice, and return."""
    loop.call_at(loop.time(), lambda: loop.call_at(loop.time(), loop.stop))
    loop.run()


# --- times


def test_timers_fire_in_the_order_of_their_times_and_never_early(loop: Runnable) -> None:
    start = loop.time()
    fired: list[tuple[float, float]] = []
    for delay in (0.02, 0.0, 0.01, -5.0):
        loop.call_at(start + delay, lambda delay=delay: fired.append((delay, loop.time())))
    loop.call_at(start + 0.03, loop.stop)
    loop.run()
    assert [delay for delay, _ in fired] == [-5.0, 0.0, 0.01, 0.02]
    # What is due within the resolution of the clock counts as due.
    assert all(at >= start + delay - 1e-6 for delay, at in fired)


def test_a_timer_gets_its_arguments(loop: Runnable) -> None:
    got: list[object] = []
    loop.call_at(loop.time(), lambda *args: got.extend(args), 1, "two")
    run_soon(loop)
    assert got == [1, "two"]


def test_a_cancelled_timer_does_not_fire(loop: Runnable) -> None:
    fired: list[str] = []
    loop.call_at(loop.time(), fired.append, "kept")
    loop.call_at(loop.time(), fired.append, "cancelled").cancel()
    run_soon(loop)
    assert fired == ["kept"]


def test_a_timer_that_another_one_cancels_in_the_same_turn_does_not_fire(loop: Runnable) -> None:
    fired: list[str] = []
    due = loop.time()
    second = loop.call_at(due, fired.append, "second")
    loop.call_at(due - 1, second.cancel)
    run_soon(loop)
    assert fired == []


def test_cancelling_twice_or_after_the_time_is_no_error(loop: Runnable) -> None:
    timer = loop.call_at(loop.time(), lambda: None)
    run_soon(loop)
    timer.cancel()
    timer.cancel()


def test_timers_that_set_timers_do_not_keep_descriptors_from_their_turn(
    loop: Runnable, pair: tuple[socket.socket, socket.socket]
) -> None:
    def again() -> None:
        loop.call_at(loop.time(), again)

    again()
    loop.add_writer(pair[0].fileno(), loop.stop)
    loop.run()
    loop.remove_writer(pair[0].fileno())


def test_a_timer_in_the_far_future_does_not_keep_descriptors_from_their_turn(
    loop: Runnable, pair: tuple[socket.socket, socket.socket]
) -> None:
    """poll(2) takes milliseconds in an int: thirty years are too many."""
    timer = loop.call_at(loop.time() + 1e9, lambda: pytest.fail("thirty years have not passed"))
    loop.add_writer(pair[0].fileno(), loop.stop)
    loop.run()
    loop.remove_writer(pair[0].fileno())
    timer.cancel()


# --- descriptors


def test_a_reader_is_called_with_its_arguments_while_there_is_something_to_read(
    loop: Runnable, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    got: list[bytes] = []

    def read(sock: socket.socket, size: int) -> None:
        got.append(sock.recv(size))
        if len(got) == 3:
            loop.stop()

    loop.add_reader(near.fileno(), read, near, 1)
    far.send(b"abc")
    loop.run()
    loop.remove_reader(near.fileno())
    assert got == [b"a", b"b", b"c"]


def test_a_writer_is_called_while_there_is_room(loop: Runnable, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    near.setblocking(False)
    sent: list[int] = []
    loop.add_writer(near.fileno(), lambda: sent.append(near.send(bytes(1 << 12))))
    before = -1
    while len(sent) > before:  # until it is not called any more
        before = len(sent)
        run_soon(loop)
    while sum(sent):
        sent.append(-len(far.recv(1 << 20)))
    before = len(sent)
    run_soon(loop)
    loop.remove_writer(near.fileno())
    assert len(sent) > before


def test_adding_again_replaces_the_callback(loop: Runnable, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    called: list[str] = []
    far.send(b"x")
    loop.add_reader(near.fileno(), called.append, "old")
    loop.add_reader(near.fileno(), called.append, "new")
    run_soon(loop)
    loop.remove_reader(near.fileno())
    assert set(called) == {"new"}


@pytest.mark.parametrize("direction", ["reader", "writer"])
def test_removing_tells_whether_there_was_something_to_remove(
    loop: Runnable, pair: tuple[socket.socket, socket.socket], direction: str
) -> None:
    fd = pair[0].fileno()
    add: Callable[..., object] = getattr(loop, f"add_{direction}")
    remove: Callable[[int], object] = getattr(loop, f"remove_{direction}")
    assert not remove(fd)
    add(fd, lambda: None)
    assert remove(fd)
    assert not remove(fd)


def test_one_descriptor_may_be_read_and_written_at_the_same_time(
    loop: Runnable, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    far.send(b"x")
    called: list[str] = []
    loop.add_reader(near.fileno(), called.append, "read")
    loop.add_writer(near.fileno(), called.append, "write")
    run_soon(loop)
    loop.remove_reader(near.fileno())
    loop.remove_writer(near.fileno())
    assert set(called) == {"read", "write"}


@pytest.mark.parametrize(("removed", "left"), [("reader", "writer"), ("writer", "reader")])
def test_removing_one_direction_leaves_the_other(
    loop: Runnable, pair: tuple[socket.socket, socket.socket], removed: str, left: str
) -> None:
    near, far = pair
    far.send(b"x")
    called: list[str] = []
    loop.add_reader(near.fileno(), called.append, "reader")
    loop.add_writer(near.fileno(), called.append, "writer")
    getattr(loop, f"remove_{removed}")(near.fileno())
    run_soon(loop)
    getattr(loop, f"remove_{left}")(near.fileno())
    assert set(called) == {left}


def test_a_callback_that_was_taken_away_in_the_same_turn_is_not_called(loop: Runnable) -> None:
    pairs = [socket.socketpair() for _ in range(4)]
    called: list[int] = []

    def only_one(index: int) -> None:
        called.append(index)
        for near, _ in pairs:
            loop.remove_reader(near.fileno())

    for index, (near, far) in enumerate(pairs):
        far.send(b"x")
        loop.add_reader(near.fileno(), only_one, index)
    run_soon(loop)
    for near, far in pairs:
        near.close()
        far.close()
    assert len(called) == 1


def test_a_reader_that_removes_the_writer_of_its_descriptor_is_obeyed(
    loop: Runnable, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    far.send(b"x")
    called: list[str] = []

    def only_one(name: str) -> None:
        called.append(name)
        loop.remove_reader(near.fileno())
        loop.remove_writer(near.fileno())

    loop.add_reader(near.fileno(), only_one, "read")
    loop.add_writer(near.fileno(), only_one, "write")
    run_soon(loop)
    assert len(called) == 1


def test_a_number_may_go_to_another_file_between_two_turns(
    loop: Runnable, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    far.send(b"x")
    other, other_far = socket.socketpair()
    number = near.fileno()
    called: list[str] = []

    def exchange() -> None:
        loop.remove_reader(number)
        os.dup2(other.fileno(), number)
        loop.add_reader(number, called.append, "too early")

    loop.add_reader(number, exchange)
    with other, other_far:
        run_soon(loop)
        loop.remove_reader(number)
    assert called == []


def test_a_reader_hears_of_the_end_of_data(loop: Runnable, pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    far.close()
    loop.add_reader(near.fileno(), loop.stop)
    loop.run()
    loop.remove_reader(near.fileno())
    assert near.recv(1) == b""


def test_a_reader_on_the_writing_end_of_a_pipe_hears_that_the_other_end_is_closed(
    loop: Runnable, pipe: tuple[int, int]
) -> None:
    read, write = pipe
    called: list[str] = []
    loop.add_reader(write, called.append, "closed")
    run_soon(loop)
    assert called == []
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, read)  # closes the pipe's end
    os.close(null)
    run_soon(loop)
    loop.remove_reader(write)
    assert called


# --- running


def test_a_stop_that_comes_before_run_is_obeyed(loop: Runnable) -> None:
    loop.stop()
    loop.run()


def test_a_loop_runs_again_after_a_stop(loop: Runnable) -> None:
    turns: list[int] = []
    for turn in range(3):
        loop.call_at(loop.time(), turns.append, turn)
        run_soon(loop)
    assert turns == [0, 1, 2]


def test_a_callback_that_fails_ends_the_run_with_its_fault(
    quick: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    def fail() -> None:
        raise Fault("no space left")

    quick.add_writer(pair[0].fileno(), fail)
    with pytest.raises(Fault, match="no space left"):
        quick.run()
    quick.remove_writer(pair[0].fileno())
    quick.call_at(quick.time(), fail)
    with pytest.raises(Fault, match="no space left"):
        quick.run()


def test_files_and_devices_are_always_ready(quick: Loop, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, open(os.devnull, "rb") as device:
        for fd in (file.fileno(), device.fileno()):
            quick.add_writer(fd, quick.stop)
            quick.run()
            quick.remove_writer(fd)


def waits_of(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the loop waits in a twentieth of a second: once, or a few times where clocks disagree by a tick."""
    waits: list[float | None] = []
    wait = loop._poller.wait

    def counting(seconds: float | None) -> object:
        waits.append(seconds)
        return wait(seconds)

    monkeypatch.setattr(loop._poller, "wait", counting)
    loop.call_at(loop.time() + 0.05, loop.stop)
    loop.run()
    return len(waits)


def test_with_nothing_to_wait_for_but_a_time_the_loop_sleeps(quick: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= waits_of(quick, monkeypatch) <= 3


@pytest.mark.parametrize("removed", ["reader", "writer"])
def test_a_direction_that_was_removed_is_not_waited_for(
    quick: Loop, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, removed: str
) -> None:
    near, far = pair
    if removed == "reader":  # ready to read, never to write
        near.setblocking(False)
        while select.select([], [near], [], 0)[1]:
            near.send(bytes(1 << 12))
        far.send(b"x")
    quick.add_reader(near.fileno(), lambda: None)
    quick.add_writer(near.fileno(), lambda: None)
    getattr(quick, f"remove_{removed}")(near.fileno())
    assert 1 <= waits_of(quick, monkeypatch) <= 3
    quick.remove_reader(near.fileno())
    quick.remove_writer(near.fileno())


def test_what_a_callback_raises_goes_to_where_it_is_wanted_and_the_others_have_their_turn(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    def fail() -> None:
        loop.remove_writer(near.fileno())
        raise OSError("one client's trouble")

    near, far = pair
    unforeseen: list[Exception] = []
    loop = Loop(unforeseen.append)
    loop.add_writer(near.fileno(), fail)
    loop.add_writer(far.fileno(), lambda: loop.call_at(loop.time(), loop.stop))
    loop.run()
    loop.close()
    assert [str(error) for error in unforeseen] == ["one client's trouble"]


def test_a_signal_does_not_wait_for_the_rest_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler asks for in the middle of a turn is done before the next callback."""
    order: list[str] = []
    monkeypatch.setattr(wake, "_empty", lambda: None)
    loop = Loop()
    pairs = [socket.socketpair() for _ in range(2)]

    def slow(name: str) -> None:
        order.append(name)
        wake.requests.append(lambda: order.append("signal"))

    for number, (near, _) in enumerate(pairs):
        loop.add_writer(near.fileno(), slow, f"turn {number}")
    loop.call_at(loop.time(), loop.stop)
    loop.run()
    loop.close()
    for near, far in pairs:
        near.close()
        far.close()
    assert [name.split()[0] for name in order] == ["turn", "signal"] * 2


def test_timers_that_are_cancelled_by_the_thousand_are_swept_out(quick: Loop) -> None:
    kept = quick.call_at(quick.time() + 60, lambda: None)
    for _ in range(5000):
        quick.call_at(quick.time() + 60, lambda: None).cancel()
    assert len(quick._timers) < 200
    assert any(timer is kept for _, _, timer in quick._timers)


def test_a_descriptor_that_was_closed_before_can_still_be_removed(quick: Loop) -> None:
    near, far = socket.socketpair()
    fd = near.fileno()
    quick.add_reader(fd, lambda: None)
    quick.add_writer(fd, lambda: None)
    near.close()
    far.close()
    assert quick.remove_reader(fd)
    assert quick.remove_writer(fd)
