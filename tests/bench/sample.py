"""The nouns of the benchmark: a job that is given, a sample that is taken, a row of contestants, its result.

What is measured and how is in the files of the workloads; what is printed of it is report.py's.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    Run = Callable[["Job"], "Sample"]

GIB = 1 << 30


class LostBytes(Exception):
    """A run that did not deliver everything, or came to a bad end, is no measurement."""


class Job(NamedTuple):
    """What a run is given: the file to move, how long a rate is taken, whether every moved byte is compared.

    A smoke job counts down: it wants to see everything work, not how fast. `port` is that of the surroundings.
    """

    source: Path
    seconds: float
    check: bool
    smoke: bool = False
    port: int = 0

    @property
    def size(self) -> int:
        return self.source.stat().st_size

    def many(self, full: int, smoke: int) -> int:
        """How many of something: connections, ports."""
        return smoke if self.smoke else full


class Sample(NamedTuple):
    """One run: the figure that is compared, in the row's unit, and further ones by the name of their column."""

    value: float
    more: dict[str, float]


class Contestant(NamedTuple):
    """Who takes part: its run, and the program or Python module without which it cannot."""

    run: Run
    needs: str = ""


class Row(NamedTuple):
    """A workload: what is measured in which unit, who takes part, pync among them, and what to know of it.

    `size` is the length in bytes of what is moved. Runs that bring a rate warm up by themselves; all others get a
    round that is not counted. `repeat`: of a short run so many times as many are taken, of one that hardly varies
    a part of them. `surroundings` are made once for all runs, smaller ones for a smoke; what they give is the job's
    port.
    """

    title: str
    unit: str
    contestants: dict[str, Contestant]
    size: int = 0
    more_is_better: bool = False
    repeat: float = 1
    note: str = ""
    surroundings: Callable[[bool], AbstractContextManager[int]] | None = None

    @property
    def warms_up(self) -> bool:
        """Whether its runs do so by themselves."""
        return self.unit.endswith("/s")


class Result(NamedTuple):
    """What came of a row: for each contestant and round a sample, or in words why there is none."""

    row: Row
    rounds: dict[str, list[Sample | str]]

    def samples(self, name: str) -> list[Sample]:
        return [sample for sample in self.rounds.get(name, []) if isinstance(sample, Sample)]

    def troubles(self, name: str) -> list[str]:
        return [trouble for trouble in self.rounds.get(name, []) if isinstance(trouble, str)]

    def median(self, name: str) -> float | None:
        values = [sample.value for sample in self.samples(name)]
        return statistics.median(values) if values else None

    def ratio(self, other: str, own: str = "pync") -> float | None:
        """How many times as good as the other one: the median over the rounds in which both arrived."""
        pairs = zip(self.rounds.get(own, []), self.rounds.get(other, []), strict=False)
        both = [
            (ours.value, theirs.value)
            for ours, theirs in pairs
            if isinstance(ours, Sample) and isinstance(theirs, Sample) and theirs.value
        ]
        if not both:
            return None
        ratio = statistics.median(ours / theirs for ours, theirs in both)
        return ratio if self.row.more_is_better or not ratio else 1 / ratio
