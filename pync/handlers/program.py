"""-e and -c: the programs of a run, for one connection after another or as the clients of a server.

Where nobody has to see the bytes a program gets the socket itself, otherwise it stands behind pipes: here is
the choice, and what is said at the end. How a client goes is `program_client`'s and `piped_program`'s.
"""

from __future__ import annotations

import time

from pync.errors import TIMEOUT, Fault
from pync.handlers.piped_program import PipedClient
from pync.handlers.program_client import DirectClient, ProgramClient, Shared
from pync.handlers.stdio import address_of, run_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.console import Console
    from pync.handlers.program_client import OnEnd
    from pync.net.loop import Reactor, TimerHandle
    from pync.plan import Plan
    from pync.processes.program import Program


class Programs(Shared):
    """The programs of a run: as the clients of a server, or with the face of a Relay, one after another.

    `limit` is the RLIMIT_NOFILE that programs get, where ours has been raised.
    """

    def __init__(self, program: Program, plan: Plan, console: Console, limit: tuple[int, int] | None = None) -> None:
        super().__init__(program, plan, limit)
        self.console = console
        console.outcome.begin()
        self._kind = PipedClient if plan.seen else DirectClient
        self.blind = self._kind is DirectClient

    def client(self, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd) -> ProgramClient:
        """A client for `serving.server`: all of them on the same loop."""
        return self._kind(self, loop, sock, name, on_end)

    def run(self, sock: socket.socket, name: str, *, total: float | None) -> int:
        """Run the program for one connection; closes `sock`.

        Returns the program's exit status; or what a fault says, which has been printed.
        """
        self.console.outcome.met(name, address_of(sock))
        return run_alone(self, sock, name, total)

    def join(self, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd, total: float | None) -> Followed:
        """A connection and its program, as the only client of a loop."""
        return Followed(self, loop, sock, name, on_end, total)

    def close(self) -> None:
        """End all programs that still run, wait for them; print the digests and close the log files."""
        self.leave_loop()
        try:
            self.children.close()
        finally:
            self.console.hashed(self.taps.digests())
            self.taps.close()


class Followed:
    """The only connection of a run and its program: its limit of time, and what is shown and told of it."""

    def __init__(
        self, programs: Programs, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd, total: float | None
    ) -> None:
        self.name = name
        self._programs = programs
        self._loop = loop
        self._on_end = on_end
        self._total = total
        self._limit: TimerHandle | None = None
        self._began: float | None = None
        self._client = programs.client(loop, sock, name, self._ended)

    @property
    def code(self) -> int:
        return self._client.code

    @property
    def sent(self) -> int:
        return self._client.sent

    @property
    def received(self) -> int:
        return self._client.received

    def start(self) -> None:
        self._began = time.monotonic()
        if self._total is not None:
            late = Fault(f"{self.name}: not done within the total timeout: timed out", TIMEOUT)
            self._limit = self._loop.call_at(self._loop.time() + self._total, self._client.stop, late)
        if (meter := self._programs.console.meter) is not None:
            meter.begin(self._loop, lambda: (self.sent, self.received), -1)
        self._client.start()

    def leave(self) -> bool:
        return self._client.leave()

    def close(self) -> None:
        self._tell()
        self._client.close()

    def _ended(self, _: ProgramClient, fault: Fault | None) -> None:
        self._tell()
        self._on_end(self, fault)

    def _tell(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        began, self._began = self._began, None
        if began is None:
            return
        console = self._programs.console
        if console.meter is not None:
            console.meter.end()
        sent, received = (None, None) if self._programs.blind else (self.sent, self.received)
        console.moved(sent, received, time.monotonic() - began)


class ProgramClients:
    """The programs of a server: `client` is what it makes of a connection."""

    def __init__(self, loop: Reactor, programs: Programs) -> None:
        self._loop = loop
        self._programs = programs
        self.blind = programs.blind

    def make_room(self) -> None:
        """Nobody is kept who has ended."""

    def client(self, sock: socket.socket, name: str, on_end: OnEnd) -> ProgramClient:
        return self._programs.client(self._loop, sock, name, on_end)

    def close(self) -> None:
        """End what still runs, all at the same time; before the loop is closed."""
        self._programs.close()
