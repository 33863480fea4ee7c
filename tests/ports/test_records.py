"""Foreign texts are made harmless: nothing that moves a cursor or turns the writing round is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pync.ports.records import Port, harmless


@given(st.text(st.characters()))
def test_whatever_a_program_calls_itself_becomes_printable(text: str) -> None:
    assert harmless(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_a_harmless_text_is_left_alone(text: str) -> None:
    assert harmless(text) == text


def test_control_characters_are_spelled_out() -> None:
    assert harmless("a\x1b[2J\tb\udc80") == r"a\x1b[2J\tb\x80"


def test_only_a_stream_has_connections_to_count() -> None:
    assert Port("udp", "0.0.0.0", 53).connections == Port("unix-dgram", "/dev/log", None).connections == {}
    assert set(Port("tcp", "::", 80).connections.values()) == set(Port("unix", "/x", None).connections.values()) == {0}
