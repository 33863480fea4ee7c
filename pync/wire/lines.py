"""Cutting bytes at line ends: a line that is not complete waits for its end, and no writer goes on in another's line.

Bytes in, bytes out, the same result wherever the input was cut. Lines keep their newline; a line longer than
`longest` goes on in pieces, so that no byte is held for ever. Which options ask for it is not known here.
"""

from __future__ import annotations


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


class EndedLines:
    """A stage in which every piece is whole lines, such as a datagram: the last one gets its newline.

    `added` counts the bytes that the stage has added.
    """

    def __init__(self) -> None:
        self.added = 0

    def feed(self, data: bytes) -> bytes:
        if data.endswith(b"\n"):
            return data
        self.added += 1
        return data + b"\n"

    def end(self) -> bytes:
        return b""


class SharedLines:
    """One text that many write to: a line which its writer left open is ended before another writer's begins."""

    def __init__(self) -> None:
        self._writer: str | None = None  # whose line is open

    def feed(self, data: bytes, writer: str) -> bytes:
        """What this writer's bytes become in the text."""
        if not data:
            return data
        start = b"" if self._writer is None or self._writer == writer else b"\n"
        self._writer = None if data.endswith(b"\n") else writer
        return start + data

    def end(self, writer: str) -> bytes:
        """What ends the line that this writer left open, b"" if there is none."""
        if self._writer != writer:
            return b""
        self._writer = None
        return b"\n"
