"""Processes under measurement: programs that run to their end, servers that are ended, and what they use.

CPU time and memory are read here; who is started, and what is done with it, is the workloads' affair.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.sample import GIB, LostBytes, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Seconds after which a program that does not end is killed, so that the others get their turn.
PATIENCE = 120
#: Seconds that a program may take until it listens.
STARTING = 10
#: The state of a socket in /proc/net/tcp and udp that waits for whoever comes.
LISTENS = {"tcp": "0A", "udp": "07"}


class Watched:
    """A process, and its peak memory in MiB, read from /proc while it runs.

    ru_maxrss would not do: it counts what the parent had when it forked (getrusage(2)).
    """

    def __init__(self, command: Sequence[str], **popen: Any) -> None:
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, **popen)
        self.peak = 0.0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._over.wait(0.01):
            self._read_peak()
            if time.monotonic() > deadline:
                self.process.kill()
                return

    def _read_peak(self) -> None:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    self.peak = int(line.split()[1]) / 1024

    def wait_listening(self, port: int, kind: str = "tcp") -> None:
        """Until it has bound its port."""
        await_socket(self.process, lambda: listening(port, kind) > 0, f"a {kind} listener on port {port}")

    def end(self) -> float:
        """Wait for the end: the CPU seconds used. LostBytes where it is a bad one."""
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._over.set()
        self._watcher.join()
        if self.process.returncode:
            raise LostBytes(f"{' '.join(self.process.args)} ended with {self.process.returncode}")  # type: ignore[arg-type]
        return used.ru_utime + used.ru_stime

    def kill(self) -> None:
        """Whatever has become of it: afterwards it is gone."""
        self._over.set()
        self._watcher.join()
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def watched(command: Sequence[str], **popen: Any) -> Iterator[Watched]:
    """A program that is killed where it has not come to its end when the block is left."""
    process = Watched(command, **popen)
    try:
        yield process
    finally:
        process.kill()


def ended(started: float, size: int, *processes: Watched) -> Sample:
    """Wait for the ends of all: seconds since `started`, CPU seconds of all together, the largest peak."""
    cpu = sum(process.end() for process in processes)
    seconds = time.perf_counter() - started
    more = {"CPU s/GiB": cpu * GIB / size} if size else {"CPU s": cpu}
    if peak := max(process.peak for process in processes):  # none where all were over in a moment
        more["peak MiB"] = peak
    return Sample(seconds, more)


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, listeners: int = 1, **popen: Any) -> Iterator[int]:
    """A server that listens on the port; its process id. At the end it is ended with all its children."""
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, start_new_session=True, **{**nowhere, **popen})
    try:
        await_socket(server, lambda: listening(port) >= listeners, f"{listeners} listeners on port {port}")
        yield server.pid
    finally:
        _end_group(server)


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """Its session is ours alone: no other process is in that group."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience)


def await_socket(process: subprocess.Popen[bytes], condition: Callable[[], bool], what: str) -> None:
    """Wait until a process listens; LostBytes where it ends before, or does not within STARTING."""
    deadline = time.monotonic() + STARTING
    while not condition():
        if time.monotonic() > deadline or process.poll() is not None:
            raise LostBytes(f"{process.args!r}: never {what}")
        time.sleep(0.003)


def listening(port: int, kind: str = "tcp") -> int:
    """How many sockets of this machine listen on the port, for workers each have one; of udp: are bound to it."""
    count = 0
    wanted = f":{port:04X}"
    for path in (f"/proc/net/{kind}", f"/proc/net/{kind}6"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as table:
            for line in table:
                fields = line.split(None, 4)
                count += fields[3] == LISTENS[kind] and fields[1].endswith(wanted)
    return count


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def memory(pid: int) -> float:
    """KiB that a server's processes take together, shared pages shared out among them (PSS, proc(5))."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return float(total)


def cpu_seconds(pid: int) -> float:
    """What a process and all that descend from it have used until now."""
    ticks = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime, stime (proc(5)), counted from the state on
    return ticks / os.sysconf("SC_CLK_TCK")
