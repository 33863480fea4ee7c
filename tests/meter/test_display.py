"""Lines and the bar, written to an outlet of the test's that has room or none.

What a person then sees is tested in a real terminal, in cli/test_progress.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.meter import display as display_module
from pync.meter.display import BACK, BELOW, ERASED, RICH_AFTER, Bar, Lines, Trickle, display_for
from pync.meter.figures import Figures
from tests.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HALF = Figures(500, 0, 1.0, up=500, size=1000, percent=50, left=1.0)
LATE = Figures(900, 0, RICH_AFTER, up=300, size=1000, percent=90, left=0.5)
WHOLE = Figures(1000, 0, RICH_AFTER, up=333, size=1000, percent=100)


class Outlet:
    """Takes `room` bytes, None for all."""

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd
        self.room: int | None = None
        self.taken = b""
        self.closed = False
        self.error: Exception | None = None

    def write(self, data: bytes) -> int | None:
        if self.error:
            raise self.error
        if self.room == 0:
            return None
        piece = data if self.room is None else data[: self.room]
        if self.room is not None:
            self.room -= len(piece)
        self.taken += piece
        return len(piece)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display_module, "PATIENCE", 0.05)


@pytest.fixture
def terminal() -> Iterator[Outlet]:
    """An outlet whose descriptor is a terminal of 80 columns, in the background of nothing."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    yield Outlet(slave)
    os.close(master)
    os.close(slave)


def plain(data: bytes) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", data.decode())


def bar_of(data: bytes) -> str:
    """The bar as it was drawn last, with its colours."""
    assert data.startswith(BELOW)
    assert data.endswith(BACK)
    return data.rpartition(BELOW)[2].removesuffix(BACK).decode()


# --- what there is no room for


@given(st.lists(st.tuples(st.binary(min_size=1), st.integers(0, 20))))
def test_what_is_offered_is_taken_whole_in_its_order_or_not_begun(pieces: list[tuple[bytes, int]]) -> None:
    outlet = Outlet()
    trickle = Trickle(outlet)
    accepted = b""
    for data, room in pieces:
        outlet.room = room
        if trickle.offer(data):
            accepted += data
        assert accepted.startswith(outlet.taken)
    outlet.room = None
    trickle.insist(b"end")
    assert outlet.taken == accepted + b"end"


def test_whoever_takes_nothing_is_not_waited_for_but_with_the_last_words(outlet: Outlet, in_no_time: None) -> None:
    outlet.room = 0
    trickle = Trickle(outlet)
    trickle.add(b"first")
    assert not trickle.offer(b"second")
    trickle.insist(b"third")
    outlet.room = None
    trickle.insist(b"fourth")
    assert outlet.taken == b"fourth"


def test_the_last_words_wait_until_there_is_room(outlet: Outlet) -> None:
    outlet.room = 0
    making_room = threading.Timer(0.02, lambda: setattr(outlet, "room", None))
    making_room.start()
    Trickle(outlet).insist(b"last")
    making_room.join()
    assert outlet.taken == b"last"


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed")])
def test_when_nobody_is_there_any_more_nothing_is_shown(outlet: Outlet, error: Exception) -> None:
    trickle = Trickle(outlet)
    outlet.error = error
    trickle.offer(b"one")
    trickle.insist(b"two")
    outlet.error = None
    trickle.insist(b"three")
    assert outlet.taken == b""


# --- lines


def test_lines_come_at_their_interval_and_are_lines(outlet: Outlet) -> None:
    lines = Lines(outlet)
    assert (lines.first, lines.interval) == (5.0, 5.0)
    lines.show(HALF)
    lines.clear()
    lines.last(WHOLE)
    lines.close()
    assert outlet.taken.decode().splitlines() == [
        "sent 500 of 1000 bytes (50 %), received 0 bytes in 1.00 s (500 B/s), 0:01 left",
        "sent 1000 of 1000 bytes (100 %), received 0 bytes in 5.00 s (333 B/s)",
    ]
    assert outlet.closed
    assert lines.stages() == []


def test_a_line_that_is_half_written_ends_before_something_else_is_said(outlet: Outlet) -> None:
    lines = Lines(outlet)
    outlet.room = 10
    lines.show(HALF)
    outlet.room = None
    lines.clear()
    assert outlet.taken.endswith(b"0:01 left\n")


