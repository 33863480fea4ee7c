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
from pync.errors import OK, Fault
from pync.net import wake
from pync.net.endpoint import FILE, PIPE, TTY, NothingEndpoint, SocketEndpoint, peek
from pync.net.loop import Loop
from pync.net.resolve import show_peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    from pync.console import Console
    from pync.engine.answer import Answer
    from pync.engine.parting import Parting
    from pync.handlers.client_files import ClientFiles
    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor, TimerHandle
    from pync.net.move import Stage
    from pync.plan import Plan
    from pync.wire.margin import Lined

    OnEnd = Callable[[Any, Fault | None], object]

    class Client(Protocol):
        """A connection that is being served; `close` ends it now, without a word to its owner.

        `leave` begins to end it where something is to be delivered first: True says that its owner will be told.
        `code` is the exit code that it comes to where it ends without a fault.
        """

        @property
        def name(self) -> str: ...
        @property
        def code(self) -> int: ...
        @property
        def sent(self) -> int: ...
        @property
        def received(self) -> int: ...
        def start(self) -> None: ...
        def leave(self) -> bool: ...
        def close(self) -> None: ...

    class Joiner(Protocol):
        """What a connection is joined with: our streams, or a program. It tells itself how a connection went."""

        console: Console
        blind: bool

        def join(self, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd, total: float | None) -> Client: ...
        def leave_loop(self) -> None: ...
        def close(self) -> None: ...


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
        self._started = 0.0
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
        self.console.outcome.met(name, address_of(sock))
        return run_alone(self, sock, name, total)

    def join(self, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd, total: float | None) -> Joined:
        """A connection joined to the standard streams, as the only client of a loop."""
        return Joined(self, loop, sock, name, on_end, total)

    def leave_loop(self) -> None:
        """Nothing of ours stays on a loop when its connection is over."""

    def _policy(self, total: float | None) -> Policy:
        policy = stream_policy(self.plan, total)
        if not self.plan.ends.reads_input:  # no input that -q could count from
            policy.end_absent, policy.quit_after = self.plan.ends.at_once, None
        return policy

    def _watch_for_request(self, loop: Reactor, peer: Peer, down: Flow, stages: list[Stage]) -> None:
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
        self.begin(loop, session, unsent)
        try:
            session.start(lambda _: loop.stop())
            loop.run()
        finally:
            self.end(loop)
        return self.tell_fault(session)

    def begin(self, loop: Reactor, session: Session, unsent: Callable[[], int] = lambda: 0) -> None:
        """A session is about to start."""
        self._watch_output(loop, session)

        def counts() -> tuple[int, int]:
            added = 0 if self.lined is None else self.lined.added
            return session.sent - unsent(), max(0, session.received - added)

        self._counts = counts
        self._started = time.monotonic()
        if self.console.meter is not None:
            self.console.meter.begin(loop, counts, -1 if self.input is None else self.input.fd)

    def end(self, loop: Reactor) -> None:
        """It is over: tell what was moved."""
        seconds = time.monotonic() - self._started
        if self._output.kind == PIPE:
            loop.remove_reader(self._output.fd)
        if self.console.meter is not None:
            self.console.meter.end()
        self.console.moved(*self._counts(), seconds)
        self._end_line()

    def tell_fault(self, session: Session) -> int:
        """Print why a session that is over has failed, if it has; returns the exit code."""
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

    def session(self, loop: Reactor, peer: Endpoint, up: Flow | None, down: Flow, policy: Policy, name: str) -> Session:
        terminal = self.input is not None and self.input.kind == TTY
        done = partial(self._let_go_of_output, loop)
        return Session(loop, peer, up, down, policy, name=name, terminal=terminal, on_peer_end=done)

    def downward(self, loop: Reactor, source: Endpoint, first: list[Stage]) -> Flow:
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

    def upward(
        self, loop: Reactor, sink: Endpoint, prepare: Callable[[list[Stage]], object] | None = None
    ) -> Flow | None:
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

    def _watch_output(self, loop: Reactor, session: Session) -> None:
        """A pipe whose reader leaves reports an error on its writing end, even while we are idle."""
        output: Endpoint = self._output
        if output.kind == PIPE:
            loop.add_reader(output.fd, self._output_closed, loop, session)

    def _output_closed(self, loop: Reactor, session: Session) -> None:
        loop.remove_reader(self._output.fd)
        session.output_closed()

    def _let_go_of_output(self, loop: Reactor) -> None:
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


