"""Our FIN waits for the answer where what we send is an HTTP/1 request: many servers take a half-close for a hang-up.

nginx gives up the request to a slow upstream then (499), Node drops the answer. Loaded only when a request is
sent; that it is one was seen by `engine.stages`, what belongs to an answer is `wire.http.dialogue`'s.
"""

from __future__ import annotations

from pync.wire.http.dialogue import Dialogue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle

#: Seconds of silence after a complete answer.
QUIET = 0.25
#: Seconds of silence until we no longer believe in an answer: twice what proxies give their upstream. The peer
#: may be no web server, but somebody who waits for the end of a file that looks like a request.
PATIENCE = 120.0


class Shown:
    """A stage that shows the bytes to somebody and passes them on unchanged."""

    def __init__(self, see: Callable[[bytes], object]) -> None:
        self._see = see

    def feed(self, data: bytes) -> bytes:
        self._see(data)
        return data

    def end(self) -> bytes:
        return b""


class Answer:
    """Is shown both directions by its two stages; `half_close` says that our input has ended, `say_end` is our FIN.

    The FIN is due at once where no request is whole or the peer speaks no HTTP, else when every answer is
    complete and `QUIET` has passed without a byte, or `PATIENCE` in any case.
    """

    def __init__(self, loop: Reactor, say_end: Callable[[], object]) -> None:
        self._loop = loop
        self._say_end = say_end
        self._dialogue = Dialogue()
        self.sent = Shown(self._dialogue.sent)
        self.received = Shown(self._heard)
        self._last = loop.time()
        self._timer: TimerHandle | None = None
        self.is_awaited = False

    def half_close(self) -> None:
        """Our input has ended."""
        self.is_awaited = True
        self._last = self._loop.time() if not self._dialogue.complete else self._last
        self._look()

    def _heard(self, data: bytes) -> None:
        self._last = self._loop.time()
        self._dialogue.received(data)
        if self.is_awaited and (self._dialogue.complete or self._dialogue.foreign):
            self._look()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now, due = self._loop.time(), self._due()
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._timer = None
        self.is_awaited = False
        self._say_end()

    def _due(self) -> float:
        if self._dialogue.foreign or not self._dialogue.requests:
            return self._last
        return self._last + (QUIET if self._dialogue.complete else PATIENCE)
