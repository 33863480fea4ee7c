"""--progress and --size: totals and shares at the end, the bar in a real terminal, and that nothing waits for it.

Lines every 5 seconds and all arithmetic are tested with a clock of their own in tests/meter.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import pync as library
from tests.cli.test_terminal import Terminal, caller, command
from tests.house.test_startup import MAIN, loaded
from tests.running import PATIENCE, PYNC, eventually, pync, run_pync, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = 300 << 20
#: More than the socket buffers of both ends hold, so that a reader that stops holds the transfer up.
LONG = 64 << 20
#: What each width has room for, behind the share.
BARS = dict.fromkeys((80, 100, 200, 300), r"[^ ]+ +sent +[\d.]+ MB of 67.1 MB +[\d.]+ [kM]?B/s  \d:\d\d.*")
BARS |= {20: "[^ ]+", 40: r"[^ ]+ +[\d.]+ [kM]?B/s( .*)?", 60: r"[^ ]+ +sent +.* MB of 67.1 MB +[\d.]+ [kM]?B/s"}
#: A bar as a row of the screen: the share, what shows it, and what there is room for.
BAR = r" *[5-6]\d%  [^ sE]+(  .*)?"


class Window(Terminal):
    """A terminal of 80 columns, where the bar has room for everything."""

    def start(self) -> None:
        super().start()
        self.resize(80)

    def resize(self, columns: int) -> None:
        self._ask("resize-window", "-x", str(columns), "-y", "24")
        eventually(lambda: self.ask("window_width") == str(columns), "the new size")

    def rows(self, patterns: list[str]) -> list[str]:
        """Wait until the rows of the screen that are not blank are these."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [row for row in self._ask("capture-pane", "-p").splitlines() if row.strip()]
            matches = [re.fullmatch(pattern, row) for pattern, row in zip(patterns, found, strict=False)]
            return len(found) == len(patterns) and all(matches)

        try:
            eventually(look, "these rows")
        except pytest.fail.Exception:
            pytest.fail(f"never rows like {patterns}, but {found}")
        return found

    def ask(self, name: str) -> str:
        return self._ask("display-message", "-p", f"#{{{name}}}").strip()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Window]:
    terminal = Window(tmp_path)
    try:
        terminal.start()
        yield terminal
    finally:
        terminal.end()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listening socket whose connections take little in advance."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.settimeout(PATIENCE)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "long"
    path.touch()
    os.truncate(path, LONG)
    return path


def take(connection: socket.socket, count: int) -> None:
    while count:
        data = connection.recv(min(count, 1 << 20))
        assert data
        count -= len(data)


# --- totals


