"""-C: LF becomes CRLF, whatever the cuts.

The reference is one regular expression over the whole text; the pieces are random, with CR and LF
far more often than in real text. How -C is wired into a session is not tested here.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.newlines import Crlf

#: Pieces of a stream, empty ones included; joined, they are the stream without its cuts.
PIECES = st.lists(st.lists(st.sampled_from(b"\r\n\r\na\xff\0")).map(bytes))


def reference(text: bytes) -> bytes:
    return re.sub(rb"(?<!\r)\n", b"\r\n", text)


@given(PIECES)
def test_each_piece_completes_what_the_whole_so_far_becomes(pieces: list[bytes]) -> None:
    crlf = Crlf()
    sent = converted = b""
    for piece in pieces:
        sent += piece
        converted += crlf.feed(piece)
        assert converted == reference(sent)
    assert crlf.end() == b""


@given(PIECES)
def test_what_is_converted_already_is_left_alone(pieces: list[bytes]) -> None:
    once, again = Crlf(), Crlf()
    converted = [once.feed(piece) for piece in pieces]
    assert b"".join(again.feed(piece) for piece in converted) == b"".join(converted)


@given(st.binary())
def test_only_carriage_returns_are_added(data: bytes) -> None:
    assert Crlf().feed(data).replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"a\nb\n"], b"a\r\nb\r\n"),
        ([b"a\r\n"], b"a\r\n"),
        ([b"a\r", b"\n"], b"a\r\n"),
        ([b"a\r", b"", b"\n"], b"a\r\n"),
        ([b"\r", b"\r", b"\n", b"\n"], b"\r\r\n\r\n"),
        ([b"\n\n\n"], b"\r\n\r\n\r\n"),
        ([b"\n\r"], b"\r\n\r"),
    ],
)
def test_known_texts(pieces: list[bytes], expected: bytes) -> None:
    crlf = Crlf()
    assert b"".join(crlf.feed(piece) for piece in pieces) == expected
