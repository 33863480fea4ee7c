"""One connection joined to our standard input and output, from the first byte to the summary.

Builds endpoints, stages, flows and the session from the options and runs them on the quick loop.
How the connection came about (dialed or accepted) does not matter here.
"""

from __future__ import annotations

import time
from functools import partial

from pync.engine.flow import Flow
from pync.engine.session import Policy, Session, stream_policy
from pync.engine.stages import FirstBytes, Taps, begins_request, margin, pacers, refusal, upward
from pync.errors import OK
from pync.net import wake
from pync.net.endpoint import FILE, PIPE, TTY, NothingEndpoint, SocketEndpoint, peek
from pync.net.loop import Loop
from pync.net.resolve import show_peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.engine.answer import Answer
    from pync.errors import Fault
    from pync.handlers.client_files import ClientFiles
    from pync.net.endpoint import Endpoint
    from pync.net.move import Stage
    from pync.plan import Plan
    from pync.wire.margin import Lined

#: Seconds of silence until -v says what is waited for.
WAITING = 10.0


class Peer(SocketEndpoint):
    """The peer of a relay; our FIN may wait for its answer."""

    answer: Answer | None = None

    def half_close(self) -> None:
        if self.answer is None:
            super().half_close()
        else:
            self.answer.half_close()


class Relay:
    """Joins connections to the standard streams, one after another. `serving.udp` does it with datagrams."""

    #: Whether bytes pass by unseen, so that they cannot be counted.
    blind = False
    #: Whether no other connection follows; False keeps our output open for it.
    is_last = True

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan = plan
        self.console = console
        self.margin = margin(plan)
        self._taps = Taps(plan, self.margin)
        self.input = None if not plan.ends.reads_input else console.input()
        self._counts: Callable[[], tuple[int, int]] = _nothing_yet
        self._writer = ""
        self._files: ClientFiles | None = None
        self.lined = self._make_lined()
        self._output = self._make_output()
        console.outcome.begin()
        if plan.pipeline.hash is not None:
            console.remember_files()

    def run(self, sock: socket.socket, name: str, *, total: float | None) -> int:
        """Relay a stream until both directions are done; closes `sock`.

        `name` is the peer in the messages, `total` the seconds that are left of --total-timeout.
        Returns the exit code; the fault, if any, has been printed.
        """
        loop = Loop()
        self.at_hand(show_peer(sock) or "client-1")
        peer = Peer(sock)
        telnet = refusal(self.plan, peer, loop)
        down = self.downward(loop, peer, [telnet] if telnet else [])
        up = self.upward(loop, peer, partial(self._watch_for_request, loop, peer, down))
        if telnet:
            telnet.flows = [flow for flow in (down, up) if flow is not None]
        session = self.session(loop, peer, up, down, self._policy(total), name)
        signals = wake.Ending(session.break_off)
        if self.console.verbose:
            loop.call_at(loop.time() + WAITING, self._tell_waiting, loop, session, peer)
        try:
            code = self.converse(loop, session)
            signals.restore()
            fault = leave(sock, session, name, None if total is None else session.started + total)
        finally:
            signals.restore()
            if telnet:
                telnet.close()
            loop.close()
            let_go(sock, session)
        signals.follow()
        if fault is not None:
            self.console.fail(fault.text)
        return code if fault is None else max(code, fault.code)

    def _policy(self, total: float | None) -> Policy:
        policy = stream_policy(self.plan, total)
        if not self.plan.ends.reads_input:  # no input that -q could count from
            policy.end_absent, policy.quit_after = self.plan.ends.at_once, None
        return policy

    def _tell_waiting(self, loop: Loop, session: Session, peer: Peer) -> None:
        """With -v, once: what a session waits for in which nothing moves any more."""
        now, due = loop.time(), session.last_moved + WAITING
        if due > now or not session.waits_for:
            loop.call_at(max(due, now + 1), self._tell_waiting, loop, session, peer)
        elif peer.answer is not None and peer.answer.is_awaited:
            self.console.note("Waiting for the answer to an HTTP request; our end is held back (-N sends it at once)")
        else:
            self.console.note(f"Waiting for {session.waits_for}")

    def _watch_for_request(self, loop: Loop, peer: Peer, down: Flow, stages: list[Stage]) -> None:
        """Let our FIN wait for the answer, should what we send begin with an HTTP/1 request line."""
        plan = self.plan
        if plan.serving.listen or plan.ends.at_once or not plan.ends.half_close or plan.ends.send_only:
            return
        if not stages and self.input is not None and self.input.kind == FILE and not begins_request(peek(self.input)):
            return  # sendfile goes on

        def request(data: bytes) -> None:
            from pync.engine.answer import Answer

            peer.answer = Answer(loop, partial(SocketEndpoint.half_close, peer))
            peer.answer.sent.feed(data)
            stages.append(peer.answer.sent)
            down.show(peer.answer.received)

        stages.append(FirstBytes(stages, request))

    def converse(self, loop: Loop, session: Session, unsent: Callable[[], int] = lambda: 0) -> int:
        """Run a session to its end; returns the exit code. `unsent` is taken off the summary."""
        self._watch_output(loop, session)
        meter = self.console.meter

        def counts() -> tuple[int, int]:
            added = 0 if self.lined is None else self.lined.added
            return session.sent - unsent(), max(0, session.received - added)

        self._counts = counts
        started = time.monotonic()
        try:
            if meter is not None:
                meter.begin(loop, counts, -1 if self.input is None else self.input.fd)
            session.start(lambda _: loop.stop())
            loop.run()
        finally:
            seconds = time.monotonic() - started
            if meter is not None:
                meter.end()
            self.console.moved(*counts(), seconds)
            self._end_line()
        if session.fault is None:
            return OK
        self.console.fail(session.fault.text)
        return session.fault.code

    @property
    def sent(self) -> int:
        """Bytes of the present session, or of the last one."""
        return self._counts()[0]

    @property
    def received(self) -> int:
        """The same, the other way."""
        return self._counts()[1]

    def close(self) -> None:
        """Hand over the digests; close the log files, and what was opened for our input and output."""
        self.console.hashed(self._taps.digests())
        self._taps.close()
        for endpoint in (self.input, self._output, self._files):
            if endpoint is not None:
                endpoint.close()

    # --- what the output gets

    def _make_lined(self) -> Lined | None:
        """What makes lines of the received bytes, for our output only: a peer's datagrams, or with a margin."""
        lines = self.plan.pipeline.lines and self.plan.names.datagram and self.plan.serving.listen
        if self.margin is None and not lines:
            return None
        from pync.wire.lines import SharedLines
        from pync.wire.margin import Lined

        mark = None if self.margin is None else self.margin.mark
        return Lined(SharedLines(mark), self.who, records=self.plan.names.datagram)

    def _make_output(self) -> Endpoint:
        if self.plan.pipeline.output_dir is not None:
            from pync.handlers.client_files import ClientFiles

            self._files = ClientFiles(self.plan.pipeline.output_dir)
            return self._files.of(self.who)
        return NothingEndpoint() if self.plan.ends.send_only else self.console.output()

    def who(self) -> str:
        """Whose bytes are at hand."""
        return self._writer

    def at_hand(self, writer: str) -> None:
        """From now on it is these bytes of `writer` that come."""
        self._writer = writer
        if self.margin is not None:
            self.margin.writer = writer

    def _end_line(self) -> None:
        """End the line that a peer left open whose data did not end, but broke off."""
        try:
            if self.lined is not None and (rest := self.lined.end()):
                self._output.write(rest)
        except OSError:  # it takes nothing: told already, or nothing to tell
            return

    # --- a session

    def session(self, loop: Loop, peer: Endpoint, up: Flow | None, down: Flow, policy: Policy, name: str) -> Session:
        terminal = self.input is not None and self.input.kind == TTY
        self.introduce(name, peer)
        done = partial(self._let_go_of_output, loop)
        return Session(loop, peer, up, down, policy, name=name, terminal=terminal, on_peer_end=done)

    def introduce(self, name: str, peer: Endpoint) -> None:
        """Tell the outcome who is at the other end."""
        self.console.outcome.met(name, address_of(peer.sock) if isinstance(peer, SocketEndpoint) else "")

    def downward(self, loop: Loop, source: Endpoint, first: list[Stage]) -> Flow:
        """From the peer to our output; `first` is what the taps see."""
        last = [] if self.lined is None else [self.lined]
        meter = self.console.meter if self._output.kind == TTY else None
        return Flow(
            loop,
            source,
            self._output,
            stages=[*first, *self._taps.received(), *last, *(meter.stages() if meter is not None else [])],
            pacers=pacers(self.plan, loop.time(), upward=False),
            most_reads=self.plan.ends.read_limit,
        )

    def upward(self, loop: Loop, sink: Endpoint, prepare: Callable[[list[Stage]], object] | None = None) -> Flow | None:
        """From our input to the peer; what stands on the way may be prepared for more."""
        if self.input is None:
            return None
        stages = upward(self.plan, self._taps)
        if prepare is not None:
            prepare(stages)
        return Flow(
            loop,
            self.input,
            sink,
            stages=stages,
            pacers=pacers(self.plan, loop.time(), upward=True),
            by_line=self.plan.pipeline.interval is not None or self.plan.pipeline.lines,
        )

    def _watch_output(self, loop: Loop, session: Session) -> None:
        """A pipe whose reader leaves reports an error on its writing end, even while we are idle."""
        output: Endpoint = self._output
        if output.kind == PIPE:
            loop.add_reader(output.fd, self._output_closed, loop, session)

    def _output_closed(self, loop: Loop, session: Session) -> None:
        loop.remove_reader(self._output.fd)
        session.output_closed()

    def _let_go_of_output(self, loop: Loop) -> None:
        """Nothing more will be written: a program that reads our output sees its end now, whatever our input does."""
        if not self.is_last:
            return
        output: Endpoint = self._output
        if output.kind == PIPE:
            loop.remove_reader(output.fd)
        if self.console.let_go(output):
            self._output = NothingEndpoint()


