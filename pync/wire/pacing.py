"""How many bytes may leave now, and when the next: rate limit and pauses.

A pacer knows time, as an argument, and counts; it never sees bytes and never waits.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Pacer(Protocol):
        def budget(self, now: float) -> int: ...
        def spent(self, count: int, now: float, boundary: bool) -> None: ...
        def next_at(self, now: float) -> float: ...


PLENTY = 1 << 40
#: Seconds of a rate that leave in one step. Each step costs a wake-up: 50 in a second.
STEP = 0.02
#: A step is no smaller than what fills a segment over Ethernet (RFC 6691), unless the rate is too low for it.
SEGMENT = 1460
#: Seconds of a rate that may be made up for after a late wake-up or a silence; the longest step too.
BURST = 0.1


class Rate:
    """At most `rate` bytes a second (a token bucket): never more than rate * time + one burst.

    Bytes leave in steps. What comes in while a step is being spent counts for the next step, because a
    sender that asks again at once would be handed a few bytes each time, and never sleep.
    """

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._burst = max(2.0, rate * BURST)
        self._step = max(1.0, min(max(rate * STEP, SEGMENT), rate * BURST))
        self._tokens = self._step
        self._granted = 0.0
        self._refilled = now

    def budget(self, now: float) -> int:
        """Bytes that may leave now: what is left of a step, or a new one."""
        self._tokens = min(self._burst, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        # Half a step will do: a timer that rounding makes early must not cost another sleep.
        if self._granted < 1 and self._tokens >= max(1.0, self._step / 2):
            self._granted = self._tokens
        return max(0, int(self._granted))

    def spent(self, count: int, now: float, boundary: bool) -> None:
        """`count` bytes have left."""
        self._tokens -= count
        self._granted -= count

    def next_at(self, now: float) -> float:
        """When a whole step will be there."""
        if self._granted >= 1:
            return now
        return now + max(0.0, self._step - self._tokens) / self._rate


class Pause:
    """A pause of `seconds` after each unit: a line (-i) or what one read brought (--delay)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ready_at = float("-inf")

    def budget(self, now: float) -> int:
        """Everything, unless the pause is on."""
        return PLENTY if now >= self._ready_at else 0

    def spent(self, count: int, now: float, boundary: bool) -> None:
        """A unit that has left completely (`boundary`) begins the pause."""
        if boundary:
            self._ready_at = now + self._seconds

    def next_at(self, now: float) -> float:
        """When the pause is over."""
        return max(now, self._ready_at)
