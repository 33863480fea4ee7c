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

#: poll(2) takes milliseconds in a C int; a longer wait is simply begun anew.
LONGEST_WAIT = 86400.0
#: What to watch, readable when a signal has arrived; -1 until it is installed.
fd = -1


def poll_selector() -> selectors.BaseSelector:
    """A selector that takes every descriptor: epoll refuses regular files, select knows only 1024."""
    selector: selectors.BaseSelector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
    return selector


def install() -> None:
    """From now on each signal that has a handler makes `fd` readable."""
    global fd
    if fd < 0:
        fd, writing = os.pipe()
        os.set_blocking(fd, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)


def sleep(seconds: float) -> None:
    """Pause; a signal ends the pause, however it falls."""
    select.select([fd] if fd >= 0 else [], [], [], seconds)


def drain() -> None:
    """Forget the signals so far; their handlers have run or are about to."""
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        return
