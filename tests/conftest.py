"""What holds for all tests: which of them may run beside which, where pytest-xdist runs several at once.

Most own their ports, files and hosts. One that is marked `alone` meets the ports of others (a scan of the
whole loopback) or measures the machine; while it runs, no other test of the run does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Outside of the test's own time limit, which counts neither turn nor place."""
    shared = os.environ.get("PYTEST_XDIST_WORKER") is not None
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    place = _place(factory.getbasetemp().parent, alone=item.get_closest_marker("alone") is not None)
    with place if shared else contextlib.nullcontext():
        return (yield)


@contextlib.contextmanager
def _place(directory: Path, *, alone: bool) -> Iterator[None]:
    """A place beside others, or for one that is alone the only one.

    The turn is waited for before the place (flock(2)), so that the others cannot keep such a one waiting.
    """
    with open(directory / "turn", "w") as turn, open(directory / "places", "w") as places:
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(places, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield
