"""-t: commands are taken out of the data and refused, whatever the cuts.

The reference is a grammar of RFC 854 as one regular expression over the whole stream. How the
refusals get back to the peer is tested with `engine.stages`, not here.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.telnet import DO, DONT, IAC, SB, SE, WILL, WONT, Telnet

NOP, AYT, ECHO, TERMINAL_TYPE = 241, 246, 1, 24

#: Bytes that mean something to telnet come more often than all others together.
BYTES = st.one_of(st.sampled_from([IAC, IAC, IAC, DO, DONT, WILL, WONT, SB, SE, NOP]), st.integers(0, 255))
PIECES = st.lists(st.lists(BYTES).map(bytes))

TOKEN = re.compile(
    rb"""
      (?P<data> [^\xff]+ )
    | \xff (?P<doubled> \xff )
    | \xff (?P<request> [\xfb-\xfe] ) (?: (?P<option> . ) | \Z )
    | \xff \xfa (?: [^\xff] | \xff [^\xf0] )* (?: \xff \xf0 | \xff? \Z )
    | \xff (?: . | \Z )
    """,
    re.DOTALL | re.VERBOSE,
)
ANSWERS = {bytes([DO]): WONT, bytes([WILL]): DONT}


def reference(stream: bytes) -> tuple[bytes, bytes]:
    """What goes onward and what goes back, read off the stream as a whole."""
    onward = reply = b""
    for token in TOKEN.finditer(stream):
        onward += token["data"] or token["doubled"] or b""
        if token["option"] is not None and token["request"] in ANSWERS:
            reply += bytes([IAC, ANSWERS[token["request"]]]) + token["option"]
    return onward, reply


def fed(pieces: list[bytes]) -> tuple[bytes, bytes]:
    telnet = Telnet()
    results = [telnet.feed(piece) for piece in pieces]
    return b"".join(onward for onward, _ in results), b"".join(reply for _, reply in results)


@given(PIECES)
def test_cut_anywhere_the_result_is_that_of_the_whole(pieces: list[bytes]) -> None:
    assert fed(pieces) == reference(b"".join(pieces))


@given(PIECES)
def test_nothing_is_held_back_longer_than_its_last_byte(pieces: list[bytes]) -> None:
    for count in range(len(pieces) + 1):
        assert fed(pieces[:count]) == reference(b"".join(pieces[:count]))


@given(st.lists(st.binary()))
def test_arbitrary_bytes_never_raise(pieces: list[bytes]) -> None:
    onward, reply = fed(pieces)
    assert len(onward) <= len(b"".join(pieces))
    assert len(reply) <= len(b"".join(pieces))


@given(st.binary())
def test_data_with_each_255_doubled_comes_out_as_it_was(data: bytes) -> None:
    assert fed([data.replace(b"\xff", b"\xff\xff")]) == (data, b"")


@given(PIECES)
def test_two_that_refuse_everything_never_talk_for_ever(pieces: list[bytes]) -> None:
    _, reply = fed(pieces)
    assert fed([reply]) == (b"", b"")


@given(st.sampled_from([DO, DONT, WILL, WONT]), st.integers(0, 255))
def test_only_do_and_will_are_answered_with_the_option_they_name(request: int, option: int) -> None:
    refusal = {DO: bytes([IAC, WONT, option]), WILL: bytes([IAC, DONT, option])}.get(request, b"")
    assert fed([bytes([IAC, request, option])]) == (b"", refusal)


@given(st.integers(0, 255).filter(lambda byte: byte not in (DO, DONT, WILL, WONT, SB, IAC)))
def test_a_command_of_two_bytes_disappears(command: int) -> None:
    assert fed([b"a", bytes([IAC, command]), b"b"]) == (b"ab", b"")


@given(st.binary().filter(lambda content: b"\xff" not in content))
def test_a_subnegotiation_is_swallowed_whole(content: bytes) -> None:
    assert fed([b"a", bytes([IAC, SB]) + content, bytes([IAC, SE]), b"b"]) == (b"ab", b"")


@pytest.mark.parametrize(
    ("stream", "onward", "reply"),
    [
        (bytes([IAC, DO, ECHO, IAC, WILL, ECHO]), b"", bytes([IAC, WONT, ECHO, IAC, DONT, ECHO])),
        (b"login: " + bytes([IAC, AYT]), b"login: ", b""),
        (bytes([IAC, SB, TERMINAL_TYPE, IAC, IAC, SE, 65, IAC, SE]) + b"x", b"x", b""),
        (bytes([IAC, SB, TERMINAL_TYPE, IAC, DO, ECHO, IAC, SE]) + b"x", b"x", b""),
        (bytes([IAC, DO, IAC]) + b"x", b"x", bytes([IAC, WONT, IAC])),
        (bytes([SE, SB, DO]), bytes([SE, SB, DO]), b""),
        (b"end" + bytes([IAC]), b"end", b""),
    ],
    ids=["requests", "are-you-there", "255-in-subnegotiation", "do-in-subnegotiation", "option-255", "no-iac", "end"],
)
def test_known_streams(stream: bytes, onward: bytes, reply: bytes) -> None:
    assert fed([stream]) == (onward, reply)
    assert fed([bytes([byte]) for byte in stream]) == (onward, reply)
