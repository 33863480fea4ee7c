"""How figures are shown: a line now and then in a log, or a bar that rich draws at the foot of a terminal.

While a session runs, the display never waits for the reader of stderr: it drops what finds no room. The console
knows where stderr leads, and `progress` decides when to show something.
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
        """A way to stderr that never blocks: `write` returns the number of bytes taken, None if there is no room."""

        @property
        def fd(self) -> int: ...
        def write(self, data: bytes) -> int | None: ...
        def close(self) -> None: ...


#: The bar appears after half a second (a shorter transfer shows only its last state), then changes 10 times a second.
BAR_AFTER, BAR_INTERVAL = 0.5, 0.1
#: Loading rich delays a transfer by 40 to 80 ms. Only a long transfer gets colours, for less than 2 % of its time.
#: Measured: with rich after 2 s, 4 GiB that take 3 s on a busy machine took 1.06 times the time without --progress.
RICH_AFTER = 5.0
LINE_INTERVAL = 5.0
#: Seconds to wait for the reader of stderr to take the last state, or to make room for a message.
PATIENCE = 1.0
#: Control sequences that every terminal has: erase the rest of the line (ECMA-48, 8.3.41); make a line below it, save
#: the position, go to the beginning of that line, erase to the end of the screen, restore the position (DEC STD 070).
#: The rest of the line is erased apart, because tmux, in the upper left corner, would take "erase to the end of the
#: screen" for a screen to be kept.
ERASE_REST, ERASE_BELOW = b"\x1b[K", b"\x1b[J"
BELOW, BACK = ERASE_REST + b"\x1bD\x1b[A\x1b7\x1b[B\r" + ERASE_BELOW, b"\x1b8"
ERASED = BELOW + BACK
#: Values of TERM for terminals that cannot go back to the beginning of a line and erase it.
DUMB = ("", "dumb", "unknown")


def display_for(outlet: Outlet, *, terminal: bool, encoding: str, objects: bool = False) -> Bar | Lines:
    """A bar if the terminal can redraw a line, else lines; with `objects` (--json) always JSON objects."""
    if objects:
        return Objects(outlet)
    if terminal and os.environ.get("TERM", "") not in DUMB:
        return Bar(outlet, encoding)
    return Lines(outlet)


class Trickle:
    """Writes to an outlet as much as it takes, and finishes one text before it begins the next."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._rest = b""
        self._gone = False

    def offer(self, data: bytes) -> bool:
        """Write the text, or drop it if there is no room; returns whether it was taken."""
        if not self._flush():
            return False
        self.add(data)
        return True

    def add(self, data: bytes) -> None:
        """Write the text, now or in front of the next one."""
        self._rest += data
        self._flush()

    def insist(self, data: bytes) -> None:
        """Write the text and wait at most PATIENCE for room; then drop the rest."""
        deadline = time.monotonic() + PATIENCE
        self.add(data)
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._rest = b""

    def close(self) -> None:
        self._outlet.close()

    def _flush(self) -> bool:
        """Write the rest; returns whether nothing is left, or the reader has gone."""
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
    """A line now and then, for a stderr that is no terminal."""

    def __init__(self, outlet: Outlet, interval: float = LINE_INTERVAL) -> None:
        self.first = self.interval = interval
        self._out = Trickle(outlet)

    def show(self, figures: Figures) -> None:
        self._out.offer(f"{line(figures)}\n".encode())

    def resized(self, figures: Figures) -> None:
        """Do nothing, because a log has no width."""

    def last(self, figures: Figures) -> None:
        self._out.insist(f"{line(figures)}\n".encode())

    def clear(self) -> None:
        """End a half-written line, so that a message can follow."""
        self._out.insist(b"")

    def stages(self) -> list[Bar]:
        """No stages, because lines need not make room for the output."""
        return []

    def close(self) -> None:
        self._out.close()


class Objects(Lines):
    """JSON objects, one a line (--json)."""

    def show(self, figures: Figures) -> None:
        self._out.offer(_object(figures))

    def last(self, figures: Figures) -> None:
        self._out.insist(_object(figures))


def _object(figures: Figures) -> bytes:
    import json

    return json.dumps({"event": "progress", **facts(figures), "text": line(figures)}).encode() + b"\n"


class Painter:
    """Makes the line of the bar: plain at first, and with rich once a thread has loaded that beside the transfer."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._letters = _letters(encoding)
        self._thread: Thread | None = None
        self._console: Any = None

    def paint(self, figures: Figures, width: int) -> bytes:
        """The line, no wider than the terminal, in the colours that the environment allows."""
        kept, bar = fit(pieces(figures), width)
        if self._console is None:
            words = [text for _, text, _ in kept]
            if bar:
                words.insert(1, bar_text(figures.percent or 0, bar, *self._letters))
            return "  ".join(words).encode(self._encoding, "replace")
        self._console.width = max(1, width)
        return _draw(self._console, kept, figures.percent, bar)

    def load(self) -> None:
        """Begin to load rich, unless it has begun already."""
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
        _draw(console, [(0, "0%", "progress.percentage")], 0, BAR_LEAST)  # makes rich load what its first line needs
        self._console = console


def _letters(encoding: str) -> tuple[str, str]:
    """The two characters of a bar, as rich draws it: a whole column, and half a column."""
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
            drawn = Segment.adjust_line_length(drawn, bar)  # without colours rich leaves the missing part out
            console.print(Text("  "), Segments(drawn), sep="", end="")
    page = console.file
    page.flush()
    written: bytes = page.buffer.getvalue()
    page.buffer.seek(0)
    page.buffer.truncate()
    return written


class Bar:
    """A line at the foot of a terminal, below the line of the cursor, where typing is shown.

    The cursor stays visible and the modes of the terminal stay as they are, so that nothing needs restoring, however
    the process ends. Each drawing first erases all below the cursor, because the old line may have been wrapped by
    a narrower terminal or moved by Enter.
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
        """The terminal has changed its width: draw the line again."""
        if self._shown:
            self.show(figures)

    def last(self, figures: Figures) -> None:
        start = b"\r\n" if self._mid_line else b"\r"
        self._out.insist(start + self._line(figures) + ERASE_REST + b"\r\n" + ERASE_BELOW)
        self._shown = self._mid_line = False

    def clear(self) -> None:
        """Make room for a message on the line of the cursor; the bar comes back below it."""
        if self._shown:
            self._out.insist(b"\r" + ERASED)
            self._shown = False

    def close(self) -> None:
        self._out.close()

    def stages(self) -> list[Bar]:
        """The stages for output to a terminal, which is assumed to be the terminal of the bar."""
        return [self]

    def feed(self, data: bytes) -> bytes:
        """Erase the bar before these bytes, without waiting; it comes back once their line has ended."""
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
    """The present width of the terminal; 80 if it does not say (a serial line)."""
    try:
        return os.get_terminal_size(fd).columns or 80
    except OSError:
        return 80


def _in_background(fd: int) -> bool:
    """Whether we are a background job of this terminal."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not our controlling terminal
        return False
