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
#: A rate limit hands out what a tenth of a second allows, so that a second comes out even.
BURST = 0.1


class Rate:
    """At most `rate` bytes a second (a token bucket): never more than rate * time + one burst."""

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate * BURST)
        self._tokens = self._burst
        self._refilled = now

    def budget(self, now: float) -> int:
        """Bytes that may leave now."""
        self._tokens = min(self._burst, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        return int(self._tokens)

    def spent(self, count: int, now: float, boundary: bool) -> None:
        """`count` bytes have left."""
        self._tokens -= count

    def next_at(self, now: float) -> float:
        """When half a burst will be there (at least a byte): waking for less is wasted."""
        wanted = max(1.0, self._burst / 2)
        return now + max(0.0, wanted - self._tokens) / self._rate


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
