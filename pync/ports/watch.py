"""`--watch`: snapshot after snapshot, in place on a terminal, one below the other elsewhere.

At most one snapshot a second is taken, because each reads all of /proc. Here is decided when to take one, what a
page holds, and what ends the watch; `screen` holds the terminal and `table` draws the rows.
"""

from __future__ import annotations

import time

from pync.errors import OK
from pync.ports import table
from pync.ports.waiting import Alarm, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pync.ports.collect import Snapshot
    from pync.ports.screen import Screen
    from pync.ports.waiting import Output

#: The shortest time between two snapshots, in seconds.
SHORTEST = 1.0
#: Only a pipe shows that its reader has left, because poll(2) reports a file as always ready.
PIPE = "pipe"
MORE = "more below: make the window taller, or name the ports to see"


def append(
    alarm: Alarm, look: Callable[[], Snapshot], text: Callable[[Snapshot], str], output: Output, between: str
) -> int:
    """Write a snapshot every time the alarm rings, with the text `between` two of them, until the reader leaves."""
    gone = output.fd if output.kind == PIPE else -1
    first = True
    while True:
        alarm.set()
        if not write(output, ("" if first else between) + text(look())):
            return OK
        first = False
        while not alarm.rings:
            if alarm.wait(gone) and gone >= 0:
                return OK


def in_place(alarm: Alarm, look: Callable[[], Snapshot], note: Callable[[Snapshot], str], screen: Screen) -> int:
    """Show a page and refresh it every time the alarm rings, until q is typed or the terminal goes."""
    before: Snapshot | None = None
    try:
        with screen:
            while True:
                alarm.set()
                now = look()
                lines = table.unmarked(now.ports) if before is None else table.marked(now.ports, before.ports)
                footer = note(now) if now.partial else ""
                if not _show(alarm, screen, title(alarm.period, len(now.ports)), lines, footer):
                    return OK
                before = now
    except EOFError:  # the terminal has gone
        return OK


def title(period: float, rows: int) -> str:
    """The first line of a page."""
    return f"{time.strftime('%H:%M:%S')}  {rows} port{'' if rows == 1 else 's'}, every {period:g} s, q leaves"


def _show(alarm: Alarm, screen: Screen, head: str, lines: Sequence[table.Line], footer: str) -> bool:
    """Show a page until the alarm rings, again if the window changes its size; False if q is typed."""
    shown = None
    while not alarm.rings or shown is None:
        size = screen.size()
        if size != shown:
            screen.draw(page(head, lines, footer, *size))
            shown = size
        if alarm.wait(screen.fd):
            if b"q" in screen.keys().lower():
                return False
            shown = None
    return True


def page(head: str, lines: Sequence[table.Line], footer: str, width: int, height: int) -> list[str]:
    """The lines of the page that fit a window of this size."""
    room = height - 1 - bool(footer)
    drawn = table.render(lines[: max(room, 0)], width, marks=True).splitlines()
    if len(drawn) > room or len(lines) > room:
        drawn = [*drawn[: max(room - 1, 0)], MORE[:width]]
    return [head[:width], *drawn, *([footer[:width]] if footer else [])][: max(height, 1)]
