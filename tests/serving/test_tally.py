"""What a listener knows about itself: counting clients and bytes, adding up processes, words and JSON."""

from __future__ import annotations

import re
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from pync.serving.tally import SUMMED, Tally


def client(sent: int, received: int) -> SimpleNamespace:
    return SimpleNamespace(sent=sent, received=received)


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40))), max_size=60))
def test_clients_and_bytes_are_counted_exactly(turns: list[tuple[int, int] | None]) -> None:
    """None lets somebody in; a pair is somebody who leaves with these bytes."""
    tally, there, most, came = Tally(), 0, 0, 0
    sent = received = 0
    for turn in turns:
        if turn is None:
            tally.come()
            there, came = there + 1, came + 1
            most = max(most, there)
        elif there:
            tally.gone(client(*turn))
            there, sent, received = there - 1, sent + turn[0], received + turn[1]
    counts = tally.counts()
    assert (counts["now"], counts["peak"], counts["total"]) == (there, most, came)
    assert (counts["sent"], counts["received"]) == (sent, received)


def test_bytes_of_those_who_are_present_are_part_of_it_and_counted_once() -> None:
    present = [client(10, 1), client(20, 2)]
    tally = Tally(lambda: present)
    for _ in present:
        tally.come()
    for _ in range(3):
        assert (tally.counts()["sent"], tally.counts()["received"]) == (30, 3)
    tally.gone(present.pop())
    assert (tally.counts()["sent"], tally.counts()["received"]) == (30, 3)


@given(st.lists(st.dictionaries(st.sampled_from(SUMMED), st.integers(0, 1 << 50)), max_size=5))
def test_the_counts_of_processes_add_up(each: list[dict[str, int]]) -> None:
    tally = Tally()
    for numbers in each:
        tally.add(numbers)
    assert tally.counts() == {name: sum(numbers.get(name, 0) for numbers in each) for name in SUMMED}


def some() -> Tally:
    tally = Tally(lambda: [client(1000, 1)])
    tally.addresses = ["0.0.0.0 80", ":: 80"]
    for _ in range(3):
        tally.come()
    tally.gone(client(5, 7))
    tally.refused_by_rule, tally.refused_by_limit = 8, 9
    return tally


def test_the_report_is_lines_for_people() -> None:
    *first, last = some().report()
    assert first == [
        "listening on 0.0.0.0 80",
        "listening on :: 80",
        "connections: 2 now, 3 at most, 3 in all; refused: 8 by rule, 9 by limit",
    ]
    assert some().report(over=True)[0] == "stopped listening on 0.0.0.0 80"
    assert re.fullmatch(r"sent 1005 bytes, received 8 bytes in \d+\.\d\d s \(.*B/s\)", last)


def test_as_json_has_the_documented_shape() -> None:
    listener = some().as_json()
    seconds = listener.pop("seconds")
    assert isinstance(seconds, float)
    assert 0 <= seconds < 60
    assert listener == {
        "addresses": ["0.0.0.0 80", ":: 80"],
        "connections": {"now": 2, "peak": 3, "total": 3},
        "refused": {"rule": 8, "limit": 9},
        "sent": 1005,
        "received": 8,
    }
