"""Probe mode (-z): which ports of which hosts, the order and the words of the results, the exit code.

`probe.sweep` and `probe.udp_probe` do the probing. `probe.patience` calls `probe` again and again until a port
answers.
"""

from __future__ import annotations

import socket
import time
from functools import partial

from pync.errors import NETWORK, NO_ANSWER, OK, NameFault, UsageFault, reason
from pync.net import wake
from pync.net.dial import opener
from pync.net.race import describe_failure
from pync.net.resolve import interleave, is_address, port_number, resolve, service_name, unix_address, wanted_family
from pync.probe import forked_sweep
from pync.probe.finding import NO_ANSWER as UNANSWERED
from pync.probe.finding import OPEN, Finding
from pync.probe.prober import Crowd, descriptor_limit
from pync.probe.sweep import Sweep
from pync.probe.udp_probe import UdpSweep
from pync.wire.probes import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pync.console import Console
    from pync.net.race import Opener
    from pync.net.resolve import Address
    from pync.plan import Plan
    from pync.probe.forked_sweep import ForkedSweep
    from pync.probe.prober import Prober
    from pync.wire.address import Target

    Report = Callable[[Finding], None]
    Seen = Callable[[Target, Finding], None]
    Unknown = Callable[[Target, NameFault], None]


#: The default seconds for each port, and the default number of ports at once.
LIMIT = 3.0
PARALLEL = 256


def run_scan(targets: list[Target], plan: Plan, console: Console) -> int:
    """Probe the ports of each target and show their states; returns the exit code.

    Raises:
        Fault: a name does not resolve, or a port is invalid; raised before the first probe.
    """
    states: set[str] = set()

    def seen(target: Target, finding: Finding) -> None:
        states.add(finding.state)
        show(target.name, finding, plan, console)

    def unknown(target: Target, fault: NameFault) -> None:
        raise fault

    probe(targets, plan, seen, unknown, plan.limits.total)
    if OPEN in states:
        return OK
    return NO_ANSWER if UNANSWERED in states else NETWORK


class _Host:
    """A resolved target: its addresses, and its ports in the order in which they are probed and shown."""

    __slots__ = ("addresses", "ports", "target")

    def __init__(self, target: Target, addresses: list[Address], ports: list[int]) -> None:
        self.target = target
        self.addresses = addresses
        self.ports = ports


def probe(targets: list[Target], plan: Plan, seen: Seen, unknown: Unknown, limit: float | None = None) -> None:
    """Probe the ports of all targets together; `seen` is called for each port, in order.

    `unknown` is called for each name that does not resolve. `limit` is the rest of --wait or --total-timeout, in
    seconds, for all of them together.
    """
    until = float("inf") if limit is None else time.monotonic() + limit
    hosts = _known_hosts(targets, plan, unknown, until)
    if len(hosts) == 1 and plan.pipeline.interval is None:
        _probe_host(hosts[0], plan, seen, until)
    elif hosts:
        _probe_hosts(hosts, plan, seen, until)


def _known_hosts(targets: list[Target], plan: Plan, unknown: Unknown, until: float) -> list[_Host]:
    """The targets with names that resolve. Each name is resolved once, whatever the number of its ports."""
    numbers: dict[int, list[int]] = {}  # by list, because the targets of a block share one
    # A silent DNS server must not use up the time of the other names, nor all the time for probing.
    shares = sum(map(_has_name, targets)) + (len(targets) > 1)
    hosts = []
    for target in targets:
        if id(target.ports) not in numbers:
            numbers[id(target.ports)] = [0] if target.path is not None else _numbers(target, plan)
        try:
            addresses = _addresses(target, plan, (until - time.monotonic()) / max(1, shares))
        except NameFault as fault:
            unknown(target, fault)
            continue
        finally:
            shares -= _has_name(target)
        hosts.append(_Host(target, addresses, numbers[id(target.ports)]))
    return hosts


def _has_name(target: Target) -> bool:
    """Whether the host of the target must be looked up."""
    return target.host is not None and not is_address(target.host)


