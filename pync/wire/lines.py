"""Cutting bytes at line ends: an incomplete line waits for its end, and writers that share a text never share a line.

Bytes in, bytes out; the result does not depend on where the input was cut. Lines keep their newline. A line longer
than `longest` leaves in pieces, so that no byte is held for ever.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class WholeLines:
    """Passes complete lines on and keeps the bytes behind the last newline until their line is complete."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun = b""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The lines that this piece completes."""
        data = self._begun + data
        end = data.rfind(b"\n") + 1
        while len(data) - end >= self._longest:
            end += self._longest
        self._begun = data[end:]
        return data[:end]

    def end(self) -> bytes:
        """The last line, if it has no newline."""
        self.ended = True
        rest, self._begun = self._begun, b""
        return rest


class SharedLines:
    """One text with many writers: an open line is ended before another writer begins.

    `mark` turns the name of a writer into the text that begins each of its lines.
    """

    def __init__(self, mark: Callable[[str], bytes] | None = None) -> None:
        self._mark = mark
        self._writer: str | None = None  # the writer of the open line

    def feed(self, data: bytes, writer: str) -> bytes:
        """The bytes to append to the text for this writer's piece."""
        if not data:
            return data
        begins = self._writer != writer
        start = b"\n" if begins and self._writer is not None else b""
        self._writer = None if data.endswith(b"\n") else writer
        if self._mark is None:
            return start + data
        mark = self._mark(writer)
        inner = data.count(b"\n", 0, -1)  # newlines with something behind them
        return start + (mark if begins else b"") + data.replace(b"\n", b"\n" + mark, inner)

    def end(self, writer: str) -> bytes:
        """The newline that ends this writer's open line; b"" if it has none."""
        return self.close() if self._writer == writer else b""

    def close(self) -> bytes:
        """The newline that ends the open line; b"" if there is none."""
        open_line = self._writer is not None
        self._writer = None
        return b"\n" if open_line else b""
