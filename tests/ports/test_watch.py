"""Watching: what a page holds, and that the terminal is given back whatever ends it, on a pty of the test's own.

A real terminal with a shell is in tests/cli/test_ports_terminal.py.
"""

from __future__ import annotations

import os
import re
import signal
import termios
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pync.errors import Fault
from pync.ports import screen, table, watch
from pync.ports.collect import Snapshot
from pync.ports.records import Port
from pync.ports.screen import Screen
from pync.ports.waiting import Alarm, ready, write
from tests.ports.test_table import make, rows
from tests.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@settings(deadline=None)
@given(st.lists(rows, max_size=8), st.integers(5, 120), st.integers(1, 15), st.sampled_from(["", "a note " * 30]))
def test_a_page_never_has_more_or_wider_lines_than_the_window(
    ports: list[Port], width: int, height: int, note: str
) -> None:
    page = watch.page("12:00:00  many ports", table.unmarked(ports), note, width, height)
    assert 1 <= len(page) <= height
    for line in page:
        assert cell_len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= width


def test_a_page_that_has_room_shows_every_row_and_the_note() -> None:
    page = watch.page("title", table.unmarked([make(port=port) for port in range(10, 20)]), "a note", 80, 24)
    assert (page[0], page[-1], len(page)) == ("title", "a note", 14)


def test_a_page_without_room_says_that_there_is_more() -> None:
    page = watch.page("title", table.unmarked([make(port=port) for port in range(10, 40)]), "a note", 80, 10)
    assert (page[-2], page[-1], len(page)) == (watch.MORE, "a note", 10)


class Pty:
    """Both ends of a terminal: what a user would see and type, and what the program holds."""

    def __init__(self) -> None:
        self.user, self.program = os.openpty()
        self.settings = termios.tcgetattr(self.program)

    def screen(self) -> Screen:
        return Screen(os.open(os.ttyname(self.program), os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))

    def seen(self) -> str:
        """All that has been shown, up to the last word."""
        shown = ""

        def left() -> bool:
            nonlocal shown
            shown += os.read(self.user, 1 << 16).decode() if ready([self.user], [], 0) else ""
            return shown.endswith(screen.LEAVE)

        eventually(left, "the terminal is left")
        return shown

    def is_as_before(self) -> bool:
        return bool(termios.tcgetattr(self.program) == self.settings)


@pytest.fixture
def pty() -> Iterator[Pty]:
    pair = Pty()
    try:
        yield pair
    finally:
        os.close(pair.user)
        os.close(pair.program)


def no_note(_: Snapshot) -> str:
    return ""


def test_q_ends_it_and_the_terminal_is_given_back(pty: Pty) -> None:
    def look() -> Snapshot:
        assert not pty.is_as_before()
        os.write(pty.user, b"xyzq")
        return Snapshot([make(port=4242)])

    assert watch.in_place(Alarm(60), look, no_note, pty.screen()) == 0
    assert pty.is_as_before()
    seen = pty.seen()
    assert seen.startswith(screen.ENTER)
    assert "4242" in seen


@pytest.mark.parametrize("error", [Fault("the system does not tell"), KeyboardInterrupt(), RuntimeError()])
def test_whatever_ends_it_the_terminal_is_given_back(pty: Pty, error: BaseException) -> None:
    def look() -> Snapshot:
        raise error

    with pytest.raises(type(error)):
        watch.in_place(Alarm(1), look, no_note, pty.screen())
    assert pty.is_as_before()
    assert pty.seen()


def test_it_ends_when_the_terminal_goes(pty: Pty) -> None:
    def look() -> Snapshot:
        os.close(pty.user)
        return Snapshot([make()])

    own = pty.screen()
    try:
        assert watch.in_place(Alarm(60), look, no_note, own) == 0
    finally:
        pty.user = os.open(os.devnull, os.O_RDONLY)  # for the fixture to close


def test_a_terminal_that_cannot_be_taken_is_the_end(tmp_path: Any) -> None:
    with open(tmp_path / "file", "w") as file:
        own = Screen(os.dup(file.fileno()))
        assert watch.in_place(Alarm(60), Snapshot, no_note, own) == 0  # type: ignore[arg-type]  # it never looks
        with pytest.raises(OSError):
            os.fstat(own.fd)


def test_keys_that_the_user_has_for_signals_are_known_and_those_he_has_not_are_none(pty: Pty) -> None:
    changed = termios.tcgetattr(pty.program)
    changed[6][termios.VSUSP], changed[6][termios.VQUIT] = b"\x19", screen.DISABLED
    termios.tcsetattr(pty.program, termios.TCSANOW, changed)
    with pty.screen() as own:
        assert own._signals() == {b"\x19": signal.SIGTSTP}


def test_a_second_look_is_marked_against_the_first(pty: Pty) -> None:
    looks = [Snapshot([make(port=1000)]), Snapshot([make(port=2000)])]

    def look() -> Snapshot:
        if len(looks) == 1:
            os.write(pty.user, b"q")
        return looks.pop(0)

    assert watch.in_place(Alarm(0.01), look, no_note, pty.screen()) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", pty.seen())
    assert re.search(r"\+ tcp\s+127\.0\.0\.1\s+2000", text)
    assert re.search(r"- tcp\s+127\.0\.0\.1\s+1000", text)


def test_no_screen_is_opened_for_what_is_no_terminal(tmp_path: Any) -> None:
    with open(tmp_path / "file", "w") as file:
        assert screen.open_screen(file.fileno()) is None
    assert screen.open_screen(-1) is None


def test_a_terminal_of_another_job_is_left_alone(pty: Pty) -> None:
    assert screen.open_screen(pty.program) is None  # it is not this process's controlling terminal


def test_the_size_of_a_terminal_that_does_not_know_it_is_the_usual_one(pty: Pty) -> None:
    assert screen.size(pty.program) == (80, 24)
    assert screen.size(-1) == (80, 24)


class Slow:
    """An output that takes three bytes at a time, and has no room every other time."""

    kind = "pipe"

    def __init__(self, error: OSError | None = None) -> None:
        self.fd = -1
        self.taken = b""
        self._full = False
        self._error = error

    def write(self, data: memoryview | bytes) -> int | None:
        if self._error:
            raise self._error
        self._full = not self._full
        if self._full:
            return None
        self.taken += bytes(data[:3])
        return len(data[:3])

    def close(self) -> None:
        """Nothing to close."""


def test_everything_is_written_to_a_slow_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pync.ports.waiting.TICK", 0)
    output = Slow()
    assert write(output, "a snapshot\n" * 20)
    assert output.taken == b"a snapshot\n" * 20


def test_a_reader_that_has_gone_is_the_end_and_a_full_disk_a_fault() -> None:
    assert not write(Slow(BrokenPipeError()), "text")
    with pytest.raises(Fault, match="write to standard output: No space left"):
        write(Slow(OSError(28, "No space left on device")), "text")


def test_an_alarm_is_woken_by_signals_and_forgets_them() -> None:
    wake, writing = os.pipe()
    try:
        os.set_blocking(wake, False)
        os.write(writing, b"\x0f")
        alarm = Alarm(0.02, wake)
        alarm.set()
        assert not alarm.wait(-1)
        while not alarm.rings:
            assert not alarm.wait(-1)
        with pytest.raises(BlockingIOError):
            os.read(wake, 1)
    finally:
        os.close(wake)
        os.close(writing)
