"""Probing TCP ports: many connects at once, each port within its time, whatever its addresses do.

A sweep knows sockets and times, and reports an `Outcome` for each port as soon as it is known. In what
order outcomes are shown, and in which words, is not decided here.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque

from pync.net.race import ATTEMPT_DELAY, LONGEST_WAIT, outcome, timed_out
from pync.net.resolve import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pync.net.race import Failure, Opener

#: How long a service may take to say its first line (--banner), in seconds.
BANNER_TIME = 1.0
BANNER_SIZE = 1024
#: Descriptors that are left to everything else when the limit is low.
RESERVED = 16

OPEN, REFUSED, TIMED_OUT, UNREACHABLE, NO_ANSWER = "open", "refused", "timed out", "unreachable", "no answer"

#: What an error says of a port; whatever is not here means that the host cannot be reached.
STATES = {errno.ECONNREFUSED: REFUSED, errno.ECONNRESET: REFUSED, errno.ETIMEDOUT: TIMED_OUT}
#: What opening a socket fails with where the machine lacks the family.
NO_FAMILY = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
#: An answer from one address counts more than silence or a missing route at another.
STRENGTH = (OPEN, REFUSED, NO_ANSWER, TIMED_OUT, UNREACHABLE)


class Outcome:
    """What is known of a port: its state, the address that decided, each address's own error."""

    __slots__ = ("address", "banner", "failures", "port", "state")

    def __init__(self, port: int, state: str, address: Address, failures: list[Failure], banner: bytes = b"") -> None:
        self.port = port
        self.state = state
        self.address = address
        self.failures = failures
        self.banner = banner


def state_of(error: OSError) -> str:
    """The state of a port whose connect failed like this."""
    return STATES.get(error.errno or 0, UNREACHABLE)


def at_port(address: Address, port: int) -> Address:
    """The same host, another port."""
    host, _, *rest = address.sockaddr
    return Address(address.family, address.type, (host, port, *rest))


def failed_outcome(port: int, failures: list[Failure]) -> Outcome:
    """The outcome of a port that no address opened: the strongest statement of any of them."""
    states = [(STRENGTH.index(state_of(error)), address) for address, error in failures]
    strength, address = min(states, key=lambda pair: pair[0])
    return Outcome(port, STRENGTH[strength], address, failures)


#: One for all: there may be tens of thousands of them.
_REFUSAL = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def refused_outcome(port: int, address: Address) -> Outcome:
    """The outcome of a port whose only address refused."""
    return Outcome(port, REFUSED, address, [(address, _REFUSAL)])


