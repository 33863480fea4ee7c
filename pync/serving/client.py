"""Connect mode: dial, then relay; several ports one after another, as nc(1) does.

Dialing is `net.dial`, relaying is `handlers.stdio`: here is only their order and the messages.
"""

from __future__ import annotations

import time

from pync.errors import OK, Fault, NameFault, reason
from pync.handlers.stdio import Relay
from pync.net import wake
from pync.net.dial import dial, dial_unix, remaining
from pync.net.resolve import service_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.console import Console
    from pync.handlers.program import Programs
    from pync.net.resolve import Address
    from pync.net.unixpath import BoundPath
    from pync.plan import Plan
    from pync.wire.address import Target


def run_client(target: Target, plan: Plan, console: Console) -> int:
    """Connect to each port of the target in turn and relay; returns the exit code.

    A port that cannot be reached does not count when another one could.
    """
    started = time.monotonic()
    relay = joiner(plan, console)
    try:
        if target.path is not None:
            return _one_path(target.path, plan, console, relay, started)
        return _each_port(target, plan, console, relay, started)
    finally:
        relay.close()


def joiner(plan: Plan, console: Console) -> Relay | Programs:
    """What a connection is joined with: our input and output, or the program of -e or -c.

    Raises:
        Fault: with code 2, when the program cannot be run.
    """
    if not plan.work.program:
        return Relay(plan, console)
    from pync.handlers.program import Programs
    from pync.processes.program import program_from

    program = program_from(plan.work)
    assert program is not None
    return Programs(program, plan, console)


def _one_path(path: str, plan: Plan, console: Console, relay: Relay | Programs, started: float) -> int:
    from pync.net.unixpath import BoundPath

    own = BoundPath()
    try:
        sock, address = _reach_path(path, plan, own, console)
        name = announce(path, address, console)
        introduce(sock, name, plan)
        return relay.run(sock, name, total=remaining(plan, started))
    finally:
        own.remove()


def _each_port(target: Target, plan: Plan, console: Console, relay: Relay | Programs, started: float) -> int:
    assert target.host is not None
    ports = list(target.ports)
    if plan.names.random_ports:
        from random import shuffle

        shuffle(ports)
    reached: list[int] = []
    unreached: list[int] = []
    for number, port in enumerate(ports):
        if number and plan.pipeline.interval is not None:
            wake.sleep(plan.pipeline.interval)
        try:
            sock, address = _reach(target.host, port, plan, console)
            name = announce(target.host, address, console)
            introduce(sock, name, plan)
        except NameFault:
            raise  # what holds for every port is said once
        except Fault as fault:
            console.fail(fault.text)
            unreached.append(fault.code)
            continue
        if isinstance(relay, Relay):
            relay.is_last = number + 1 == len(ports)
        reached.append(relay.run(sock, name, total=remaining(plan, started)))
    return max(reached) if reached else max(unreached, default=OK)


def _reach(host: str, port: int | str, plan: Plan, console: Console) -> tuple[socket.socket, Address]:
    """Dial; with --wait or --retry as often as they ask."""
    if plan.probing.wait is None and plan.probing.retry is None:
        return dial(host, port, plan, console.note)
    from pync.probe.patience import dial_patiently

    return dial_patiently(host, port, plan, console)


def _reach_path(path: str, plan: Plan, own: BoundPath, console: Console) -> tuple[socket.socket, Address]:
    """The same for a path."""
    if plan.probing.wait is None and plan.probing.retry is None:
        return dial_unix(path, plan, own)
    from pync.probe.patience import dial_unix_patiently

    return dial_unix_patiently(path, plan, own, console)


def introduce(sock: socket.socket, name: str, plan: Plan) -> None:
    """Send the PROXY header of --send-proxy, where it is asked for; a fresh connection has room for it.

    Raises:
        Fault: the connection is lost already, and has been closed.
    """
    if plan.via.header is None:
        return
    from pync.wire.proxyheader import header

    try:
        ends = (sock.getsockname(), sock.getpeername())
        source, destination = (end[:2] if isinstance(end, tuple) else None for end in ends)
        sock.sendall(header(plan.via.header, source, destination))
    except OSError as error:
        sock.close()
        raise Fault(f"connection with {name} lost: {reason(error)}") from None


def announce(host: str, address: Address, console: Console) -> str:
    """Say with -v that the connection stands, in the words of nc(1); returns the peer's name for messages."""
    if not address.port:
        console.note(f"Connection to {address.host} succeeded!", "connected", address.sockaddr)
        return address.host
    shown = host if host == address.host else f"{host} ({address.host})"
    words = port_words(address.port, address.protocol, console)
    console.note(f"Connection to {shown} {words} succeeded!", "connected", address.sockaddr)
    return f"{shown} port {address.port}"


def port_words(port: int, protocol: str, console: Console) -> str:
    """`10000 port [tcp/*]`; the service is looked up only where somebody reads it."""
    service = service_name(port, protocol) if console.verbose else "*"
    return f"{port} port [{protocol}/{service}]"
