"""The C programs beside this file: compiled once for a run of the benchmark, started, and their JSON read.

They have to be no bottleneck, so they are in C; what each does stands at its head.
"""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.bench.sample import LostBytes, Sample

HERE = Path(__file__).parent
#: Seconds: far more than any load takes.
PATIENCE = 90


@cache
def program(name: str) -> str:
    """The path of the compiled program."""
    path = Path(_directory()) / name
    subprocess.run(["cc", "-O2", "-Wall", "-o", path, HERE / f"{name}.c"], check=True)
    return str(path)


def compile_all() -> None:
    """Before anything is measured."""
    for source in sorted(HERE.glob("*.c")):
        program(source.stem)


@cache
def _directory() -> str:
    directory = tempfile.mkdtemp(prefix="pync-bench-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def load(name: str, *words: object) -> dict[str, Any]:
    """Run one to its end: what it tells. LostBytes where it was not answered as it should."""
    command = [program(name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        raise LostBytes(f"{name} {' '.join(command[1:])}: {done.stderr.strip() or done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rate(told: dict[str, Any]) -> Sample:
    """A load's rate, its latencies in microseconds, and the share of a core that it took itself.

    At 100 % the load is the bottleneck, and the server may be faster.
    """
    more = {f"{name} µs": told[name] for name in ("p50", "p99") if name in told}
    return Sample(told["per_second"], {**more, "load %": told["busy"] * 100})