def _nothing_yet() -> tuple[int, int]:
    return 0, 0


def address_of(sock: socket.socket) -> Any:
    """The sockaddr of the peer, "" where it has none."""
    try:
        return sock.getpeername()
    except OSError:  # gone already
        return ""


def leave(sock: socket.socket, session: Session, name: str, until: float | None) -> Fault | None:
    """End the connection of a session that is over, by a time of the loop: what the peer `name` did not get."""
    if session.over and session.reset_by is None:
        return None
    from pync.engine.parting import Parting

    loop = Loop()
    parting = Parting(loop, sock, loop.stop, reset_by=session.reset_by)
    late: list[Fault] = []

    def give_up() -> None:
        late.append(session.not_in_time())
        loop.stop()

    if until is not None and session.fault is None:
        loop.call_at(until, give_up)
    try:
        loop.run()
    finally:
        parting.stop()
        loop.close()
    return late[0] if late else parting.fault(name)


def let_go(sock: socket.socket, session: Session) -> None:
    """Close it; by a reset where the peer has got only a part, or an exception ended the session in the middle."""
    if session.reset_by is not None or (session.input_left and not session.finished):
        from pync.engine.parting import abort

        abort(sock)
    elif not session.over:
        from pync.engine.parting import hang_up

        hang_up(sock)
    sock.close()
