"""Trying again: --wait until a port answers (or no longer does), --retry a connection.

Only connecting is repeated. Our input stays untouched until the connection is established, and a session that has
begun is never repeated.
"""

from __future__ import annotations

import time

from pync.errors import OK, TIMEOUT, Fault, NameFault
from pync.net import wake
from pync.net.dial import dial, dial_unix
from pync.net.race import DialFault
from pync.plan import Plan
from pync.probe.finding import OPEN, Finding
from pync.probe.scan import failures, probe, show
from pync.wire.address import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pync.console import Console
    from pync.net.resolve import Address
    from pync.net.unixpath import BoundPath

    Dialed = tuple[socket.socket, Address]
    Attempt = Callable[[Plan], Dialed]

#: Seconds between two attempts of --wait: short at first, because the server may be about to start, then longer.
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 1.0, 1.5
#: The same for --retry, with longer pauses because the peer is known to be in trouble.
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0
#: Faults that may pass; others, such as a bad port, will not.
PASSING = (DialFault, NameFault)


def dial_patiently(host: str, port: int | str, plan: Plan, console: Console) -> Dialed:
    """Dial until the host answers, within the bounds of --wait or --retry.

    Raises:
        Fault: with code 3 and the last cause if the time is over; else the fault of the last attempt.
    """
    return _patiently(lambda bounded: dial(host, port, bounded, console.note), plan, console)


def dial_unix_patiently(path: str, plan: Plan, own: BoundPath, console: Console) -> Dialed:
    """`dial_patiently` for the socket at a path; `own` as for `dial_unix`."""

    def attempt(bounded: Plan) -> Dialed:
        own.remove()  # the path to which the last attempt was bound
        return dial_unix(path, bounded, own)

    return _patiently(attempt, plan, console)


def _patiently(attempt: Attempt, plan: Plan, console: Console) -> Dialed:
    if plan.probing.wait is not None:
        return _until(time.monotonic() + plan.probing.wait, attempt, plan, console)
    pause = FIRST_RETRY
    for _ in range(plan.probing.retry or 0):
        try:
            return attempt(plan)
        except PASSING as fault:
            _note(console, f"{fault.text}; trying again in {pause:g} s")
        wake.sleep(pause)
        pause = min(pause * 2, LONGEST_RETRY)
    return attempt(plan)


def _until(deadline: float, attempt: Attempt, plan: Plan, console: Console) -> Dialed:
    pause = FIRST_PAUSE
    said = ""
    while True:
        try:
            return attempt(_within(plan, deadline))
        except PASSING as fault:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Fault(f"{fault.text}\nno answer within {plan.probing.wait:g} s: timed out", TIMEOUT) from None
            if fault.text != said:
                said = fault.text
                _note(console, f"{fault.text}; waiting")
        wake.sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def _within(plan: Plan, deadline: float) -> Plan:
    """The same plan, with each attempt limited to the time that is left."""
    left = max(0.001, deadline - time.monotonic())
    return plan.changed(limits=plan.limits.within(left))


def _note(console: Console, text: str) -> None:
    if console.verbose:
        console.warn(text)


class _Awaited:
    """The ports of one target that are not yet in the awaited state, and the causes."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.cause = [f"{target.name}: not probed yet"]
        self._left: list[int | str] = []
        self._causes: list[str] = []

    def begin(self) -> None:
        """A round begins."""
        self._left, self._causes = [], []

    def wait_on(self, port: int, causes: list[str]) -> None:
        """A port is not in the awaited state."""
        self._left.append(port)
        self._causes += causes

    def wait_on_name(self, fault: NameFault) -> None:
        """The name does not resolve yet, so that every port is still awaited."""
        self._left, self._causes = list(self.target.ports), [fault.text]

    def end(self, console: Console) -> None:
        """The round is over: report a new cause."""
        if self._causes != self.cause and self._causes:
            _note(console, "\n".join(f"{cause}; waiting" for cause in self._causes))
        self.target.ports, self.cause = self._left, self._causes


def wait_for_ports(targets: list[Target], plan: Plan, console: Console) -> int:
    """Probe until every port is open (--until-closed: closed), or the time is over; returns the exit code."""
    assert plan.probing.wait is not None
    deadline = time.monotonic() + plan.probing.wait
    awaited = [_Awaited(target) for target in targets]
    pause = FIRST_PAUSE
    while True:
        _probe_again(awaited, plan, console, max(0.05, deadline - time.monotonic()))
        awaited = [each for each in awaited if each.cause]
        if not awaited:
            return OK
        left = deadline - time.monotonic()
        if left <= 0:
            break
        wake.sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_PAUSE)
    for each in awaited:
        console.fail("\n".join(each.cause))
    console.fail(
        f"{'still open' if plan.probing.until_closed else 'no answer'} after {plan.probing.wait:g} s: timed out"
    )
    return TIMEOUT


def _probe_again(awaited: list[_Awaited], plan: Plan, console: Console, limit: float) -> None:
    """Probe the remaining ports at the same time; those in the awaited state are reported and removed."""
    by_target = {each.target: each for each in awaited}
    for each in awaited:
        each.begin()

    def seen(target: Target, finding: Finding) -> None:
        if (finding.state == OPEN) != plan.probing.until_closed:
            show(target.name, finding, plan, console)
        elif plan.probing.until_closed:
            place = target.name if target.path is not None else f"{target.name} port {finding.port}"
            by_target[target].wait_on(finding.port, [f"{place}: still open"])
        else:
            by_target[target].wait_on(finding.port, failures(target.name, finding))

    def unknown(target: Target, fault: NameFault) -> None:
        if not plan.probing.until_closed:  # a name that no longer resolves counts as closed
            by_target[target].wait_on_name(fault)

    probe([each.target for each in awaited], plan, seen, unknown, limit)
    for each in awaited:
        each.end(console)
