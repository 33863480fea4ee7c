"""Ending what runs in a thread: an event of the caller's makes a descriptor readable, which every wait watches.

It does for a run of the library what SIGTERM does for the command; `wake` has the rest. Only a run that may be
stopped pays for it.
"""

from __future__ import annotations

import os
import threading

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

#: Seconds between two looks at an event that cannot tell when it is set.
LOOK = 0.1


class Stop(threading.Event):
    """An event that ends a `pync.run` in another thread the moment it is set.

    Any threading.Event will do, but it has to be looked at ten times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rings: set[Stopping] = set()

    def set(self) -> None:
        """End the runs that have been given this, and those that will be."""
        super().set()
        for ring in list(self._rings):
            ring.ring()

    def watched_by(self, ring: Stopping) -> None:
        """Ring it when this is set."""
        self._rings.add(ring)
        if self.is_set():
            ring.ring()

    def left_by(self, ring: Stopping) -> None:
        """It needs no ring any more."""
        self._rings.discard(ring)


class Stopping:
    """While this is entered, the event ends whatever waits in this thread."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._writing = -1

    def __enter__(self) -> None:
        reading, self._writing = os.pipe()
        os.set_blocking(reading, False)
        wake.stops[threading.get_ident()] = wake.Halt(reading)
        if isinstance(self._event, Stop):
            self._event.watched_by(self)
        else:
            threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._event, Stop):
            self._event.left_by(self)
        self._over.set()
        with self._lock:
            os.close(self._writing)
            self._writing = -1
        halt = wake.stops.pop(threading.get_ident(), None)
        if halt is not None:  # a worker's fork has forgotten it
            os.close(halt.fd)

    def ring(self) -> None:
        """The event is set: make the descriptor readable."""
        with self._lock:
            if self._writing >= 0:
                os.write(self._writing, b"\0")

    def _watch(self) -> None:
        while not self._over.is_set():
            if self._event.wait(LOOK):
                self.ring()
                return
