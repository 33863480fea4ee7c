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
from pync.net.loop import Loop
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


HANDLERS = """
import os, signal
from pync.net.loop import Loop
from pync.net import wake
wake.install()
ours = lambda *_: None
before = signal.signal(signal.SIGUSR1, ours)
asked = []
handlers = wake.Handlers()
handlers.on(signal.SIGUSR1, lambda: asked.append(len(asked)))
os.kill(os.getpid(), signal.SIGUSR1)
os.kill(os.getpid(), signal.SIGUSR1)
assert not asked, "done in between two steps, not in the loop"
loop = Loop()
loop.call_at(loop.time() + 0.01, loop.stop)
loop.run()
assert asked == [0, 1], asked
handlers.restore()
assert signal.getsignal(signal.SIGUSR1) is ours
os.kill(os.getpid(), signal.SIGUSR1)
wake.drain()
assert asked == [0, 1]
"""

IGNORED = """
import os, signal
from pync.net import wake
wake.install()
signal.signal(signal.SIGINT, signal.SIG_IGN)
handlers = wake.Handlers()
handlers.on(signal.SIGINT, lambda: exit("asked for, but it was ignored before we came"))
os.kill(os.getpid(), signal.SIGINT)
wake.drain()
handlers.restore()
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""

CHAIN = """
import os, signal
from pync.net import wake
wake.install()
asked = []
handlers = wake.Handlers()
def first():
    asked.append("first")
    os.kill(os.getpid(), signal.SIGUSR2)  # while we are at it
handlers.on(signal.SIGUSR1, first)
handlers.on(signal.SIGUSR2, lambda: asked.append("second"))
os.kill(os.getpid(), signal.SIGUSR1)
wake.drain()
wake.drain()
assert asked == ["first", "second"], asked
"""

LIBRARY = """
import os, signal
from pync.net import wake
handled = []
signal.signal(signal.SIGUSR1, lambda *_: handled.append("the caller's"))
handlers = wake.Handlers()
handlers.on(signal.SIGUSR1, lambda: handled.append("ours"))
os.kill(os.getpid(), signal.SIGUSR1)
handlers.restore()
os.kill(os.getpid(), signal.SIGUSR1)
assert handled == ["the caller's"] * 2, handled
assert wake.fd == -1
wake.renew()
assert wake.fd == -1
"""

ENDING = """
import os, signal
from pync.net import wake
wake.install()
before = {number: signal.getsignal(number) for number in wake.ENDS}
asked = []
ending = wake.Ending(lambda: asked.append("to end"))
os.kill(os.getpid(), signal.SIGINT)
assert not asked
wake.drain()
assert asked == ["to end"]
assert {number: signal.getsignal(number) for number in wake.ENDS} == before
for second in (lambda: os.kill(os.getpid(), signal.SIGINT), ending.follow):
    try:
        second()
    except KeyboardInterrupt:
        continue
    raise SystemExit("still here")
ending = wake.Ending(lambda: asked.append("again"))
ending.restore()
ending.follow()
assert {number: signal.getsignal(number) for number in wake.ENDS} == before
"""

FORK = """
import os, select, signal, sys
from pync.net import wake
wake.install()
handlers = wake.Handlers()
asked = []
handlers.on(signal.SIGUSR1, lambda: asked.append("parent"))
os.kill(os.getpid(), signal.SIGUSR1)  # asked of the parent, and not done yet
parents = os.fstat(wake.fd)
pid = os.fork()
if not pid:
    code = 1
    try:
        wake.renew()
        own = os.fstat(wake.fd)
        assert (own.st_dev, own.st_ino) != (parents.st_dev, parents.st_ino)
        wake.drain()
        assert not asked, "what the parent was asked for is done by the child"
        mine = []
        wake.Handlers().on(signal.SIGUSR1, lambda: mine.append("child"))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert select.select([wake.fd], [], [], 30)[0]
        wake.drain()
        assert mine == ["child"]
        code = 0
    finally:
        os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
wake.drain()
assert asked == ["parent"]
assert not select.select([wake.fd], [], [], 0)[0], "the child's signal has woken the parent"
"""


def run(program: str) -> int:
    return subprocess.run([sys.executable, "-c", program], timeout=PATIENCE, check=False).returncode


def test_a_signal_makes_the_descriptor_readable_until_it_is_drained() -> None:
    assert run(PROGRAM) == 0


def test_a_signal_ends_the_loops_wait() -> None:
    assert run(LOOP) == 7


def test_what_a_signal_asks_for_is_done_in_the_loop_and_the_handler_before_comes_back() -> None:
    assert run(HANDLERS) == 0


def test_a_signal_that_was_ignored_when_we_came_still_is() -> None:
    assert run(IGNORED) == 0


def test_what_is_asked_for_meanwhile_is_done_too() -> None:
    assert run(CHAIN) == 0


def test_the_first_signal_to_end_is_heard_in_the_loop_and_the_second_acts_at_once() -> None:
    assert run(ENDING) == 0


def test_a_library_call_leaves_signals_alone() -> None:
    assert run(LIBRARY) == 0


def test_a_fork_has_a_descriptor_of_its_own_and_none_of_its_parents_requests() -> None:
    assert run(FORK) == 0
