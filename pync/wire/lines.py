"""Cutting bytes at line ends: a line that is not complete waits for its end, and no writer goes on in another's line.

Bytes in, bytes out, the same result wherever the input was cut. Lines keep their newline; a line longer than
`longest` goes on in pieces, so that no byte is held for ever. Which options ask for it is not known here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class WholeLines:
    """Lets complete lines through and keeps what follows the last newline for the next time."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun = b""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """All lines that are complete now."""
        data = self._begun + data
        end = data.rfind(b"\n") + 1
        while len(data) - end >= self._longest:
            end += self._longest
        self._begun = data[end:]
        return data[:end]

    def end(self) -> bytes:
        """The last line, when it has no newline."""
        self.ended = True
        rest, self._begun = self._begun, b""
        return rest


class SharedLines:
    """One text that many write to: a line which its writer left open is ended before another writer's begins.

    `mark` makes of a writer what begins each of its lines.
    """

    def __init__(self, mark: Callable[[str], bytes] | None = None) -> None:
        self._mark = mark
        self._writer: str | None = None  # whose line is open

    def feed(self, data: bytes, writer: str) -> bytes:
        """What this writer's bytes become in the text."""
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
        """What ends the line that this writer left open, b"" if there is none."""
        return self.close() if self._writer == writer else b""

    def close(self) -> bytes:
        """What ends the line that is open, b"" if there is none."""
        open_line = self._writer is not None
        self._writer = None
        return b"\n" if open_line else b""
