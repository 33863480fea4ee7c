"""Starting the installed command and real peers, and waiting for what they do.

Every test that talks to a process uses this: ports are 0 and read from what the listener says,
conditions are awaited with a bound, nothing sleeps, and whatever was started is ended again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: The bound for every wait: far more than anything takes, so that only a hang runs into it.
PATIENCE = 30.0

#: The installed command, beside the interpreter that runs the tests.
PYNC = str(Path(sys.executable).with_name("pync"))

#: The same program on a system without what Linux has: splice, sendfile, poll, epoll, and a /proc through
#: which a pipe is opened anew, as on some of macOS and the BSDs.
PLAIN_PYNC = [
    sys.executable,
    "-c",
    """
import os, select, selectors, sys
del os.splice, os.sendfile, select.poll, select.epoll, selectors.PollSelector
real_open = os.open
def open_without_proc(path, *args, **named):
    if str(path).startswith("/proc/"):
        raise FileNotFoundError(path)
    return real_open(path, *args, **named)
os.open = open_without_proc
from pync.__main__ import main
sys.exit(main())
""",
]


class Running:
    """A process under test: its stderr is collected as it comes, its end is certain."""

    def __init__(self, argv: Sequence[str], **popen: Any) -> None:
        popen.setdefault("stdin", subprocess.PIPE)
        popen.setdefault("stdout", subprocess.PIPE)
        self.argv = list(argv)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(argv, stderr=subprocess.PIPE, bufsize=0, **popen)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.messages: list[str] = []
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line on stderr, from here on, that matches; fails when the process ends before."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"{self.argv}: no line like {pattern!r} in {self.messages}")
            if line is None:
                pytest.fail(f"{self.argv} ended without a line like {pattern!r}: {self.messages}")
            self.messages.append(line)
            if match := re.search(pattern, line):
                return match

    def port(self) -> int:
        """The number that a listener on port 0 has got."""
        return int(self.wait_for(r"(?:Listening|Bound) on \S+ (\d+)(?:$|\"})")[1])

    def read(self, count: int) -> bytes:
        """Exactly so many bytes of stdout, or all there are before its end."""
        data = b""
        while len(data) < count:
            piece = self.stdout.read(count - len(data))
            if not piece:
                break
            data += piece
        return data

    def finish(self, timeout: float = PATIENCE) -> tuple[int, bytes]:
        """Close stdin, read stdout to its end, wait: the exit code and what was left of stdout."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        left = self.stdout.read() if self.process.stdout is not None else b""
        return self.code(timeout), left

    def code(self, timeout: float = PATIENCE) -> int:
        """Wait for the end: the exit code. All of stderr is in `messages` then."""
        code = self.process.wait(timeout)
        self._collector.join(PATIENCE)
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.messages.append(line)
        self._lines.put(None)
        return code

    def end(self) -> None:
        """Kill it if it still runs, and close what we hold of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._collector.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@contextlib.contextmanager
def running(*argv: str, **popen: Any) -> Iterator[Running]:
    """A process that is ended when the block is left."""
    process = Running(argv, **popen)
    try:
        yield process
    finally:
        process.end()


def pync(*argv: str, **popen: Any) -> contextlib.AbstractContextManager[Running]:
    """The installed command with these words."""
    return running(PYNC, *argv, **popen)


def plain_pync(*argv: str, **popen: Any) -> contextlib.AbstractContextManager[Running]:
    """The command on a system without splice and sendfile."""
    return running(*PLAIN_PYNC, *argv, **popen)


def run_pync(*argv: str, stdin: bytes = b"", **popen: Any) -> tuple[int, bytes, list[str]]:
    """Run the command to its end: exit code, stdout, the lines of stderr."""
    done = subprocess.run([PYNC, *argv], input=stdin, capture_output=True, timeout=PATIENCE, check=False, **popen)
    return done.returncode, done.stdout, done.stderr.decode().splitlines()


def peer(name: str) -> str:
    """The path of a real peer; where CI is set it must be there, elsewhere the test is skipped."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        missing = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return path


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition holds and return what it gave; fail after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    return pytest.fail(f"never: {what}")


def unused_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago, for peers that cannot pick one themselves."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def is_listening(port: int, family: str = "tcp") -> bool:
    """Whether a socket of this machine listens on the port; looks into /proc, touches nothing.

    For udp: whether one is bound to it.
    """
    for path in (f"/proc/net/{family}", f"/proc/net/{family}6"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as table:
            for line in list(table)[1:]:
                fields = line.split()
                listens = fields[3] == ("0A" if family == "tcp" else "07")
                if listens and int(fields[1].rpartition(":")[2], 16) == port:
                    return True
    return False


def wait_listening(port: int, family: str = "tcp") -> None:
    """Wait until a real peer has bound its port."""
    eventually(lambda: is_listening(port, family), f"a {family} listener on port {port}")


def stop(process: Running, number: int = signal.SIGTERM) -> None:
    """Send a signal to a process that this test started."""
    process.process.send_signal(number)