@pytest.mark.parametrize("name", ["", "dumb", "unknown"])
def test_a_terminal_that_cannot_erase_gets_lines(outlet: Outlet, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", name)
    assert isinstance(display_for(outlet, terminal=True, encoding="utf-8"), Lines)


def test_a_bar_is_for_terminals_only(outlet: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display_for(outlet, terminal=True, encoding="utf-8"), Bar)
    assert isinstance(display_for(outlet, terminal=False, encoding="utf-8"), Lines)


# --- the bar


def loaded(bar: Bar) -> Bar:
    """With rich, which is loaded beside what goes on."""
    bar.show(LATE)
    eventually(lambda: bar._painter._console, "rich is loaded")
    return bar


def test_before_rich_is_loaded_the_line_is_plain_and_drawn_below_the_cursors(terminal: Outlet) -> None:
    bar = Bar(terminal, "utf-8")
    bar.show(HALF)
    shown = " 50%  ━━━━━━━━━━            sent    500 B of 1.0 kB     500 B/s  0:01  ETA 0:01"
    assert bar_of(terminal.taken) == shown
    assert bar._painter._thread is None


def test_another_width_counts_only_where_the_bar_is_shown(terminal: Outlet) -> None:
    bar = Bar(terminal, "utf-8")
    bar.resized(HALF)
    assert terminal.taken == b""
    bar.show(HALF)
    once = terminal.taken
    bar.resized(HALF)
    assert terminal.taken == 2 * once


def test_what_lasts_is_drawn_with_rich(terminal: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    bar = loaded(Bar(terminal, "utf-8"))
    terminal.taken = b""
    bar.show(HALF)
    assert b"\x1b[35m" in terminal.taken
    shown = plain(bar_of(terminal.taken).encode())
    assert re.fullmatch(r" 50%  ━+[╸╺]?━*  sent +500 B of 1\.0 kB +500 B/s  0:01  ETA 0:01", shown)


def test_the_whole_is_a_full_bar_and_stays(terminal: Outlet) -> None:
    bar = loaded(Bar(terminal, "utf-8"))
    terminal.taken = b""
    bar.last(WHOLE)
    assert re.fullmatch(r"\r100%  ━+  sent +1\.0 kB of 1\.0 kB +333 B/s  0:05\x1b\[K\r\n\x1b\[J", plain(terminal.taken))


def test_without_colours_there_are_none(terminal: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    bar = loaded(Bar(terminal, "utf-8"))
    terminal.taken = b""
    bar.show(HALF)
    assert re.match(" 50%  ━+╸? +  sent", bar_of(terminal.taken))


def test_a_terminal_without_unicode_gets_a_bar_of_its_own_letters(terminal: Outlet) -> None:
    bar = loaded(Bar(terminal, "ascii"))
    terminal.taken = b""
    bar.show(HALF)
    assert re.search(r"50%  -+", plain(terminal.taken))
    assert terminal.taken.isascii()


def test_without_rich_the_line_stays_plain(terminal: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    bar = Bar(terminal, "utf-8")
    bar.show(LATE)
    loading = bar._painter._thread
    assert loading is not None
    loading.join()
    bar.last(WHOLE)
    line = f"\r100%  {'━' * 30}  sent   1.0 kB of 1.0 kB     333 B/s  0:05\x1b[K\r\n"
    assert line.encode() in terminal.taken


@pytest.mark.parametrize("colours", [True, False])
def test_what_stands_behind_the_bar_stays_in_its_place(colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    painter = display_module.Painter("utf-8")
    painter._load()
    drawn = [plain(painter.paint(Figures(1, 0, 1.0, size=100, percent=percent), 80)) for percent in range(101)]
    assert len({line.index("sent") for line in drawn}) == 1


def test_a_size_that_is_not_known_has_no_bar(terminal: Outlet) -> None:
    bar = loaded(Bar(terminal, "utf-8"))
    terminal.taken = b""
    bar.show(Figures(500, 2000, 61.0, up=5, down=20))
    shown = "sent    500 B       5 B/s  received   2.0 kB      20 B/s  1:01"
    assert plain(bar_of(terminal.taken).encode()) == shown


def test_a_message_takes_the_place_of_the_bar_which_comes_back(terminal: Outlet) -> None:
    bar = Bar(terminal, "utf-8")
    bar.clear()
    assert terminal.taken == b""
    bar.show(HALF)
    drawn = terminal.taken
    bar.clear()
    bar.show(HALF)
    assert terminal.taken == drawn + b"\r" + ERASED + drawn


def test_bytes_for_the_same_terminal_pass_unchanged_and_the_bar_makes_way(terminal: Outlet) -> None:
    bar = Bar(terminal, "utf-8")
    (stage,) = bar.stages()
    bar.show(HALF)
    drawn, terminal.taken = terminal.taken, b""
    assert stage.feed(b"an answer") == b"an answer"
    assert terminal.taken == ERASED
    bar.show(HALF)
    assert terminal.taken == ERASED  # not in the middle of the answer's line
    assert stage.feed(b" ends\n") == b" ends\n"
    bar.show(HALF)
    assert terminal.taken == ERASED + drawn
    assert stage.end() == b""


def test_the_last_state_begins_a_line_of_its_own_behind_an_answer_without_an_end(terminal: Outlet) -> None:
    bar = Bar(terminal, "utf-8")
    bar.feed(b"no newline")
    bar.last(WHOLE)
    assert terminal.taken.startswith(b"\r\n100%")


def test_nothing_waits_for_a_terminal_that_is_stopped(terminal: Outlet) -> None:
    bar = Bar(terminal, "utf-8")
    terminal.room = 0
    bar.show(HALF)
    bar.feed(b"data\n")
    bar.show(LATE)
    assert terminal.taken == b""


def test_in_the_background_nothing_is_drawn(terminal: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Bar(terminal, "utf-8")
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
    bar.show(HALF)
    bar.clear()
    assert terminal.taken == b""
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())
    bar.show(HALF)
    assert terminal.taken


@settings(deadline=None)  # rich is loaded
@given(width=st.integers(1, 300), percent=st.integers(0, 100))
def test_the_line_is_never_wider_than_the_terminal_and_the_same_before_rich_and_with_it(
    width: int, percent: int
) -> None:
    figures = Figures(percent, 0, 1.0, up=500, size=100, percent=percent, left=1.0)
    painter = display_module.Painter("utf-8")
    before = painter.paint(figures, width).decode()
    painter._load()
    after = plain(painter.paint(figures, width))
    assert len(before) < max(width, 1) >= len(after)
    assert ("━" in before) == (width >= 17) or percent < 10
    for letter in "━╸╺":
        before, after = before.replace(letter, " "), after.replace(letter, " ")
    assert before.rstrip() == after.rstrip()


def test_the_width_is_asked_for_with_each_line(terminal: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Bar(terminal, "utf-8")
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((10, 24)))
    bar.show(HALF)
    assert bar_of(terminal.taken) == " 50%"


def test_a_terminal_that_does_not_tell_its_width_has_eighty_columns(
    terminal: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar(terminal, "utf-8")
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))
    bar.show(HALF)
    assert b"ETA" in terminal.taken
