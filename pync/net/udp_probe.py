"""Probing UDP ports: a question, a wait, three answers (open, refused, no answer).

Silence is never taken for success: a port that is filtered and one whose service has nothing to say
look the same. The questions are `wire.probes`'; in which words outcomes are shown is not decided here.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque

from pync.net.race import LONGEST_WAIT
from pync.net.sweep import NO_ANSWER, NO_FAMILY, OPEN, REFUSED, Outcome, at_port, state_of
from pync.wire.probes import question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pync.net.race import Failure, Opener
    from pync.net.resolve import Address

#: How often a port is asked within its time: a datagram may be lost, an ICMP error withheld
#: (Linux sends few of them a second to one destination, icmp(7) icmp_ratelimit).
QUESTIONS = 3


class _Port:
    __slots__ = ("asked", "deadline", "failures", "next_question", "number", "sockets")

    def __init__(self, number: int, deadline: float) -> None:
        self.number = number
        self.deadline = deadline
        self.asked = 0
        self.next_question = 0.0
        self.sockets: dict[socket.socket, Address] = {}
        self.failures: list[Failure] = []


class UdpSweep:
    """Probes ports at all addresses of one host at once; `parallel` ports at the same time.

    Each has `limit` seconds, and none goes on after `until`, a time of the monotonic clock.
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
        self._addresses = addresses
        self._open_socket = open_socket
        self._limit = limit
        self._until = until
        self._parallel = parallel
        self._report = report
        self._selector = selectors.DefaultSelector()
        self._active: dict[int, _Port] = {}

    def run(self, ports: Iterable[int]) -> None:
        """Probe them all, in this order; returns when each has been reported."""
        waiting = deque(ports)
        while waiting or self._active:
            while waiting and len(self._active) < self._parallel:
                self._begin(waiting.popleft())
            if self._active:
                self._wait()

    def close(self) -> None:
        """Close what is open still; a sweep can run several times before."""
        for port in self._active.values():
            self._drop(port)
        self._selector.close()

    def _begin(self, number: int) -> None:
        port = _Port(number, min(time.monotonic() + self._limit, self._until))
        self._active[number] = port
        for base in self._addresses:
            self._open(port, at_port(base, number))
        if port.sockets:
            self._ask(port)
        else:
            self._end(port, self._failed(port))

    def _open(self, port: _Port, address: Address) -> None:
        try:
            sock = self._open_socket(address)
        except OSError as error:
            if error.errno not in NO_FAMILY:
                raise  # such as no descriptor left, which says nothing of the port
            port.failures.append((address, error))
            return
        try:
            _connect(sock, address)
        except OSError as error:
            sock.close()
            port.failures.append((address, error))
            return
        port.sockets[sock] = address
        self._selector.register(sock, selectors.EVENT_READ, port)

    def _ask(self, port: _Port) -> None:
        port.asked += 1
        port.next_question = time.monotonic() + self._limit / QUESTIONS
        for sock in list(port.sockets):
            try:
                sock.send(question(port.number))
            except BlockingIOError:
                continue
            except OSError as error:
                self._refused(port, sock, error)

    def _wait(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock in key.data.sockets:
                self._hear(key.data, sock)
        now = time.monotonic()
        for port in list(self._active.values()):
            if port.deadline <= now:
                self._end(port, Outcome(port.number, NO_ANSWER, self._silent(port), port.failures))
            elif port.next_question <= now and port.asked < QUESTIONS:
                self._ask(port)

    def _hear(self, port: _Port, sock: socket.socket) -> None:
        try:
            sock.recv(1)
        except BlockingIOError:
            return
        except OSError as error:
            self._refused(port, sock, error)
            return
        self._end(port, Outcome(port.number, OPEN, port.sockets[sock], port.failures))

    def _refused(self, port: _Port, sock: socket.socket, error: OSError) -> None:
        """One address is out; the port is when all are."""
        address = port.sockets.pop(sock)
        self._selector.unregister(sock)
        sock.close()
        port.failures.append((address, error))
        if not port.sockets and port.number in self._active:
            self._end(port, self._failed(port))

    def _failed(self, port: _Port) -> Outcome:
        refused = [address for address, error in port.failures if state_of(error) == REFUSED]
        address, error = port.failures[0]
        return Outcome(port.number, REFUSED if refused else state_of(error), (refused or [address])[0], port.failures)

    def _silent(self, port: _Port) -> Address:
        return next(iter(port.sockets.values()))

    def _end(self, port: _Port, outcome: Outcome) -> None:
        self._drop(port)
        del self._active[port.number]
        self._report(outcome)

    def _drop(self, port: _Port) -> None:
        for sock in port.sockets:
            self._selector.unregister(sock)
            sock.close()
        port.sockets.clear()  # an event of theirs may be at hand already

    def _patience(self) -> float:
        times = [
            min(port.deadline, port.next_question) if port.asked < QUESTIONS else port.deadline
            for port in self._active.values()
        ]
        return max(0.0, min(min(times) - time.monotonic(), LONGEST_WAIT))


def _connect(sock: socket.socket, address: Address) -> None:
    sock.connect(address.sockaddr)
    if sock.getsockname()[:2] == sock.getpeername()[:2]:
        # The system picked the very port that we ask: nobody else has it, and we would hear ourselves.
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
