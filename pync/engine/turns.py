"""One client after another: the time of a loop divided among the clients that have something to do.

A loop calls everybody who is ready within one pass, and signals and newcomers wait until the pass is over.
Here a pass ends after PASS, and the clients that are left go on in the next one. What a client does in its turn
is not decided here; it asks `over` between two steps, and a step is short.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor

#: Seconds of one client's turn at most.
TURN = 0.005
#: Seconds until every client has had its turn: with many clients a turn becomes that much shorter.
ROUND = 0.1
#: Seconds of a turn that is taken at once because nobody waits for one: most need less.
AT_ONCE = 0.001
#: Seconds spent here before the loop looks at signals, timers and new connections.
PASS = 0.01


class Turns:
    """A queue of clients, first come, first served; one for all the clients of a loop."""

    __slots__ = ("_busy", "_loop", "_queue", "_time", "_until")

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._time = loop.time
        self._queue: deque[Callable[[], object]] = deque()
        self._busy = False  # a turn is being taken, or the queue's next pass is due
        self._until = 0.0

    def ask(self, turn: Callable[[], object]) -> None:
        """Have `turn` called once: now if nobody waits, else when all that wait have had theirs."""
        if self._busy:
            self._queue.append(turn)
            return
        self._busy = True
        self._until = self._time() + AT_ONCE
        try:
            turn()
        finally:
            self._go_on(self.over())

    def over(self) -> bool:
        """Whether the turn that is being taken is over; outside of turns it always is."""
        return self._time() >= self._until

    def _take(self) -> None:
        queue, now = self._queue, self._time()
        end = now + PASS
        try:
            while queue and now < end:
                self._until = now + min(TURN, ROUND / len(queue))
                queue.popleft()()
                now = self._time()
        finally:
            self._go_on()

    def _go_on(self, exhausted: bool = False) -> None:
        """After a turn: those that wait, or after a long one those that come now, have theirs in the next pass."""
        self._until = 0.0
        self._busy = exhausted or bool(self._queue)
        if self._busy:
            self._loop.call_at(self._time(), self._take)
