"""How figures are shown: a line now and then in a log, or a bar that rich draws at the foot of a terminal.

Nothing here waits for whoever reads, while a session runs: what finds no room is left out. Where stderr
leads, and when something is to be shown, is decided elsewhere.
"""

from __future__ import annotations

import os
import time

from pync.meter.figures import BAR_LEAST, bar_text, facts, fit, line, pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread
    from typing import Any, Protocol

    from pync.meter.figures import Figures, Piece

    class Outlet(Protocol):
        """A way to stderr that never blocks: `write` gives the bytes taken, None where there is no room."""

        @property
        def fd(self) -> int: ...
        def write(self, data: bytes) -> int | None: ...
        def close(self) -> None: ...


#: Seconds before the line appears: a short transfer shows its last state only. Then 10 times a second.
BAR_AFTER, BAR_INTERVAL = 0.5, 0.1
#: Loading rich holds a transfer up for 40 to 80 ms: only one that lasts gets colours, for less than 2 % of its time.
#: Measured, 4 GiB that take 3 s on a busy machine: 1.06 times the time without --progress where rich came after 2 s.
RICH_AFTER = 5.0
LINE_INTERVAL = 5.0
#: Seconds that whoever reads stderr may take for the last state, or for making room for a message.
PATIENCE = 1.0
#: Control sequences of every terminal that knows any: erase the rest of the line (ECMA-48, 8.3.41); make a line below
#: it, remember the place, go down to its beginning, erase from there to the end of the screen; then back (DEC STD 070).
#: Not to the end of the screen at once: in the upper left corner tmux would take that for a screen to be kept.
ERASE_REST, ERASE_BELOW = b"\x1b[K", b"\x1b[J"
BELOW, BACK = ERASE_REST + b"\x1bD\x1b[A\x1b7\x1b[B\r" + ERASE_BELOW, b"\x1b8"
ERASED = BELOW + BACK
#: Terminals that cannot go back to the beginning of a line and erase it.
DUMB = ("", "dumb", "unknown")


def display_for(outlet: Outlet, *, terminal: bool, encoding: str, objects: bool = False) -> Bar | Lines:
    """A bar where a terminal can draw one over itself, else lines; with --json `objects` in any case."""
    if objects:
        return Objects(outlet)
    if terminal and os.environ.get("TERM", "") not in DUMB:
        return Bar(outlet, encoding)
    return Lines(outlet)


class Trickle:
    """Writes to an outlet what it takes, and never the beginning of something new before the end of the old."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._rest = b""
        self._gone = False

    def offer(self, data: bytes) -> bool:
        """Write it, or leave it where there is no room; whether it was taken."""
        if not self._flush():
            return False
        self.add(data)
        return True

    def add(self, data: bytes) -> None:
        """Write it, now or in front of what comes next."""
        self._rest += data
        self._flush()

    def insist(self, data: bytes) -> None:
        """Write it and wait for room, but not for ever: what finds none is dropped then."""
        deadline = time.monotonic() + PATIENCE
        self.add(data)
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._rest = b""

    def close(self) -> None:
        self._outlet.close()

    def _flush(self) -> bool:
        """Whether all is written, or nobody is there any more to be shown anything."""
        try:
            while self._rest and not self._gone:
                count = self._outlet.write(self._rest)
                if not count:
                    return False
                self._rest = self._rest[count:]
        except (OSError, ValueError):
            self._gone = True
        if self._gone:
            self._rest = b""
        return True


class Lines:
    """Where no terminal is: a line now and then."""

    def __init__(self, outlet: Outlet, interval: float = LINE_INTERVAL) -> None:
        self.first = self.interval = interval
        self._out = Trickle(outlet)

    def show(self, figures: Figures) -> None:
        self._out.offer(f"{line(figures)}\n".encode())

    def resized(self, figures: Figures) -> None:
        """A log has no width."""

    def last(self, figures: Figures) -> None:
        self._out.insist(f"{line(figures)}\n".encode())

    def clear(self) -> None:
        """A line that is half written is ended before something else is said."""
        self._out.insist(b"")

    def stages(self) -> list[Bar]:
        """Lines are in nobody's way."""
        return []

    def close(self) -> None:
        self._out.close()


class Objects(Lines):
    """The same for programs (--json): an object a line."""

    def show(self, figures: Figures) -> None:
        self._out.offer(_object(figures))

    def last(self, figures: Figures) -> None:
        self._out.insist(_object(figures))


def _object(figures: Figures) -> bytes:
    import json

    return json.dumps({"event": "progress", **facts(figures), "text": line(figures)}).encode() + b"\n"


