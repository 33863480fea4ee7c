"""`pync --ports` on a real terminal: the table fits its width; --watch refreshes, marks, and gives it back.

tmux is asked what the terminal's state is: the other screen, the cursor, line wrap; the shell's stty tells the rest.
What the columns hold is tested elsewhere.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_terminal import Terminal
from tests.ports.crowd import Crowd, empty_crowd
from tests.running import eventually
from tests.sockets import port_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Window(Terminal):
    """A terminal whose size is chosen."""

    def resize(self, columns: int, lines: int) -> None:
        self._ask("resize-window", "-x", str(columns), "-y", str(lines))
        eventually(lambda: self.state("window_width") == str(columns), "the new size")

    def state(self, name: str) -> str:
        return self._ask("display-message", "-p", f"#{{{name}}}").strip()

    def lines(self) -> list[str]:
        """The lines of the screen; one that was wrapped is one line and too long."""
        return [line.rstrip() for line in self.screen().splitlines() if line.strip()]

    def is_given_back(self) -> bool:
        return [self.state(name) for name in ("alternate_on", "cursor_flag", "wrap_flag")] == ["0", "1", "1"]

    def is_taken(self) -> bool:
        return [self.state(name) for name in ("alternate_on", "cursor_flag", "wrap_flag")] == ["1", "0", "0"]

    def watches(self, row: str) -> None:
        """Wait until the page is there, in a terminal that was taken for it."""
        self.shows(row)
        assert self.is_taken()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Window]:
    terminal = Window(tmp_path)
    try:
        terminal.start()
        yield terminal
    finally:
        terminal.end()


@pytest.fixture
def few() -> Iterator[Crowd]:
    with empty_crowd() as made:
        yield made


@pytest.fixture
def port(few: Crowd) -> str:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    few.connect(server, "127.0.0.1", "established")
    return port_of(server)


def row(port: str, mark: str = " ") -> str:
    return rf"^{re.escape(mark)} tcp +127\.0\.0\.1 +{port} "


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_the_terminal_and_has_all_columns(terminal: Window, few: Crowd, port: str, width: int) -> None:
    long = few.listen(socket.AF_INET, "127.100.100.100", 4096)
    few.bind(socket.AF_INET, "127.0.0.1")
    terminal.resize(width, 40)
    terminal.run(f"pync --ports {port} {port_of(long)}")
    terminal.ended_with(0)
    lines = terminal.lines()
    assert max(len(line) for line in lines[1:] if not line.startswith(("$", "#"))) <= width
    (header,) = (line for line in lines if line.startswith("proto"))
    assert header.split()[-6:] == ["estab", "recv", "wait", "wait", "wait", "queue"]
    (shown,) = (line for line in lines if re.match(rf"tcp +127\.0\.0\.1 +{port} ", line))
    assert str(os.getpid()) in shown
    assert shown.split()[-6:] == ["1", "0", "0", "0", "0", "0/5"]


def test_a_narrow_terminal_has_what_matters_most(terminal: Window, port: str) -> None:
    terminal.resize(40, 30)
    terminal.run(f"pync --ports {port}")
    terminal.ended_with(0)
    (shown,) = (line for line in terminal.lines() if re.match(rf"tcp +127\.0\.0\.1 +{port} ", line))
    assert len(shown) <= 40
    assert str(os.getpid()) in shown


def test_q_leaves_and_the_terminal_is_as_it_was(terminal: Window, port: str) -> None:
    terminal.type("echo what was th''ere")
    terminal.run(f"pync --ports --watch 1 {port}")
    terminal.watches(row(port))
    assert "what was there" not in terminal.screen()
    terminal.press("q")
    terminal.ended_with(0)
    assert terminal.is_given_back()
    assert "what was there" in terminal.screen()
    assert " q leaves" not in terminal.screen()


def test_ctrl_c_leaves_with_130_and_the_terminal_is_as_it_was(terminal: Window, port: str) -> None:
    terminal.run(f"pync --ports --watch 1 {port}")
    terminal.watches(row(port))
    terminal.press("C-c")
    terminal.ended_with(130)
    assert terminal.is_given_back()


def test_sigterm_ends_it_with_143_and_the_terminal_is_as_it_was(terminal: Window, port: str) -> None:
    terminal.run(f"(sh -c 'echo $PPID' >pid; exec pync --ports --watch 1 {port})")
    terminal.watches(row(port))
    os.kill(int((terminal.directory / "pid").read_text()), signal.SIGTERM)
    terminal.ended_with(143)
    assert terminal.is_given_back()


def test_ctrl_z_gives_the_terminal_back_until_fg(terminal: Window, port: str) -> None:
    terminal.type(f"pync --ports --watch 1 {port}")
    terminal.watches(row(port))
    terminal.press("C-z")
    terminal.shows("Stopped")
    assert terminal.is_given_back()
    terminal.type("fg; echo code $?")
    terminal.watches(row(port))
    terminal.press("q")
    terminal.shows("^code 0$")
    assert terminal.is_given_back()


def test_the_end_of_the_terminal_ends_it(terminal: Window, port: str) -> None:
    terminal.type(f"(sh -c 'echo $PPID' >pid; exec pync --ports --watch 1 {port})")
    terminal.watches(row(port))
    pid = int((terminal.directory / "pid").read_text())
    terminal.end()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the process")


@pytest.mark.slow
def test_what_changes_is_marked(terminal: Window, few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    known, new = port_of(server), port_of(other := few.listen(socket.AF_INET, "127.0.0.1", 5))
    other.close()
    terminal.run(f"pync --ports --watch 1 {known} {new}")
    terminal.watches(row(known))
    few.connect(server, "127.0.0.1", "established")
    assert "1" in terminal.shows(row(known, "*") + r".* (\d+) +0 +0 +0 +0 +0/5")[1]
    terminal.shows(row(known))
    with socket.create_server(("127.0.0.1", int(new))):
        terminal.shows(row(new, "+"))
        terminal.shows(row(new))
    terminal.shows(row(new, "-"))
    eventually(lambda: new not in terminal.screen(), "the row that is gone is shown once")
    terminal.press("q")
    terminal.ended_with(0)


def test_a_window_that_changes_its_size_is_drawn_anew(terminal: Window, port: str) -> None:
    terminal.run(f"pync --ports --watch 1h {port}")
    terminal.watches(row(port) + r".*0/5$")
    terminal.resize(40, 20)
    terminal.shows(row(port) + r"\d+( python)? +\d+$")  # beside a short number there is room for the name
    assert max(len(line) for line in terminal.lines()) <= 40
    terminal.press("q")
    terminal.shows("^all done$")


def test_more_rows_than_lines_are_cut_with_a_word(terminal: Window, few: Crowd) -> None:
    ports = [port_of(few.listen(socket.AF_INET, "127.0.0.1", 5)) for _ in range(30)]
    terminal.resize(80, 12)
    terminal.run(f"pync --ports --watch 1 {','.join(ports)}")
    terminal.shows("^more below: ")
    assert len(terminal.screen().splitlines()) <= 12
    assert "30 ports" in terminal.lines()[0]
    terminal.press("q")
    terminal.shows("^all done$")


@pytest.mark.slow
def test_in_the_background_and_on_a_dumb_terminal_snapshots_are_appended(terminal: Window, port: str) -> None:
    terminal.type(f"pync --ports --watch 1 {port} &")
    terminal.shows(rf"^tcp +127\.0\.0\.1 +{port} ")
    assert terminal.is_given_back()
    terminal.type("kill %1; wait; TERM=dumb pync --ports --watch 1 " + port)
    eventually(lambda: terminal.screen().count("estab") > 2, "several snapshots")
    assert terminal.is_given_back()
    terminal.press("C-c")
