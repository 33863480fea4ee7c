"""Connecting: source address, time limit, and what the race over all addresses is run with.

TCP, UDP and unix sockets are dialed here. What is sent afterwards is none of this file's
business, and who prints a failure neither: every failure leaves as a Fault with its sentences.
"""

from __future__ import annotations

import errno
import socket
import time

from pync.errors import NETWORK, USAGE, Fault, reason
from pync.net import sockopts
from pync.net.race import DialFault, describe_failure, race, timed_out
from pync.net.resolve import Address, interleave, resolve, unix_address, wanted_family
from pync.net.unixpath import BoundPath
from pync.options import Options
from pync.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.race import Opener

#: Thirty years: what fits a time_t of any size.
LONGEST_SEND_TIMEOUT = 1e9


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
        sock, _ = dial(host, port, Plan(options))
    except Fault as fault:
        raise as_oserror(fault) from None
    sock.setblocking(True)
    return sock


def dial(
    host: str, port: int | str, plan: Plan, note: Callable[[str], None] | None = None
) -> tuple[socket.socket, Address]:
    """Connect to a host as the options ask; the socket returned does not block.

    `note` is told of the addresses that failed before another answered.
    """
    started = time.monotonic()
    addresses = candidates(host, port, plan)
    open_socket = opener(plan, addresses)
    limits = (plan.limits.connect, remaining(plan, started))  # a look-up has its time, and a part of the total
    limit = min((seconds for seconds in limits if seconds is not None), default=None)
    sock, address, failures = race(addresses, open_socket, limit, host)
    for failure in failures:
        if note:
            note(describe_failure(host, *failure))
    return sock, address


def dial_unix(path: str, plan: Plan, own: BoundPath) -> tuple[socket.socket, Address]:
    """Connect to the unix-domain socket at `path`; with -s, from a path of our own, which `own` keeps.

    The connect blocks: a non-blocking one fails with EAGAIN when the backlog is full (unix(7)).
    """
    address = unix_address(path, plan.names.datagram)
    sock = socket.socket(address.family, address.type)
    limit = plan.limits.connect
    try:
        _bind_unix(sock, plan, own)
        sockopts.apply(sock, plan.sockets)
        if limit is not None:
            _set_send_timeout(sock, limit)
        sock.connect(address.sockaddr)
        if limit is not None:
            _set_send_timeout(sock, 0)
    except OSError as error:
        sock.close()
        raise DialFault(path, [(address, timed_out() if error.errno == errno.EAGAIN else error)]) from None
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock, address


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


def _set_send_timeout(sock: socket.socket, seconds: float) -> None:
    """A struct timeval (socket(7), SO_SNDTIMEO); all zero means no limit, so that a limit is never rounded to it."""
    import struct

    microseconds = max(1 if seconds else 0, int(min(seconds, LONGEST_SEND_TIMEOUT) * 1e6))
    value = struct.pack("@ll", *divmod(microseconds, 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def remaining(plan: Plan, started: float) -> float | None:
    """Seconds that are left of --total-timeout for what began at `started` (monotonic clock)."""
    if plan.limits.total is None:
        return None
    return max(0.0, plan.limits.total - (time.monotonic() - started))


def candidates(host: str, port: int | str, plan: Plan) -> list[Address]:
    """The addresses to try, in the order to try them."""
    found = resolve(
        host,
        port,
        family=wanted_family(plan.names),
        datagram=plan.names.datagram,
        numeric=plan.names.numeric,
        limit=plan.limits.connect,
    )
    return interleave(found)


def opener(plan: Plan, addresses: list[Address]) -> Opener:
    """What makes the unconnected socket for an address: options set, source bound.

    Addresses of a family that the source address lacks are taken off `addresses`.
    """
    sources = _sources(plan)
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


def _sources(plan: Plan) -> dict[int, Any]:
    """For each family the local sockaddr that -s and -p ask for."""
    from pync.wire.address import parse_ports, strip_brackets

    if plan.names.source is None and plan.names.source_port is None:
        return {}
    ports = parse_ports(plan.names.source_port or "0")
    if len(ports) > 1:
        raise Fault(f"'{plan.names.source_port}': -p takes one port", USAGE)
    host = None if plan.names.source is None else strip_brackets(plan.names.source)
    found = resolve(
        host,
        ports[0],
        family=wanted_family(plan.names),
        datagram=plan.names.datagram,
        numeric=plan.names.numeric,
        passive=True,
        limit=plan.limits.connect,
    )
    return {address.family: address.sockaddr for address in reversed(found)}


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
