"""One connection joined to our standard input and output, from the first byte to the summary.

Builds endpoints, stages, flows and the session from the options and runs them on the quick loop.
How the connection came about (dialed or accepted) does not matter here.
"""

from __future__ import annotations

import socket
import time

from pync.errors import OK
from pync.net.endpoint import PIPE, TTY, NothingEndpoint, SocketEndpoint
from pync.run.flow import Flow
from pync.run.loop import Loop
from pync.run.session import Policy, Session
from pync.run.stages import Taps, refusal, upward
from pync.values import format_size
from pync.wire.pacing import Pause, Rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.net.endpoint import Endpoint
    from pync.options import Options
    from pync.run.console import Console
    from pync.wire.pacing import Pacer

#: Seconds that leaving may take while the peer is still sending (see `part`).
PARTING = 1.0


class Relay:
    """Joins connections to the standard streams, one after another."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._taps = Taps(options)
        self._input = None if options.no_stdin or options.recv_only else console.input()
        self._output = NothingEndpoint() if options.send_only else console.output()

    def run(self, sock: socket.socket, name: str, *, total: float | None) -> int:
        """Relay until both directions are done; closes `sock`.

        `name` is the peer in the messages, `total` the seconds that are left of --total-timeout.
        Returns the exit code; the fault, if any, has been printed.
        """
        loop = Loop()
        peer = SocketEndpoint(sock)
        session = self._session(loop, peer, name, total)
        self._watch_output(loop, session)
        started = time.monotonic()
        try:
            session.start(lambda _: loop.stop())
            loop.run()
        finally:
            part(sock, orderly=session.fault is None)
            loop.close()
            self._summarize(session, time.monotonic() - started)
        if session.fault is None:
            return OK
        self._console.fail(session.fault.text)
        return session.fault.code

    def close(self) -> None:
        """Print the digests, close the log files."""
        for line in self._taps.digests():
            self._console.say(line)
        self._taps.close()

    def _session(self, loop: Loop, peer: SocketEndpoint, name: str, total: float | None) -> Session:
        options = self._options
        telnet = refusal(options, peer, loop)
        down = Flow(
            loop,
            peer,
            self._output,
            stages=[*([telnet] if telnet else []), *self._taps.received()],
            pacers=self._pacers(loop, upward=False),
            most_reads=options.recv_limit,
        )
        if telnet:
            telnet.flow = down
        up = self._upward(loop, peer) if self._input is not None else None
        terminal = self._input is not None and self._input.kind == TTY
        return Session(loop, peer, up, down, self._policy(total), name=name, terminal=terminal)

    def _upward(self, loop: Loop, peer: SocketEndpoint) -> Flow:
        assert self._input is not None
        return Flow(
            loop,
            self._input,
            peer,
            stages=upward(self._options, self._taps),
            pacers=self._pacers(loop, upward=True),
            by_line=self._options.interval is not None,
        )

    def _policy(self, total: float | None) -> Policy:
        options = self._options
        return Policy(
            half_close=not options.no_shutdown,
            hold_empty=options.listen,
            quit_after=options.quit_after,
            send_only=options.send_only,
            idle=options.timeout if options.idle_timeout is None else options.idle_timeout,
            total=total,
        )

    def _pacers(self, loop: Loop, *, upward: bool) -> list[Pacer]:
        options = self._options
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

    def _summarize(self, session: Session, seconds: float) -> None:
        total = session.sent + session.received
        speed = format_size(total / seconds if seconds else 0)
        self._console.note(
            f"sent {session.sent} bytes, received {session.received} bytes in {seconds:.2f} s ({speed}/s)"
        )


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
