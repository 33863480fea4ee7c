"""What holds for all tests: what signals do, and which may run beside which, where pytest-xdist runs several at once.

Most own their ports, files and hosts. One that is marked `alone` meets the ports of others (a scan of the
whole loopback) or measures the machine; while it runs, no other test of the run does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_configure() -> None:
    """Programs under test are ended by signals, also where the shell that started the tests in the background,
    or nohup(1), has these ignored: what is ignored is inherited (POSIX, "Signals and Error Handling" of sh).
    """
    for number, ordinary in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, ordinary)


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
