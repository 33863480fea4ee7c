"""Many ports under way at once: the queue, the limits and the waiting that all probing shares.

`probe.sweep` (TCP) and `probe.udp_probe` know how to begin a port and what its answers mean.
"""

from __future__ import annotations

import errno
import selectors
import time

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pync.net.race import Opener
    from pync.net.resolve import Address
    from pync.probe.finding import Finding

#: Descriptors kept free for other uses if the limit is low.
RESERVED = 16

#: The errors of socket(2) on a machine without the address family.
NO_FAMILY = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


def descriptor_limit(wanted: int) -> int:
    """How many sockets may be open at once: `wanted`, or fewer if RLIMIT_NOFILE demands it (getrlimit(2))."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - RESERVED))


class Crowd:
    """Probes ports of many hosts at once, at most `parallel` in all. Each host has a prober of its own."""

    def __init__(self, parallel: int) -> None:
        self.selector = selectors.DefaultSelector()
        if (watched := wake.descriptor()) >= 0:
            self.selector.register(watched, selectors.EVENT_READ)
        self._parallel = parallel
        self._at_work: dict[Prober, None] = {}

    def run(self, work: Iterable[tuple[Prober, int]]) -> None:
        """Probe every port with its prober, in this order; returns when each has been reported."""
        waiting = iter(work)
        coming = next(waiting, None)
        while coming is not None or self._at_work:
            coming = self._begin(coming, waiting)
            if self._busy():
                self._wait()
            self._let_go(None if coming is None else coming[0])

    def _begin(self, coming: tuple[Prober, int] | None, waiting: Iterator[tuple[Prober, int]]) -> Any:
        """Begin as many ports as may be under way; returns the next one."""
        busy = self._busy()
        while coming is not None and busy < self._parallel:
            prober, port = coming
            self._at_work[prober] = None
            before = prober.busy()
            prober.begin(port)
            busy += prober.busy() - before
            coming = next(waiting, None)
            if coming is not None and coming[0] is not prober:
                prober.rest()
                if not prober.busy():
                    del self._at_work[prober]
        return coming

    def _busy(self) -> int:
        return sum(prober.busy() for prober in self._at_work)

    def _wait(self) -> None:
        event = min(prober.next_event() for prober in self._at_work if prober.busy())
        patience = min(event - time.monotonic(), wake.LONGEST_WAIT)
        for key, _ in self.selector.select(max(0.0, patience)):
            if key.data is not None:
                prober, port = key.data
                prober.ready(key.fileobj, port)
        wake.look()
        now = time.monotonic()
        for prober in self._at_work:
            prober.look_at_the_clock(now)

    def _let_go(self, needed: Prober | None) -> None:
        """Close the sockets of hosts that are done, because there may be tens of thousands of hosts."""
        for prober in [each for each in self._at_work if each is not needed and not each.busy()]:
            prober.rest()
            del self._at_work[prober]

    def close(self) -> None:
        """Close all sockets. A crowd can run several times before."""
        for prober in self._at_work:
            prober.drop_all()
        self._at_work.clear()
        self.selector.close()


class Prober:
    """Probes ports at the addresses of one host, in a crowd that it may share with other probers.

    Each port has `limit` seconds, and all end at `until`, a time of the monotonic clock. `report` is called for
    each port as soon as its finding is known. Without a `crowd`, the prober makes its own for `parallel` ports.
    """

    def __init__(
        self,
        addresses: list[Address],
        open_socket: Opener,
        *,
        limit: float,
        until: float = float("inf"),
        parallel: int = 1,
        report: Callable[[Finding], None],
        crowd: Crowd | None = None,
    ) -> None:
        self.addresses = addresses
        self.open_socket = open_socket
        self.limit = limit
        self.report = report
        self._until = until
        self._crowd = crowd or Crowd(parallel)
        self.selector = self._crowd.selector

    def run(self, ports: Iterable[int]) -> None:
        """Probe the ports in this order; returns when each has been reported."""
        self._crowd.run((self, port) for port in ports)

    def close(self) -> None:
        """Close all sockets of the whole crowd. A prober can run several times before."""
        self.drop_all()
        self._crowd.close()

    def watch(self, sock: socket.socket, events: int, port: Any) -> None:
        """Call `ready` with the port at these events of the socket."""
        if sock in self.selector.get_map():
            self.selector.modify(sock, events, (self, port))
        else:
            self.selector.register(sock, events, (self, port))

    def forget(self, sock: socket.socket) -> None:
        """Close a socket, whether it is watched or not."""
        if sock in self.selector.get_map():
            self.selector.unregister(sock)
        sock.close()

    def deadline(self) -> float:
        """When the time of a port that begins now will be over."""
        return min(time.monotonic() + self.limit, self._until)

    def rest(self) -> None:
        """Close sockets that are kept for the next port."""

    def drop_all(self) -> None:
        """Close the sockets of every port, and those kept for the next one."""

    def busy(self) -> int:
        """How many ports are under way."""
        raise NotImplementedError

    def begin(self, number: int) -> None:
        """Start a port."""
        raise NotImplementedError

    def ready(self, sock: Any, port: Any) -> None:
        """A socket of a port has an event."""
        raise NotImplementedError

    def next_event(self) -> float:
        """When `look_at_the_clock` must be called next."""
        raise NotImplementedError

    def look_at_the_clock(self, now: float) -> None:
        """Do all that is due at `now`."""
        raise NotImplementedError
