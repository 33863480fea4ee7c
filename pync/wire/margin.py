"""The margin before each line of the output and of the logs (--stamp, --prefix), and its stage and tap.

Only text is made here. The reader of the bytes names their writer, and the caller writes the result.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pync.wire.lines import SharedLines

    class Tap(Protocol):
        def see(self, data: bytes) -> bytes: ...


#: In the logs, this writer stands for ourselves.
OURS = "-"


class Margin:
    """Makes the margin: the writer, with the time before it if there is a `clock` (seconds since 1970)."""

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self.writer = OURS  # the writer of the bytes that are passing now

    def who(self) -> str:
        """The writer of the bytes that are passing now."""
        return self.writer

    def mark(self, writer: str) -> bytes:
        """The beginning of a line: `2026-07-01T12:00:00.123+02:00 127.0.0.1:53412 ` (ISO 8601, local time)."""
        text = f"{writer} "
        if self._clock is not None:
            from datetime import datetime, timezone

            moment = datetime.fromtimestamp(self._clock(), timezone.utc).astimezone()
            text = f"{moment.isoformat(timespec='milliseconds')} {text}"
        return text.encode("utf-8", "surrogateescape")


class Lined:
    """A stage that puts pieces into a shared text. `who` names the writer of each; `added` counts the bytes it adds.

    With `records`, a piece (such as a datagram) is one or more whole lines: the last one gets a newline if it has none.
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
    """A tap that writes its records as lines of a shared text."""

    def __init__(self, tap: Tap, lined: Lined) -> None:
        self._tap = tap
        self._lined = lined

    def see(self, data: bytes) -> bytes:
        return self._lined.feed(self._tap.see(data))
