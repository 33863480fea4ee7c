"""Probe mode (-z): which ports of which hosts, the order and the words of the results, the exit code.

The probing itself is `probe.sweep`'s and `probe.udp_probe`'s. Waiting until a port answers is
`probe.patience`'s, which asks here.
"""

from __future__ import annotations

import time

from pync.errors import NETWORK, NO_ANSWER, OK, reason
from pync.net import wake
from pync.net.dial import connect_limit, opener, remaining
from pync.net.race import describe_failure
from pync.net.resolve import interleave, port_number, resolve, service_name, wanted_family
from pync.probe import forked_sweep
from pync.probe.outcome import NO_ANSWER as UNANSWERED
from pync.probe.outcome import OPEN, Outcome
from pync.probe.prober import descriptor_limit
from pync.probe.sweep import Sweep
from pync.probe.udp_probe import UdpSweep
from pync.wire.probes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pync.console import Console
    from pync.net.resolve import Address
    from pync.options import Options
    from pync.wire.address import Target

    class Prober(Protocol):
        def run(self, ports: list[int]) -> None: ...
        def close(self) -> None: ...


#: Seconds for each port, and ports at once, unless the command line says otherwise.
LIMIT = 3.0
PARALLEL = 256


def run_scan(targets: list[Target], options: Options, console: Console) -> int:
    """Probe the ports of each target and show what they are; returns the exit code.

    Raises:
        Fault: a name does not resolve, or a port is none.
    """
    started = time.monotonic()
    states: set[str] = set()

    def seen(host: str, outcome: Outcome) -> None:
        states.add(outcome.state)
        show(host, outcome, options, console)

    for target in targets:
        probe(target, options, seen, remaining(options, started))
    if OPEN in states:
        return OK
    return NO_ANSWER if UNANSWERED in states else NETWORK


def probe(target: Target, options: Options, seen: Callable[[str, Outcome], None], limit: float | None = None) -> None:
    """Probe the ports of one target; `seen` is called for each, in their order.

    `limit` is what is left of --wait or --total-timeout, in seconds, for all of them together.
    """
    host = target.host
    assert host is not None
    ports = _numbers(target, options)
    addresses = _addresses(host, options)
    in_order = _InOrder(ports, lambda outcome: seen(host, outcome))
    until = float("inf") if limit is None else time.monotonic() + limit
    prober = _prober(addresses, ports, options, until, in_order.add)
    try:
        if options.interval is None:
            prober.run(ports)
        else:
            _one_by_one(prober, ports, options.interval)
    finally:
        prober.close()


def _prober(
    addresses: list[Address], ports: list[int], options: Options, until: float, report: Callable[[Outcome], None]
) -> Prober:
    seconds = connect_limit(options) or LIMIT
    open_socket = opener(options, addresses)
    sockets = (options.parallel or PARALLEL) * len(addresses)
    parallel = max(1, descriptor_limit(sockets) // len(addresses))
    if options.udp:
        return UdpSweep(addresses, open_socket, limit=seconds, until=until, parallel=parallel, report=report)

    def sweep_of(parallel: int, report: Callable[[Outcome], None]) -> Sweep:
        return Sweep(
            addresses, open_socket, limit=seconds, until=until, parallel=parallel, report=report, banner=options.banner
        )

    if options.interval is None and not options.banner and forked_sweep.pays_off(ports):
        half = max(1, parallel // 2)
        return forked_sweep.ForkedSweep(addresses, lambda told: sweep_of(half, told), report)
    return sweep_of(parallel, report)


def _one_by_one(prober: Prober, ports: list[int], interval: float) -> None:
    """With -i: the next port a pause after the one before is known."""
    for number, port in enumerate(ports):
        if number:
            wake.sleep(interval)
        prober.run([port])


def _numbers(target: Target, options: Options) -> list[int]:
    """The ports of the target, each once, in the order to probe and to show them."""
    protocol = "udp" if options.udp else "tcp"
    ports = list(dict.fromkeys(port_number(port, protocol, options.nodns) for port in target.ports))
    if options.random_ports:
        from random import shuffle

        shuffle(ports)
    return ports


def _addresses(host: str, options: Options) -> list[Address]:
    """The name is resolved once, whatever the number of ports."""
    found = resolve(host, 0, family=wanted_family(options), datagram=options.udp, numeric=options.nodns)
    return interleave(found)


class _InOrder:
    """Passes outcomes on in the order of the ports: what is known early waits for those before it."""

    def __init__(self, ports: list[int], pass_on: Callable[[Outcome], None]) -> None:
        self._ports = iter(ports)
        self._next = next(self._ports, None)
        self._pass_on = pass_on
        self._early: dict[int, Outcome] = {}

    def add(self, outcome: Outcome) -> None:
        self._early[outcome.port] = outcome
        while self._next is not None and self._next in self._early:
            self._pass_on(self._early.pop(self._next))
            self._next = next(self._ports, None)


def show(host: str, outcome: Outcome, options: Options, console: Console) -> None:
    """Tell of one port: open ones always, the others with -v; with --json each as an object on stdout."""
    if options.json:
        _print_object(host, outcome, console)
    elif outcome.state == OPEN:
        console.say(_success(host, outcome))
    else:
        for line in failures(host, outcome):
            console.note(f"pync: {line}")


def failures(host: str, outcome: Outcome) -> list[str]:
    """A line for each address that was tried, with its own error."""
    if outcome.state == UNANSWERED:
        return [f"connect to {host} port {outcome.port} (udp): no answer (open or filtered)"]
    return [describe_failure(host, address, error) for address, error in outcome.failures]


def _success(host: str, outcome: Outcome) -> str:
    protocol = outcome.address.protocol
    service = service_name(outcome.port, protocol)
    text = f"Connection to {host} {outcome.port} port [{protocol}/{service}] succeeded!"
    return f"{text} {printable(outcome.banner)}".rstrip()


def _print_object(host: str, outcome: Outcome, console: Console) -> None:
    """One line of JSON; the keys are described in the man page."""
    import json

    service = service_name(outcome.port, outcome.address.protocol)
    reasons = {address.host: reason(error) for address, error in outcome.failures}
    console.print(
        json.dumps(
            {
                "host": host,
                "address": outcome.address.host,
                "port": outcome.port,
                "protocol": outcome.address.protocol,
                "service": None if service == "*" else service,
                "state": outcome.state,
                "errors": reasons,
                "banner": printable(outcome.banner) if outcome.banner else None,
            }
        )
        + "\n"
    )
