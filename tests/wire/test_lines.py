"""Cutting input at line ends, cut anywhere: the same lines, nothing lost, nothing held for ever.

What becomes of the lines (datagrams, pauses) is in cli/test_udp and cli/test_time_options.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pync.wire.lines import SharedLines, WholeLines

PIECES = st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"a\nb", b"\n\n", b"long" * 20]))


@given(PIECES, st.integers(1, 50))
def test_nothing_is_lost_and_nothing_invented(pieces: list[bytes], longest: int) -> None:
    lines = WholeLines(longest)
    assert b"".join(lines.feed(piece) for piece in pieces) + lines.end() == b"".join(pieces)


@given(PIECES)
def test_only_whole_lines_pass_until_the_end(pieces: list[bytes]) -> None:
    lines = WholeLines(1 << 20)
    for piece in pieces:
        passed = lines.feed(piece)
        assert not passed or passed.endswith(b"\n")


@given(PIECES)
def test_each_line_passes_as_soon_as_it_is_complete(pieces: list[bytes]) -> None:
    lines, seen, passed = WholeLines(1 << 20), b"", b""
    for piece in pieces:
        seen += piece
        passed += lines.feed(piece)
        assert passed == seen[: seen.rfind(b"\n") + 1]


@given(PIECES, st.integers(1, 50))
def test_less_than_the_longest_is_held_back(pieces: list[bytes], longest: int) -> None:
    lines, seen, passed = WholeLines(longest), 0, 0
    for piece in pieces:
        seen += len(piece)
        passed += len(lines.feed(piece))
        assert seen - passed < longest


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans(), st.booleans())))
def test_a_shared_text_has_no_line_of_two_writers(turns: list[tuple[str, int, bool, bool]]) -> None:
    """Each writes its own letter, sometimes newlines, and sometimes leaves. A margin begins all lines and no other."""
    lines, text, written = SharedLines(), b"", b""
    marked, with_margin = SharedLines(lambda writer: f"<{writer}>".encode()), b""
    for writer, count, newline, leaves in turns:
        data = writer.encode() * count + b"\n" * newline
        text += lines.feed(data, writer) + (lines.end(writer) if leaves else b"")
        with_margin += marked.feed(data, writer) + (marked.end(writer) if leaves else b"")
        written += data
        assert not leaves or text[-1:] != writer.encode()
    assert all(len(set(line)) <= 1 for line in text.split(b"\n"))
    assert text.replace(b"\n", b"") == written.replace(b"\n", b"")
    assert [line[3:] for line in with_margin.splitlines()] == text.splitlines()
    assert all(line[:3] == b"<%c>" % line[3] for line in with_margin.splitlines() if line[3:])
    assert all(line[:1] == b"<" for line in with_margin.splitlines())
