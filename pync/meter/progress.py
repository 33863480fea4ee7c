"""Follows a session with a display (--progress): reads its counters now and then, on the loop of the session.

The session keeps these counters anyway, so that the bytes take no other way. `figures` computes what is shown, and
`display` shows it.
"""

from __future__ import annotations

import os
import signal
import stat

from pync.meter.figures import Gauge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from pync.meter.figures import Figures

    class Loop(Protocol):
        """The part of the session's loop that a meter uses."""

        def call_at(self, when: float, callback: Callable[[], Any]) -> Timer: ...
        def time(self) -> float: ...

    class Timer(Protocol):
        def cancel(self) -> None: ...

    class Stage(Protocol):
        def feed(self, data: bytes) -> bytes: ...
        def end(self) -> bytes: ...

    class Display(Protocol):
        """Shows figures; `first` and `interval` are seconds until the first time and between two."""

        first: float
        interval: float

        def show(self, figures: Figures) -> None: ...
        def resized(self, figures: Figures) -> None: ...
        def last(self, figures: Figures) -> None: ...
        def clear(self) -> None: ...
        def stages(self) -> Sequence[Stage]: ...
        def close(self) -> None: ...

    class Signals(Protocol):
        """Calls a callback at each signal, until the handlers are restored."""

        def on(self, number: int, callback: Callable[[], object]) -> None: ...
        def restore(self) -> None: ...

    Counts = Callable[[], tuple[int, int]]


class Meter:
    """Follows one session after another with a display. During a session, `signals` tell of a resized terminal."""

    def __init__(self, display: Display, size: int | None, signals: Signals | None = None) -> None:
        self._display = display
        self._size = size
        self._timer: Timer | None = None
        self._signals = signals

    def begin(self, loop: Loop, counts: Counts, input_fd: int) -> None:
        """A session starts on this loop. `input_fd` is the input that it sends; -1 if it only receives."""
        self._loop = loop
        self._counts = counts
        self._position = Position(input_fd)
        size = self._position.left if self._size is None else self._size
        self._gauge = Gauge(loop.time(), size, incoming=self._position.empty, guess=self._position.left is None)
        self._wait(self._display.first)
        if self._signals is not None and hasattr(signal, "SIGWINCH"):
            self._signals.on(signal.SIGWINCH, lambda: self._display.resized(self._look(self._gauge.look)))

    def end(self) -> None:
        """The session is over: show its last state, which stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._signals is not None:
                self._signals.restore()
            self._display.last(self._look(self._gauge.sum_up))

    def clear(self) -> None:
        """Make room for a message."""
        self._display.clear()

    def stages(self) -> Sequence[Stage]:
        """The stages for output to a terminal."""
        return self._display.stages()

    def close(self) -> None:
        self._display.close()

    def _wait(self, seconds: float) -> None:
        self._timer = self._loop.call_at(self._loop.time() + seconds, self._tick)

    def _tick(self) -> None:
        self._display.show(self._look(self._gauge.look))
        self._wait(self._display.interval)

    def _look(self, reckon: Callable[..., Figures]) -> Figures:
        sent, received = self._counts()
        return reckon(self._loop.time(), sent, received, done=self._position.passed(sent))


class Position:
    """Our position in an input that is a regular file, because with -C more bytes are sent than the file has."""

    def __init__(self, fd: int) -> None:
        self._fd = -1
        self.left: int | None = None
        self.empty = fd < 0  # there is no input to send
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):
                self._start = os.lseek(fd, 0, os.SEEK_CUR)
                self._fd = fd
                self.left = max(0, status.st_size - self._start)
                self.empty = not self.left
            elif stat.S_ISCHR(status.st_mode):
                self.empty = status.st_rdev == os.stat(os.devnull).st_rdev
        except OSError:  # no descriptor
            return

    def passed(self, sent: int) -> int:
        """How many bytes of the input have passed; at most `sent`, because we read ahead."""
        if self._fd < 0:
            return sent
        return min(sent, os.lseek(self._fd, 0, os.SEEK_CUR) - self._start)
