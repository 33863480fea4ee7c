"""What stands before each line of the output and of the logs (--stamp, --prefix), and lines as a stage or a tap.

Only text is made here: whose bytes they are is told by whoever reads them, and where they go is not known.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pync.wire.lines import SharedLines

    class Tap(Protocol):
        def see(self, data: bytes) -> bytes: ...


#: In the logs, the writer of what we sent ourselves.
OURS = "-"


class Margin:
    """Makes the margin: the writer, and before it the time where a `clock` (seconds since 1970) is given."""

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self.writer = OURS  # whose bytes are at hand

    def who(self) -> str:
        """Whose bytes are at hand."""
        return self.writer

    def mark(self, writer: str) -> bytes:
        """What begins a line: `2026-07-01T12:00:00.123+02:00 127.0.0.1:53412 ` (ISO 8601, local time)."""
        text = f"{writer} "
        if self._clock is not None:
            from datetime import datetime, timezone

            moment = datetime.fromtimestamp(self._clock(), timezone.utc).astimezone()
            text = f"{moment.isoformat(timespec='milliseconds')} {text}"
        return text.encode("utf-8", "surrogateescape")


class Lined:
    """A stage that puts pieces into a shared text, each for `who` is at hand; `added` counts the bytes it adds.

    With `records` a piece, such as a datagram, is whole lines: the last of them gets its newline.
    """

    def __init__(self, lines: SharedLines, who: Callable[[], str], *, records: bool) -> None:
        self._lines = lines
        self._who = who
        self._records = records
        self.added = 0

    def feed(self, data: bytes) -> bytes:
        text = self._lines.feed(data, self._who())
        self.added += len(text) - len(data)
        return text + self.end() if self._records else text

    def end(self) -> bytes:
        newline = self._lines.end(self._who())
        self.added += len(newline)
        return newline


class LinedTap:
    """A tap whose records become lines of a shared text."""

    def __init__(self, tap: Tap, lined: Lined) -> None:
        self._tap = tap
        self._lined = lined

    def see(self, data: bytes) -> bytes:
        return self._lined.feed(self._tap.see(data))
