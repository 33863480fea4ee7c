"""Rates, shares, time left and their words, with a clock of the test's: whatever the counters do.

How the words get to a screen is tested in test_display.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.meter.figures import BAR_LEAST, BAR_MOST, WINDOW, Figures, Gauge, clock, fit, line, pieces

counts = st.integers(0, 1 << 50)
#: One moment: seconds since the last one, bytes sent, bytes received, bytes of the input that are over.
looks = st.lists(st.tuples(st.floats(0, 1e6), counts, counts, st.none() | counts), min_size=1, max_size=100)
figures = st.builds(
    Figures,
    counts,
    counts,
    st.floats(0, 1e9),
    up=st.floats(0, 1e15),
    down=st.floats(0, 1e15),
    size=st.none() | st.integers(1, 1 << 50),
    incoming=st.booleans(),
    percent=st.none() | st.integers(0, 100),
    left=st.none() | st.floats(0, allow_infinity=True, allow_nan=False),
)


# --- reckoning


@given(looks, st.none() | st.integers(0, 1 << 50), st.booleans(), st.floats(0, 1e9))
def test_no_counter_and_no_clock_brings_a_figure_below_zero_or_a_share_that_sinks(
    moments: list[tuple[float, int, int, int | None]], size: int | None, incoming: bool, start: float
) -> None:
    gauge = Gauge(start, size, incoming=incoming)
    now, percent = start, 0
    for pause, sent, received, done in moments:
        now += pause
        for seen in (gauge.look(now, sent, received, done=done), gauge.sum_up(now, sent, received, done=done)):
            assert min(seen.up, seen.down, seen.seconds) >= 0
            assert math.isfinite(seen.up + seen.down)
            assert seen.left is None or seen.left >= 0
            assert (seen.percent is None) == (not size)
            if seen.percent is not None:
                assert percent <= seen.percent <= 100
                percent = seen.percent
            assert line(seen)
            assert pieces(seen)


@given(st.integers(1, 1 << 50), st.booleans())
def test_all_of_it_is_a_hundred_percent_and_one_byte_less_is_not(size: int, incoming: bool) -> None:
    gauge = Gauge(0.0, size, incoming=incoming)
    most = gauge.look(1.0, *((0, size - 1) if incoming else (size - 1, 0)))
    whole = gauge.look(2.0, *((0, size) if incoming else (size, 0)))
    assert (most.percent or 0) < 100
    assert whole.percent == 100
    assert whole.left == 0


def test_the_rate_is_that_of_the_last_seconds_and_the_time_left_follows_it() -> None:
    gauge = Gauge(100.0, 10_000)
    for second in range(1, 11):
        gauge.look(100.0 + second, 100 * second, 0)
    seen = gauge.look(100.0 + 10 + WINDOW, 1000 + int(WINDOW) * 1000, 7)
    assert seen.up == 1000
    assert seen.left == (10_000 - 4000) / 1000
    assert seen.seconds == 10 + WINDOW
    assert gauge.sum_up(120.0, 8000, 2000).up == 400
    assert gauge.sum_up(120.0, 8000, 2000).down == 100


def test_a_transfer_that_stands_still_has_no_time_left_that_could_be_told() -> None:
    gauge = Gauge(0.0, 1000)
    gauge.look(1.0, 500, 0)
    stalled = [gauge.look(float(second), 500, 0) for second in range(2, 10)][-1]
    assert stalled.up == 0
    assert stalled.left is None


def test_an_unknown_size_has_neither_share_nor_time_left() -> None:
    for size in (None, 0):  # the size that files of /proc have
        seen = Gauge(0.0, size).look(1.0, 500, 0)
        assert (seen.percent, seen.left, seen.size) == (None, None, None)


def test_what_is_over_of_the_input_decides_where_more_is_sent_than_it_has() -> None:
    assert Gauge(0.0, 1000).look(1.0, 600, 0, done=500).percent == 50


def test_at_the_end_nothing_is_left_to_wait_for() -> None:
    assert Gauge(0.0, 1000).sum_up(1.0, 500, 0).left is None


# --- words


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0:00"),
        (7.9, "0:07"),
        (59.99, "0:59"),
        (60, "1:00"),
        (754, "12:34"),
        (3723, "1:02:03"),
        (359999, "99:59:59"),
        (360000, "> 99 h"),
        (math.inf, "> 99 h"),
    ],
)
def test_seconds_read_like_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        (Figures(5, 7, 2.0, up=2.5, down=3.5), "sent 5 bytes, received 7 bytes in 2.00 s (6 B/s)"),
        (
            Figures(250, 0, 2.0, up=125, size=1000, percent=25, left=6.0),
            "sent 250 of 1000 bytes (25 %), received 0 bytes in 2.00 s (125 B/s), 0:06 left",
        ),
        (
            Figures(0, 1000, 0.5, down=2000, size=1000, percent=100, incoming=True),
            "sent 0 bytes, received 1000 of 1000 bytes (100 %) in 0.50 s (2.0 kB/s)",
        ),
    ],
)
def test_a_line_has_the_words_of_the_closing_summary(seen: Figures, shown: str) -> None:
    assert line(seen) == shown


def shown(seen: Figures) -> str:
    return "|".join(text.strip() for _, text, _ in pieces(seen))


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Figures(0, 0, 1.0), "sent      0 B|0 B/s|0:01"),
        (Figures(0, 0, 1.0, incoming=True), "received      0 B|0 B/s|0:01"),
        (Figures(2000, 0, 1.0, up=2000), "sent   2.0 kB|2.0 kB/s|0:01"),
        (Figures(0, 2000, 1.0, down=2000), "received   2.0 kB|2.0 kB/s|0:01"),
        (Figures(2000, 3000, 1.0, up=2, down=3), "sent   2.0 kB|2 B/s|received   3.0 kB|3 B/s|0:01"),
        (
            Figures(2000, 0, 1.0, up=2, size=4000, percent=50, left=1000),
            "50%|sent   2.0 kB of 4.0 kB|2 B/s|0:01|ETA 16:40",
        ),
        (
            Figures(0, 3000, 1.0, down=3, size=4000, percent=0),
            "0%|sent      0 B of 4.0 kB|0 B/s|received   3.0 kB|3 B/s|0:01",
        ),
    ],
)
def test_a_terminal_shows_what_flows_and_what_is_to_be_expected(seen: Figures, text: str) -> None:
    assert shown(seen) == text


@given(figures, st.integers(0, 300))
def test_whatever_is_shown_fits_the_terminal_in_its_order_with_the_share_first(seen: Figures, width: int) -> None:
    found = pieces(seen)
    kept, bar = fit(found, width)
    assert [piece for piece in found if piece in kept] == kept
    assert sum(len(text) for _, text, _ in kept) + 2 * max(0, len(kept) - 1) + (bar + 2 if bar else 0) <= max(
        0, width - 1
    )
    assert bar == 0 or BAR_LEAST <= bar <= BAR_MOST
    if kept and seen.percent is not None:
        assert kept[0][1].endswith("%")


def test_twenty_columns_are_enough_for_the_share_and_a_bar_and_eighty_for_everything() -> None:
    seen = Figures(150_000_000, 0, 12.0, up=1.5e8, size=300_000_000, percent=50, left=1.0)
    narrow, bar = fit(pieces(seen), 20)
    assert [text for _, text, _ in narrow] == [" 50%"]
    assert bar == 20 - 1 - len(" 50%  ")
    wide, bar = fit(pieces(seen), 80)
    assert wide == pieces(seen)
    assert bar >= BAR_LEAST
