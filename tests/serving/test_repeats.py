"""What fails again and again: told once, then counted; nothing is lost, and what is remembered is bounded."""

from __future__ import annotations

import heapq
import itertools
import re
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pync.serving.repeats import INTERVAL, MOST_KINDS, Repeats

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """The half of a loop that knows time, which passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Timer, Callable[..., object], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = Timer()
        heapq.heappush(self._due, (when, next(self._order), timer, callback, args))
        return timer

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, timer, callback, args = heapq.heappop(self._due)
            if not timer.cancelled:
                callback(*args)
        self.now = end


@given(st.lists(st.one_of(st.floats(0, 30), st.integers(0, 3)), max_size=60))
def test_every_failure_is_told_or_counted_and_no_kind_twice_within_the_interval(turns: list[float]) -> None:
    """A float is time that passes, an integer a failure of that kind."""
    clock, told = Clock(), list[tuple[float, str]]()
    repeats = Repeats(clock, lambda text: told.append((clock.now, text)))  # type: ignore[arg-type]
    for port, turn in enumerate(turns):
        if isinstance(turn, float):
            clock.pass_by(turn)
        else:
            repeats.tell(f"peer {port}: {'abcd'[turn]} lost", f"peer {port}")
    clock.pass_by(2 * INTERVAL)
    for kind in "abcd":
        lines = [(when, text) for when, text in told if text.endswith(f"{kind} lost")]
        counted = [re.match(r"(\d+) more like it: ", text) for _, text in lines]
        happened = sum(turn == "abcd".index(kind) for turn in turns if not isinstance(turn, float))
        assert sum(int(match[1]) if match else 1 for match in counted) == happened
        assert all(later - earlier > INTERVAL - 1e-9 for (earlier, _), (later, _) in itertools.pairwise(lines))


def test_the_end_tells_what_was_not_told_yet() -> None:
    clock, told = Clock(), list[str]()
    repeats = Repeats(clock, told.append)  # type: ignore[arg-type]
    for size in (1, 22, 333):
        repeats.tell(f"dropped, {size} bytes unsent")
    repeats.close()
    assert told == ["dropped, 1 bytes unsent", "2 more like it: dropped, 333 bytes unsent"]
    clock.pass_by(2 * INTERVAL)
    assert len(told) == 2


def test_kinds_without_end_are_told_as_one() -> None:
    told = list[str]()
    repeats = Repeats(Clock(), told.append)  # type: ignore[arg-type]
    for number in range(10 * MOST_KINDS):
        repeats.tell(f"failure {'x' * number}")
    assert len(told) == MOST_KINDS + 1
