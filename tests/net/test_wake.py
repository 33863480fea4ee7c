"""A signal makes the wake descriptor readable, whoever waits for it: in processes of their own.

The descriptor is a thing of the whole process, so that the tests' own process must not have one.
"""

from __future__ import annotations

import subprocess
import sys

from tests.running import PATIENCE

PROGRAM = """
import os, select, signal
from pync.net import wake
signal.signal(signal.SIGUSR1, lambda *_: None)
assert wake.fd == -1
wake.install()
first = wake.fd
wake.install()
assert wake.fd == first
ready = lambda: bool(select.select([wake.fd], [], [], 0)[0])
assert not ready()
os.kill(os.getpid(), signal.SIGUSR1)
assert ready()
wake.drain()
assert not ready()
wake.drain()  # nothing left: harmless
"""

LOOP = """
import os, signal, sys
from pync.engine.loop import Loop
from pync.net import wake
wake.install()
def handler(*_):
    raise SystemExit(7)
signal.signal(signal.SIGUSR1, handler)
loop = Loop()
loop.call_at(loop.time() + 60, sys.exit, 1)
loop.call_at(loop.time(), os.kill, os.getpid(), signal.SIGUSR1)
loop.run()
"""


def run(program: str) -> int:
    return subprocess.run([sys.executable, "-c", program], timeout=PATIENCE, check=False).returncode


def test_a_signal_makes_the_descriptor_readable_until_it_is_drained() -> None:
    assert run(PROGRAM) == 0


def test_a_signal_ends_the_loops_wait() -> None:
    assert run(LOOP) == 7
