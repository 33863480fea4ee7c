"""The built-in services over datagrams: each query gets its answer, and no peer is remembered.

What is answered is `wire.services`'; here is who gets an answer, from which address it leaves, and
when the service ends. Whatever fails with one peer is survived, and nothing that peers do, forged
addresses included, makes this grow.
"""

from __future__ import annotations

import socket
import time

from pync.errors import OK, TIMEOUT, Fault, reason
from pync.net.loop import Loop
from pync.net.pktinfo import ANCILLARY_SPACE, IP_PKTINFO, IPV6_PKTINFO, answer_from
from pync.net.resolve import show_host
from pync.serving.listening import Listening
from pync.serving.notes import Notes
from pync.serving.tally import Tally
from pync.wire.services import service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.console import Console
    from pync.plan import Plan
    from pync.wire.address import Target
    from pync.wire.services import Service

#: No datagram of UDP is longer; one over a unix socket can be, up to its sender's buffer (unix(7)).
LARGEST_UDP, LARGEST_UNIX = 1 << 16, 1 << 18
#: Datagrams answered before another socket, a timer or a signal has its turn.
BATCH = 64
#: Ports below this one are the well-known services' (RFC 6335, section 6).
WELL_KNOWN = 1024


class Counts(Tally):
    """What has come and gone so far. What comes from whom the rules turn away is counted apart."""

    def __init__(self) -> None:
        super().__init__()
        self.datagrams_received = self.datagrams_sent = 0

    def answered(self, datagrams: int, size: int) -> None:
        """So many datagrams and bytes have gone."""
        self.datagrams_sent += datagrams
        self.sent += size

    def _clients(self, numbers: dict[str, int]) -> str:
        came = f"datagrams: {self.datagrams_received} received, {self.datagrams_sent} sent"
        return f"{came}; refused: {self.refused_by_rule} by rule"

    def as_json(self) -> dict[str, Any]:
        """With the datagrams in place of connections, of which there are none."""
        listener = super().as_json()
        del listener["connections"]
        return {**listener, "datagrams": {"received": self.datagrams_received, "sent": self.datagrams_sent}}


class DatagramService:
    """Answers queries on some sockets until -W is reached, a time limit is over, or the loop is stopped."""

    def __init__(self, loop: Loop, service: Service, listening: Listening, counts: Counts) -> None:
        self.loop = loop
        self.service = service
        self.counts = counts
        self.turned_away = listening.turned_away
        self.notes = Notes(listening.console)
        self.last_heard: float | None = None
        self.fault: Fault | None = None
        self._most = listening.plan.ends.read_limit

    def serve(self, sock: socket.socket) -> None:
        """Begin to answer what comes to a non-blocking socket."""
        Port(self, sock).listen()

    def enough(self) -> bool:
        """Whether -W is reached; then the loop is told to stop."""
        if self._most is None or self.counts.datagrams_received < self._most:
            return False
        self.loop.stop()
        return True

    def stop_after(self, total: float | None) -> None:
        """Stop when so many seconds have passed."""
        if total is not None:
            text = "listener: not done within the total timeout: timed out"
            self.loop.call_at(self.loop.time() + total, self._too_late, text)

    def stop_when_silent(self, idle: float | None) -> None:
        """Stop after so many seconds without a datagram; the first one is awaited without limit."""
        if idle is not None:
            self._look_for_silence(idle)

    def _look_for_silence(self, idle: float) -> None:
        now = self.loop.time()
        due = (now if self.last_heard is None else self.last_heard) + idle
        if due <= now:
            self._too_late(f"listener: no data for {idle:g} s: timed out")
        else:
            self.loop.call_at(due, self._look_for_silence, idle)

    def _too_late(self, text: str) -> None:
        self.fault = Fault(text, TIMEOUT)
        self.loop.stop()


class Query:
    """A datagram as it came: its bytes, from whom, and with which ancillary messages."""

    __slots__ = ("address", "ancillary", "cut", "data")

    def __init__(self, data: bytes, ancillary: list[Any], cut: bool, address: Any) -> None:
        self.data = data
        self.ancillary = ancillary
        self.cut = cut
        self.address = address


