"""Connecting: look-ups, source address, time limits, and what the race over all addresses is run with.

TCP and unix sockets are dialed here, on a loop that goes on meanwhile; `dial` and `dial_unix` run one of their own.
Nothing is sent and nothing printed: every failure leaves as a Fault with its sentences.
"""

from __future__ import annotations

import errno
import socket
import time

from pync.errors import NETWORK, USAGE, Fault, reason
from pync.net import sockopts
from pync.net.race import DialFault, Race, describe_failure, timed_out
from pync.net.resolve import Address, LookUp, Question, answer, interleave, unix_address, wanted_family
from pync.options import Options
from pync.plan import Plan
from pync.wire.address import refuse_zoneless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.loop import Cancellable, Reactor, TimerHandle
    from pync.net.race import Dialed, Opener
    from pync.net.unixpath import BoundPath

    OnDialed = Callable[[Dialed | Fault], object]

#: Seconds between two attempts at a unix socket whose backlog is full: no readiness tells when it has room.
FULL_DELAY = 0.01


def connect(
    host: str,
    port: int | str,
    *,
    family: int = socket.AF_UNSPEC,
    source: str | None = None,
    source_port: int | str | None = None,
    timeout: float | None = None,
    numeric: bool = False,
) -> socket.socket:
    """Connect to a TCP port, racing all addresses of the host (Happy Eyeballs, RFC 8305).

    Args:
        host: name, IPv4 or IPv6 address (with `%zone` where it is link-local).
        port: 0 to 65535, or the name of a service.
        family: AF_INET or AF_INET6 to restrict the race to one family.
        source: local address or name to connect from.
        source_port: local port to connect from.
        timeout: seconds for looking the name up, and for each address; None leaves it to the system.
        numeric: allow numeric hosts and ports only.

    Returns:
        The connected socket, in blocking mode.

    Raises:
        Fault: the name does not resolve (`code` 2; a socket.gaierror too), every address refused (1; a
            ConnectionRefusedError), or one was silent (3; a TimeoutError). Each is an OSError, with `errno` where
            the system gave one, and its text names each address with its own error.
    """
    from pync.net.raised import as_oserror

    options = Options(
        ipv4=family == socket.AF_INET,
        ipv6=family == socket.AF_INET6,
        source=source,
        source_port=None if source_port is None else str(source_port),
        connect_timeout=timeout,
        nodns=numeric,
    )
    try:
        refuse_zoneless(host)
        sock, _ = dial(host, port, Plan(options))
    except Fault as fault:
        raise as_oserror(fault) from None
    sock.setblocking(True)
    return sock


def dial(
    host: str, port: int | str, plan: Plan, note: Callable[[str], None] | None = None
) -> tuple[socket.socket, Address]:
    """Connect to a host as the options ask; the socket returned does not block. `note` as for `Dial`."""
    from pync.net.loop import run_until_done

    def begin(loop: Reactor, on_done: OnDialed) -> Dial:
        return Dial(loop, host, port, plan, on_done, note)

    return run_until_done(begin)


def dial_unix(path: str, plan: Plan, own: BoundPath) -> tuple[socket.socket, Address]:
    """Connect to the unix-domain socket at `path`; `own` as for `DialUnix`. The socket returned does not block."""
    from pync.net.loop import run_until_done

    def begin(loop: Reactor, on_done: OnDialed) -> DialUnix:
        return DialUnix(loop, path, plan, own, on_done)

    return run_until_done(begin)


