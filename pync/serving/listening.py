"""What every mode that listens has around its own work: clock, rules, signals, sockets, counts, once.

`with Listening(...)` opens a listener and puts it away again. Whom to let in, and what is done with a client or a
datagram, is decided by the modes.
"""

from __future__ import annotations

import time
from functools import partial

from pync.errors import TERMINATED
from pync.net import wake
from pync.net.dial import remaining
from pync.net.unixpath import BoundPath
from pync.serving.binding import admission_for, open_listener
from pync.serving.report import on_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.net.listen import Listener
    from pync.plan import Plan
    from pync.serving.notes import Notes
    from pync.serving.proxied import Entrance, Proxied
    from pync.serving.tally import Tally
    from pync.wire.address import Target


class Listening:
    """A listener, open while its `with` lasts; its clock runs from the moment when it is made.

    `report` is what a signal asks for, the counts if nothing else is given. `admits` tells of an address whether it
    may come; None where all may. `proxied` makes what awaits the headers of --proxy-protocol, None without it.

    Raises:
        Fault: a rule makes no sense (when it is made), or the listener cannot be opened (when it is entered).
    """

    listener: Listener
    tally: Tally

    def __init__(
        self, target: Target, plan: Plan, console: Console, report: Callable[[], object] | None = None
    ) -> None:
        self._started = time.monotonic()
        self.target = target
        self.plan = plan
        self.console = console
        self._report = report or console.report
        self.admits = admission_for(plan)
        self.proxied = _proxied_for(plan)
        self._handlers = wake.Handlers()
        self._own = BoundPath()
        self._notes: Notes | None = None

    def __enter__(self) -> Listening:
        self.console.outcome.begin()
        try:
            on_request(self._handlers, self._report)
            self.listener = open_listener(self.target, self.plan, self.console, self._own)
            return self
        except BaseException:
            self._restore()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._tell_dropped()
            self.listener.close()
        finally:
            self._restore()

    def _restore(self) -> None:
        self._handlers.restore()
        self._own.remove()

    def _tell_dropped(self) -> None:
        """Tell how many datagrams came and were not read, unless whoever closed the sockets has told it."""
        if self.plan.names.datagram:
            from pync.net import bursts

            self.console.dropped(bursts.dropped(sock for sock in self.sockets if sock.fileno() >= 0))

    @property
    def sockets(self) -> list[socket.socket]:
        return self.listener.sockets

    def remaining(self) -> float | None:
        """Seconds that are left of --total-timeout."""
        return remaining(self.plan, self._started)

    def count(self, tally: Tally) -> None:
        """From now on reports and the summary tell these counts."""
        self.tally = tally
        tally.addresses = self.listener.names()
        self.console.outcome.listens(tally)

    def hear(self, end: Callable[[int], object]) -> None:
        """From now on the signals that end us, and a library caller's stop, call `end` with the exit code."""
        wake.on_stop(partial(end, TERMINATED))
        for number, code in wake.ENDS.items():
            self._handlers.on(number, partial(end, code))

    def turned_away(self, address: Any) -> bool:
        """Whether the rules refuse the sender of a datagram; then it is counted, and with -v told once for its host."""
        if self.admits is None or not isinstance(address, tuple) or self.admits(address[0]):
            return False
        self.tally.refused_by_rule += 1
        if self._notes is None:
            from pync.serving.notes import Notes

            self._notes = Notes(self.console)
        self._notes.refused(address)
        return True

    def in_worker(self, listener: Listener, plan: Plan, report: Callable[[], object]) -> Listening:
        """The same in a process of --workers: signals and counts are its own, the limit of time its parent's."""
        own = object.__new__(Listening)
        own.__dict__.update(self.__dict__)
        own.listener, own.plan = listener, plan
        own._handlers = wake.Handlers()
        on_request(own._handlers, report)
        return own


def _proxied_for(plan: Plan) -> Callable[[Entrance], Proxied] | None:
    """What awaits the headers of a server's connections (--proxy-protocol); None where these are the clients' own.

    Raises:
        Fault: a rule of --proxy-protocol-from makes no sense.
    """
    if not plan.serving.told:
        return None
    from pync.serving.proxied import proxied

    return proxied(plan)
