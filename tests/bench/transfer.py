"""One measured transfer: sender and receiver processes, fed and drained without a copy where possible.

The ends cost as little as they can (sendfile into the pipe, splice out of it), so that the time is
the programs' own. Received bytes are counted: a run that lost any is an error, not a result.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.running import wait_listening

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sample(NamedTuple):
    """What one run took: wall seconds, CPU seconds of both ends, the larger peak memory in MiB."""

    seconds: float
    cpu: float
    peak: float


class LostBytes(Exception):
    """A run that did not deliver everything is no measurement."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def fill(source: Path, pipe: int) -> None:
    """The whole file into a pipe, which is closed then."""
    with open(source, "rb") as file:
        while os.sendfile(pipe, file.fileno(), None, 1 << 20):
            pass
    os.close(pipe)


def drain(pipe: int) -> int:
    """Everything out of a pipe, thrown away and counted."""
    count = 0
    nowhere = os.open(os.devnull, os.O_WRONLY)
    while moved := os.splice(pipe, nowhere, 1 << 20):
        count += moved
    os.close(nowhere)
    os.close(pipe)
    return count


class Watched:
    """A process and its peak memory, read from /proc while it runs.

    ru_maxrss would not do: it counts what the parent had when it forked (getrusage(2)).
    """

    def __init__(self, command: Sequence[str], **popen: Any) -> None:
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, **popen)
        self.peak = 0.0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            try:
                status = Path(f"/proc/{self.process.pid}/status").read_text()
            except OSError:
                return
            for line in status.splitlines():
                if line.startswith("VmHWM"):
                    self.peak = int(line.split()[1]) / 1024

    def end(self) -> float:
        """Wait for the end: the CPU seconds used."""
        _, status, used = os.wait4(self.process.pid, 0)
        self._over.set()
        self._watcher.join()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise LostBytes(f"{self.process.args!r} ended with {self.process.returncode}")
        return used.ru_utime + used.ru_stime


def _sample(started: float, *processes: Watched) -> Sample:
    """Wait for the ends of all: the time since `started`, and what they used."""
    cpu = sum(process.end() for process in processes)
    seconds = time.perf_counter() - started
    return Sample(seconds, cpu, max(process.peak for process in processes))


def pipe_to_pipe(listen: Sequence[str], connect: Sequence[str], source: Path) -> Sample:
    """pipe → TCP → pipe."""
    port = free_port()
    counts: list[int] = []
    output, receiving_end = os.pipe()
    receiver = Watched([*listen, str(port)], stdin=subprocess.DEVNULL, stdout=receiving_end)
    os.close(receiving_end)
    drainer = threading.Thread(target=lambda: counts.append(drain(output)))
    drainer.start()
    wait_listening(port)
    started = time.perf_counter()
    sender, filler = _fed([*connect, str(port)], source)
    sample = _sample(started, sender, receiver)
    filler.join()
    drainer.join()
    _complete(counts[0], source)
    return sample


def _fed(command: Sequence[str], source: Path) -> tuple[Watched, threading.Thread]:
    """A process with the whole file coming in through a pipe."""
    sending_end, feed = os.pipe()
    process = Watched(command, stdin=sending_end)
    os.close(sending_end)
    filler = threading.Thread(target=fill, args=(source, feed))
    filler.start()
    return process, filler


def file_to_file(listen: Sequence[str], connect: Sequence[str], source: Path) -> Sample:
    """file → TCP → file. The target keeps its pages: what is measured is moving, not allocating."""
    port = free_port()
    target = source.with_suffix(".copy")
    if not target.exists():
        shutil.copyfile(source, target)
    with open(source, "rb") as given, open(target, "r+b") as taken:
        receiver = Watched([*listen, str(port)], stdin=subprocess.DEVNULL, stdout=taken)
        wait_listening(port)
        started = time.perf_counter()
        sender = Watched([*connect, str(port)], stdin=given)
        sample = _sample(started, sender, receiver)
        _complete(os.lseek(taken.fileno(), 0, os.SEEK_CUR), source)
    return sample


def pipe_to_udp(connect: Sequence[str], source: Path) -> Sample:
    """pipe → UDP, to a socket that nobody reads: the sender's own pace, whatever the receiver keeps."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        started = time.perf_counter()
        sender, filler = _fed([*connect, str(sink.getsockname()[1])], source)
        sample = _sample(started, sender)
        filler.join()
    return sample


def cold_start(command: Sequence[str]) -> Sample:
    """A whole process; a command that ends in a host gets a port there, and two bytes as the answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = list(command)
        if words[-1] == "127.0.0.1":
            words.append(str(server.getsockname()[1]))
            answering = threading.Thread(target=_answer, args=(server,))
            answering.start()
        else:
            answering = threading.Thread()
            answering.start()
        started = time.perf_counter()
        process = Watched(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        sample = _sample(started, process)
        answering.join()
    return sample


def _answer(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"hi")


def _complete(count: int, source: Path) -> None:
    if count != source.stat().st_size:
        raise LostBytes(f"{count} of {source.stat().st_size} bytes arrived")
