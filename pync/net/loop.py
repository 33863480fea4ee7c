"""The quick loop: six names of asyncio's event loop over poll(2), without asyncio's start-up time.

`add_reader remove_reader add_writer remove_writer call_at time` mean what they mean in asyncio, so
that whatever is written against them runs on either. Only waiting and calling back belongs here.
"""

from __future__ import annotations

import selectors
import time

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class TimerHandle(Protocol):
        def cancel(self) -> None: ...

    class Reactor(Protocol):
        """What a session needs of a loop; asyncio's loops have it too."""

        def add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
        def remove_reader(self, fd: int) -> Any: ...
        def add_writer(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
        def remove_writer(self, fd: int) -> Any: ...
        def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> TimerHandle: ...
        def time(self) -> float: ...


class Timer:
    """A call that is due at a time of the loop's clock."""

    __slots__ = ("_args", "_callback", "_timers", "when")

    def __init__(self, timers: set[Timer], when: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self._callback = callback
        self._args = args
        self._timers = timers
        timers.add(self)

    def cancel(self) -> None:
        self._timers.discard(self)

    def fire(self) -> None:
        self._timers.discard(self)
        self._callback(*self._args)


class Loop:
    """Waits for descriptors and times, and calls back; one thread, level-triggered."""

    def __init__(self) -> None:
        self._selector = wake.poll_selector()
        self._timers: set[Timer] = set()
        self._stopped = False
        if wake.fd >= 0:
            self.add_reader(wake.fd, wake.drain)
        self.time = time.monotonic

    def add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        self._add(fd, selectors.EVENT_READ, (callback, args))

    def add_writer(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        self._add(fd, selectors.EVENT_WRITE, (callback, args))

    def remove_reader(self, fd: int) -> bool:
        return self._remove(fd, selectors.EVENT_READ)

    def remove_writer(self, fd: int) -> bool:
        return self._remove(fd, selectors.EVENT_WRITE)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer:
        return Timer(self._timers, when, callback, args)

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
        self._selector.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._patience()):
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE):
                # A callback may have taken away what its neighbour was waiting for.
                if events & event and event in key.data:
                    callback, args = key.data[event]
                    callback(*args)
        if self._timers:
            self._fire_timers()

    def _fire_timers(self) -> None:
        now = self.time()
        for timer in sorted((timer for timer in self._timers if timer.when <= now), key=lambda timer: timer.when):
            if timer in self._timers:
                timer.fire()

    def _patience(self) -> float | None:
        if not self._timers:
            return None
        until = min(timer.when for timer in self._timers) - self.time()
        return min(max(0.0, until), wake.LONGEST_WAIT)

    def _add(self, fd: int, event: int, call: tuple[Callable[..., Any], tuple[Any, ...]]) -> None:
        key = self._selector.get_map().get(fd)
        if key is None:
            self._selector.register(fd, event, {event: call})
            return
        key.data[event] = call
        if not key.events & event:
            self._selector.modify(fd, key.events | event, key.data)

    def _remove(self, fd: int, event: int) -> bool:
        key = self._selector.get_map().get(fd)
        if key is None or not key.events & event:
            return False
        del key.data[event]
        if key.events == event:
            self._selector.unregister(fd)
        else:
            self._selector.modify(fd, key.events & ~event, key.data)
        return True
