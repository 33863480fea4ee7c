"""-e and -c: the programs of a run, for one connection after another or as the clients of a server.

Where nobody has to see the bytes a program gets the socket itself, otherwise it stands behind pipes: here is
the choice, and what is said at the end. How a client goes is `program_client`'s and `piped_program`'s.
"""

from __future__ import annotations

import time

from pync.errors import TIMEOUT, Fault
from pync.handlers.piped_program import PipedClient
from pync.handlers.program_client import DirectClient, ProgramClient, Shared
from pync.handlers.stdio import address_of
from pync.net import wake
from pync.net.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.console import Console
    from pync.handlers.program_client import OnEnd
    from pync.net.loop import Reactor
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
        self._last: ProgramClient | None = None
        self._kind = PipedClient if plan.seen else DirectClient
        self.blind = self._kind is DirectClient

    def client(self, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd) -> ProgramClient:
        """A client for `serving.server`: all of them on the same loop."""
        return self._kind(self, loop, sock, name, on_end)

    def run(self, sock: socket.socket, name: str, *, total: float | None) -> int:
        """Run the program for one connection; closes `sock`.

        Returns the program's exit status; or what a fault says, which has been printed.
        """
        faults: list[Fault | None] = []
        loop = Loop()

        def ended(client: ProgramClient, fault: Fault | None) -> None:
            faults.append(fault)
            loop.stop()

        self.console.outcome.met(name, address_of(sock))
        client = self._last = self.client(loop, sock, name, ended)
        signals = wake.Ending(lambda: None if client.leave() else loop.stop())
        try:
            if total is not None:
                late = Fault(f"{name}: not done within the total timeout: timed out", TIMEOUT)
                loop.call_at(loop.time() + total, client.stop, late)
            self._follow(loop, client)
        finally:
            signals.restore()
            client.close()
            self.leave_loop()
            loop.close()
        signals.follow()
        fault = faults[0]
        if fault is None:
            return client.code
        self.console.fail(fault.text)
        return fault.code

    @property
    def sent(self) -> int:
        """Bytes of the present connection, or of the last one, as far as they pass through our hands."""
        return self._last.sent if self._last is not None else 0

    @property
    def received(self) -> int:
        """The same, the other way."""
        return self._last.received if self._last is not None else 0

    def close(self) -> None:
        """End all programs that still run, wait for them; print the digests and close the log files."""
        self.leave_loop()
        try:
            self.children.close()
        finally:
            self.console.hashed(self.taps.digests())
            self.taps.close()

    def _follow(self, loop: Loop, client: ProgramClient) -> None:
        started = time.monotonic()
        meter = self.console.meter
        try:
            if meter is not None:
                meter.begin(loop, lambda: (client.sent, client.received), -1)
            client.start()
            loop.run()
        finally:
            if meter is not None:
                meter.end()
            sent, received = (None, None) if self.blind else (client.sent, client.received)
            self.console.moved(sent, received, time.monotonic() - started)


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
