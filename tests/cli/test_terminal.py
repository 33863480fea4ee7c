"""pync in a real terminal: what is typed, Ctrl-D, Ctrl-C, Ctrl-Z, jobs in the background.

A shell runs in a tmux of its own; keys are sent to it and its screen is read until it shows what is awaited.
The other end of the connection is a plain socket of the test. Pipes and files are tested elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, PYNC, eventually, peer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal:
    """A shell in a terminal; its working directory and tmux's socket are in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._tmux = [peer("tmux"), "-S", str(directory / "tmux"), "-f", os.devnull]

    def start(self) -> None:
        path = f"{Path(PYNC).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": path, "LC_ALL": "C", "ENV": "", "PS1": "$ "}
        environment.pop("TMUX", None)
        self._ask("new-session", "-d", "-x", "150", "-y", "50", "-c", str(self.directory), "sh -i", env=environment)
        self.shows(r"[#$]\s*$")

    def _ask(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, timeout=PATIENCE, check=True, env=env)
        return done.stdout.decode()

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self.type_part(line)
        self.press("Enter")

    def type_part(self, text: str) -> None:
        """Type without Enter."""
        self._ask("send-keys", "-l", text)

    def press(self, key: str) -> None:
        """Press a key by tmux's name of it, such as C-d."""
        self._ask("send-keys", key)

    def shows(self, pattern: str) -> re.Match[str]:
        """Wait until a line of the screen matches."""
        screen = ""

        def look() -> re.Match[str] | None:
            nonlocal screen
            screen = self.screen()
            return re.search(pattern, screen, re.MULTILINE)

        try:
            found: re.Match[str] = eventually(look, pattern)
        except pytest.fail.Exception:
            pytest.fail(f"never: a line like {pattern!r} on the screen\n{screen}")
        return found

    def screen(self) -> str:
        return self._ask("capture-pane", "-p", "-J")

    def run(self, command: str) -> None:
        """Type a command, with the terminal's settings kept before and after, its exit code shown."""
        self.type(f"stty -a >before; {command}; printf '\\ncode %s\\n' $?; stty -a >after; echo all do''ne")

    def ended_with(self, code: int) -> None:
        """The command of `run` has ended so, and the terminal is as it was before and takes commands."""
        assert self.shows(r"^code (\d+)$")[1] == str(code)
        self.shows("^all done$")
        before = (self.directory / "before").read_text()
        assert "speed" in before
        assert (self.directory / "after").read_text() == before
        self.type("echo still al''ive")
        self.shows("^still alive$")

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=PATIENCE, check=False)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    try:
        terminal.start()
        yield terminal
    finally:
        terminal.end()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@contextlib.contextmanager
