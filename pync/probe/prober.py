"""Many ports under way at once: the queue, the limits and the waiting that all probing shares.

How a port is begun, and what its answers mean, is for `probe.sweep` (TCP) and `probe.udp_probe` to say.
"""

from __future__ import annotations

import errno
import selectors
import time
from collections import deque

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pync.net.race import Opener
    from pync.net.resolve import Address
    from pync.probe.outcome import Outcome

#: Descriptors that are left to everything else when the limit is low.
RESERVED = 16

#: What opening a socket fails with where the machine lacks the family.
NO_FAMILY = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def descriptor_limit(wanted: int) -> int:
    """How many sockets may be open at once: `wanted`, or what RLIMIT_NOFILE leaves (getrlimit(2))."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - RESERVED))


class Prober:
    """Probes ports at the addresses of one host, at most `parallel` at the same time.

    Each has `limit` seconds, and none goes on after `until`, a time of the monotonic clock. `report`
    is called for each port as soon as its outcome is known.
    """

    def __init__(
        self,
        addresses: list[Address],
        open_socket: Opener,
        *,
        limit: float,
        until: float = float("inf"),
        parallel: int,
        report: Callable[[Outcome], None],
    ) -> None:
        self.addresses = addresses
        self.open_socket = open_socket
        self.limit = limit
        self.report = report
        self._until = until
        self._parallel = parallel
        self.selector = selectors.DefaultSelector()
        if wake.fd >= 0:
            self.selector.register(wake.fd, selectors.EVENT_READ)

    def run(self, ports: Iterable[int]) -> None:
        """Probe them all, in this order; returns when each has been reported."""
        waiting = deque(ports)
        while waiting or self.busy():
            while waiting and self.busy() < self._parallel:
                self.begin(waiting.popleft())
            if self.busy():
                self._wait()

    def _wait(self) -> None:
        patience = min(self.next_event() - time.monotonic(), wake.LONGEST_WAIT)
        for key, _ in self.selector.select(max(0.0, patience)):
            if key.data is not None:
                self.ready(key.fileobj, key.data)
        self.look_at_the_clock(time.monotonic())

    def deadline(self) -> float:
        """When the time of a port that begins now is over."""
        return min(time.monotonic() + self.limit, self._until)

    def close(self) -> None:
        """Close what is open still; a prober can run several times before."""
        self.selector.close()

    def busy(self) -> int:
        """How many ports are under way."""
        raise NotImplementedError

    def begin(self, number: int) -> None:
        """Start a port."""
        raise NotImplementedError

    def ready(self, sock: Any, port: Any) -> None:
        """Something has happened to a socket of a port."""
        raise NotImplementedError

    def next_event(self) -> float:
        """When the clock must be looked at next."""
        raise NotImplementedError

    def look_at_the_clock(self, now: float) -> None:
        """Do what is due."""
        raise NotImplementedError