class Port:
    """One socket of a service: takes a batch of queries at a time, answers each, waits while it is full."""

    def __init__(self, served: DatagramService, sock: socket.socket) -> None:
        self._served = served
        self._sock = sock
        self._unix = sock.family == socket.AF_UNIX
        self._number = -1 if self._unix else int(sock.getsockname()[1])
        self._buffer = memoryview(bytearray(LARGEST_UNIX if self._unix else LARGEST_UDP))
        self._full = False

    def listen(self) -> None:
        self._served.loop.add_reader(self._sock.fileno(), self._readable)

    def _readable(self) -> None:
        served = self._served
        for _ in range(BATCH):
            if self._full or served.enough():
                return
            try:
                count, ancillary, flags, address = self._sock.recvmsg_into([self._buffer], ANCILLARY_SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP error that an earlier answer met: no business of those who wait.
                self._failed("receive", error)
                continue
            self._answer(Query(bytes(self._buffer[:count]), ancillary, bool(flags & socket.MSG_TRUNC), address))
        served.enough()

    def _answer(self, query: Query) -> None:
        served = self._served
        if served.turned_away(query.address):
            return
        served.last_heard = served.loop.time()
        served.counts.datagrams_received += 1
        served.counts.received += len(query.data)
        silence = why_silent(query, self._number)
        served.notes.once(
            (query.address, silence), lambda: _arrival(query.address, silence), "connected", query.address
        )
        data = None if silence else served.service.datagram(query.data)
        if data is not None:
            self._send(data, answer_from(query.ancillary), query.address)

    def _send(self, data: bytes, ancillary: list[Any], address: Any) -> None:
        # Counted first: who has the answer may end us with a signal before another line is run.
        self._served.counts.answered(1, len(data))
        try:
            self._sock.sendmsg([data], ancillary, 0, address)
        except OSError as error:
            self._served.counts.answered(-1, -len(data))
            self._not_sent(error, data, ancillary, address)

    def _not_sent(self, error: OSError, data: bytes, ancillary: list[Any], address: Any) -> None:
        if not isinstance(error, BlockingIOError):
            # Gone, unreachable, longer than a datagram can be: it gets none.
            self._failed(f"send to {_name(address)}", error)
        elif not self._unix:
            self._wait_for_room(data, ancillary, address)
        # With a unix socket it is one receiver's queue that is full, which may last: it gets none either.

    def _wait_for_room(self, data: bytes, ancillary: list[Any], address: Any) -> None:
        """Keep this one answer, and read nothing more until there is room for it."""

        def writable() -> None:
            self._full = False
            loop.remove_writer(fd)
            loop.add_reader(fd, self._readable)
            self._send(data, ancillary, address)

        loop, fd = self._served.loop, self._sock.fileno()
        self._full = True
        loop.remove_reader(fd)
        loop.add_writer(fd, writable)

    def _failed(self, what: str, error: OSError) -> None:
        self._served.notes.once(error.errno, lambda: f"{what}: {reason(error)}")


def why_silent(query: Query, own_port: int) -> str:
    """Why a query gets no answer; "" where it gets one.

    Two services that answer each other never stop, and a forged address is all it takes to start
    them. So none of ours, whichever it is, answers another service: what comes from a well-known port
    or from the number that it serves itself. (All ports below 1024, not a list of those that answer: a
    list misses the next one, and clients have theirs above.) Nor is a query answered that was sent
    to a group or as a broadcast: one forged sender would have every host of a network answer.
    """
    if not query.address:
        return "it has no address"
    if query.cut:
        return "its datagram is too long"
    if not isinstance(query.address, tuple):
        return ""
    port = query.address[1]
    if port < WELL_KNOWN or port == own_port:
        return f"port {port} is a service's"
    return "" if _to_us_alone(query.ancillary) else "it asked a group"


def _to_us_alone(ancillary: list[Any]) -> bool:
    """Whether a datagram came to an address of ours: no multicast group, no broadcast.

    A socket that is bound to one address is told nothing: it hears what is sent there, as its user wanted.
    """
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            # struct in_pktinfo: interface, our address there, destination in the header (ip(7)).
            return bool(data[4:8] == data[8:12])
        if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO:
            return bool(data[0] != 0xFF)
    return True


def _name(address: Any) -> str:
    return f"{show_host(address)} port {address[1]} (udp)" if isinstance(address, tuple) else show_host(address)


def _arrival(address: Any, silence: str) -> str:
    where = ""
    if address:
        where = f" on {show_host(address)}" + (f" {address[1]}" if isinstance(address, tuple) else "")
    return f"Connection received{where}" + (f", not answered: {silence}" if silence else "")


def run_udp_service(target: Target, plan: Plan, console: Console, counts: Counts | None = None) -> int:
    """Answer the datagrams that come to the target until -W, a time limit or a signal; the exit code.

    `counts` is kept up to date for a caller who wants to read it.

    Raises:
        Fault: it cannot be bound, or (code 3) --idle-timeout or --total-timeout is over.
    """
    assert plan.work.service is not None, "called for a built-in service only"
    make = service(plan.work.service, time.time)
    counts = Counts() if counts is None else counts
    listening, loop = Listening(target, plan, console), Loop()
    try:
        served = DatagramService(loop, make(), listening, counts)
        with listening:
            listening.count(counts)
            for sock in listening.sockets:
                served.serve(sock)
            served.stop_after(listening.remaining())
            served.stop_when_silent(plan.limits.idle)
            loop.run()
    finally:
        loop.close()
    if served.fault is not None:
        raise served.fault
    return OK
