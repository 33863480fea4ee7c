"""One connection joined to our standard input and output, from the first byte to the summary.

Builds endpoints, stages, flows and the session from the options and runs them on the quick loop.
How the connection came about (dialed or accepted) does not matter here.
"""

from __future__ import annotations

import socket
import time

from pync.engine.flow import Flow
from pync.engine.loop import Loop
from pync.engine.session import Policy, Session
from pync.engine.stages import Taps, refusal, upward
from pync.errors import OK
from pync.net.endpoint import PIPE, TTY, NothingEndpoint, SocketEndpoint
from pync.values import format_size
from pync.wire.pacing import Pause, Rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.engine.console import Console
    from pync.net.endpoint import Endpoint
    from pync.net.move import Stage
    from pync.options import Options
    from pync.wire.pacing import Pacer

#: Seconds that leaving may take while the peer is still sending (see `part`).
PARTING = 1.0


class Relay:
    """Joins connections to the standard streams, one after another. `engine.udp` does it with datagrams."""

    def __init__(self, options: Options, console: Console) -> None:
        self.options = options
        self.console = console
        self._taps = Taps(options)
        self.input = None if options.no_stdin or options.recv_only else console.input()
        self.output_gone = False
        self._output = NothingEndpoint() if options.send_only else console.output()

    def run(self, sock: socket.socket, name: str, *, total: float | None) -> int:
        """Relay a stream until both directions are done; closes `sock`.

        `name` is the peer in the messages, `total` the seconds that are left of --total-timeout.
        Returns the exit code; the fault, if any, has been printed.
        """
        loop = Loop()
        peer = SocketEndpoint(sock)
        telnet = refusal(self.options, peer, loop)
        down = self.downward(loop, peer, [telnet] if telnet else [])
        up = self.upward(loop, peer)
        if telnet:
            telnet.flows = [flow for flow in (down, up) if flow is not None]
        session = self.session(loop, peer, up, down, self._stream_policy(total), name)
        try:
            return self.converse(loop, session)
        finally:
            if telnet:
                telnet.close()
            loop.close()
            part(sock, orderly=session.fault is None)

    def converse(self, loop: Loop, session: Session, unsent: Callable[[], int] = lambda: 0) -> int:
        """Run a session to its end; returns the exit code. `unsent` is taken off the summary."""
        self._watch_output(loop, session)
        started = time.monotonic()
        try:
            session.start(lambda _: loop.stop())
            loop.run()
        finally:
            self.output_gone = session.output_gone
            self._summarize(session.sent - unsent(), session.received, time.monotonic() - started)
        if session.fault is None:
            return OK
        self.console.fail(session.fault.text)
        return session.fault.code

    def close(self) -> None:
        """Print the digests; close the log files, and what was opened for our input and output."""
        for line in self._taps.digests():
            self.console.say(line)
        self._taps.close()
        for endpoint in (self.input, self._output):
            if endpoint is not None:
                endpoint.close()

    def session(self, loop: Loop, peer: Endpoint, up: Flow | None, down: Flow, policy: Policy, name: str) -> Session:
        terminal = self.input is not None and self.input.kind == TTY
        return Session(loop, peer, up, down, policy, name=name, terminal=terminal)

    def downward(self, loop: Loop, source: Endpoint, first: list[Stage]) -> Flow:
        return Flow(
            loop,
            source,
            self._output,
            stages=[*first, *self._taps.received()],
            pacers=self._pacers(loop, upward=False),
            most_reads=self.options.recv_limit,
        )

    def upward(self, loop: Loop, sink: Endpoint) -> Flow | None:
        if self.input is None:
            return None
        return Flow(
            loop,
            self.input,
            sink,
            stages=upward(self.options, self._taps),
            pacers=self._pacers(loop, upward=True),
            by_line=self.options.interval is not None or self.options.lines,
        )

    def _stream_policy(self, total: float | None) -> Policy:
        options = self.options
        return Policy(
            half_close=not options.no_shutdown,
            hold_empty=options.listen,
            quit_after=options.quit_after,
            end_with_peer=options.listen and options.keep_open,
            send_only=options.send_only,
            idle=self.idle(),
            total=total,
        )

    def idle(self) -> float | None:
        return self.options.timeout if self.options.idle_timeout is None else self.options.idle_timeout

    def _pacers(self, loop: Loop, *, upward: bool) -> list[Pacer]:
        options = self.options
        pacers: list[Pacer] = []
        if options.rate is not None:
            pacers.append(Rate(options.rate, loop.time()))
        if options.delay is not None:
            pacers.append(Pause(options.delay))
        if upward and options.interval is not None:
            pacers.append(Pause(options.interval))
        return pacers

    def _watch_output(self, loop: Loop, session: Session) -> None:
        """A pipe whose reader leaves reports an error on its writing end, even while we are idle."""
        output: Endpoint = self._output
        if output.kind == PIPE:
            loop.add_reader(output.fd, session.output_closed)

    def _summarize(self, sent: int, received: int, seconds: float) -> None:
        speed = format_size((sent + received) / seconds if seconds else 0)
        self.console.note(f"sent {sent} bytes, received {received} bytes in {seconds:.2f} s ({speed}/s)")


def part(sock: socket.socket, *, orderly: bool) -> None:
    """Close a connection without destroying what we sent.

    Closing with unread data sends a reset, which can take from the peer what it has not read yet
    (RFC 1122, section 4.2.2.13). So: FIN first, then throw away what has arrived, for a bounded time.
    """
    if orderly:
        deadline = time.monotonic() + PARTING
        try:
            sock.shutdown(socket.SHUT_WR)
            while time.monotonic() < deadline and sock.recv(1 << 16):
                pass
        except OSError:  # nothing unread, or no connection any more: either way we are done
            pass
    sock.close()
