"""What --progress costs: the same transfer with and without it, both with a terminal as stderr.

The terminal is a pseudo-terminal whose other end is read and thrown away. How a transfer goes is
transfer.py's; a run whose bar was never drawn is no measurement.
"""

from __future__ import annotations

import contextlib
import os
import pty
import threading
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import transfer
from tests.bench.sample import GIB, Contestant, LostBytes, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.sample import Job, Sample

STDERR = 2
CONNECT, LISTEN = "{pync} {host} {place}", "{pync} -l {host} {place}"


def progress() -> Row:
    """pipe → TCP → pipe; "pync" is the one with the bars at both ends."""
    contestants = {
        "pync": Contestant(partial(pipe_to_pipe, shown=True)),
        "pync, no --progress": Contestant(partial(pipe_to_pipe, shown=False)),
    }
    return Row(
        "--progress: pipe → TCP → pipe", "s", contestants, 4 * GIB, note="Bars at both ends, on a pseudo-terminal."
    )


def pipe_to_pipe(job: Job, *, shown: bool) -> Sample:
    """One transfer with a terminal as the stderr of both ends."""
    option = " --progress" if shown else ""
    heard: list[int] = []
    with _on_a_terminal(heard):
        sample = transfer.pipe_to_pipe(CONNECT + option, LISTEN + option, job)
    if shown != bool(sum(heard)):
        raise LostBytes(f"{sum(heard)} bytes were shown, with --progress: {shown}")
    return sample


@contextlib.contextmanager
def _on_a_terminal(heard: list[int]) -> Iterator[None]:
    """Whatever is started here has a terminal as stderr; how much it was told comes into `heard`."""
    master, slave = pty.openpty()
    reader = threading.Thread(target=_read, args=(master, heard))
    reader.start()
    before, term = os.dup(STDERR), os.environ.get("TERM")
    os.environ["TERM"] = "xterm-256color"
    os.dup2(slave, STDERR)
    os.close(slave)
    try:
        yield
    finally:
        os.dup2(before, STDERR)  # the last that held the terminal: its reader comes to an end
        os.close(before)
        _restore("TERM", term)
        reader.join()


def _restore(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


def _read(master: int, heard: list[int]) -> None:
    with contextlib.suppress(OSError):  # EIO: nobody holds the other end any more (Linux)
        while data := os.read(master, 1 << 16):
            heard.append(len(data))
    os.close(master)
