"""Waiting for a moment, a key or the end of the reader, and writing to whoever may be slow.

Signals end every wait: `wake` is a descriptor that becomes readable with each, because a signal just
before poll(2) would be noticed only after it. Nothing here knows what is shown.
"""

from __future__ import annotations

import os
import selectors
import time

from pync.errors import Fault, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    class Output(Protocol):
        """Where snapshots go, as net.endpoint has it."""

        kind: str

        @property
        def fd(self) -> int: ...
        def write(self, data: memoryview | bytes) -> int | None: ...
        def close(self) -> None: ...


#: How long one wait lasts at most: a window that changed its size is noticed that soon.
TICK = 0.5


def ready(reads: Iterable[int], writes: Iterable[int], seconds: float) -> set[int]:
    """Which of these descriptors are ready, after so many seconds at most; -1 stands for none."""
    with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
        for fds, event in ((reads, selectors.EVENT_READ), (writes, selectors.EVENT_WRITE)):
            for fd in fds:
                if fd >= 0:
                    selector.register(fd, event)
        return {key.fd for key, _ in selector.select(max(0.0, seconds))}


class Alarm:
    """Rings every `period` seconds, counted from when it was set."""

    def __init__(self, period: float, wake: int = -1, heard: Callable[[], object] | None = None) -> None:
        self.period = period
        self._wake = wake
        self._heard = heard or self._forget
        self._due = 0.0

    def set(self) -> None:
        self._due = time.monotonic() + self.period

    @property
    def rings(self) -> bool:
        return time.monotonic() >= self._due

    def wait(self, fd: int) -> bool:
        """Wait until it rings, `fd` is readable, or a moment (TICK) has passed: whether `fd` is."""
        found = ready((fd, self._wake), (), min(TICK, self._due - time.monotonic()))
        if self._wake in found:
            self._heard()
        return fd in found

    def _forget(self) -> None:
        """The handlers of the signals that came have run: they did not end us."""
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return


def write(output: Output, text: str) -> bool:
    """Write all of it; False when the reader has gone.

    Raises:
        Fault: the output takes no more.
    """
    rest = memoryview(text.encode(errors="replace"))
    try:
        while rest:
            written = output.write(rest)
            if written is None:
                ready((), (output.fd,), TICK)
            else:
                rest = rest[written:]
    except BrokenPipeError:
        return False
    except OSError as error:
        raise Fault(f"write to standard output: {reason(error)}") from None
    return True
