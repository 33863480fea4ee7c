"""Waiting for a time, a key or the end of the reader, and writing to a reader that may be slow.

Every wait ends at a signal. `wake` is a descriptor that becomes readable with each signal, because poll(2) alone
would miss a signal that arrives just before it.
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
        """The output for the snapshots, as in net.endpoint."""

        kind: str

        @property
        def fd(self) -> int: ...
        def write(self, data: memoryview | bytes) -> int | None: ...
        def close(self) -> None: ...


#: The longest single wait in seconds; a window that has changed its size is noticed that soon.
TICK = 0.5


def ready(reads: Iterable[int], writes: Iterable[int], seconds: float) -> set[int]:
    """The descriptors that are ready, after at most `seconds`; -1 among the given ones is ignored."""
    with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
        for fds, event in ((reads, selectors.EVENT_READ), (writes, selectors.EVENT_WRITE)):
            for fd in fds:
                if fd >= 0:
                    selector.register(fd, event)
        return {key.fd for key, _ in selector.select(max(0.0, seconds))}


class Alarm:
    """Rings every `period` seconds, counted from its creation."""

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
        """Wait until the alarm rings, `fd` is readable, or TICK has passed; returns whether `fd` is readable."""
        found = ready((fd, self._wake), (), min(TICK, self._due - time.monotonic()))
        if self._wake in found:
            self._heard()
        return fd in found

    def _forget(self) -> None:
        """Empty `wake`: the handlers of its signals have run and did not end us."""
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return


def write(output: Output, text: str) -> bool:
    """Write the whole text; False if the reader has gone.

    Raises:
        Fault: the output fails.
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
