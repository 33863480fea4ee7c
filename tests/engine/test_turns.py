"""The time of a loop, divided among clients: how long a turn is, and when the loop gets its own."""

from __future__ import annotations

import pytest

from pync.engine.turns import PASS, ROUND, TURN, Turns
from tests.engine.test_flow import JumpingLoop


class Crowd:
    """Clients that always have more to do; a step takes a tenth of a millisecond."""

    def __init__(self, count: int) -> None:
        self.loop = JumpingLoop()
        self.turns = Turns(self.loop)
        self.taken: list[tuple[int, float]] = []
        for number in range(count):
            self._ask(number)
        self.taken.clear()  # the very first one comes at once

    def _ask(self, number: int) -> None:
        self.turns.ask(lambda: self._take(number))

    def _take(self, number: int) -> None:
        began = self.loop.now
        while not self.turns.over():
            self.loop.now += 0.0001
        self.taken.append((number, self.loop.now - began))
        self._ask(number)

    def one_pass(self) -> float:
        """What the loop calls next; the seconds it took."""
        began = self.loop.now
        (timer,) = self.loop.timers
        timer.waiting = False
        timer.call()
        return self.loop.now - began


@pytest.mark.parametrize("count", [1, 3, 50, 500])
def test_a_turn_is_short_among_many_and_everybody_has_one_in_a_round(count: int) -> None:
    crowd = Crowd(count)
    while len(crowd.taken) < 2 * count:
        assert crowd.one_pass() <= PASS + TURN + 0.001
    assert [number for number, _ in crowd.taken[: 2 * count]] == [*range(count)] * 2
    assert max(length for _, length in crowd.taken) <= min(TURN, ROUND / count) + 0.0002


def test_a_client_that_fails_does_not_take_the_turn_of_the_others() -> None:
    crowd = Crowd(1)
    crowd.turns.ask(lambda: 1 / 0)
    crowd._ask(7)
    with pytest.raises(ZeroDivisionError):
        crowd.one_pass()
    crowd.one_pass()
    assert crowd.taken[1][0] == 7
    assert crowd.turns.over()
