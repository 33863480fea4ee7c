"""How many bytes may leave now, and when the next ones may: rate limit and pauses.

A pacer is told the time and the number of bytes; the flow that asks it does the waiting.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Pacer(Protocol):
        def budget(self, now: float) -> int: ...
        def spent(self, count: int, now: float, boundary: bool) -> None: ...
        def next_at(self, now: float) -> float: ...
        def resume_at(self, now: float) -> float: ...


PLENTY = 1 << 40
#: A step is what a rate sends in this many seconds. Each step costs a wake-up: 50 a second.
STEP = 0.02
#: A step is at least one full segment over Ethernet (RFC 6691), unless the rate is too low for that.
SEGMENT = 1460
#: Bytes that may gather in our source while we sleep: half of a pipe, so that a busy one never fills (pipe(7)).
GATHERED = 1 << 15
#: After a late wake-up or a silence, at most this many seconds of the rate are made up for. A step is no longer either.
BURST = 0.1


class Rate:
    """At most `rate` bytes a second (a token bucket): never more than rate * time + one burst.

    Bytes leave in steps. Tokens that come in while a step is being spent count for the next step, because a
    sender that asks again at once would otherwise get a few bytes each time and never sleep.
    """

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._burst = max(2.0, rate * BURST)
        self._step = max(1.0, min(max(rate * STEP, SEGMENT), rate * BURST))
        self._tokens = self._step
        self._granted = 0.0
        self._refilled = now
        self._rest = min(STEP, GATHERED / rate)
        self._resume_at = now

    def budget(self, now: float) -> int:
        """How many bytes may leave now: the rest of a step, or a new step."""
        self._tokens = min(self._burst, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        # Half a step is enough, because a timer that rounding makes early must not cost another sleep.
        if self._granted < 1 and self._tokens >= max(1.0, self._step / 2):
            self._granted = self._tokens
        return max(0, int(self._granted))

    def spent(self, count: int, now: float, boundary: bool) -> None:
        """`count` bytes have left."""
        self._tokens -= count
        self._granted -= count
        self._resume_at = now + self._rest

    def next_at(self, now: float) -> float:
        """When a whole step may leave."""
        if self._granted >= 1:
            return now
        return now + max(0.0, self._step - self._tokens) / self._rate

    def resume_at(self, now: float) -> float:
        """When to look for more, if what there was has left: a source that trickles is not to wake us for each bit."""
        return max(now, self._resume_at)


class Pause:
    """A pause of `seconds` after each unit: a line (-i), or the bytes of one read (--delay)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ready_at = float("-inf")

    def budget(self, now: float) -> int:
        """PLENTY, or 0 during a pause."""
        return PLENTY if now >= self._ready_at else 0

    def spent(self, count: int, now: float, boundary: bool) -> None:
        """`count` bytes have left. The pause begins if they end a unit (`boundary`)."""
        if boundary:
            self._ready_at = now + self._seconds

    def next_at(self, now: float) -> float:
        """When the pause ends."""
        return max(now, self._ready_at)

    def resume_at(self, now: float) -> float:
        """At once: the pause is as long as was asked for."""
        return now
