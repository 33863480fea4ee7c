"""What comes before the data: one handshake after another on a fresh connection, within a time.

What is read is looked at first and taken off the socket only as far as a handshake used it: whatever is behind
stays with the system, so that a session, a splice or a program that gets the socket itself finds it there. What
the handshakes say is `wire`'s business, what comes of them the owner's.
"""

from __future__ import annotations

import socket

from pync.errors import TIMEOUT, Fault, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from pync.net.loop import Reactor, TimerHandle
    from pync.wire.exchange import Exchange

    class Fresh(Protocol):
        """A connection that does not block, on which nothing has been said yet; all that an opening needs of it."""

        def fileno(self) -> int: ...
        def recv(self, size: int, flags: int = 0, /) -> bytes: ...
        def send(self, data: bytes, flags: int = 0, /) -> int: ...
        def close(self) -> None: ...


#: Bytes that are looked at together: more than most handshakes need, and no burden where many come at once.
LOOK = 1 << 10


class Opening:
    """Runs exchanges on a connection; `on_done` is called once with it, at once where all is there already.

    Attributes:
        results: what the exchanges came to, one after another.
        fault: why it failed; the connection is closed then. It is None where all went well.
    """

    __slots__ = (
        "_exchange",
        "_exchanges",
        "_loop",
        "_on_done",
        "_reading",
        "_timer",
        "_unsent",
        "_within",
        "_writing",
        "connection",
        "fault",
        "results",
    )  # fmt: skip

    def __init__(
        self,
        loop: Reactor,
        connection: Fresh,
        exchanges: Iterable[Exchange],
        on_done: Callable[[Opening], object],
        within: float,
    ) -> None:
        self._loop = loop
        self.connection = connection
        self._exchanges = iter(exchanges)
        self._exchange: Exchange | None = None
        self._on_done = on_done
        self._within = within
        self._unsent = b""
        self._reading = self._writing = False
        self._timer: TimerHandle | None = None
        self.results: list[object] = []
        self.fault: Fault | None = None

    def start(self) -> None:
        """Begin; `within` seconds from now it fails with code 3."""
        if self._attempt():
            return
        fault = Fault(f"the handshake was not done within {self._within:g} s: timed out", TIMEOUT)
        self._timer = self._loop.call_at(self._loop.time() + self._within, self._fail, fault)

    def close(self) -> None:
        """Give up and close the connection; `on_done` is not called."""
        self._stop()
        self.connection.close()

    def _go_on(self) -> None:
        self._attempt()

    def _attempt(self) -> bool:
        """Do what can be done now; whether it is over."""
        try:
            if not self._advance():
                return False
        except Fault as fault:
            self._fail(fault)
            return True
        except OSError as error:
            self._fail(Fault(f"the connection broke in the handshake: {reason(error)}"))
            return True
        self._stop()
        self._on_done(self)
        return True

    def _advance(self) -> bool:
        """True when the last exchange is done and all is sent; False where the peer has to do something first."""
        while self._flush():
            if self._exchange is None:
                self._exchange = next(self._exchanges, None)
                if self._exchange is None:
                    return True
                self._unsent = self._exchange.feed(b"")
            elif self._exchange.done:
                self.results.append(self._exchange.result)
                self._exchange = None
            elif not self._read(self._exchange):
                return False
        return False

    def _read(self, exchange: Exchange) -> bool:
        """Let it have what is there; False where there is nothing."""
        try:
            data = self.connection.recv(LOOK, socket.MSG_PEEK)
        except BlockingIOError:
            self._await(reading=True)
            return False
        if not data:
            exchange.end()
        self._unsent = exchange.feed(data)
        used = len(data) - len(exchange.rest)
        while used:
            used -= len(self.connection.recv(used))
        return True

    def _flush(self) -> bool:
        """Send what is to be sent; False where there is no room."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except BlockingIOError:
            self._await(writing=True)
            return False
        return True

    def _await(self, *, reading: bool = False, writing: bool = False) -> None:
        """Go on when the connection is ready for this, and for nothing else: what is not read would wake us again."""
        fd = self.connection.fileno()
        if reading != self._reading:
            self._reading = reading
            self._loop.add_reader(fd, self._go_on) if reading else self._loop.remove_reader(fd)
        if writing != self._writing:
            self._writing = writing
            self._loop.add_writer(fd, self._go_on) if writing else self._loop.remove_writer(fd)

    def _fail(self, fault: Fault) -> None:
        self.fault = fault
        self.close()
        self._on_done(self)

    def _stop(self) -> None:
        self._await()
        if self._timer is not None:
            self._timer.cancel()
