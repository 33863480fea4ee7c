"""Probing TCP ports: many connects at once, each port within its time, whatever its addresses do.

A sweep reports a `Finding` for each port as soon as it is known. `probe.scan` puts findings in order and into words.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time

from pync.net.race import ATTEMPT_DELAY, connect_error, timed_out
from pync.probe.banner import Interviews
from pync.probe.finding import OPEN, Finding, at_port, failed_finding, refused_finding
from pync.probe.prober import NO_FAMILY, Prober

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.net.race import Failure
    from pync.net.resolve import Address

#: Seconds between two attempts at a path with a full queue.
QUEUE_DELAY = 0.05


class _Port:
    """A port under way: the addresses to try, those being tried, and the end of its time."""

    __slots__ = ("deadline", "failures", "next_start", "number", "under_way", "untried")

    def __init__(self, number: int, addresses: list[Address], deadline: float) -> None:
        self.number = number
        self.untried = addresses
        self.under_way: dict[socket.socket, Address] = {}
        self.deadline = deadline
        self.next_start = 0.0
        self.failures: list[Failure] = []


class Sweep(Prober):
    """Probes TCP ports and paths; with `banner` an open one is interviewed."""

    def __init__(self, *args: Any, banner: bool = False, **named: Any) -> None:
        super().__init__(*args, **named)
        self._banner = banner
        self._active: dict[int, _Port] = {}
        self._spare: dict[int, socket.socket] = {}
        self._interviews = Interviews(self)

    def busy(self) -> int:
        return len(self._active) + len(self._interviews)

    def begin(self, number: int) -> None:
        """Start a port. Most are refused at once, at their only address, and cost only the connect(2)."""
        if len(self.addresses) == 1 and not self._banner:
            address = at_port(self.addresses[0], number)
            code = self._ask(address)
            if code == errno.ECONNREFUSED:
                self.report(refused_finding(number, address))
                return
            port = _Port(number, [], self.deadline())
            self._active[number] = port
            if not self._settle(port, address, code):
                self._start_next(port)
            return
        port = _Port(number, [at_port(address, number) for address in self.addresses], self.deadline())
        self._active[number] = port
        self._start_next(port)

    def _ask(self, address: Address) -> int:
        """Connect a spare socket of the family, because a refused socket can be used again (Linux)."""
        sock = self._spare.get(address.family)
        if sock is None:
            try:
                sock = self._spare[address.family] = self.open_socket(address)
            except OSError as error:
                if error.errno not in NO_FAMILY:
                    raise  # such as EMFILE, which says nothing about the port
                return error.errno or 0
        code = sock.connect_ex(address.sockaddr)
        if code == errno.EINPROGRESS:
            # Within this machine the answer is there already, and a second connect(2) is cheaper than waiting.
            code = sock.connect_ex(address.sockaddr)
            code = errno.EINPROGRESS if code == errno.EALREADY else code
        return code

    def _start_next(self, port: _Port) -> None:
        """Start the next address of the port, and further ones if it fails at once; the last failure ends the port."""
        while port.untried:
            address = port.untried.pop(0)
            port.next_start = time.monotonic() + ATTEMPT_DELAY
            if self._settle(port, address, self._ask(address)):
                return
        if not port.under_way:
            del self._active[port.number]
            self.report(failed_finding(port.number, port.failures))

    def _settle(self, port: _Port, address: Address, code: int) -> bool:
        """Note the result of a connect(2); False if it failed at once."""
        sock = self._spare.pop(address.family, None)
        if sock is None:
            port.failures.append((address, OSError(code, os.strerror(code))))
            return False
        if code == errno.EAGAIN:  # the queue of a path is full (unix(7)): try again until the time is over
            self._spare[address.family] = sock
            port.untried.append(address)
            port.next_start = time.monotonic() + QUEUE_DELAY
            return True
        port.under_way[sock] = address
        if code == errno.EINPROGRESS:
            self.watch(sock, selectors.EVENT_WRITE, port)
            return True
        if code in (0, errno.EISCONN):
            return self._answered(port, sock)
        self._failed(port, sock, OSError(code, os.strerror(code)))
        return False

    def ready(self, sock: socket.socket, port: _Port | None) -> None:
        """An answer to connect(2) has come, or an event of an interview."""
        if port is None:
            self._interviews.ready(sock)
        elif sock in port.under_way and not self._answered(port, sock):
            self._start_next(port)

    def _answered(self, port: _Port, sock: socket.socket) -> bool:
        """Whether the answer was a connection, so that the port is open."""
        error = connect_error(sock)
        if error is not None:
            self._failed(port, sock, error)
            return False
        result = Finding(port.number, OPEN, port.under_way[sock], port.failures)
        self._drop_others(port, sock)
        del self._active[port.number]
        if self._banner:
            self._interviews.begin(sock, result)
            return True
        self.forget(sock)
        self.report(result)
        return True

    def _failed(self, port: _Port, sock: socket.socket, error: OSError) -> None:
        address = port.under_way.pop(sock)
        self.forget(sock)
        port.failures.append((address, error))

    def look_at_the_clock(self, now: float) -> None:
        """Give up ports that are out of time, start further addresses, go on with interviews."""
        for port in list(self._active.values()):
            if port.deadline <= now:
                self._give_up(port)
            elif port.untried and port.next_start <= now:
                self._start_next(port)
        self._interviews.look_at_the_clock(now)

    def _give_up(self, port: _Port) -> None:
        silent = [*port.under_way.values(), *port.untried]
        port.failures += [(address, timed_out()) for address in silent]
        self._drop_others(port, None)
        del self._active[port.number]
        self.report(failed_finding(port.number, port.failures))

    def next_event(self) -> float:
        """The first deadline. Ports that started earlier end earlier."""
        times = [self._interviews.next_event()]
        if self._active:
            times.append(next(iter(self._active.values())).deadline)
            times += [port.next_start for port in self._active.values() if port.untried]
        return min(times)

    def _drop_others(self, port: _Port, winner: socket.socket | None) -> None:
        for sock in port.under_way:
            if sock is not winner:
                self.forget(sock)
        port.under_way.clear()  # later events of these sockets in this round are ignored

    def rest(self) -> None:
        """Close the sockets that are kept for the next port."""
        for sock in self._spare.values():
            sock.close()
        self._spare.clear()

    def drop_all(self) -> None:
        """Close the sockets of every port, and those that are kept."""
        for port in self._active.values():
            self._drop_others(port, None)
        self._active.clear()
        self._interviews.drop_all()
        self.rest()