class Joined:
    """One connection joined to our streams: the only client of a server, or the connection of a client.

    `total` are the seconds that are left of --total-timeout. `on_end` is called once, when it is over by itself, with
    what the peer did not get; why the session failed has been printed by then and is in `code`.
    """

    def __init__(
        self, relay: Relay, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd, total: float | None
    ) -> None:
        self.name = name
        self.code = OK
        self._relay = relay
        self._loop = loop
        self._sock = sock
        self._on_end: OnEnd | None = on_end
        self._parting: Parting | None = None
        self._told = True
        self._timers: dict[str, TimerHandle] = {}
        relay.at_hand(show_peer(sock) or "client-1")
        self._peer = peer = Peer(sock)
        self._telnet = telnet = refusal(relay.plan, peer, loop)
        down = relay.downward(loop, peer, [telnet] if telnet else [])
        up = relay.upward(loop, peer, partial(relay._watch_for_request, loop, peer, down))
        if telnet:
            telnet.flows = [flow for flow in (down, up) if flow is not None]
        self._session = relay.session(loop, peer, up, down, relay._policy(total), name)
        self._until = None if total is None else self._session.started + total

    @property
    def sent(self) -> int:
        return self._relay.sent

    @property
    def received(self) -> int:
        return self._relay.received

    def start(self) -> None:
        """Begin both directions."""
        if self._relay.console.verbose:
            self._timers["waiting"] = self._loop.call_at(self._loop.time() + WAITING, self._tell_waiting)
        self._told = False
        self._relay.begin(self._loop, self._session)
        self._session.start(self._finished)

    def leave(self) -> bool:
        """Break off: what was read of our input is delivered, and where that is not all, the peer sees a reset."""
        if self._session.finished:
            return False
        self._session.break_off()
        return True

    def close(self) -> None:
        """End it now; `on_end` is not called."""
        if self._on_end is not None:
            self._on_end = None
            self._tell()
            self._let_go()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._relay.end(self._loop)

    def _tell_waiting(self) -> None:
        """With -v, once: what a session waits for in which nothing moves any more."""
        session, console, now = self._session, self._relay.console, self._loop.time()
        due = session.last_moved + WAITING
        if due > now or not session.waits_for:
            self._timers["waiting"] = self._loop.call_at(max(due, now + 1), self._tell_waiting)
        elif self._peer.answer is not None and self._peer.answer.is_awaited:
            console.note("Waiting for the answer to an HTTP request; our end is held back (-N sends it at once)")
        else:
            console.note(f"Waiting for {session.waits_for}")

    def _finished(self, session: Session) -> None:
        """Both directions are done; the connection is not, unless the peer has ended too."""
        self._tell()
        self.code = self._relay.tell_fault(session)
        if session.over and session.reset_by is None:
            self._end(None)
            return
        from pync.engine.parting import Parting

        if self._until is not None and session.fault is None:
            self._timers["total"] = self._loop.call_at(self._until, self._too_late)
        self._parting = Parting(self._loop, self._sock, self._parted, reset_by=session.reset_by)

    def _parted(self) -> None:
        parting, self._parting = self._parting, None
        self._end(None if parting is None else parting.fault(self.name))

    def _too_late(self) -> None:
        self._end(self._session.not_in_time())

    def _end(self, fault: Fault | None) -> None:
        self._let_go()
        if fault is not None:
            fault = Fault(fault.text, max(self.code, fault.code))
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self, fault)

    def _let_go(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._parting is not None:
            self._parting.stop()
        if self._telnet:
            self._telnet.close()
        let_go(self._sock, self._session)


def run_alone(joiner: Joiner, sock: socket.socket, name: str, total: float | None) -> int:
    """Join one connection on a quick loop of its own; returns the exit code. Its fault, if any, has been printed."""
    faults: list[Fault | None] = []
    loop = Loop()

    def ended(_: object, fault: Fault | None) -> None:
        faults.append(fault)
        loop.stop()

    client = joiner.join(loop, sock, name, ended, total)
    signals = wake.Ending(lambda: None if client.leave() else loop.stop())
    try:
        client.start()
        loop.run()
    finally:
        signals.restore()
        client.close()
        joiner.leave_loop()
        loop.close()
    signals.follow()
    fault = faults[0]
    if fault is None:
        return client.code
    joiner.console.fail(fault.text)
    return fault.code


def let_go(sock: socket.socket, session: Session) -> None:
    """Close it; by a reset where the peer has got only a part, or an exception ended the session in the middle."""
    if session.reset_by is not None or (session.input_left and not session.finished):
        from pync.engine.parting import abort

        abort(sock)
    elif not session.over:
        from pync.engine.parting import hang_up

        hang_up(sock)
    sock.close()
