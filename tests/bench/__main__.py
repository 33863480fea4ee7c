"""`python -m tests.bench [ROW ...]`: pync beside other programs, interleaved, in one run.

Prints for each row the medians and the ratios that matter; `--write` puts them into results.md beside this file.
Machines are noisy: trust the ratios of one run, and of them the medians. `--smoke` takes half a minute with
tiny sizes and asserts that bytes arrived: it fails where a row does not work, and knows nothing of speed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench import chart, report
from tests.bench.contestants import LOSES, is_installed
from tests.bench.load import compile_all
from tests.bench.rows import ROWS
from tests.bench.sample import Job, LostBytes, Result, Sample

if TYPE_CHECKING:
    from tests.bench.sample import Contestant, Row

RESULTS = Path(__file__).with_name("results.md")
ABSENT = "not installed"
SMOKE_SIZE = 3 << 20
SMOKE_SECONDS = 0.05
BLOCK = 1 << 20


def main() -> int:
    """Run the rows asked for: 1 where one of pync's runs did not arrive, in a smoke where anybody's did not."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no server is left behind
    compile_all()
    began = time.monotonic()
    results = {}
    for name in arguments.rows or ROWS:
        result = _run_row(ROWS[name], arguments)
        results[name] = result
        _print(name, result)
    print(f"\n{time.monotonic() - began:.0f} s")
    if not arguments.smoke:
        print(report.text(report.asked(results)))
    if arguments.write:
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        RESULTS.write_text(report.markdown(results, today, arguments.runs), "utf-8")
        chart.write()
    return 1 if list(_failures(results, arguments.smoke)) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}; none: all of them")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each contestant (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the full sizes, for a quick look")
    parser.add_argument("--seconds", type=float, default=0.7, help="how long a rate is measured (default 0.7)")
    parser.add_argument("--write", action="store_true", help="write results.md, and results.svg from it")
    parser.add_argument("--smoke", action="store_true", help="see that everything works, in half a minute")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if arguments.write and (arguments.rows or arguments.smoke or arguments.scale != 1):
        parser.error("--write is for all rows, at full size")
    return arguments


def _run_row(row: Row, arguments: argparse.Namespace) -> Result:
    runs = 1 if arguments.smoke else max(2, round(arguments.runs * row.repeat))
    seconds = SMOKE_SECONDS if arguments.smoke else arguments.seconds
    size = SMOKE_SIZE if arguments.smoke else int(row.size * arguments.scale)
    warm_up = not (arguments.smoke or row.warms_up)
    result = Result(row, {name: [] for name in row.contestants})
    around = row.surroundings(arguments.smoke) if row.surroundings else contextlib.nullcontext(0)
    with tempfile.TemporaryDirectory(dir=_memory_directory(), prefix="pync-bench-") as directory, around as port:
        source = Path(directory) / "given"
        _fill(source, size)
        for number in range(-warm_up, runs):
            job = Job(source, seconds, check=number < 0 or arguments.smoke, smoke=arguments.smoke, port=port)
            for name, contestant in row.contestants.items():
                sample = _attempt(name, contestant, job)
                if number >= 0 or isinstance(sample, str):
                    result.rounds[name].append(sample)
    return result


def _memory_directory() -> str | None:
    """Files live in memory where they can: the disk is not what is measured."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 6 << 30 else None


def _fill(path: Path, size: int) -> None:
    """Blocks that differ from one another, so that a block in the wrong place is noticed."""
    block = bytes(range(251)) * (BLOCK // 251 + 1)
    with open(path, "wb") as file:
        for number in range(size // BLOCK):
            file.write(number.to_bytes(8, "big") + block[: BLOCK - 8])


def _attempt(name: str, contestant: Contestant, job: Job) -> Sample | str:
    """A sample, or in words why there is none."""
    if not is_installed(contestant.needs):
        return ABSENT
    try:
        return contestant.run(job)
    except pytest.skip.Exception as skipped:  # network namespaces need root
        return f"not here: {skipped}"
    except (LostBytes, OSError, subprocess.SubprocessError, pytest.fail.Exception) as trouble:
        return f"lost: {trouble}"


def _print(name: str, result: Result) -> None:
    print(f"\n{name}: {result.row.title}")
    print(report.text(report.table(result)), flush=True)
    for line in report.notes(result):
        print(f"  {line}")


def _failures(results: dict[str, Result], smoke: bool) -> list[str]:
    """What did not arrive though it could have."""
    failures = []
    for row, result in results.items():
        for name in set(result.rounds) - set(LOSES) if smoke else ["pync"]:
            troubles = [trouble for trouble in result.troubles(name) if not trouble.startswith("not ")]
            failures += [f"{row}, {name}: {trouble}" for trouble in troubles]
    for failure in failures:
        print(failure, file=sys.stderr)
    return failures


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
