"""One line for what fails again and again: the first time it is told, then how often it came again, each 10 s.

A flood of resets, or a program that cannot be started, must not fill the log; nor may it go unnoticed. What a
failure is, and who is told of it, is not decided here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle

#: Seconds between two lines about the same failure.
INTERVAL = 10.0
#: Kinds of failures told apart: peers can bring some about, and what is remembered is bounded.
MOST_KINDS = 64
#: Ports and sizes make no new kind of failure.
DIGITS = dict.fromkeys(map(ord, "0123456789"))


class _Kind:
    """A failure that was told: how often it came again since, in which words at last, when that is told."""

    __slots__ = ("again", "text", "timer")

    def __init__(self, timer: TimerHandle) -> None:
        self.again = 0
        self.text = ""
        self.timer = timer


class Repeats:
    """Passes failures on to `tell`, those of the same kind at most once in `INTERVAL` seconds."""

    def __init__(self, loop: Reactor, tell: Callable[[str], object]) -> None:
        self._loop = loop
        self._tell = tell
        self._kinds: dict[str, _Kind] = {}

    def tell(self, text: str, name: str = "") -> None:
        """Something failed. Two texts are of one kind where they differ in numbers and the peer's `name` only."""
        kind = text.replace(name, "").translate(DIGITS)
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = ""
        if (told := self._kinds.get(kind)) is not None:
            told.again += 1
            told.text = text
            return
        self._kinds[kind] = _Kind(self._wait(kind))
        self._tell(text)

    def close(self) -> None:
        """Tell what has not been told yet."""
        for told in self._kinds.values():
            told.timer.cancel()
            self._tell_again(told)
        self._kinds.clear()

    def _wait(self, kind: str) -> TimerHandle:
        return self._loop.call_at(self._loop.time() + INTERVAL, self._look, kind)

    def _look(self, kind: str) -> None:
        told = self._kinds[kind]
        if not told.again:
            del self._kinds[kind]
            return
        self._tell_again(told)
        told.timer = self._wait(kind)

    def _tell_again(self, told: _Kind) -> None:
        if told.again:
            self._tell(f"{told.again} more like it: {told.text}")
            told.again = 0
