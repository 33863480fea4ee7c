"""The parts of --workers that need no process: what a worker tells its parent, how its end is put in words.

Processes, signals and counts are tested with the installed command in cli/test_workers.
"""

from __future__ import annotations

import errno
import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.console import Console
from pync.errors import Fault
from pync.serving import workers as module
from pync.serving.binding import open_listener
from pync.serving.listening import Listening
from pync.serving.serve import MOST_PROGRAMS
from pync.serving.tally import SUMMED, Tally
from pync.serving.workers import Counts, Crew, Worker, run_workers
from pync.wire.address import Target
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.net.listen import Listener

COUNTS = st.fixed_dictionaries({name: st.integers(0, 1 << 50) for name in SUMMED})


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


class NoLimit:
    """Leaves the limit of the tests' own process as it is."""

    def __enter__(self) -> None:
        """Nothing is raised."""

    def __exit__(self, *_: object) -> None:
        """There is nothing to give back."""


def counts(fd: int, tally: Tally) -> Counts:
    """What a worker that has counted so much tells through the pipe."""
    console = Console(None, None, None)
    console.outcome.listens(tally)
    return Counts(console, fd)


@given(st.lists(COUNTS, min_size=1, max_size=5), st.lists(st.integers(1, 200), max_size=30))
def test_counts_arrive_whole_however_the_pipe_cuts_them(each: list[dict[str, int]], cuts: list[int]) -> None:
    told, telling = os.pipe()
    for numbers in each:
        tally = Tally()
        tally.add(numbers)
        counts(telling, tally).show()
    os.close(telling)
    rest = os.read(told, 1 << 16)
    os.close(told)
    reading, writing = os.pipe()
    worker = Worker(0)
    worker.counts = reading
    for cut in [*cuts, 1 << 15]:
        if rest:
            os.write(writing, rest[:cut])
            rest = rest[cut:]
            assert worker.read()
    assert worker.last == each[-1]
    assert worker.answered
    os.close(writing)
    assert not worker.read()
    os.close(reading)


def test_what_a_worker_tells_is_what_its_parent_adds_up(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    tally = Tally()
    tally.come()
    tally.refused_by_rule = 3
    counts(writing, tally).show()
    tally.come()
    counts(writing, tally).show()
    worker = Worker(0)
    worker.counts = reading
    assert worker.read()
    assert worker.last == tally.counts()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with 0"), (3 << 8, "ended with 3"), (int(signal.SIGKILL), "was ended by signal 9")],
)
def test_how_a_worker_ended_is_told(status: int, words: str) -> None:
    assert module._how(status) == words


@pytest.mark.parametrize(
    ("count", "most", "processes"),
    [(1, None, 1), (3, None, 3), (4, 2, 2), (2, 100, 2)],
)
def test_there_are_no_more_processes_than_clients(
    count: int, most: int | None, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Crew:
        def __init__(self, *_: Any) -> None: ...

        def ask(self) -> None: ...

        def run(self, listeners: list[Any], *_: Any) -> int:
            made.extend(listeners)
            ports = {address.port for listener in listeners for address in listener.addresses()}
            assert len(ports) == 1
            return 7

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(module, "Crew", Crew)
    monkeypatch.setattr(module, "DescriptorLimit", NoLimit)
    plan = planned(listen=True, keep_open=True, echo=True, workers=count, max_conns=most)
    assert run_workers(Target("127.0.0.1", [0]), plan, Console(None, None, None)) == 7
    assert len(made) == processes
    assert all(sock.fileno() == -1 for listener in made for sock in listener.sockets)


def test_the_default_limit_of_programs_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    first = SimpleNamespace(addresses=lambda: [SimpleNamespace(port=1)])
    monkeypatch.setattr(module, "bind", lambda *_: opened.append(1))
    plan = planned(listen=True, keep_open=True, sh_exec="cat", workers=MOST_PROGRAMS + 50)
    listening = Listening(Target("127.0.0.1", [0]), plan, Console(None, None, None))
    listening.listener = cast("Listener", first)
    assert len(module._one_each(listening)) == MOST_PROGRAMS


def test_a_crew_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second socket does not come to be: the first must not stay bound."""
    bound: list[Any] = []

    def remember(*words: Any) -> Any:
        bound.append(open_listener(*words))
        return bound[0]

    def fail(*_: Any) -> Any:
        raise Fault("no second socket")

    monkeypatch.setattr(module, "DescriptorLimit", NoLimit)
    monkeypatch.setattr("pync.serving.listening.open_listener", remember)
    monkeypatch.setattr(module, "bind", fail)
    plan = planned(listen=True, keep_open=True, echo=True, workers=2)
    with pytest.raises(Fault, match="no second socket"):
        run_workers(Target("127.0.0.1", [0]), plan, Console(None, None, None))
    assert [sock.fileno() for sock in bound[0].sockets] == [-1]


def test_a_worker_that_gets_only_one_of_its_pipes_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    pipe = os.pipe

    def one_pipe() -> tuple[int, int]:
        if made:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        made.extend(pipe())
        return made[0], made[1]

    with Crew(planned(), Console(None, None, None)) as crew:
        monkeypatch.setattr(os, "pipe", one_pipe)
        with pytest.raises(OSError, match="Too many open files"):
            crew._fork(Worker(0))
    for fd in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
