"""The text before each line: ISO 8601 local time with its offset, and the client.

Where it stands in outputs and logs is in cli/test_clients_apart, that it cuts no line in test_lines.
"""

from __future__ import annotations

import time

import pytest

from pync.wire.lines import SharedLines
from pync.wire.margin import Lined, Margin

#: 2026-03-29 02:30 in Berlin did not exist; 01:30 UTC is 03:30 there.
MOMENT = 1774747800.25


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC0", "2026-03-29T01:30:00.250+00:00"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T03:30:00.250+02:00"),
        ("NST3:30", "2026-03-28T22:00:00.250-03:30"),
    ],
)
def test_the_time_is_that_of_the_clocks_on_the_wall(zone: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            assert Margin(lambda: MOMENT).mark("[::1]:7") == f"{shown} [::1]:7 ".encode()
    finally:
        time.tzset()
    assert Margin(None).mark("[::1]:7") == b"[::1]:7 "


def test_what_is_added_is_counted() -> None:
    margin = Margin(None)
    lined = Lined(SharedLines(margin.mark), margin.who, records=False)
    text = lined.feed(b"one\ntwo") + lined.feed(b" more") + lined.end()
    assert text == b"- one\n- two more\n"
    assert lined.added == len(text) - len(b"one\ntwo more")
