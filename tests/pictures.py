"""`python -m tests.pictures [DIRECTORY]`: pync at work in a terminal, as SVG pictures for the README.

Real runs in a real terminal (tmux), typed and read as in tests/cli/test_terminal; rich makes the pictures of what
stands on the screen. No figure in them is made up, and no picture is a test.
"""

from __future__ import annotations

import contextlib
import io
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from tests.cli.test_ports_terminal import Window
from tests.running import PYNC, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Where the pictures are that the README shows.
PICTURES = Path(__file__).with_name("pictures")
COLUMNS = 80
CLEAR = "clear; PS1='$ '"


class Screen(Window):
    """A terminal of whose screen a picture can be taken."""

    def picture(self) -> Text:
        """What stands on it, with its colours, without the empty lines at its end."""
        return Text.from_ansi(self._ask("capture-pane", "-p", "-e").rstrip())


@contextlib.contextmanager
def screen(lines: int) -> Iterator[Screen]:
    """A cleared terminal with a prompt at its top."""
    with tempfile.TemporaryDirectory() as directory:
        made = Screen(Path(directory))
        try:
            made.start()
            made.resize(COLUMNS, lines)
            made.type(CLEAR)
            made.shows(r"\A\$ *$")
            yield made
        finally:
            made.end()


def progress() -> list[tuple[str, Text]]:
    """A transfer that is well on its way."""
    with socket.create_server(("127.0.0.1", 0)) as server, screen(8) as terminal:
        with (terminal.directory / "backup.tar").open("wb") as file:
            file.truncate(120 << 20)
        port = server.getsockname()[1]
        terminal.type(f"pync --progress --rate 12M localhost {port} < backup.tar")
        connection, _ = server.accept()
        with connection:
            while not re.search(r"6\d%", terminal.screen()):
                for _ in range(8):
                    connection.recv(1 << 20)
            return [("", terminal.picture())]


def ports() -> list[tuple[str, Text]]:
    """Three servers of this machine with their clients, as --watch shows them."""
    with contextlib.ExitStack() as stack:
        numbers = []
        for words, clients in ((["--echo"], 3), (["--http"], 1), (["--hello"], 0)):
            number = _listener(stack, words)
            numbers.append(str(number))
            for _ in range(clients):
                stack.enter_context(socket.create_connection(("127.0.0.1", number)))
        terminal = stack.enter_context(screen(12))
        terminal.type(f"pync --ports --watch 1 {','.join(numbers)}")
        terminal.shows(rf"tcp .*{numbers[0]}.* 3 ")
        stack.enter_context(socket.create_connection(("127.0.0.1", int(numbers[2]))))
        terminal.shows(r"^\*")
        return [("", terminal.picture())]


def _listener(stack: contextlib.ExitStack, words: list[str]) -> int:
    """The port of a server that is ended with the stack."""
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    told = Path(directory, "port")
    server = subprocess.Popen(
        [PYNC, "-l", "-k", "--port-file", told, *words, "127.0.0.1", "0"], cwd=directory, stderr=subprocess.DEVNULL
    )
    stack.callback(server.wait)
    stack.callback(server.send_signal, signal.SIGTERM)
    eventually(told.exists, "a listener")
    return int(told.read_text())


def chat() -> list[tuple[str, Text]]:
    """One who listens with -k, and two who have called."""
    with screen(8) as host, screen(8) as anna, screen(8) as ben:
        host.type("pync -l -k --prefix localhost 0")
        port = host.shows(r"Listening on \S+ (\d+)$")[1]
        for guest in (anna, ben):
            guest.type(f"pync localhost {port}")
        _says(anna, "is the new build there?", host)
        _says(ben, "hello from ben", host)
        _says(host, "yes, since noon: pync it over", anna, ben)
        _says(anna, "thanks", host)
        return [("the listener", host.picture()), ("a client", anna.picture()), ("another client", ben.picture())]


def _says(who: Screen, line: str, *others: Screen) -> None:
    """A line is typed once the connection is there, and seen by the others."""
    eventually(lambda: "$ " in who.screen(), "a prompt")
    who.type(line)
    for other in others:
        other.shows(re.escape(line))


SCENES: dict[str, tuple[str, Callable[[], list[tuple[str, Text]]]]] = {
    "progress": ("pync --progress", progress),
    "ports": ("pync --ports --watch", ports),
    "chat": ("pync -l -k", chat),
}


def main() -> None:
    """Make all pictures."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    directory.mkdir(exist_ok=True)
    for name, (title, scene) in SCENES.items():
        console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
        for who, picture in scene():
            if who:
                console.rule(who, style="dim")
            console.print(picture, soft_wrap=False, overflow="crop", no_wrap=True)
        drawn = console.export_svg(title=title, unique_id=f"pync-{name}")
        # rich names a font to be fetched from elsewhere: every browser has a font of fixed width.
        drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
        (directory / f"{name}.svg").write_text(drawn, "utf-8")
        print(f"wrote {name}.svg")


if __name__ == "__main__":
    main()