def caller(server: socket.socket) -> Iterator[socket.socket]:
    """The connection of the pync that has been started in the terminal."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(PATIENCE)
        yield connection


@contextlib.contextmanager
def calling(terminal: Terminal) -> Iterator[socket.socket]:
    """A connection to the pync that listens in the terminal and has said so."""
    port = int(terminal.shows(r"Listening on 127\.0\.0\.1 (\d+)$")[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        yield connection


def command(server: socket.socket) -> str:
    return f"pync 127.0.0.1 {server.getsockname()[1]}"


def test_a_typed_line_arrives_the_answer_appears_and_ctrl_d_ends_our_side_only(
    terminal: Terminal, server: socket.socket
) -> None:
    terminal.run(command(server))
    with caller(server) as connection:
        terminal.type("a question")
        assert connection.recv(100) == b"a question\n"
        connection.sendall(b"an answer\n")
        terminal.shows("^an answer$")
        terminal.press("C-d")
        assert connection.recv(100) == b""
        connection.sendall(b"a late answer\n")
        terminal.shows("^a late answer$")
    terminal.ended_with(0)


def test_ctrl_d_sends_what_was_typed_before_without_a_newline(terminal: Terminal, server: socket.socket) -> None:
    terminal.run(command(server))
    with caller(server) as connection:
        terminal.type_part("no newline")
        terminal.press("C-d")
        assert connection.recv(100) == b"no newline"
        terminal.press("C-d")
        assert connection.recv(100) == b""
    terminal.ended_with(0)


def test_ctrl_c_ends_pync_with_130(terminal: Terminal, server: socket.socket) -> None:
    terminal.run(command(server))
    with caller(server) as connection:
        terminal.press("C-c")
        assert connection.recv(100) == b""
        terminal.ended_with(130)


def test_ctrl_c_ends_a_listener_that_waits_with_130(terminal: Terminal) -> None:
    terminal.run("pync -l 127.0.0.1 0")
    terminal.shows("^Listening on")
    terminal.press("C-c")
    terminal.ended_with(130)


def test_the_end_of_the_peer_ends_pync_at_once_when_we_type(terminal: Terminal, server: socket.socket) -> None:
    terminal.run(command(server))
    with caller(server) as connection:
        connection.sendall(b"goodbye\n")
        connection.shutdown(socket.SHUT_WR)
        terminal.ended_with(0)
        terminal.shows("^goodbye$")
        assert connection.recv(100) == b""


def test_a_reset_by_the_peer_ends_pync_with_1_and_a_message(terminal: Terminal, server: socket.socket) -> None:
    terminal.run(command(server))
    with caller(server) as connection:
        terminal.type("we are connected")
        assert connection.recv(100) == b"we are connected\n"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    terminal.shows(r"^pync: connection with 127\.0\.0\.1 port \d+ lost: Connection reset by peer$")
    terminal.ended_with(1)


def test_a_listener_takes_typed_lines_and_ends_with_its_client(terminal: Terminal) -> None:
    terminal.run("pync -l 127.0.0.1 0")
    with calling(terminal) as connection:
        connection.sendall(b"from the client\n")
        terminal.shows("^from the client$")
        terminal.type("from the listener")
        assert connection.recv(100) == b"from the listener\n"
    terminal.ended_with(0)


def test_datagrams_are_typed_too(terminal: Terminal) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        terminal.run(f"pync -u 127.0.0.1 {sock.getsockname()[1]}")
        # Nothing tells that it has started but its first datagram: what is typed before then is read by it, too.
        terminal.type("a question")
        question, address = sock.recvfrom(100)
        assert question == b"a question\n"
        sock.sendto(b"an answer\n", address)
        terminal.shows("^an answer$")
        terminal.press("C-c")
        terminal.ended_with(130)


# --- jobs


def test_a_listener_in_the_background_is_not_stopped_and_passes_data(terminal: Terminal) -> None:
    terminal.type("pync -l 127.0.0.1 0 &")
    with calling(terminal) as connection:
        terminal.type("echo the shell reads th''is")
        terminal.shows("^the shell reads this$")
        connection.sendall(b"still served\n")
        terminal.shows("still served$")
        terminal.type("jobs")
        assert terminal.shows(r"^\[1\][ +]+(\w+)\s+pync -l")[1] == "Running"
    terminal.type("wait; echo code $?")
    terminal.shows("^code 0$")


def test_a_client_in_the_background_is_not_stopped_and_passes_data(terminal: Terminal, server: socket.socket) -> None:
    terminal.type(f"{command(server)} &")
    with caller(server) as connection:
        terminal.type("echo the shell reads th''is")
        terminal.shows("^the shell reads this$")
        connection.sendall(b"still served\n")
        terminal.shows("still served$")
        terminal.type("jobs")
        assert terminal.shows(r"^\[1\][ +]+(\w+)\s+pync 127")[1] == "Running"
    terminal.type("wait; echo code $?")
    terminal.shows("^code 0$")


def test_ctrl_z_suspends_and_fg_goes_on_where_it_was(terminal: Terminal, server: socket.socket) -> None:
    terminal.type(command(server))
    with caller(server) as connection:
        terminal.type("before")
        assert connection.recv(100) == b"before\n"
        terminal.press("C-z")
        terminal.shows("Stopped")
        connection.sendall(b"while it was stopped\n")
        terminal.type("fg; echo code $?")
        terminal.shows("^while it was stopped$")
        terminal.type("after")
        assert connection.recv(100) == b"after\n"
        terminal.press("C-d")
        assert connection.recv(100) == b""
    terminal.shows("^code 0$")
