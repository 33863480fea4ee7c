"""What a listener knows about itself: who is there, who was, what was refused, how much went through.

Counted as it happens, never scanned for. `report` makes words of it, `as_json` one object. The outcome of the run
shows them, on request and at the end.
"""

from __future__ import annotations

import time

from pync.values import format_moved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    class Counted(Protocol):
        """A connection that is still there: its bytes so far."""

        @property
        def sent(self) -> int: ...
        @property
        def received(self) -> int: ...


#: What is simply added up when several processes serve the same port.
SUMMED = ("now", "peak", "total", "refused_by_rule", "refused_by_limit", "received", "sent")


class Tally:
    """The counts of one listener. `sent` and `received` are bytes of connections that are over.

    `present` gives the connections that are still there.
    """

    def __init__(self, present: Callable[[], Iterable[Counted]] = tuple) -> None:
        self.present = present
        self.started = time.monotonic()
        self.blind = False  # programs hold the connections themselves: their bytes do not come by here
        self.addresses: list[str] = []
        self.now = self.peak = self.total = 0
        self.refused_by_rule = self.refused_by_limit = 0
        self.sent = self.received = 0

    def come(self) -> None:
        """A client has been let in."""
        self.now += 1
        self.total += 1
        self.peak = max(self.peak, self.now)

    def gone(self, client: Counted) -> None:
        """A client has left."""
        self.now -= 1
        self.sent += client.sent
        self.received += client.received

    @property
    def seconds(self) -> float:
        """For how long there has been something to count."""
        return time.monotonic() - self.started

    def counts(self) -> dict[str, int]:
        """All the numbers, with the bytes of the clients that are still present."""
        numbers = {name: getattr(self, name) for name in SUMMED}
        for client in self.present():
            numbers["sent"] += client.sent
            numbers["received"] += client.received
        return numbers

    def add(self, numbers: dict[str, int]) -> None:
        """Take over what another process has counted."""
        for name in SUMMED:
            setattr(self, name, getattr(self, name) + numbers.get(name, 0))

    def report(self, *, over: bool = False) -> list[str]:
        """Lines for people; `over` when we do not listen any more."""
        numbers = self.counts()
        return [
            *(f"{'stopped ' if over else ''}listening on {address}" for address in self.addresses),
            self._clients(numbers),
            self._bytes(numbers["sent"], numbers["received"]),
        ]

    def _clients(self, numbers: dict[str, int]) -> str:
        came = "connections: {now} now, {peak} at most, {total} in all".format(**numbers)
        return came + "; refused: {refused_by_rule} by rule, {refused_by_limit} by limit".format(**numbers)

    def _bytes(self, sent: int, received: int) -> str:
        if self.blind:
            return f"up for {self.seconds:.2f} s; bytes are not counted, the programs hold the connections themselves"
        return format_moved(sent, received, self.seconds)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, in a form that stays as it is."""
        numbers = self.counts()
        return {
            "addresses": self.addresses,
            "connections": {name: numbers[name] for name in ("now", "peak", "total")},
            "refused": {"rule": numbers["refused_by_rule"], "limit": numbers["refused_by_limit"]},
            "sent": None if self.blind else numbers["sent"],
            "received": None if self.blind else numbers["received"],
            "seconds": round(self.seconds, 3),
        }
