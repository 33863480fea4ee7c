"""Cutting input at line ends: a line that is not complete waits for its end (--lines, -i with -u).

A stage like the others: bytes in, bytes out, the same result wherever the input was cut. Lines keep
their newline; a line longer than `longest` goes on in pieces, so that no byte is held for ever.
"""

from __future__ import annotations


class WholeLines:
    """Lets complete lines through and keeps what follows the last newline for the next time.

    `closing` is put behind a last line that has no newline, where only eyes see it.
    """

    def __init__(self, longest: int, closing: bytes = b"") -> None:
        self._longest = longest
        self._closing = closing
        self._begun = b""

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
        rest, self._begun = self._begun, b""
        return rest + self._closing if rest else rest