def descriptor_limit(wanted: int) -> int:
    """How many sockets may be open at once: `wanted`, or what RLIMIT_NOFILE leaves (getrlimit(2))."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - RESERVED))


class _Port:
    """A port on its way: addresses not tried yet, those under way, when its time is over."""

    __slots__ = ("deadline", "failures", "next_start", "number", "under_way", "untried")

    def __init__(self, number: int, addresses: list[Address], deadline: float) -> None:
        self.number = number
        self.untried = addresses
        self.under_way: dict[socket.socket, Address] = {}
        self.deadline = deadline
        self.next_start = 0.0
        self.failures: list[Failure] = []


class Sweep:
    """Probes ports at the addresses of one host, at most `parallel` at the same time.

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
        banner: bool = False,
    ) -> None:
        self._addresses = addresses
        self._open_socket = open_socket
        self._limit = limit
        self._until = until
        self._parallel = parallel
        self._report = report
        self._banner = banner
        self._selector = selectors.DefaultSelector()
        self._active: dict[int, _Port] = {}
        self._spare: dict[int, socket.socket] = {}
        self._listening: dict[socket.socket, tuple[Outcome, float]] = {}

    def run(self, ports: Iterable[int]) -> None:
        """Probe them all, in this order; returns when each has been reported."""
        waiting = deque(ports)
        while waiting or self._active or self._listening:
            while waiting and len(self._active) + len(self._listening) < self._parallel:
                self._begin(waiting.popleft())
            if self._active or self._listening:
                self._wait()

    def _begin(self, number: int) -> None:
        """Start a port. Most are refused at once, at their only address, and cost no more than the asking."""
        if len(self._addresses) == 1 and not self._banner:
            address = at_port(self._addresses[0], number)
            code = self._ask(address)
            if code == errno.ECONNREFUSED:
                self._report(refused_outcome(number, address))
                return
            port = _Port(number, [], self._deadline())
            self._active[number] = port
            if not self._settle(port, address, code):
                self._start_next(port)
            return
        port = _Port(number, [at_port(address, number) for address in self._addresses], self._deadline())
        self._active[number] = port
        self._start_next(port)

    def _deadline(self) -> float:
        return min(time.monotonic() + self._limit, self._until)

    def _ask(self, address: Address) -> int:
        """Connect a spare socket of the family; a refused one can be used again (Linux)."""
        sock = self._spare.get(address.family)
        if sock is None:
            try:
                sock = self._spare[address.family] = self._open_socket(address)
            except OSError as error:
                if error.errno not in NO_FAMILY:
                    raise  # such as no descriptor left, which says nothing of the port
                return error.errno or 0
        code = sock.connect_ex(address.sockaddr)
        if code == errno.EINPROGRESS:
            # Within this machine the answer is there already: asking again is cheaper than waiting for it.
            code = sock.connect_ex(address.sockaddr)
            code = errno.EINPROGRESS if code == errno.EALREADY else code
        return code

    def _start_next(self, port: _Port) -> None:
        """Start the port's next address, and the one after it when that fails at once; the last failure ends it."""
        while port.untried:
            address = port.untried.pop(0)
            port.next_start = time.monotonic() + ATTEMPT_DELAY
            if self._settle(port, address, self._ask(address)):
                return
        if not port.under_way:
            del self._active[port.number]
            self._report(failed_outcome(port.number, port.failures))

    def _settle(self, port: _Port, address: Address, code: int) -> bool:
        """Note what came of asking; False where it failed at once."""
        sock = self._spare.pop(address.family, None)
        if sock is None:
            port.failures.append((address, OSError(code, os.strerror(code))))
            return False
        port.under_way[sock] = address
        if code == errno.EINPROGRESS:
            self._selector.register(sock, selectors.EVENT_WRITE, port)
            return True
        if code in (0, errno.EISCONN):
            return self._answered(port, sock)
        self._failed(port, sock, OSError(code, os.strerror(code)))
        return False

    def _wait(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock in self._listening:
                self._heard(sock)
            elif sock in key.data.under_way and not self._answered(key.data, sock):
                self._start_next(key.data)
        self._look_at_the_clock()

    def _answered(self, port: _Port, sock: socket.socket) -> bool:
        """Whether the answer was a connection; then the port is open."""
        error = outcome(sock)
        if error is not None:
            self._failed(port, sock, error)
            return False
        result = Outcome(port.number, OPEN, port.under_way[sock], port.failures)
        self._drop_others(port, sock)
        del self._active[port.number]
        if self._banner:
            self._listen_to(sock)
            self._listening[sock] = (result, time.monotonic() + BANNER_TIME)
            return True
        self._forget(sock)
        self._report(result)
        return True

    def _listen_to(self, sock: socket.socket) -> None:
        if sock in self._selector.get_map():
            self._selector.modify(sock, selectors.EVENT_READ)
        else:
            self._selector.register(sock, selectors.EVENT_READ)

    def _heard(self, sock: socket.socket) -> None:
        """A piece of the banner has come; a line, or the end of data, completes it."""
        result, _ = self._listening[sock]
        try:
            piece = sock.recv(BANNER_SIZE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        result.banner += piece
        if not piece or b"\n" in piece or len(result.banner) >= BANNER_SIZE:
            self._end_banner(sock)

    def _end_banner(self, sock: socket.socket) -> None:
        result, _ = self._listening.pop(sock)
        self._forget(sock)
        self._report(result)

    def _failed(self, port: _Port, sock: socket.socket, error: OSError) -> None:
        address = port.under_way.pop(sock)
        self._forget(sock)
        port.failures.append((address, error))

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        for port in list(self._active.values()):
            if port.deadline <= now:
                self._give_up(port)
            elif port.untried and port.next_start <= now:
                self._start_next(port)
        for sock, (_, until) in list(self._listening.items()):
            if until <= now:
                self._end_banner(sock)

    def _give_up(self, port: _Port) -> None:
        silent = [*port.under_way.values(), *port.untried]
        port.failures += [(address, timed_out()) for address in silent]
        self._drop_others(port, None)
        del self._active[port.number]
        self._report(failed_outcome(port.number, port.failures))

    def _patience(self) -> float:
        """Seconds until the first of the deadlines; ports started earlier end earlier."""
        times = [until for _, until in self._listening.values()]
        if self._active:
            times.append(next(iter(self._active.values())).deadline)
            times += [port.next_start for port in self._active.values() if port.untried]
        return max(0.0, min(min(times) - time.monotonic(), LONGEST_WAIT))

    def _drop_others(self, port: _Port, winner: socket.socket | None) -> None:
        for sock in port.under_way:
            if sock is not winner:
                self._forget(sock)
        port.under_way.clear()  # an event of theirs may be at hand already

    def _forget(self, sock: socket.socket) -> None:
        if sock in self._selector.get_map():
            self._selector.unregister(sock)
        sock.close()

    def close(self) -> None:
        """Close what is open still; a sweep can run several times before."""
        for port in self._active.values():
            self._drop_others(port, None)
        for sock in [*self._listening, *self._spare.values()]:
            sock.close()
        self._selector.close()
