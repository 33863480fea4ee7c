"""The quick loop: six names of asyncio's event loop over epoll(7), without asyncio's start-up time.

`add_reader remove_reader add_writer remove_writer call_at time` mean what they mean in asyncio, so
that whatever is written against them runs on either. Only waiting and calling back belongs here.
"""

from __future__ import annotations

import time
from functools import partial
from heapq import heapify, heappop, heappush

from pync.errors import Fault
from pync.net import wake
from pync.net.poller import READ, WRITE, poller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    class Cancellable(Protocol):
        def cancel(self) -> None: ...

    TimerHandle = Cancellable
    Result = TypeVar("Result")

    class Reactor(Protocol):
        """What a session needs of a loop; asyncio's loops have it too."""

        def add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
        def remove_reader(self, fd: int) -> Any: ...
        def add_writer(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
        def remove_writer(self, fd: int) -> Any: ...
        def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> TimerHandle: ...
        def time(self) -> float: ...


#: Timers that may lie about cancelled before they are swept out.
MANY_CANCELLED = 64


class Timer:
    """A call that is due at a time of the loop's clock."""

    __slots__ = ("_loop", "args", "callback", "when")

    def __init__(self, loop: Loop, when: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback: Callable[..., Any] | None = callback
        self.args = args
        self._loop = loop

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self.args = ()
            self._loop.timer_cancelled()


class Loop:
    """Waits for descriptors and times, and calls back; one thread, level-triggered.

    `unforeseen` is given what a callback raises and did not catch; without it, `run` raises it.
    """

    def __init__(self, unforeseen: Callable[[Exception], object] | None = None) -> None:
        self._poller = poller()
        self._readers: dict[int, Callable[[], Any]] = {}
        self._writers: dict[int, Callable[[], Any]] = {}
        self._removed: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._made = 0
        self._cancelled = 0
        self._stopped = False
        self.unforeseen = unforeseen
        self.time = time.monotonic
        if (watched := wake.descriptor()) >= 0:
            self.add_reader(watched, wake.drain)

    def add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        if fd not in self._readers:
            writing = WRITE if fd in self._writers else 0
            self._poller.watch(fd, writing, writing | READ)
        self._readers[fd] = partial(callback, *args) if args else callback

    def add_writer(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        if fd not in self._writers:
            reading = READ if fd in self._readers else 0
            self._poller.watch(fd, reading, reading | WRITE)
        self._writers[fd] = partial(callback, *args) if args else callback

    def remove_reader(self, fd: int) -> bool:
        if self._readers.pop(fd, None) is None:
            return False
        writing = WRITE if fd in self._writers else 0
        self._poller.watch(fd, writing | READ, writing)
        self._removed.add(fd)
        return True

    def remove_writer(self, fd: int) -> bool:
        if self._writers.pop(fd, None) is None:
            return False
        reading = READ if fd in self._readers else 0
        self._poller.watch(fd, reading | WRITE, reading)
        self._removed.add(fd)
        return True

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer(self, when, callback, args)
        self._made += 1
        heappush(self._timers, (when, self._made, timer))
        return timer

    def timer_cancelled(self) -> None:
        """A timer of ours will not fire; once most of them will not, they are swept out."""
        self._cancelled += 1
        if self._cancelled > MANY_CANCELLED and self._cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapify(self._timers)
            self._cancelled = 0

    def stop(self) -> None:
        """Make `run` return once the callbacks at hand are done."""
        self._stopped = True

    def run(self) -> None:
        """Wait and call back until `stop`, which may have been called already."""
        while not self._stopped:
            self._turn()
        self._stopped = False

    def close(self) -> None:
        self._timers.clear()
        self._poller.close()

    def _turn(self) -> None:
        ready = self._poller.wait(self._patience())
        removed, requests = self._removed, wake.requests
        reader_of, writer_of = self._readers.get, self._writers.get
        removed.clear()
        for fd, events in ready:
            # A number that a callback of this turn let go may stand for another file by now.
            if removed and fd in removed:
                continue
            try:
                if events != WRITE and (reader := reader_of(fd)) is not None:
                    reader()
                if events != READ and fd not in removed and (writer := writer_of(fd)) is not None:
                    writer()
            except Exception as error:
                self._failed(error)
            if requests:  # a signal has come: it does not wait for the rest of the turn
                wake.drain()
        if self._timers:
            self._fire_timers()

    def _failed(self, error: Exception) -> None:
        if self.unforeseen is None:
            raise error
        self.unforeseen(error)

    def _fire_timers(self) -> None:
        now = self.time()
        due: list[Timer] = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heappop(self._timers)[2])
        for timer in due:
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._cancelled -= 1
                continue
            try:
                callback(*timer.args)
            except Exception as error:
                self._failed(error)

    def _patience(self) -> float | None:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heappop(timers)
            self._cancelled -= 1
        if not timers:
            return None
        return min(max(0.0, timers[0][0] - self.time()), wake.LONGEST_WAIT)


def run_until_done(begin: Callable[[Reactor, Callable[[Result | Fault], object]], Cancellable]) -> Result:
    """Begin something on a loop of its own and wait until it calls back; a signal or a stop cancels it.

    Raises:
        Fault: what it called back with.
    """
    loop = Loop()
    results: list[Result | Fault] = []

    def done(result: Result | Fault) -> None:
        results.append(result)
        loop.stop()

    try:
        begun = begin(loop, done)
        try:
            loop.run()
        finally:
            begun.cancel()
    finally:
        loop.close()
    (result,) = results
    if isinstance(result, Fault):
        raise result
    return result
