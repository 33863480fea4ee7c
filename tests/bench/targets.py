"""What was asked of pync's speed, each as a ratio of two figures of the benchmark.

Ratios only: seconds depend on the machine. What has been measured against them is report.py's to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.bench.sample import Result


class Target(NamedTuple):
    """`own` of the row against `other`: at least so many times as good.

    With `at_most` the figure is one where less is better, and ours may be at most so many times the other.
    `beside`: the other figure is of that row. `without`: so much is taken off ours, that other one's figure.
    """

    asked: str
    row: str
    other: str
    at_least: float = 0.0
    at_most: float = 0.0
    own: str = "pync"
    beside: str = ""
    without: str = ""

    def measured(self, results: dict[str, Result]) -> float | None:
        """The ratio that was asked for; None where one of the figures is not there."""
        if self.beside or self.without:
            return self._of_medians(results)
        ratio = results[self.row].ratio(self.other, self.own) if self.row in results else None
        return 1 / ratio if ratio and self.at_most else ratio

    def _of_medians(self, results: dict[str, Result]) -> float | None:
        beside = self.beside or self.row
        if self.row not in results or beside not in results:
            return None
        ours, theirs = results[self.row].median(self.own), results[beside].median(self.other)
        off = results[self.row].median(self.without) if self.without else 0.0
        return (ours - off) / theirs if ours and theirs and off is not None else None

    def met(self, measured: float) -> bool:
        return measured <= self.at_most if self.at_most else measured >= self.at_least


TARGETS = [
    Target("cold start at most about 2 times `import socket`", "cold", "import socket", at_most=2),
    Target(
        "`--ports` with 5,000 connections, less psutil's import: at most 3 times ss",
        "ports-5000",
        "ss",
        at_most=3,
        without="import psutil",
    ),
    Target(
        "`--ports`, 5 times the connections: at most 5 times as long",
        "ports-5000",
        "pync",
        at_most=5,
        beside="ports-1000",
    ),
    Target("pipe → TCP → pipe faster than nc.openbsd", "pipe", "nc.openbsd", 1),
    Target("file → TCP → file faster than nc.openbsd", "file", "nc.openbsd", 1),
    Target("file → TCP → new file: at least 0.95 times a bare loop that copies", "new-file", "bare C (copy)", 0.95),
    Target("file → TCP → new file: at least 0.95 times a bare loop that splices", "new-file", "bare C (splice)", 0.95),
    Target("file → TCP → new file: at least as fast as socat -b 1M", "new-file", "socat -b 1M", 1),
    Target("TCP → /dev/null faster than nc.openbsd", "null", "nc.openbsd", 1),
    Target("unix stream faster than nc.openbsd", "unix", "nc.openbsd", 1),
    Target("`--progress` slower by at most 3 %", "progress", "pync, no --progress", at_most=1.03),
    Target("scan of the loopback faster than nc.openbsd", "scan", "nc.openbsd", 1),
    Target("echo, 1,000 connections: at least 3 times asyncio streams", "echo-1000", "asyncio streams", 3),
    Target("echo, 1,000 connections: at least 0.85 times a uvloop Protocol", "echo-1000", "uvloop Protocol", 0.85),
    Target(
        "echo, 8,000 connections: at least 0.7 times its own rate at 1,000",
        "echo-8000",
        "pync",
        0.7,
        beside="echo-1000",
    ),
    Target("echo, 100 connections: at least as fast as socat", "echo-100", "socat fork", 1),
    Target("echo, 100 connections: at least as fast as ncat", "echo-100", "ncat -e cat", 1),
    Target("memory of a connection at most a tenth of socat's", "memory", "socat fork", at_most=0.1),
    Target("memory of a connection at most a tenth of ncat's", "memory", "ncat -e cat", at_most=0.1),
    Target(
        "`--workers 2` more than one worker: HTTP, whose client leaves a core free",
        "http-small",
        "pync",
        1,
        own="pync --workers 2",
    ),
    Target("HTTP, 1 GiB: at least as fast as http.server", "http-large", "http.server", 1),
    Target("HTTP, 1 KiB: at least 3 times http.server", "http-small", "http.server", 3),
]
