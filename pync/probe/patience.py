"""Trying again: --wait until a port answers (or no longer does), --retry a connection.

Only connecting is repeated here. Once bytes have flowed nothing is begun anew, and our input is not
touched before the connection stands.
"""

from __future__ import annotations

import time

from pync.errors import OK, TIMEOUT, Fault, NameFault
from pync.net import wake
from pync.net.dial import connect_limit, dial
from pync.net.race import DialFault
from pync.options import Options
from pync.probe.outcome import OPEN, Outcome
from pync.probe.scan import failures, probe, show
from pync.wire.address import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.console import Console
    from pync.net.resolve import Address

#: Seconds between two attempts of --wait: short at first, for what is about to start, then longer.
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 1.0, 1.5
#: The same for --retry, where the peer is known to be in trouble.
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0
#: What may be over soon; anything else, such as a bad port, will not.
PASSING = (DialFault, NameFault)


def dial_patiently(host: str, port: int | str, options: Options, console: Console) -> tuple[socket.socket, Address]:
    """Dial until it answers, within the bounds of --wait or --retry.

    Raises:
        Fault: with code 3 when the time is over, naming the last cause; else the last attempt's own.
    """
    if options.wait is not None:
        return _dial_until(time.monotonic() + options.wait, host, port, options, console)
    pause = FIRST_RETRY
    for _ in range(options.retry or 0):
        try:
            return dial(host, port, options, console.note)
        except PASSING as fault:
            _note(console, f"{fault.text}; trying again in {pause:g} s")
        wake.sleep(pause)
        pause = min(pause * 2, LONGEST_RETRY)
    return dial(host, port, options, console.note)


def _dial_until(
    deadline: float, host: str, port: int | str, options: Options, console: Console
) -> tuple[socket.socket, Address]:
    pause = FIRST_PAUSE
    said = ""
    while True:
        try:
            return dial(host, port, _within(options, deadline), console.note)
        except PASSING as fault:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Fault(f"{fault.text}\nno answer within {options.wait:g} s: timed out", TIMEOUT) from None
            if fault.text != said:
                said = fault.text
                _note(console, f"{fault.text}; waiting")
        wake.sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def _within(options: Options, deadline: float) -> Options:
    """The same options, but no attempt goes on for longer than what is left."""
    left = max(0.001, deadline - time.monotonic())
    limit = connect_limit(options)
    changed = Options(options.words, **{name: value for name, value in vars(options).items() if name != "words"})
    changed.connect_timeout = left if limit is None else min(limit, left)
    return changed


def _note(console: Console, text: str) -> None:
    for line in text.splitlines():
        console.note(f"pync: {line}")


class _Awaited:
    """The ports of one target that are not yet as they should be, and why."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.cause = [f"{target.host}: not probed yet"]

    def probe(self, options: Options, console: Console, limit: float) -> None:
        """Probe what is left; ports that are as they should be are told of, and are done."""
        left: list[int | str] = []
        causes: list[str] = []

        def seen(host: str, outcome: Outcome) -> None:
            if (outcome.state == OPEN) != options.until_closed:
                show(host, outcome, options, console)
                return
            left.append(outcome.port)
            open_still = [f"{host} port {outcome.port}: still open"]
            causes.extend(open_still if options.until_closed else failures(host, outcome))

        try:
            probe(self.target, options, seen, limit)
        except NameFault as fault:
            if options.until_closed:
                self.target.ports = []
                return
            left, causes = list(self.target.ports), [fault.text]
        if causes != self.cause and left:
            _note(console, "\n".join(f"{cause}; waiting" for cause in causes))
        self.target.ports, self.cause = left, causes


def wait_for_ports(targets: list[Target], options: Options, console: Console) -> int:
    """Probe until every port is open (with --until-closed: none is), or the time is over; the exit code."""
    assert options.wait is not None
    deadline = time.monotonic() + options.wait
    awaited = [_Awaited(target) for target in targets]
    pause = FIRST_PAUSE
    while True:
        for number, each in enumerate(awaited):
            # Each its share of what is left: a silent target must not take the time of those behind it.
            share = (deadline - time.monotonic()) / (len(awaited) - number)
            each.probe(options, console, max(0.05, share))
        awaited = [each for each in awaited if each.target.ports]
        if not awaited:
            return OK
        left = deadline - time.monotonic()
        if left <= 0:
            break
        wake.sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_PAUSE)
    for each in awaited:
        console.fail("\n".join(each.cause))
    console.fail(f"{'still open' if options.until_closed else 'no answer'} after {options.wait:g} s: timed out")
    return TIMEOUT
