"""The one line of JSON at the end of a run: its keys, and what is in them.

That the line appears, and when, is tested in cli/test_summary.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pync.meter.summary import Summary

KEYS = ["peer", "connections", "sent", "received", "seconds", "rate", "hash", "error", "exit"]


def begun() -> Summary:
    summary = Summary()
    summary.begin()
    return summary


def test_a_run_that_never_was_to_join_anything_has_no_summary() -> None:
    assert Summary().line(2) == ""


def test_a_run_without_a_connection_has_a_summary_with_every_key() -> None:
    summary = begun()
    summary.failed("connect to localhost port 1 (tcp) failed: Connection refused")
    said = json.loads(summary.line(1))["summary"]
    assert list(said) == KEYS
    assert said == {
        "peer": None,
        "connections": 0,
        "sent": 0,
        "received": 0,
        "seconds": 0.0,
        "rate": 0,
        "hash": None,
        "error": "connect to localhost port 1 (tcp) failed: Connection refused",
        "exit": 1,
    }


def test_sessions_add_up_and_the_last_peer_is_named() -> None:
    summary = begun()
    summary.connected("first", "127.0.0.1", 1)
    summary.moved(1000, 1, 1.5)
    summary.connected("second", "127.0.0.2", 2)
    summary.moved(500, 2, 0.5)
    summary.digest("sha256", "sent", "ab")
    summary.digest("sha256", "received", "cd")
    said = json.loads(summary.line(0))["summary"]
    assert said == {
        "peer": {"name": "second", "address": "127.0.0.2", "port": 2},
        "connections": 2,
        "sent": 1500,
        "received": 3,
        "seconds": 2.0,
        "rate": 752,
        "hash": {"name": "sha256", "sent": "ab", "received": "cd"},
        "error": None,
        "exit": 0,
    }


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_the_error_says_the_line_is_one_line_that_reads_back(text: str) -> None:
    summary = begun()
    summary.failed(text)
    line = summary.line(1)
    assert line.isprintable()
    assert json.loads(line)["summary"]["error"] == text
