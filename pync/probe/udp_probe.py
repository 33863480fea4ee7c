"""Probing UDP ports: a question, a wait, and one of three states (open, refused, no answer).

Silence never counts as success, because a filtered port and a silent service look the same. `wire.probes` has the
questions, and `probe.scan` shows the findings.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time

from pync.probe.finding import NO_ANSWER, OPEN, REFUSED, Finding, at_port, state_of
from pync.probe.prober import NO_FAMILY, Prober
from pync.wire.probes import question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.net.race import Failure
    from pync.net.resolve import Address

#: How often a port is asked within its time, because a datagram may be lost, or an ICMP error withheld
#: (Linux limits them for each destination, icmp(7) icmp_ratelimit).
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


class UdpSweep(Prober):
    """Probes UDP ports, each at all addresses of the host at once."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._active: dict[int, _Port] = {}

    def busy(self) -> int:
        return len(self._active)

    def drop_all(self) -> None:
        """Close the sockets of every port."""
        for port in self._active.values():
            self._drop(port)
        self._active.clear()

    def begin(self, number: int) -> None:
        """Ask the port at every address."""
        port = _Port(number, self.deadline())
        self._active[number] = port
        for base in self.addresses:
            self._open(port, at_port(base, number))
        if port.sockets:
            self._ask(port)
        else:
            self._end(port, self._failed(port))

    def _open(self, port: _Port, address: Address) -> None:
        try:
            sock = self.open_socket(address)
        except OSError as error:
            if error.errno not in NO_FAMILY:
                raise  # such as EMFILE, which says nothing about the port
            port.failures.append((address, error))
            return
        try:
            _connect(sock, address)
        except OSError as error:
            sock.close()
            port.failures.append((address, error))
            return
        port.sockets[sock] = address
        self.watch(sock, selectors.EVENT_READ, port)

    def _ask(self, port: _Port) -> None:
        port.asked += 1
        port.next_question = time.monotonic() + self.limit / QUESTIONS
        for sock in list(port.sockets):
            try:
                sock.send(question(port.number))
            except BlockingIOError:
                continue
            except OSError as error:
                self._refused(port, sock, error)

    def ready(self, sock: socket.socket, port: _Port) -> None:
        """An answer has come, or the error that no socket listens there."""
        if sock in port.sockets:
            self._hear(port, sock)

    def look_at_the_clock(self, now: float) -> None:
        """Give up ports that are out of time, ask the others again."""
        for port in list(self._active.values()):
            if port.deadline <= now:
                self._end(port, Finding(port.number, NO_ANSWER, self._silent(port), port.failures))
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
        self._end(port, Finding(port.number, OPEN, port.sockets[sock], port.failures))

    def _refused(self, port: _Port, sock: socket.socket, error: OSError) -> None:
        """One address has refused; the port is refused once all addresses have."""
        address = port.sockets.pop(sock)
        self.forget(sock)
        port.failures.append((address, error))
        if not port.sockets and port.number in self._active:
            self._end(port, self._failed(port))

    def _failed(self, port: _Port) -> Finding:
        refused = [address for address, error in port.failures if state_of(error) == REFUSED]
        address, error = port.failures[0]
        return Finding(port.number, REFUSED if refused else state_of(error), (refused or [address])[0], port.failures)

    def _silent(self, port: _Port) -> Address:
        return next(iter(port.sockets.values()))

    def _end(self, port: _Port, finding: Finding) -> None:
        self._drop(port)
        del self._active[port.number]
        self.report(finding)

    def _drop(self, port: _Port) -> None:
        for sock in port.sockets:
            self.forget(sock)
        port.sockets.clear()  # later events of these sockets in this round are ignored

    def next_event(self) -> float:
        """The first deadline or question that is due."""
        return min(
            min(port.deadline, port.next_question) if port.asked < QUESTIONS else port.deadline
            for port in self._active.values()
        )


def _connect(sock: socket.socket, address: Address) -> None:
    sock.connect(address.sockaddr)
    if sock.getsockname()[:2] == sock.getpeername()[:2]:
        # The system gave our socket the very port that we ask. So that port is free, and we would hear ourselves.
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
