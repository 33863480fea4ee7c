"""The loop that a server runs on: the quick one, or with --loop asyncio's or uvloop's.

All of them are a `ServerLoop`: the six methods of `net.loop`, running and ending. Of the foreign ones nothing
else is used: no stream, no task, no future. They are imported only where they are asked for.
"""

from __future__ import annotations

import os

from pync.errors import Fault, UsageFault
from pync.net.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any, Protocol

    from pync.net.loop import Reactor

    class ServerLoop(Reactor, Protocol):
        """`unforeseen` is given what a callback raises and did not catch."""

        unforeseen: Callable[[Exception], object] | None

        def run(self) -> None: ...
        def stop(self) -> None: ...
        def close(self) -> None: ...

    MakeLoop = Callable[[], ServerLoop]

#: Descriptors that a foreign loop takes: a selector, a pair of sockets to wake it, and one more for uvloop's.
OF_A_LOOP = 4


def loop_maker(name: str | None) -> MakeLoop:
    """What makes the event loop of --loop; without a name the quick one, which is as fast as uvloop's.

    Raises:
        UsageFault: it is not installed.
    """
    if name in (None, "quick"):
        return Loop
    if name == "asyncio":
        import asyncio

        return lambda: Foreign(asyncio.new_event_loop)
    try:
        import uvloop
    except ImportError:
        raise UsageFault("--loop uvloop: uvloop is not installed (pip install 'pync-netcat[fast]')") from None
    return lambda: Foreign(uvloop.new_event_loop)


class Foreign:
    """A loop of asyncio's kind.

    Raises:
        Fault: this thread is running one of its caller's, and asyncio has no loop within a loop.
        OSError: no descriptors are left for it.
    """

    def __init__(self, make: Callable[[], asyncio.AbstractEventLoop]) -> None:
        if _inside_a_loop():
            raise Fault("a server cannot run inside an event loop that runs already: call it in a thread of its own")
        _spare_descriptors()
        loop = make()
        self.unforeseen: Callable[[Exception], object] | None = None
        self.add_reader, self.remove_reader = loop.add_reader, loop.remove_reader
        self.add_writer, self.remove_writer = loop.add_writer, loop.remove_writer
        self.call_at, self.time = loop.call_at, loop.time
        self.run, self.stop, self.close = loop.run_forever, loop.stop, loop.close
        loop.set_exception_handler(self._caught)

    def _caught(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context.get("message"))
        if self.unforeseen is None or not isinstance(error, Exception):
            raise error
        self.unforeseen(error)


def _spare_descriptors() -> None:
    """Fail before the loop is made where it would fail in the middle: half a loop of asyncio complains as it goes."""
    spare: list[int] = []
    try:
        for _ in range(OF_A_LOOP):
            spare.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for fd in spare:
            os.close(fd)


def _inside_a_loop() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