class Dial:
    """A connection to a host in the making: look-ups, then the race; the loop is never held up.

    The loop calls `on_done` once, with the non-blocking socket and its address, or the fault. `note` is told of the
    addresses that failed before another answered. `cancel` closes everything.
    """

    def __init__(
        self,
        loop: Reactor,
        host: str,
        port: int | str,
        plan: Plan,
        on_done: OnDialed,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._loop = loop
        self._host = host
        self._port = port
        self._plan = plan
        self._on_done = on_done
        self._note = note
        self._started = time.monotonic()
        self._addresses: list[Address] = []
        self._step: Cancellable = loop.call_at(loop.time(), self._begin)  # what is under way

    def cancel(self) -> None:
        """Give up, whatever is under way; `on_done` is not called any more."""
        self._step.cancel()

    def _begin(self) -> None:
        try:
            self._ask(_question(self._host, self._port, self._plan), self._found)
        except (Fault, OSError) as error:
            self._on_done(_as_fault(error))

    def _ask(self, question: Question, then: Callable[[list[Address]], None]) -> None:
        """Go on with the answer: at once where there is nothing to wait for.

        Raises:
            Fault: what was asked, or what follows from the answer, makes no sense.
            OSError: no descriptor is left.
        """
        if question.at_once:
            then(question.ask())
            return

        def answered(result: list[Address] | Fault) -> None:
            try:
                if isinstance(result, Fault):
                    raise result
                then(result)
            except (Fault, OSError) as error:
                self._on_done(_as_fault(error))

        self._step = LookUp(self._loop, question, self._plan.limits.connect, answered)

    def _found(self, addresses: list[Address]) -> None:
        self._addresses = interleave(addresses)
        source = _source_question(self._plan)
        if source is None:
            self._race([])
        else:
            self._ask(source, self._race)

    def _race(self, sources: list[Address]) -> None:
        open_socket = _opener(self._plan, self._addresses, sources)
        # A look-up has its time, and a part of the total.
        limits = (self._plan.limits.connect, remaining(self._plan, self._started))
        limit = min((seconds for seconds in limits if seconds is not None), default=None)
        self._step = race = Race(self._loop, self._addresses, open_socket, limit, self._host, self._raced)
        self._failures = race.failures

    def _raced(self, result: Dialed | Fault) -> None:
        if self._note is not None and not isinstance(result, Fault):
            for failure in self._failures:
                self._note(describe_failure(self._host, *failure))
        self._on_done(result)


def _as_fault(error: Fault | OSError) -> Fault:
    return error if isinstance(error, Fault) else Fault(f"connect failed: {reason(error)}")


class DialUnix:
    """The same for the unix-domain socket at `path`; with -s from a path of our own, which `own` keeps.

    A full backlog (EAGAIN, unix(7)) is tried again until the limit is over.
    """

    def __init__(self, loop: Reactor, path: str, plan: Plan, own: BoundPath, on_done: OnDialed) -> None:
        self._loop = loop
        self._path = path
        self._plan = plan
        self._own = own
        self._on_done = on_done
        self._address = unix_address(path, plan.names.datagram)
        self._sock: socket.socket | None = None
        now = loop.time()
        self._deadline = float("inf") if plan.limits.connect is None else now + plan.limits.connect
        self._timer: TimerHandle = loop.call_at(now, self._begin)

    def cancel(self) -> None:
        """Give up; `on_done` is not called any more."""
        self._timer.cancel()
        if self._sock is not None:
            self._sock.close()

    def _begin(self) -> None:
        try:
            self._sock = socket.socket(self._address.family, self._address.type)
            self._sock.setblocking(False)
            _bind_unix(self._sock, self._plan, self._own)
            sockopts.apply(self._sock, self._plan.sockets)
        except (Fault, OSError) as error:
            self._fail(error)
            return
        self._attempt()

    def _attempt(self) -> None:
        assert self._sock is not None
        try:
            self._sock.connect(self._address.sockaddr)
        except BlockingIOError:
            self._try_again()
        except OSError as error:
            self._fail(error)
        else:
            sock, self._sock = self._sock, None
            self._on_done((sock, self._address))

    def _try_again(self) -> None:
        now = self._loop.time()
        if now >= self._deadline:
            self._fail(timed_out())
        else:
            self._timer = self._loop.call_at(min(now + FULL_DELAY, self._deadline), self._attempt)

    def _fail(self, error: Fault | OSError) -> None:
        self.cancel()
        self._on_done(error if isinstance(error, Fault) else DialFault(self._path, [(self._address, error)]))


def _bind_unix(sock: socket.socket, plan: Plan, own: BoundPath) -> None:
    """A datagram client needs an address of its own for the answers: -s PATH, or one the system picks."""
    if plan.names.source is None and sock.type != socket.SOCK_DGRAM:
        return
    name = "" if plan.names.source is None else unix_address(plan.names.source, plan.names.datagram).sockaddr
    try:
        if name and not name.startswith("\0"):
            own.bind(sock, name)
        else:
            sock.bind(name)
    except OSError as error:
        raise Fault(f"bind to {plan.names.source or 'a unix address'} failed: {reason(error)}", USAGE) from None


def remaining(plan: Plan, started: float) -> float | None:
    """Seconds that are left of --total-timeout for what began at `started` (monotonic clock)."""
    if plan.limits.total is None:
        return None
    return max(0.0, plan.limits.total - (time.monotonic() - started))


def _question(host: str, port: int | str, plan: Plan) -> Question:
    names = plan.names
    return Question(host, port, family=wanted_family(names), datagram=names.datagram, numeric=names.numeric)


def candidates(host: str, port: int | str, plan: Plan) -> list[Address]:
    """The addresses to try, in the order to try them; waits for the look-up."""
    return interleave(answer(_question(host, port, plan), plan.limits.connect))


def opener(plan: Plan, addresses: list[Address]) -> Opener:
    """What makes the unconnected socket for an address: options set, source bound; waits for the source's look-up.

    Addresses of a family that the source address lacks are taken off `addresses`.
    """
    question = _source_question(plan)
    return _opener(plan, addresses, [] if question is None else answer(question, plan.limits.connect))


def _opener(plan: Plan, addresses: list[Address], from_: list[Address]) -> Opener:
    sources = {address.family: address.sockaddr for address in reversed(from_)}
    if plan.names.source is not None:
        addresses[:] = [address for address in addresses if address.family in sources]
        if not addresses:
            raise Fault(f"source address {plan.names.source} is of another family than the host", USAGE)

    def open_socket(address: Address) -> socket.socket:
        sock = socket.socket(address.family, address.type)
        try:
            sock.setblocking(False)
            sockopts.apply(sock, plan.sockets)
            _bind_source(sock, sources.get(address.family))
        except BaseException:
            sock.close()
            raise
        return sock

    return open_socket


def _source_question(plan: Plan) -> Question | None:
    """What has to be asked to know the local addresses of -s and -p; None where neither is given."""
    from pync.wire.address import parse_ports, strip_brackets

    names = plan.names
    if names.source is None and names.source_port is None:
        return None
    ports = parse_ports(names.source_port or "0")
    if len(ports) > 1:
        raise Fault(f"'{names.source_port}': -p takes one port", USAGE)
    host = None if names.source is None else strip_brackets(names.source)
    family = wanted_family(names)
    return Question(host, ports[0], family=family, datagram=names.datagram, numeric=names.numeric, passive=True)


def _bind_source(sock: socket.socket, source: Any) -> None:
    if source is None:
        return
    # Two families may race from one source port: :: must not claim IPv4's as well.
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(source)
    except OSError as error:
        code = USAGE if error.errno == errno.EADDRINUSE else NETWORK
        raise Fault(f"bind to {source[0]} port {source[1]} failed: {reason(error)}", code) from None
