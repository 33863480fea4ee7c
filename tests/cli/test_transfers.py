"""Three hundred random transfers through two installed commands: what goes in comes out, and both say 0.

Each case draws its transport, its direction, the kinds of stdin and stdout at both ends, its sizes
and cuts, and whether an end runs without splice and sendfile. A case is made by its number alone, so
that a failure can be repeated: it is printed with everything that was drawn.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.running import PLAIN_PYNC, PYNC, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASES = 300
BATCH = 20
#: Transfers at the same time: most of a transfer is the starting of two interpreters.
AT_ONCE = 4

LARGEST = 8 << 20
EDGES = [4095, 4096, 4097, 65535, 65536, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, LARGEST]
#: What all data is cut from: random bytes are dear, and a shifted piece is found out as surely.
NOISE = random.Random("noise").randbytes(LARGEST + (1 << 16))

TRANSPORTS = ["127.0.0.1", "::1", "unix"]
DIRECTIONS = ["up", "down", "both"]
SOURCES = ["file", "pipe", "fifo", "socket"]
SINKS = ["file", "append", "pipe", "fifo", "socket"]
#: What an appended-to file holds before.
EARLIER = b"what was there before\n"
#: More writes than this make a transfer slow without making it harder.
MOST_PIECES = 400


def draw_size(rng: random.Random) -> int:
    """Mostly small, often at an edge, now and then everything up to the largest."""
    kind = rng.random()
    if kind < 0.1:
        return 0
    if kind < 0.5:
        return rng.choice(EDGES)
    return int(2 ** rng.uniform(0, 16 if kind < 0.8 else 23))


class End:
    """What one of the two commands is given: how it runs, what it reads and where it writes."""

    def __init__(self, rng: random.Random, *, sends: bool) -> None:
        self.plain = rng.random() < 0.5
        size = draw_size(rng) if sends else 0
        offset = rng.randrange(1 << 16)
        self.data = NOISE[offset : offset + size]
        self.source = rng.choice([*SOURCES, "null", "null"] if not size else SOURCES)
        self.sink = rng.choice(SINKS)
        self.longest_piece = max(rng.choice([10, 1000, 4096, 65536, LARGEST]), size // MOST_PIECES)
        self.longest_read = rng.choice([4096, 65536, 1 << 20])
        self.rng = random.Random(rng.random())

    def __repr__(self) -> str:
        program = "plain pync" if self.plain else "pync"
        return f"{program} <{self.source} ({len(self.data)} bytes, pieces up to {self.longest_piece}) >{self.sink}"

    def pieces(self) -> Iterator[bytes]:
        """The data, cut at random."""
        start = 0
        while start < len(self.data):
            end = start + self.rng.randint(1, self.longest_piece)
            yield self.data[start:end]
            start = end


class Case:
    """One transfer, drawn from its number."""

    def __init__(self, number: int) -> None:
        rng = random.Random(f"transfer {number}")
        self.number = number
        self.transport = rng.choice(TRANSPORTS)
        self.direction = rng.choice(DIRECTIONS)
        self.client = End(rng, sends=self.direction != "down")
        self.listener = End(rng, sends=self.direction != "up")

    def __repr__(self) -> str:
        return f"case {self.number}: {self.transport}: client {self.client}, listener {self.listener}"


class Stdin:
    """The descriptor that a command reads; what is not in it already is written from a thread."""

    def __init__(self, end: End, path: str) -> None:
        self._end = end
        self._writing = -1
        if end.source == "null":
            self.fd = os.open(os.devnull, os.O_RDONLY)
        elif end.source == "file":
            with open(path, "wb") as file:
                file.write(end.data)
            self.fd = os.open(path, os.O_RDONLY)
        else:
            self.fd, self._writing = connected(end.source, path)
        self._thread = threading.Thread(target=self._feed, daemon=True)

    def start(self) -> None:
        if self._writing >= 0:
            self._thread.start()

    def _feed(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in self._end.pieces():
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._writing, rest) :]
        os.close(self._writing)

    def close(self) -> None:
        """Give the descriptor back; whoever still writes to it ends with that."""
        os.close(self.fd)
        if self._writing >= 0:
            self._thread.join()


class Stdout:
    """The descriptor that a command writes to; what arrives is read from a thread, or found in the file."""

    def __init__(self, end: End, path: str) -> None:
        self._end = end
        self._path = path
        self._reading = -1
        self._pieces: list[bytes] = []
        if end.sink in ("file", "append"):
            with open(path, "wb") as file:
                file.write(EARLIER if end.sink == "append" else b"")
            self.fd = os.open(path, os.O_WRONLY | (os.O_APPEND if end.sink == "append" else 0))
        else:
            self._reading, self.fd = connected(end.sink, path)
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def start(self) -> None:
        if self._reading >= 0:
            self._thread.start()

    def _collect(self) -> None:
        while piece := os.read(self._reading, self._end.longest_read):
            self._pieces.append(piece)
        os.close(self._reading)

    def close(self) -> bytes:
        """Give the descriptor back: what has been written to it."""
        os.close(self.fd)
        if self._reading >= 0:
            self._thread.join()
            return b"".join(self._pieces)
        with open(self._path, "rb") as file:
            data = file.read()
        return data.removeprefix(EARLIER) if self._end.sink == "append" else data


def connected(kind: str, path: str) -> tuple[int, int]:
    """A pipe, FIFO or pair of sockets: the end to read from and the end to write to, both blocking."""
    if kind == "pipe":
        return os.pipe()
    if kind == "socket":
        near, far = socket.socketpair()
        return near.detach(), far.detach()
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # blocking, it would wait for a writer
    os.set_blocking(reading, True)
    return reading, os.open(path, os.O_WRONLY)


class Command:
    """One of the two commands with its streams."""

    def __init__(self, name: str, end: End, directory: Path, words: list[str]) -> None:
        self.name = name
        self._stdin = Stdin(end, str(directory / f"{name}.in"))
        self._stdout = Stdout(end, str(directory / f"{name}.out"))
        program = PLAIN_PYNC if end.plain else [PYNC]
        self.process = Running([*program, *words], stdin=self._stdin.fd, stdout=self._stdout.fd)
        self._stdin.start()
        self._stdout.start()

    def verdict(self, expected: bytes) -> list[str]:
        """Wait for the end: what was wrong with it."""
        wrong = []
        try:
            code = self.process.code()
            if code:
                wrong.append(f"{self.name}: exit code {code}")
        except Exception as error:
            wrong.append(f"{self.name}: {error}")
        self.process.end()
        wrong += [f"{self.name} said: {line}" for line in self.process.messages if line.startswith("pync: ")]
        for stream in (self._stdin, self._stdout):
            if not os.get_blocking(stream.fd):
                wrong.append(f"{self.name}: descriptor was left non-blocking")
        self._stdin.close()
        return wrong + self._difference(self._stdout.close(), expected)

    def _difference(self, got: bytes, expected: bytes) -> list[str]:
        if hashlib.sha256(got).digest() == hashlib.sha256(expected).digest():
            return []
        pairs = enumerate(zip(got, expected, strict=False))
        same = next((index for index, (one, other) in pairs if one != other), min(len(got), len(expected)))
        return [f"{self.name}: {len(got)} bytes instead of {len(expected)}, different from byte {same} on"]


def transfer(case: Case, directory: Path) -> list[str]:
    """Run one case: what was wrong, nothing if all was well."""
    directory.mkdir()
    path = str(directory / "socket")
    words = ["-lvU", path] if case.transport == "unix" else ["-l", case.transport, "0"]
    listener = Command("listener", case.listener, directory, words)
    wrong = []
    try:
        client = Command("client", case.client, directory, target_of(listener, case.transport, path))
        wrong += client.verdict(case.listener.data)
    except pytest.fail.Exception as error:  # the listener never listened
        wrong.append(str(error))
    return wrong + listener.verdict(case.client.data)


def target_of(listener: Command, transport: str, path: str) -> list[str]:
    """Wait until the listener listens: the words that lead to it."""
    if transport != "unix":
        return [transport, str(listener.process.port())]
    listener.process.wait_for(f"^Listening on {path}$")
    return ["-U", path]


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "first",
    [pytest.param(first, marks=[pytest.mark.slow] if first else []) for first in range(0, CASES, BATCH)],
    ids=lambda first: f"{first}-{first + BATCH - 1}",
)
def test_random_transfers_arrive_identical_and_both_ends_say_so(first: int, tmp_path: Path) -> None:
    cases = [Case(number) for number in range(first, first + BATCH)]
    if not has_ipv6():
        cases = [case for case in cases if case.transport != "::1"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(lambda case: transfer(case, tmp_path / str(case.number)), cases))
    wrong = [f"{case!r}\n    " + "\n    ".join(lines) for case, lines in zip(cases, verdicts, strict=True) if lines]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_cases_leave_no_combination_out() -> None:
    """Every stdin with every stdout, every transport with every pair of programs in every direction."""
    cases = [Case(number) for number in range(CASES)]
    ends = [end for case in cases for end in (case.client, case.listener)]
    assert {(end.source, end.sink) for end in ends} == {(i, o) for i in [*SOURCES, "null"] for o in SINKS}
    runs = {(case.transport, case.client.plain, case.listener.plain, case.direction) for case in cases}
    assert len(runs) == len(TRANSPORTS) * 2 * 2 * len(DIRECTIONS)
    sizes = {len(end.data) for end in ends}
    assert sizes > {0, 1, *EDGES}