class Painter:
    """Makes the line: plain at first, with rich as soon as that is loaded, which happens beside the transfer."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._letters = _letters(encoding)
        self._thread: Thread | None = None
        self._console: Any = None

    def paint(self, figures: Figures, width: int) -> bytes:
        """The line, in the colours that the environment allows, and not wider than the terminal."""
        kept, bar = fit(pieces(figures), width)
        if self._console is None:
            words = [text for _, text, _ in kept]
            if bar:
                words.insert(1, bar_text(figures.percent or 0, bar, *self._letters))
            return "  ".join(words).encode(self._encoding, "replace")
        self._console.width = max(1, width)
        return _draw(self._console, kept, figures.percent, bar)

    def load(self) -> None:
        """Begin to load rich, if that has not been done."""
        if self._thread is None:
            from threading import Thread

            self._thread = Thread(target=self._load)
            self._thread.start()

    def _load(self) -> None:
        from io import BytesIO, TextIOWrapper

        try:
            from rich.console import Console
        except ImportError:  # the line stays plain
            return
        page = TextIOWrapper(BytesIO(), encoding=self._encoding, errors="replace", newline="")
        console = Console(file=page, force_terminal=True, highlight=False, markup=False, emoji=False, width=80)
        _draw(console, [(0, "0%", "progress.percentage")], 0, BAR_LEAST)  # what rich loads for its first line
        self._console = console


def _letters(encoding: str) -> tuple[str, str]:
    """What a bar is made of, as rich makes it: a whole column, and half of one."""
    try:
        "━╸".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "-", " "
    return "━", "╸"


def _draw(console: Any, kept: list[Piece], percent: int | None, bar: int) -> bytes:
    from rich.progress_bar import ProgressBar
    from rich.segment import Segment, Segments
    from rich.text import Text

    for number, (rank, text, style) in enumerate(kept):
        console.print(Text("  " if number else "") + Text(text, style), end="", no_wrap=True, overflow="crop")
        if rank == 0 and bar:
            drawn = list(console.render(ProgressBar(total=100, completed=percent or 0, width=bar)))
            drawn = Segment.adjust_line_length(drawn, bar)  # without colours what is missing has no width
            console.print(Text("  "), Segments(drawn), sep="", end="")
    page = console.file
    page.flush()
    written: bytes = page.buffer.getvalue()
    page.buffer.seek(0)
    page.buffer.truncate()
    return written


class Bar:
    """A line at the foot of a terminal, below the one where the cursor stays and where typing is shown.

    The cursor stays visible and no mode of the terminal is changed: there is nothing to restore, however the process
    ends. Each time all below the cursor is erased first: what a narrower terminal has wrapped, or Enter has moved.
    """

    first = BAR_AFTER
    interval = BAR_INTERVAL

    def __init__(self, outlet: Outlet, encoding: str) -> None:
        self._out = Trickle(outlet)
        self._fd = outlet.fd
        self._painter = Painter(encoding)
        self._shown = False
        self._mid_line = False

    def show(self, figures: Figures) -> None:
        if figures.seconds >= RICH_AFTER:
            self._painter.load()
        if self._mid_line:
            return
        if _in_background(self._fd):  # the line belongs to the shell now
            self._shown = False
            return
        if self._out.offer(BELOW + self._line(figures) + BACK):
            self._shown = True

    def resized(self, figures: Figures) -> None:
        """The terminal has another width now."""
        if self._shown:
            self.show(figures)

    def last(self, figures: Figures) -> None:
        start = b"\r\n" if self._mid_line else b"\r"
        self._out.insist(start + self._line(figures) + ERASE_REST + b"\r\n" + ERASE_BELOW)
        self._shown = self._mid_line = False

    def clear(self) -> None:
        """Make room for something else on the cursor's line; the bar comes back below it."""
        if self._shown:
            self._out.insist(b"\r" + ERASED)
            self._shown = False

    def close(self) -> None:
        self._out.close()

    def stages(self) -> list[Bar]:
        """What bytes pass through on their way to a terminal, which is taken for the one the bar is on."""
        return [self]

    def feed(self, data: bytes) -> bytes:
        """Make way for them, without waiting; the bar comes back when their line has ended."""
        if self._shown:
            self._out.add(ERASED)
            self._shown = False
        self._mid_line = not data.endswith(b"\n")
        return data

    def end(self) -> bytes:
        return b""

    def _line(self, figures: Figures) -> bytes:
        return self._painter.paint(figures, _columns(self._fd))


def _columns(fd: int) -> int:
    """The terminal's width at this moment; 80 where it does not say (a serial line)."""
    try:
        return os.get_terminal_size(fd).columns or 80
    except OSError:
        return 80


def _in_background(fd: int) -> bool:
    """Whether another job has the terminal now."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not our controlling terminal
        return False
