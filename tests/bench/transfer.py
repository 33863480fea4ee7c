"""One measured transfer: sender and receiver processes, fed and drained without a copy where possible.

The ends cost as little as they can (sendfile into the pipe, splice out of it), so that the time is
the programs' own. Received bytes are counted, and in a job that checks compared: a run that lost any is an
error, not a result.
"""

from __future__ import annotations

import contextlib
import filecmp
import mmap
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.contestants import HOST, words
from tests.bench.process import await_socket, ended, watched
from tests.bench.sample import LostBytes
from tests.running import unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.process import Watched
    from tests.bench.sample import Job, Sample

#: The sender in front of a receiver that is measured alone.
SENDER = "{bare} connect {place} sendfile"
#: Of a socket in /proc/net/unix that listens (SO_ACCEPTCON).
LISTENS = "00010000"


def pipe_to_pipe(connect: str, listen: str, job: Job) -> Sample:
    """pipe → TCP → pipe."""
    port = unused_port()
    with _into_pipe(words(listen, port), job) as receiver:
        receiver.wait_listening(port)
        return _fed(words(connect, port), job, receiver)


def unix_stream(connect: str, listen: str, job: Job) -> Sample:
    """pipe → unix-domain stream socket → pipe."""
    path = job.source.with_suffix(".sock")
    path.unlink(missing_ok=True)
    with _into_pipe(words(listen, path), job) as receiver:
        await_socket(receiver.process, lambda: _listens(path), f"a listener on {path}")
        return _fed(words(connect, path), job, receiver)


def _listens(path: Path) -> bool:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[3] == LISTENS for line in lines)


@contextlib.contextmanager
def _into_pipe(command: Sequence[str], job: Job) -> Iterator[Watched]:
    """A receiver whose output is drained; at the end of the block all of it must have come."""
    output, receiving_end = os.pipe()
    drained = threading.Thread(target=lambda: counts.append(_drain(output, job)))
    counts: list[int] = []
    with watched(command, stdin=subprocess.DEVNULL, stdout=receiving_end) as receiver:
        os.close(receiving_end)
        drained.start()
        yield receiver
    drained.join()
    if counts != [job.size]:
        raise LostBytes(f"{counts} of {job.size} bytes arrived")


def _drain(pipe: int, job: Job) -> int:
    """Everything out of a pipe, thrown away and counted; where it is compared, up to what is wrong."""
    try:
        return _compare(pipe, job.source) if job.check else _throw_away(pipe)
    finally:
        os.close(pipe)


def _throw_away(pipe: int) -> int:
    count = 0
    nowhere = os.open(os.devnull, os.O_WRONLY)
    while moved := os.splice(pipe, nowhere, 1 << 20):
        count += moved
    os.close(nowhere)
    return count


def _compare(pipe: int, source: Path) -> int:
    count = 0
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as given:
        while data := os.read(pipe, 1 << 20):
            if given[count : count + len(data)] != data:
                break
            count += len(data)
    return count


def _fed(command: Sequence[str], job: Job, receiver: Watched) -> Sample:
    """A sender that gets the whole file through a pipe: until both have ended."""
    sending_end, feed = os.pipe()
    started = time.perf_counter()
    with watched(command, stdin=sending_end) as sender:
        os.close(sending_end)
        filler = threading.Thread(target=_fill, args=(job.source, feed))
        filler.start()
        sample = ended(started, job.size, sender, receiver)
    filler.join()
    return sample


def _fill(source: Path, pipe: int) -> None:
    """The whole file into a pipe, which is closed then; a reader that has gone is its own trouble."""
    with contextlib.suppress(BrokenPipeError), open(source, "rb") as file:
        while os.sendfile(pipe, file.fileno(), None, 1 << 20):
            pass
    os.close(pipe)


def file_to_file(connect: str, listen: str, job: Job) -> Sample:
    """file → TCP → file. The target keeps its pages: what is measured is moving, not allocating."""
    target = job.source.with_suffix(".copy")
    if not target.exists():
        shutil.copyfile(job.source, target)
    if job.check:
        os.truncate(target, 0)
    return _into(target, connect, listen, job)


def file_to_new_file(connect: str, listen: str, job: Job) -> Sample:
    """file → TCP → a file that has no pages yet, as `> copy` makes it: each of them must be found first."""
    target = job.source.with_suffix(".new")
    target.touch(exist_ok=False)
    try:
        return _into(target, connect, listen, job)
    finally:
        target.unlink()


def _into(target: Path, connect: str, listen: str, job: Job) -> Sample:
    port = unused_port()
    with open(job.source, "rb") as given, open(target, "r+b") as taken:
        with watched(words(listen, port), stdin=subprocess.DEVNULL, stdout=taken) as receiver:
            receiver.wait_listening(port)
            started = time.perf_counter()
            with watched(words(connect, port), stdin=given) as sender:
                sample = ended(started, job.size, sender, receiver)
        arrived = os.lseek(taken.fileno(), 0, os.SEEK_CUR)
    if arrived != job.size or (job.check and not filecmp.cmp(job.source, target, shallow=False)):
        raise LostBytes(f"{arrived} of {job.size} bytes arrived, or others")
    return sample


def to_nowhere(listen: str, job: Job) -> Sample:
    """TCP → /dev/null, sent by the bare C loop, whose CPU is not counted.

    A receiver that closes before it has read everything resets the connection, which the sender tells.
    """
    port = unused_port()
    with watched(words(listen, port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as receiver:
        receiver.wait_listening(port)
        started = time.perf_counter()
        with open(job.source, "rb") as given, watched(words(SENDER, port), stdin=given) as sender:
            sample = ended(started, job.size, receiver)
            sender.end()
    return sample


def cold_start(command: str, job: Job) -> Sample:
    """A whole process: one that connects is sent two bytes, and its output is these."""
    with socket.create_server((HOST, 0)) as server, contextlib.ExitStack() as stack:
        if "{place}" in command:
            answering = threading.Thread(target=_answer, args=(server,))
            answering.start()
            stack.callback(answering.join)
        started = time.perf_counter()
        with watched(words(command, server.getsockname()[1]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as it:
            sample = ended(started, 0, it)
            assert it.process.stdout is not None
            with it.process.stdout as output:
                if output.read() != (b"hi" if "{place}" in command else b""):
                    raise LostBytes(f"{command}: no answer")
    return sample


def _answer(server: socket.socket) -> None:
    server.settimeout(10)
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"hi")
