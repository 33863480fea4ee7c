"""Waiting in poll(2), here and on every floor above: the selector, its longest wait, and signals.

Python runs signal handlers between two steps of the interpreter. A signal that arrives after the last
such moment and before poll would be noticed only when something else happens. Process-wide, as
signal.set_wakeup_fd is; only the command installs it, a library call leaves it alone.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
from _thread import get_ident

from pync.errors import HUNG_UP, INTERRUPTED, TERMINATED, Terminated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: poll(2) takes milliseconds in a C int; a longer wait is simply begun anew.
LONGEST_WAIT = 86400.0
#: The signals that end us, and what we exit with then.
ENDS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: HUNG_UP}
#: What to watch, readable when a signal has arrived; -1 until it is installed.
fd = -1
_writing = -1
#: What signals have asked for and a loop has not done yet; the same list always.
requests: list[Callable[[], object]] = []
#: The signals of `ENDS` that have come: from then on nothing waits outside of a loop.
ends: list[int] = []


class Halt:
    """What ends the run in one thread of a library's caller; `fd` is readable when it shall (`net.stop`)."""

    __slots__ = ("ending", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.ending: Callable[[], object] | None = None  # what is called in place of Terminated

    def look(self) -> None:
        """End the run if that was asked for, once.

        Raises:
            Terminated: nothing is there to be called.
        """
        try:
            os.read(self.fd, 1)
        except BlockingIOError:
            return
        ending, self.ending = self.ending, None
        if ending is None:
            raise Terminated
        ending()


#: The threads whose run can be stopped.
stops: dict[int, Halt] = {}


def descriptor() -> int:
    """What a wait in this thread must watch, readable when a signal or a stop has come; -1 for nothing."""
    halt = stops.get(get_ident()) if stops else None
    return fd if halt is None else halt.fd


def must_end() -> bool:
    """Whether the run of this thread is to end, which only its loop can do."""
    halt = stops.get(get_ident()) if stops else None
    return bool(ends) or (halt is not None and bool(select.select([halt.fd], [], [], 0)[0]))


def look() -> None:
    """End the run of this thread, if another one has asked for that."""
    if stops and (halt := stops.get(get_ident())) is not None:
        halt.look()


def on_stop(callback: Callable[[], object]) -> None:
    """Call this when the run of this thread shall end, in place of raising Terminated."""
    if (halt := stops.get(get_ident())) is not None:
        halt.ending = callback


def poll_selector() -> selectors.BaseSelector:
    """A selector that takes every descriptor: epoll refuses regular files, select knows only 1024."""
    selector: selectors.BaseSelector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
    return selector


def install() -> None:
    """From now on each signal that has a handler makes `fd` readable."""
    if fd < 0:
        _make()


def renew() -> None:
    """In a fork: a descriptor of our own, and none of what was asked of our parent."""
    requests.clear()
    ends.clear()
    stops.clear()
    if fd >= 0:
        os.close(fd)
        signal.set_wakeup_fd(-1)
        os.close(_writing)
        _make()


def _make() -> None:
    global fd, _writing
    fd, _writing = os.pipe()
    os.set_blocking(fd, False)
    os.set_blocking(_writing, False)
    signal.set_wakeup_fd(_writing, warn_on_full_buffer=False)


def _request(number: int, callback: Callable[[], object]) -> None:
    """In a signal handler: have it done by the loop. A loop that took the wake-up descriptor over is woken by us."""
    if number in ENDS:
        ends.append(number)
    requests.append(callback)
    try:
        os.write(_writing, b"\0")
    except BlockingIOError:  # it is readable already
        return


def sleep(seconds: float) -> None:
    """Pause; a signal ends the pause, however it falls."""
    watched = descriptor()
    select.select([watched] if watched >= 0 else [], [], [], seconds)
    look()


def drain() -> None:
    """Forget the signals so far; their handlers have run or are about to. Do what was asked `on` them."""
    look()
    if fd >= 0:
        _empty()
    while requests:
        requests.pop(0)()


def _empty() -> None:
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        return


class Ending:
    """Hears the first of the signals that end us in the loop, as a call of `callback`; a second ends us at once.

    Where `install` was not called, as in a library, signals are left alone.
    """

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._before: dict[int, Any] = {}
        self._heard: tuple[Callable[[int, None], object], int] | None = None
        self._halt = stops.get(get_ident())
        on_stop(self._stopped)
        for number in ENDS if fd >= 0 else ():
            handler = signal.getsignal(number)
            if callable(handler):
                self._before[number] = handler
                signal.signal(number, self._come)

    def _come(self, number: int, _: object) -> None:
        self._heard = self._before[number], number
        self.restore()
        _request(number, self._callback)

    def _stopped(self) -> None:
        """A stop is what SIGTERM is to the command."""
        self._heard = _terminate, signal.SIGTERM
        self._callback()

    def restore(self) -> None:
        """Everything as it was before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        if self._halt is not None:
            self._halt.ending = None

    def follow(self) -> None:
        """Do what the signal would have done at once, if one was heard."""
        if self._heard is not None:
            handler, number = self._heard
            handler(number, None)


def _terminate(*_: object) -> None:
    raise Terminated


class Handlers:
    """What signals ask for while we run, done in the loop that watches `fd`, not in between two steps.

    Where `install` was not called, as in a library, signals are left alone.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def on(self, number: int, callback: Callable[[], object]) -> None:
        """From now on the signal asks for a call of `callback`; one that was ignored when we came still is."""
        if fd >= 0 and signal.getsignal(number) is not signal.SIG_IGN:
            self._before[number] = signal.signal(number, lambda number, _: _request(number, callback))

    def restore(self) -> None:
        """Everything as it was before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