def _probe_host(host: _Host, plan: Plan, seen: Seen, until: float) -> None:
    """Probe all ports of the only host; if they are many, in two processes."""
    report = partial(_InOrder([host], seen).add, host)

    def half(report: Report) -> Sweep:
        parallel = max(1, _parallel([host], plan) // 2)
        return Sweep(host.addresses, open_socket, limit=seconds, until=until, parallel=parallel, report=report)

    prober: ForkedSweep | Prober
    if not plan.names.datagram and not plan.probing.banner and forked_sweep.pays_off(host.ports):
        seconds, open_socket = _seconds(plan), _opener(host, plan)
        prober = forked_sweep.ForkedSweep(host.addresses, half, report)
    else:
        prober = _prober(host, plan, until, report, parallel=_parallel([host], plan))
    try:
        prober.run(host.ports)
    finally:
        prober.close()


def _probe_hosts(hosts: list[_Host], plan: Plan, seen: Seen, until: float) -> None:
    """Probe many hosts side by side; with -i one port after another, with a pause between them."""
    order = _InOrder(hosts, seen)
    crowd = Crowd(_parallel(hosts, plan))

    def work() -> Iterator[tuple[Prober, int]]:
        for host in hosts:
            prober = _prober(host, plan, until, partial(order.add, host), crowd=crowd)
            yield from ((prober, port) for port in host.ports)

    try:
        if plan.pipeline.interval is None:
            crowd.run(work())
            return
        for number, each in enumerate(work()):
            if number:
                wake.sleep(plan.pipeline.interval)
            crowd.run([each])
    finally:
        crowd.close()


def _prober(host: _Host, plan: Plan, until: float, report: Report, **of_crowd: Any) -> Prober:
    open_socket, seconds = _opener(host, plan), _seconds(plan)
    if plan.names.datagram and host.target.path is None:
        return UdpSweep(host.addresses, open_socket, limit=seconds, until=until, report=report, **of_crowd)
    return Sweep(
        host.addresses, open_socket, limit=seconds, until=until, report=report, banner=plan.probing.banner, **of_crowd
    )


def _seconds(plan: Plan) -> float:
    """The seconds for each port."""
    return plan.limits.connect or LIMIT


def _parallel(hosts: list[_Host], plan: Plan) -> int:
    """How many ports to probe at once. Each takes a socket for each address of its host."""
    most = max(len(host.addresses) for host in hosts)
    return max(1, descriptor_limit((plan.probing.parallel or PARALLEL) * most) // most)


def _opener(host: _Host, plan: Plan) -> Opener:
    return opener(plan, host.addresses) if host.target.path is None else unix_opener


def unix_opener(address: Address) -> socket.socket:
    """A new socket to connect to a path."""
    sock = socket.socket(address.family, address.type)
    sock.setblocking(False)
    return sock


def _numbers(target: Target, plan: Plan) -> list[int]:
    """The ports of the target, each once, in the order in which they are probed and shown."""
    protocol = "udp" if plan.names.datagram else "tcp"
    ports = list(dict.fromkeys(port_number(port, protocol, plan.names.numeric) for port in target.ports))
    if plan.names.random_ports:
        from random import shuffle

        shuffle(ports)
    return ports


def _addresses(target: Target, plan: Plan, left: float) -> list[Address]:
    """The addresses of a target; looking its name up may take `left` seconds."""
    if target.path is not None:
        if plan.names.source is not None:
            raise UsageFault("-s/--source does not go with -z/--zero and a path")
        return [unix_address(target.path, plan.names.datagram)]
    limits = (plan.limits.connect, None if left == float("inf") else max(0.0, left))
    found = resolve(
        target.host,
        0,
        family=wanted_family(plan.names),
        datagram=plan.names.datagram,
        numeric=plan.names.numeric,
        limit=min((seconds for seconds in limits if seconds is not None), default=None),
    )
    return interleave(found)


class _InOrder:
    """Passes findings on in the order of hosts and ports. An early finding waits for those before it."""

    def __init__(self, hosts: list[_Host], pass_on: Seen) -> None:
        self._places = ((host, port) for host in hosts for port in host.ports)
        self._next = next(self._places, None)
        self._pass_on = pass_on
        self._early: dict[tuple[_Host, int], Finding] = {}

    def add(self, host: _Host, finding: Finding) -> None:
        self._early[host, finding.port] = finding
        while self._next is not None and self._next in self._early:
            self._pass_on(self._next[0].target, self._early.pop(self._next))
            self._next = next(self._places, None)


def show(host: str, finding: Finding, plan: Plan, console: Console) -> None:
    """Show a port: an open one always, any other with -v; with --json each as an object on stdout."""
    if plan.view.json:
        _print_object(host, finding, console)
    elif finding.state == OPEN:
        console.say(_success(host, finding))
    elif console.verbose:
        for line in failures(host, finding):
            console.warn(line)


def failures(host: str, finding: Finding) -> list[str]:
    """A line for each address that was tried, with its error."""
    if finding.state == UNANSWERED:
        return [f"connect to {host} port {finding.port} (udp): no answer (open or filtered)"]
    return [describe_failure(host, address, error) for address, error in finding.failures]


def _success(host: str, finding: Finding) -> str:
    if finding.address.family == socket.AF_UNIX:
        return f"Connection to {finding.address.host} succeeded! {shown(finding.banner)}".rstrip()
    protocol = finding.address.protocol
    service = service_name(finding.port, protocol)
    text = f"Connection to {host} {finding.port} port [{protocol}/{service}] succeeded!"
    return f"{text} {shown(finding.banner)}".rstrip()


def _print_object(host: str, finding: Finding, console: Console) -> None:
    """Print a line of JSON; the man page describes its keys."""
    import json

    unix = finding.address.family == socket.AF_UNIX
    protocol = finding.address.protocol
    service = "*" if unix else service_name(finding.port, protocol)
    reasons = {address.host: reason(error) for address, error in finding.failures}
    console.print(
        json.dumps(
            {
                "host": host,
                "address": finding.address.host,
                "port": None if unix else finding.port,
                "protocol": protocol,
                "service": None if service == "*" else service,
                "state": finding.state,
                "errors": reasons,
                "banner": shown(finding.banner) if finding.banner else None,
            }
        )
        + "\n"
    )
