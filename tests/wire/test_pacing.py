"""--rate, -i, --delay: how many bytes now and when the next, on a clock that the test moves.

The sender below is as greedy as a flow can be and wakes as late as poll(2) makes it; nothing here
waits. How pacers are combined is tested with `engine.flow`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.pacing import PLENTY, Pause, Rate

RATES = st.integers(1, 10**10)
CLOCKS = st.floats(0, 1e7)
#: poll(2) counts milliseconds: a sleeper wakes up to one too late.
LATENESS = st.floats(0, 0.001)
#: What counting time in floats may cost, in bytes for each byte of rate.
EPSILON = 1e-6
WAKES = 40


def burst(rate: int) -> float:
    """What may leave at once: a tenth of a second's worth, and two bytes at any rate."""
    return max(2.0, rate / 10)


class Sender:
    """Sends whatever the pacer allows, in pieces of at most `piece`, and sleeps when told to."""

    def __init__(self, rate: int, started: float) -> None:
        self.rate = rate
        self.pacer = Rate(rate, started)
        self.started = self.now = started
        self.sent = 0

    def send(self, piece: int) -> int:
        count = min(self.pacer.budget(self.now), piece)
        if count:
            self.pacer.spent(count, self.now, True)
            self.sent += count
        return count

    def sleep(self, lateness: float) -> None:
        self.now = self.pacer.next_at(self.now) + lateness

    def allowed(self) -> float:
        return self.rate * (self.now - self.started + EPSILON) + burst(self.rate)


@given(RATES, CLOCKS, st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**9)), max_size=50))
def test_a_rate_is_never_exceeded_by_more_than_one_burst(
    rate: int, started: float, waits: list[tuple[float, int]]
) -> None:
    sender = Sender(rate, started)
    for wait, piece in waits:
        sender.now += wait
        sender.send(piece)
        assert sender.sent <= sender.allowed()


@given(RATES, CLOCKS, LATENESS, st.lists(st.integers(1, 10**9), max_size=8))
def test_a_greedy_sender_gets_the_whole_rate(rate: int, started: float, lateness: float, pieces: list[int]) -> None:
    sender = Sender(rate, started)
    for _ in range(WAKES):
        for piece in [*pieces, 10**12]:
            sender.send(piece)
        sender.sleep(lateness)
        assert sender.sent <= sender.allowed()
    elapsed = sender.now - sender.started - EPSILON
    assert sender.sent >= rate * elapsed - burst(rate) - 1


@given(RATES, CLOCKS, LATENESS, st.integers(1, 10**6))
def test_a_second_costs_few_wake_ups_however_long_a_send_takes(
    rate: int, started: float, lateness: float, piece: int
) -> None:
    sender = Sender(rate, started)
    wakes = 0
    while sender.now < started + 1:
        sends = 0
        while sender.send(max(piece, 1 + rate // 500)):
            sender.now += 1e-6
            sends += 1
            assert sends <= 60, "no step is spent in crumbs"
        sender.sleep(lateness)
        wakes += 1
    assert wakes <= 60


@given(RATES, CLOCKS, st.floats(0, 1e6))
def test_silence_saves_up_one_burst_and_no_more(rate: int, started: float, silence: float) -> None:
    sender = Sender(rate, started)
    sender.now += silence
    assert 1 <= sender.send(10**12) <= burst(rate)
    assert sender.send(10**12) == 0


@given(RATES, CLOCKS)
def test_a_sender_that_waits_until_told_may_send(rate: int, started: float) -> None:
    sender = Sender(rate, started)
    while sender.send(10**12):
        pass
    assert sender.pacer.next_at(sender.now) > sender.now
    sender.sleep(0.001)
    assert sender.send(10**12) >= 1


def test_a_rate_of_one_byte_a_second_sends_one_byte_a_second() -> None:
    sender = Sender(1, 1000.0)
    times: list[float] = []
    while len(times) < 5:
        if sender.send(100):
            times.append(sender.now)
        else:
            sender.sleep(0.0)
    assert times == pytest.approx([1000.0, 1001.0, 1002.0, 1003.0, 1004.0])


@given(st.floats(0.001, 1e6), CLOCKS, st.integers(1, 10**9))
def test_a_pause_follows_each_complete_unit(seconds: float, now: float, count: int) -> None:
    pause = Pause(seconds)
    assert pause.budget(now) == PLENTY
    pause.spent(count, now, boundary=True)
    until = pause.next_at(now)
    assert until == pytest.approx(now + seconds)
    assert pause.budget(now) == 0
    assert pause.budget(now + seconds * 0.99) == 0
    assert pause.budget(until) == PLENTY


@given(st.floats(0.001, 1e6), CLOCKS, st.lists(st.integers(1, 10**6), min_size=1))
def test_no_pause_cuts_a_unit_in_two(seconds: float, now: float, counts: list[int]) -> None:
    pause = Pause(seconds)
    for count in counts:
        pause.spent(count, now, boundary=False)
        assert pause.budget(now) == PLENTY
        assert pause.next_at(now) == now
    pause.spent(1, now, boundary=True)
    assert pause.budget(now) == 0


def test_a_pause_counts_from_the_end_of_the_unit() -> None:
    pause = Pause(2.0)
    pause.spent(1, 10.0, boundary=False)
    pause.spent(1, 15.0, boundary=True)
    assert pause.next_at(15.0) == 17.0


@given(st.floats(0, 1e6), CLOCKS)
def test_a_pacer_never_asks_to_wake_in_the_past(seconds: float, now: float) -> None:
    assert Pause(seconds).next_at(now) == now
    assert Rate(10, now).next_at(now) == now