@pytest.mark.slow
def test_a_large_file_ends_at_a_hundred_percent_with_the_right_total_at_both_ends(tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.touch()
    os.truncate(source, BIG)
    with (
        open(source, "rb") as given,
        open(os.devnull, "wb") as nowhere,
        pync("-l", "-d", "--progress", "--size", "300M", "127.0.0.1", "0", stdout=nowhere) as receiver,
        pync("--progress", "127.0.0.1", str(receiver.port()), stdin=given) as sender,
    ):
        assert sender.finish() == (0, b"")
        assert receiver.finish() == (0, b"")
    assert re.fullmatch(
        rf"sent {BIG} of {BIG} bytes \(100 %\), received 0 bytes in .* s \(.*B/s\)", sender.messages[-1]
    )
    assert re.fullmatch(
        rf"sent 0 bytes, received {BIG} of {BIG} bytes \(100 %\) in .* s \(.*B/s\)", receiver.messages[-1]
    )


@pytest.mark.parametrize(
    ("options", "size", "shown"),
    [
        ([], 1000, "sent 1000 bytes, received 4 bytes"),
        (["--size", "1000"], 1000, r"sent 1000 of 1000 bytes \(100 %\), received 4 bytes"),
        (["--size", "4k"], 1000, r"sent 1000 of 4096 bytes \(24 %\), received 4 bytes"),
        (["--size", "10"], 1000, r"sent 1000 of 10 bytes \(100 %\), received 4 bytes"),
    ],
)
def test_a_pipe_has_the_size_that_is_said(server: socket.socket, options: list[str], size: int, shown: str) -> None:
    with pync("--progress", *options, "127.0.0.1", str(server.getsockname()[1])) as client:
        client.stdin.write(b"x" * size)
        client.stdin.close()
        with caller(server) as connection:
            take(connection, size)
            connection.sendall(b"pong")
        assert client.finish() == (0, b"pong")
    assert re.match(shown, client.messages[-1])


def test_a_file_that_was_read_before_has_the_size_of_what_is_left(server: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb", buffering=0) as given:
        given.read(4)
        with pync("--progress", "127.0.0.1", str(server.getsockname()[1]), stdin=given) as client:
            with caller(server) as connection:
                assert connection.recv(100) == b"456789"
            assert client.finish() == (0, b"")
    assert client.messages[-1].startswith("sent 6 of 6 bytes (100 %), ")


def test_sockets_with_a_path_show_it_too(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-d", "-v", "--progress", "-U", path) as listener:
        listener.wait_for("Listening")
        assert run_pync("--progress", "-U", path, stdin=b"hello")[2][-1].startswith(
            "sent 5 bytes, received 0 bytes in "
        )
        assert listener.finish() == (0, b"hello")
    assert any(line.startswith("sent 0 bytes, received 5 bytes in ") for line in listener.messages)


def test_datagrams_are_counted_too(udp_server: socket.socket) -> None:
    words = ["-u", "-q", "0", "--progress", "--size", "5", "127.0.0.1", str(udp_server.getsockname()[1])]
    code, _, messages = run_pync(*words, stdin=b"hello")
    assert code == 0
    assert messages[-1].startswith("sent 5 of 5 bytes (100 %), ")


def test_a_transfer_that_breaks_shows_how_far_it_came(server: socket.socket, long_file: Path) -> None:
    with (
        open(long_file, "rb") as given,
        pync("--progress", "127.0.0.1", str(server.getsockname()[1]), stdin=given) as client,
    ):
        with caller(server) as connection:
            take(connection, LONG // 2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        assert client.finish() == (1, b"")
    shown = re.match(rf"sent (\d+) of {LONG} bytes \((\d+) %\)", client.messages[-2])
    assert shown
    assert LONG // 2 <= int(shown[1]) < LONG
    assert 50 <= int(shown[2]) < 100
    assert client.messages[-1].startswith("pync: connection with")


@pytest.mark.parametrize(
    "words", [["-z", "--progress", "127.0.0.1", "1"], ["--ports", "--progress"], ["--size", "1", "127.0.0.1", "1"]],
    ids=" ".join,
)  # fmt: skip
def test_where_nothing_is_transferred_there_is_no_progress(words: list[str]) -> None:
    assert run_pync(*words)[0] == 2


def _hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def test_a_program_that_uses_the_library_finds_the_line_in_its_text(server: socket.socket, tmp_path: Path) -> None:
    text = io.StringIO()
    (tmp_path / "in").write_bytes(b"hello")
    with open(tmp_path / "in", "rb") as given, open(tmp_path / "out", "wb") as taken:
        answering = threading.Thread(target=_hang_up, args=(server,))
        answering.start()
        library.run(["-N", "--progress", "127.0.0.1", str(server.getsockname()[1])], given, taken, text)
        answering.join()
    assert text.getvalue().startswith("sent 5 of 5 bytes (100 %), received 0 bytes in ")


def test_what_is_over_at_once_loads_nothing_to_draw_with(server: socket.socket) -> None:
    words = ["--progress", "127.0.0.1", str(server.getsockname()[1])]
    with running(sys.executable, "-c", MAIN, *words) as client:
        client.stdin.write(b"hello")
        with caller(server) as connection:
            take(connection, 5)
        assert client.finish() == (0, b"")
    assert loaded(client.messages[-1]) == set()


# --- nothing waits


def test_a_stalled_reader_of_stderr_does_not_hold_up_the_transfer_nor_the_end(
    server: socket.socket, long_file: Path
) -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        full = b"x" * 4096
        while True:
            try:
                os.write(writing, full)
            except BlockingIOError:
                if len(full) == 1:
                    break
                full = b"x"
        os.set_blocking(writing, True)
        words = [PYNC, "--progress", "127.0.0.1", str(server.getsockname()[1])]
        with (
            open(long_file, "rb") as given,
            subprocess.Popen(words, stdin=given, stdout=subprocess.DEVNULL, stderr=writing) as client,
        ):
            with caller(server) as connection:
                take(connection, LONG)
                assert connection.recv(1) == b""
            assert client.wait(PATIENCE) == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_a_terminal_that_is_stopped_does_not_hold_up_the_transfer(
    terminal: Window, server: socket.socket, long_file: Path
) -> None:
    terminal.run(f"{command(server)} --progress <{long_file}")
    with caller(server) as connection:
        take(connection, LONG // 2)
        terminal.shows(r"^ *\d+%  [^ ]+  sent")
        terminal.press("C-s")
        take(connection, LONG // 2)
        assert connection.recv(1) == b""
    terminal.press("C-q")
    terminal.ended_with(0)


# --- in a terminal


@pytest.mark.slow
def test_the_bar_grows_in_its_line_until_all_is_sent_and_stays(
    terminal: Window, server: socket.socket, long_file: Path
) -> None:
    terminal.run(f"{command(server)} --progress <{long_file}")
    with caller(server) as connection:
        take(connection, LONG // 2)
        shown = terminal.shows(r"^ *[5-6]\d%  [^ ]+  sent +\d+\.\d MB of 67\.1 MB .*$")[0]
        assert len(shown) < 80
        assert terminal.screen().count("of 67.1 MB") == 1
        assert terminal.ask("cursor_flag") == "1"
        take(connection, LONG // 2)
        assert connection.recv(1) == b""
    terminal.shows(r"^100%  [^ ]+  sent +67\.1 MB of 67\.1 MB +[\d.]+ [kMG]?B/s  0:0\d$")
    terminal.ended_with(0)
    assert terminal.screen().count("of 67.1 MB") == 1


def test_a_short_transfer_shows_its_last_state_only(terminal: Window, server: socket.socket) -> None:
    terminal.run(f"echo hello | {command(server)} --progress --size 6")
    with caller(server) as connection:
        assert connection.recv(100) == b"hello\n"
    terminal.shows(r"^100%  [^ ]+  sent +6 B of 6 B +[\d.]+ k?B/s  0:00$")
    terminal.ended_with(0)


@pytest.mark.slow
def test_ctrl_c_leaves_the_last_state_and_the_terminal_as_it_was(
    terminal: Window, server: socket.socket, long_file: Path
) -> None:
    terminal.run(f"{command(server)} --progress <{long_file}")
    with caller(server) as connection:
        take(connection, LONG // 2)
        terminal.shows(r"^ *[5-6]\d%  [^ s]+  sent")  # drawn with rich
        terminal.press("C-c")
        terminal.ended_with(130)
    terminal.shows(r"^ *[5-6]\d%  [^ s]+  sent +\d+\.\d MB of 67\.1 MB")
    assert terminal.ask("cursor_flag") == "1"


@pytest.mark.slow
def test_whatever_the_width_there_is_one_whole_bar_and_nothing_of_an_earlier_one(
    terminal: Window, server: socket.socket, long_file: Path
) -> None:
    terminal.run(f"clear; {command(server)} --progress <{long_file}")
    with caller(server) as connection:
        take(connection, LONG // 2)
        for columns in (80, 20, 40, 60, 80, 100, 200, 20, 300, 40):
            terminal.resize(columns)
            most = min(columns - 1, 109)
            terminal.rows([rf"(?=.{{{min(columns - 10, 90)},{most}}}$) *[5-6]\d%  {BARS[columns]}"])
        take(connection, LONG // 2)
        assert connection.recv(1) == b""
    terminal.shows("^code 0$")


def test_typing_has_lines_of_its_own_above_the_bar(terminal: Window, server: socket.socket, long_file: Path) -> None:
    terminal.run(f"clear; {command(server)} --progress <{long_file}")
    with caller(server) as connection:
        take(connection, LONG // 2)
        terminal.rows([BAR])
        terminal.type_part("typed")
        terminal.rows(["typed", BAR])
        terminal.type_part(" words")
        terminal.rows(["typed words", BAR])
        terminal.press("Enter")
        terminal.type_part("more")
        terminal.rows(["typed words", "more", BAR])
        terminal.press("C-c")
    terminal.ended_with(130)


def test_a_terminal_that_can_do_nothing_gets_lines(terminal: Window, server: socket.socket) -> None:
    terminal.run(f"echo hello | TERM=dumb {command(server)} --progress")
    with caller(server) as connection:
        assert connection.recv(100) == b"hello\n"
    terminal.shows(r"^sent 6 bytes, received 0 bytes in 0\.\d\d s \(.*\)$")
    terminal.ended_with(0)


def test_an_answer_in_the_same_terminal_stands_in_lines_of_its_own(
    terminal: Window, server: socket.socket, long_file: Path
) -> None:
    terminal.run(f"{command(server)} --progress <{long_file}")
    with caller(server) as connection:
        take(connection, LONG // 2)
        terminal.shows(r"^ *\d+%  [^ ]+  sent")
        connection.sendall(b"an answer\n")
        terminal.shows("^an answer$")
        terminal.shows(r"received +10 B")
        connection.sendall(b"no newline")
        terminal.shows("^no newline$")
        take(connection, LONG // 2)
    terminal.shows(r"^100%  .*received +20 B")
    terminal.ended_with(0)


def test_a_message_stands_in_a_line_of_its_own(terminal: Window) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    terminal.run(f"pync -u --progress 127.0.0.1 {port}")
    terminal.shows(r"^sent +0 B")
    terminal.type("")
    terminal.shows(rf"^pync: send to 127\.0\.0\.1 port {port} \(udp\): Connection refused$")
    terminal.press("C-c")
    terminal.ended_with(130)


@pytest.mark.parametrize("silent", ["nothing", "a pipe"])
@pytest.mark.parametrize("words", [["-l", "127.0.0.1", "0"], ["127.0.0.1"]], ids=["listen", "connect"])
def test_where_nothing_is_sent_the_size_is_that_of_what_is_received(words: list[str], silent: str) -> None:
    stdin = subprocess.DEVNULL if silent == "nothing" else subprocess.PIPE
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        words = words if "-l" in words else [*words, str(server.getsockname()[1])]
        process = stack.enter_context(pync("--progress", "--size", "1M", *words, stdin=stdin))
        connect = ("127.0.0.1", process.port()) if "-l" in words else None
        peer = socket.create_connection(connect, PATIENCE) if connect else server.accept()[0]
        with peer:
            peer.sendall(bytes(1 << 19))
        assert len(process.read(1 << 19)) == 1 << 19
        code = process.code() if silent == "nothing" else process.finish()[0]
    assert code == 0
    assert "received 524288 of 1048576 bytes (50 %)" in process.messages[-1]
