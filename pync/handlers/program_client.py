"""A connection and its program, from the start until both are over: the client of a server, or the only one.

Here the program gets the socket itself, as one that inetd starts, and we only wait; with bytes to be looked at
it is `handlers.piped_program`'s. How a process is started and ended is in `processes`.
"""

from __future__ import annotations

import errno
import os
import socket

from pync.engine.parting import Parting, abort, hang_up
from pync.engine.session import LAST_WORDS
from pync.engine.stages import Taps
from pync.errors import NETWORK, TIMEOUT, Fault, LocalFault, reason
from pync.net import sockopts
from pync.net.move import CHUNK
from pync.processes.children import Children
from pync.processes.hangup import Hangups
from pync.processes.lifetime import Lifetime
from pync.processes.program import connection_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.loop import Reactor, TimerHandle
    from pync.plan import Plan
    from pync.processes.program import Program

    OnEnd = Callable[[Any, Fault | None], object]

#: Seconds that a program may go on when its connection has ended well in both directions.
FAREWELL = 10.0


class Shared:
    """What the programs of a run have in common.

    `limit` is the RLIMIT_NOFILE that they get, where ours has been raised.
    """

    def __init__(self, program: Program, plan: Plan, limit: tuple[int, int] | None = None) -> None:
        self.program = program
        self.plan = plan
        self.taps = Taps(plan)
        self.children = Children(limit)
        self.buffer = memoryview(bytearray(CHUNK))
        self.watch_presence = not (plan.sockets.keepalive or plan.sockets.keepalive_times)
        self._hangups: Hangups | None = None

    def hangups(self, loop: Reactor) -> Hangups:
        """What watches the connections of all clients; they are on the same loop."""
        if self._hangups is None:
            self._hangups = Hangups(loop)
        return self._hangups

    def leave_loop(self) -> None:
        """Whoever comes next is on another loop."""
        if self._hangups is not None:
            self._hangups.close()
            self._hangups = None


class ProgramClient:
    """A connection and its program. `on_end` is called once, when both are over."""

    def __init__(self, shared: Shared, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd) -> None:
        self.name = name
        self._shared = shared
        self._loop = loop
        self._sock = sock
        self._on_end: OnEnd | None = on_end
        self._hangups = shared.hangups(loop)
        self._lifetime: Lifetime | None = None
        self._parting: Parting | None = None
        self._farewell: TimerHandle | None = None
        self._connected = True
        self._lost = False
        self._fault: Fault | None = None

    @property
    def sent(self) -> int:
        """Bytes to the client, as far as they went through our hands."""
        return 0

    @property
    def received(self) -> int:
        """Bytes from the client, as far as they went through our hands."""
        return 0

    @property
    def code(self) -> int:
        """The exit status of the program, as a shell tells it."""
        return self._lifetime.code if self._lifetime is not None else 0

    def start(self) -> None:
        """Run the program; whatever fails is this client's end and no other's."""
        try:
            environment = connection_environment(self._sock)
        except OSError as error:
            self._lost = True
            self._give_up(Fault(f"connection with {self.name} lost: {reason(error)}"))
            return
        try:
            self._launch(environment)
        except OSError as error:
            self._give_up(LocalFault(f"run {self._shared.program.shown}: {reason(error)}"))

    def stop(self, fault: Fault) -> None:
        """End it for a reason of ours, and then tell its owner."""
        self._fault = self._fault or fault
        self._end_program()

    def leave(self) -> bool:
        """End the program; what it has said is delivered, and if it fails by that, the connection is reset."""
        self._end_program()
        return self._parting is None

    def close(self) -> None:
        """End it now; `on_end` is not called. The program is gone when `Children.close` returns."""
        if self._on_end is None:
            return
        self._on_end = None
        self._let_go()
        self._leave()
        whole = self._whole
        if self._lifetime is not None:
            self._lifetime.disown()
        if self._parting is not None:
            self._parting.close()
        elif self._connected and whole:
            hang_up(self._sock)
        elif self._connected:
            abort(self._sock)
            self._sock.close()

    # --- for the subclasses

    def _launch(self, environment: dict[str, str]) -> None:
        raise NotImplementedError

    def _run(self, stdin: int, stdout: int, environment: dict[str, str]) -> None:
        if self._shared.watch_presence:
            sockopts.check_presence(self._sock)
        child = self._shared.children.spawn(self._shared.program, stdin, stdout, environment)
        self._lifetime = Lifetime(self._loop, self._shared.children, child, self._exited)
        self._hangups.watch(self._sock.fileno(), self._hung_up)

    def _exited(self) -> None:
        raise NotImplementedError

    def _hung_up(self, lost: bool) -> None:
        """The connection is over while the program runs: broken, or ended in both directions."""
        if lost:
            self._lost = True
            self._end_program()  # before its error is taken from it: it must not take this for an end of data
            self.stop(self._loss())
        else:
            self._say_farewell()

    def _loss(self) -> Fault:
        """How the connection broke. The program may have been told already: then it was most likely a reset."""
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number in (0, errno.EPIPE):  # EPIPE: a reset after the end of data
            number = errno.ECONNRESET
        code = TIMEOUT if number == errno.ETIMEDOUT else NETWORK
        return Fault(f"connection with {self.name} lost: {os.strerror(number)}", code)

    def _leave(self) -> None:
        """Stop whatever moves bytes."""

    def _end_program(self) -> None:
        if self._lifetime is not None:
            self._lifetime.end()

    def _say_farewell(self) -> None:
        """Let it finish by itself, but not for ever: its client is gone, or wants nothing more."""
        if self._farewell is None:
            self._farewell = self._loop.call_at(self._loop.time() + FAREWELL, self._end_program)

    def _let_go(self) -> None:
        """Watch the connection no more."""
        if self._connected:
            self._hangups.leave(self._sock.fileno())
        if self._farewell is not None:
            self._farewell.cancel()

    @property
    def _whole(self) -> bool:
        """Whether the program has said all that it had to say: it has exited, and with status 0."""
        return self._fault is None and self._lifetime is not None and self._lifetime.exited and not self.code

    def _part(self, *, whole: bool) -> None:
        """Nothing is left to be said to the client; where that was not all, it gets a reset."""
        self._hangups.leave(self._sock.fileno())
        if self._lost:
            self._parted()
            return
        reset_by = None if whole else self._loop.time() + LAST_WORDS
        self._parting = Parting(self._loop, self._sock, self._parted, patient=True, reset_by=reset_by)

    def _parted(self) -> None:
        if self._parting is not None:
            self._fault = self._fault or self._parting.fault(self.name)
        self._parting = None
        self._connected = False
        self._sock.close()
        self._settle()

    def _settle(self) -> None:
        """Tell that it is over, when both are."""
        if self._connected or (self._lifetime is not None and not self._lifetime.exited):
            return
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self._let_go()
            on_end(self, self._fault)

    def _give_up(self, fault: Fault) -> None:
        self._fault = fault
        self._end_program()
        self._part(whole=False)


class DirectClient(ProgramClient):
    """The program reads and writes the socket itself, as one that inetd starts: we only wait."""

    def _launch(self, environment: dict[str, str]) -> None:
        # The flag is the program's too from here on: programs expect to wait in read and write.
        self._sock.setblocking(True)
        fd = self._sock.fileno()
        self._run(fd, fd, environment)

    def _exited(self) -> None:
        # Whoever of its group still holds the socket has no say in this.
        self._sock.setblocking(False)
        self._part(whole=self._whole)
