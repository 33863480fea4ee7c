"""`python -m tests.bench [ROW ...]`: pync beside other programs, interleaved, in one run.

Prints for each row the medians and the ratios that matter. Machines are noisy: trust the ratios of one
run, and of them the medians. Nothing here asserts speed; a run that loses bytes stops the benchmark.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.bench.scan import scan_far, scan_loopback
from tests.bench.transfer import Sample, cold_start, file_to_file, pipe_to_pipe, pipe_to_udp
from tests.running import PYNC

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Path], Sample]

HOST = "127.0.0.1"


class Row(NamedTuple):
    """A workload: its size in bytes at full length, the contestants, pync first, what to know of its figures."""

    size: int
    contestants: dict[str, Run]
    note: str = ""


def _both(work: Callable[..., Sample], listen: list[str], connect: list[str]) -> Run:
    return partial(work, listen, connect)


PYNC_ENDS = ([PYNC, "-l", HOST], [PYNC, HOST])
NC_ENDS = (["nc.openbsd", "-l", HOST], ["nc.openbsd", "-N", HOST])
NCAT_ENDS = (["ncat", "-l", HOST], ["ncat", HOST])

ROWS: dict[str, Row] = {
    "cold": Row(
        0,
        {
            "pync": lambda _: cold_start([PYNC, HOST]),
            "import socket": lambda _: cold_start([sys.executable, "-c", "import socket"]),
            "ncat": lambda _: cold_start(["ncat", HOST]),
            "nc.openbsd": lambda _: cold_start(["nc.openbsd", HOST]),
        },
    ),
    "pipe": Row(
        2 << 30,
        {
            "pync": _both(pipe_to_pipe, *PYNC_ENDS),
            "nc.openbsd": _both(pipe_to_pipe, *NC_ENDS),
            "ncat": _both(pipe_to_pipe, *NCAT_ENDS),
        },
    ),
    "file": Row(
        2 << 30,
        {
            "pync": _both(file_to_file, *PYNC_ENDS),
            "nc.openbsd": _both(file_to_file, *NC_ENDS),
            "ncat": _both(file_to_file, *NCAT_ENDS),
        },
    ),
    "udp": Row(
        512 << 20,
        {
            "pync": partial(pipe_to_udp, [PYNC, "-u", "-q", "0", HOST]),
            "nc.openbsd": partial(pipe_to_udp, ["nc.openbsd", "-u", "-q", "0", HOST]),
        },
    ),
    "scan": Row(
        0,
        {
            "pync": lambda _: scan_loopback([PYNC, "-n", "-z"]),
            "nc.openbsd": lambda _: scan_loopback(["nc.openbsd", "-n", "-z"]),
        },
        "65,535 ports of the loopback",
    ),
    "scan-latency": Row(
        0,
        {
            "pync": lambda _: scan_far([PYNC, "-n", "-z"], 2000),
            "nc.openbsd": lambda _: scan_far(["nc.openbsd", "-n", "-z"], 100, times=20),
        },
        "2,000 ports at 40 ms; nc.openbsd scans 100 of them, its seconds and CPU seconds are those times 20",
    ),
}


def main() -> None:
    """Run the rows asked for and print a table of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}; none: all of them")
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each contestant (default 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the full sizes, for a quick look")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(dir=_memory_directory()) as directory:
        for name in arguments.rows or ROWS:
            try:
                _run_row(name, ROWS[name], arguments.runs, arguments.scale, Path(directory))
            except pytest.skip.Exception as skipped:  # network namespaces need root
                print(f"\n{name}\n  skipped: {skipped}")


def _memory_directory() -> str | None:
    """Files live in memory where they can: the disk is not what is measured."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 6 << 30 else None


def _run_row(name: str, row: Row, runs: int, scale: float, directory: Path) -> None:
    source = directory / name
    with open(source, "wb") as file:
        for _ in range(int(row.size * scale) >> 20):
            file.write(bytes(range(256)) * 4096)
    samples: dict[str, list[Sample]] = {contestant: [] for contestant in row.contestants}
    for number in range(runs + 1):  # the first round warms up
        for contestant, run in row.contestants.items():
            if contestant in ("ncat", "nc.openbsd") and shutil.which(contestant) is None:
                continue
            sample = run(source)
            if number:
                samples[contestant].append(sample)
    _print(name, source.stat().st_size, samples)
    if row.note:
        print(f"  {row.note}")
    for path in directory.iterdir():
        path.unlink()


def _print(name: str, size: int, samples: dict[str, list[Sample]]) -> None:
    print(f"\n{name}, {size >> 20} MiB" if size else f"\n{name}")
    print(f"  {'':14}{'median s':>10}{'min':>9}{'max':>9}{'CPU s':>9}{'peak MiB':>10}{'time / pync':>13}")
    own = [sample.seconds for sample in samples["pync"]]
    for contestant, taken in samples.items():
        if not taken:
            print(f"  {contestant:14}  not installed")
            continue
        seconds = [sample.seconds for sample in taken]
        ratio = statistics.median(theirs / ours for theirs, ours in zip(seconds, own, strict=True))
        cpu = statistics.median(sample.cpu for sample in taken)
        peak = max(sample.peak for sample in taken)
        print(
            f"  {contestant:14}{statistics.median(seconds):>10.4f}{min(seconds):>9.4f}{max(seconds):>9.4f}"
            f"{cpu:>9.4f}{peak:>10.1f}{ratio:>13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
