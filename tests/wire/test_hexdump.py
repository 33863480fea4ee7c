"""--hex-dump: each direction's bytes with running offsets, in a form that can be read back.

The reader below is the contract: direction, offset, hex, text. Files and the sharing of one file
by both directions are not tested here.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.hexdump import RECEIVED, SENT, HexDump

PIECES = st.lists(st.binary(max_size=70))
DIRECTIONS = st.sampled_from([SENT, RECEIVED])
LINE = re.compile(r"([<>]) ([0-9a-f]{8})  ([0-9a-f ]{23})  ([0-9a-f ]{23})  \|([ -~]{1,16})\|")


def read_back(dump: bytes) -> list[tuple[str, int, bytes, str]]:
    """Direction, offset, bytes and text of each line."""
    matches = [LINE.fullmatch(line) for line in dump.decode("ascii").splitlines()]
    return [
        (match[1], int(match[2], 16), bytes.fromhex(match[3] + match[4]), match[5])
        for match in matches
        if match is not None or pytest.fail(f"a line of another shape in {dump!r}")
    ]


@given(DIRECTIONS, PIECES)
def test_the_dump_reads_back_as_the_bytes_that_were_seen(direction: str, pieces: list[bytes]) -> None:
    dump = HexDump(direction)
    lines = read_back(b"".join(dump.see(piece) for piece in pieces))
    assert b"".join(data for _, _, data, _ in lines) == b"".join(pieces)
    assert {shown for shown, _, _, _ in lines} <= {direction}


@given(DIRECTIONS, PIECES)
def test_offsets_run_on_over_the_cuts(direction: str, pieces: list[bytes]) -> None:
    dump = HexDump(direction)
    expected = 0
    for _, offset, data, _ in read_back(b"".join(dump.see(piece) for piece in pieces)):
        assert offset == expected
        expected += len(data)
    assert expected == len(b"".join(pieces))


@given(PIECES)
def test_each_piece_begins_a_line_of_its_own(pieces: list[bytes]) -> None:
    dump = HexDump(SENT)
    for piece in pieces:
        lines = read_back(dump.see(piece))
        assert len(lines) == -(-len(piece) // 16)
        assert b"".join(data for _, _, data, _ in lines) == piece


@given(st.binary(max_size=70))
def test_the_text_column_shows_a_character_for_each_byte(data: bytes) -> None:
    for _, _, shown, text in read_back(HexDump(RECEIVED).see(data)):
        assert text == "".join(chr(byte) if 32 <= byte < 127 else "." for byte in shown)


@given(st.lists(st.tuples(DIRECTIONS, st.binary(max_size=40))))
def test_the_directions_mixed_in_one_file_keep_their_own_offsets(pieces: list[tuple[str, bytes]]) -> None:
    dumps = {direction: HexDump(direction) for direction in (SENT, RECEIVED)}
    expected = {SENT: 0, RECEIVED: 0}
    for direction, offset, data, _ in read_back(b"".join(dumps[direction].see(data) for direction, data in pieces)):
        assert offset == expected[direction]
        expected[direction] += len(data)


def test_the_lines_look_like_this() -> None:
    dump = HexDump(SENT)
    assert dump.see(b"GET / HTTP/1.0\r\n\r\n").decode("ascii").splitlines() == [
        "> 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 30 0d 0a  |GET / HTTP/1.0..|",
        "> 00000010  0d 0a                                             |..|",
    ]
    assert dump.see(b"\xff").startswith(b"> 00000012  ff ")
    assert dump.see(b"") == b""
