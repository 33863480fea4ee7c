"""The figures of a transfer at one moment, computed from counters, and their words.

Bytes, rates, share and time left become a line for a log, or pieces that fit the width of a terminal. The functions
here are pure: the time and the counters are arguments. `display` shows the words.
"""

from __future__ import annotations

from collections import deque

from pync.values import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: Rank (the lowest stays longest when the terminal is narrow), text, style by rich's names.
    Piece = tuple[int, str, str]

#: Seconds over which the present rate is measured.
WINDOW = 3.0
#: The shortest time over which a rate is measured, in seconds, because the clock moves in steps.
SHORTEST = 1e-6
#: The fewest and the most columns of a bar.
BAR_LEAST, BAR_MOST = 10, 40


class Figures:
    """The state at one moment, in bytes, bytes a second and seconds; None for an unknown value."""

    __slots__ = ("down", "incoming", "left", "percent", "received", "seconds", "sent", "size", "up")

    def __init__(
        self,
        sent: int,
        received: int,
        seconds: float,
        *,
        up: float = 0.0,
        down: float = 0.0,
        size: int | None = None,
        incoming: bool = False,
        percent: int | None = None,
        left: float | None = None,
    ) -> None:
        self.sent = sent
        self.received = received
        self.seconds = seconds
        self.up = up
        self.down = down
        self.size = size
        self.incoming = incoming  # `size` is that of the received data
        self.percent = percent
        self.left = left


class Gauge:
    """Makes figures of counters; the caller gives the time. `size` is the expected bytes of one direction, 0 = unknown.

    That direction is the received one with `incoming`, and also with `guess` while nothing has been sent.
    """

    def __init__(self, now: float, size: int | None, *, incoming: bool = False, guess: bool = False) -> None:
        self._started = now
        self._size = size or None
        self._incoming = incoming
        self._guess = guess and not incoming
        self._samples = deque([(now, 0, 0)], maxlen=64)
        self._percent = 0 if self._size else None

    def look(self, now: float, sent: int, received: int, *, done: int | None = None) -> Figures:
        """The figures now. `done` is how much of `size` has passed, if that differs from the bytes sent."""
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()
        before = self._samples[0]
        self._samples.append((now, sent, received))
        return self._figures(now, sent, received, done, before)

    def sum_up(self, now: float, sent: int, received: int, *, done: int | None = None) -> Figures:
        """The figures at the end: rates are those of the whole time, and no time is left."""
        figures = self._figures(now, sent, received, done, (self._started, 0, 0))
        figures.left = None
        return figures

    def _figures(
        self, now: float, sent: int, received: int, done: int | None, before: tuple[float, int, int]
    ) -> Figures:
        if self._guess and self._incoming != (received > 0 == sent):
            self._incoming = not self._incoming
            self._percent = 0 if self._size else None
        up = _rate(sent - before[1], now - before[0])
        down = _rate(received - before[2], now - before[0])
        figures = Figures(sent, received, max(0.0, now - self._started), up=up, down=down, incoming=self._incoming)
        if self._size is not None:
            figures.size = self._size
            over, rate = (received, down) if self._incoming else (sent if done is None else done, up)
            figures.percent = self._percent = max(self._percent or 0, min(100, over * 100 // self._size))
            figures.left = max(0, self._size - over) / rate if rate else None
        return figures


def _rate(count: int, seconds: float) -> float:
    return count / seconds if count > 0 and seconds > SHORTEST else 0.0


# --- words


def clock(seconds: float) -> str:
    """Seconds as `0:07`, `12:34`, `1:02:03`; `> 99 h` from 100 hours on."""
    if not seconds < 360000:
        return "> 99 h"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line(figures: Figures) -> str:
    """The figures as a line for a log: the words of the closing summary, with the size of the whole."""
    of = "" if figures.size is None else f" of {figures.size}"
    share = "" if figures.percent is None else f" ({figures.percent} %)"
    whole = ("", f"{of} bytes{share}") if figures.incoming else (f"{of} bytes{share}", "")
    sent = f"sent {figures.sent}{whole[0] or ' bytes'}"
    received = f"received {figures.received}{whole[1] or ' bytes'}"
    left = "" if figures.left is None else f", {clock(figures.left)} left"
    return f"{sent}, {received} in {figures.seconds:.2f} s ({format_size(figures.up + figures.down)}/s){left}"


def facts(figures: Figures) -> dict[str, int | float | None]:
    """The figures for a program: bytes each way, seconds, bytes a second; size and time left if known."""
    return {
        "sent": figures.sent,
        "received": figures.received,
        "seconds": round(figures.seconds, 3),
        "rate": round(figures.up + figures.down),
        "size": figures.size,
        "percent": figures.percent,
        "left": None if figures.left is None else round(figures.left, 3),
    }


def pieces(figures: Figures) -> list[Piece]:
    """The figures for a terminal, from left to right."""
    found = [] if figures.percent is None else [(0, f"{figures.percent:3}%", "progress.percentage")]
    for number, incoming in enumerate(way for way in (False, True) if _is_shown(figures, incoming=way)):
        found += _direction(figures, number, incoming=incoming)
    found.append((5, clock(figures.seconds), "progress.elapsed"))
    if figures.left is not None:
        found.append((4, f"ETA {clock(figures.left)}", "progress.remaining"))
    return found


def _is_shown(figures: Figures, *, incoming: bool) -> bool:
    """Whether a direction is shown: once it has moved bytes; the expected direction from the start."""
    if figures.received if incoming else figures.sent:
        return True
    nothing_yet = not (figures.sent or figures.received)
    return figures.incoming == incoming and (nothing_yet or figures.size is not None)


def _direction(figures: Figures, number: int, *, incoming: bool) -> list[Piece]:
    count, rate, verb = (figures.received, figures.down, "received") if incoming else (figures.sent, figures.up, "sent")
    of = f" of {format_size(figures.size)}" if figures.size is not None and figures.incoming == incoming else ""
    return [
        (1 + number, f"{verb} {format_size(count):>8}{of}", "progress.download"),
        (3 + 3 * number, f"{format_size(rate) + '/s':>10}", "progress.data.speed"),
    ]


def fit(found: list[Piece], width: int) -> tuple[list[Piece], int]:
    """The pieces that fit a terminal of this width, and the number of columns left for a bar.

    A share comes first and with its bar. A piece that is too long is left out, so that shorter ones may fit.
    """
    room = max(0, width - 1)  # some terminals begin a new line once the last column is filled
    bar = BAR_LEAST if found[0][0] == 0 and room >= len(found[0][1]) + 2 + BAR_LEAST else 0
    room -= bar and bar + 2
    kept: list[Piece] = []
    for piece in sorted(found):
        size = len(piece[1]) + 2 * bool(kept)
        if size <= room:
            room -= size
            kept.append(piece)
    return [piece for piece in found if piece in kept], bar and min(BAR_MOST, bar + room)


def bar_text(percent: int, width: int, full: str, half: str) -> str:
    """A bar as rich draws it: in halves of a column, with blanks for the missing part."""
    halves = width * 2 * percent // 100
    return (full * (halves // 2) + half * (halves % 2)).ljust(width)
