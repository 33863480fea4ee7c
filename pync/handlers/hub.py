"""Plain -l -k: every client's bytes to our output, our input to every client, and nobody waits for another.

Each client has a session of its own, as a single connection has. What they share is here: the output, which
takes a whole read (or whole lines) at a time, and the input, of which each client has its own bounded copy.
"""

from __future__ import annotations

import errno
from functools import partial

from pync.engine.flow import Flow
from pync.engine.parting import Parting, abort
from pync.engine.session import Session, stream_policy
from pync.engine.stages import Taps, margin, pacers, refusal, upward
from pync.errors import OK, TIMEOUT, Fault, reason
from pync.handlers.kept import Kept
from pync.handlers.shared import MOST_WAITING, Broadcast, ClientEndpoint, Copies, Lane, Output
from pync.net.endpoint import PIPE, TTY, NothingEndpoint
from pync.net.resolve import show_peer
from pync.wire.lines import SharedLines, WholeLines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from pync.console import Console
    from pync.engine.stages import Refusal
    from pync.handlers.client_files import ClientFiles
    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor, TimerHandle
    from pync.net.move import Stage
    from pync.plan import Plan

    OnEnd = Callable[["HubClient", Fault | None], object]

#: What is read from a client at once, into a buffer that all share.
READ = 1 << 16
#: Seconds that our input waits for a client that has no room and takes nothing.
STALL = 1.0
#: Seconds that the output has to take the last bytes when we leave.
LEAVING = 1.0
#: A line that is longer goes to the output in pieces of this size.
LONGEST_LINE = 1 << 16


class HubClient:
    """One client: its session between the shared output and its own copy of the input."""

    code = OK

    def __init__(self, hub: Hub, sock: socket.socket, name: str, on_end: OnEnd) -> None:
        self.name = name
        self._hub = hub
        self._sock = sock
        self._on_end: OnEnd | None = on_end
        self._parting: Parting | None = None
        self._peer = ClientEndpoint(sock)
        self._writer = hub.writer(sock)
        self._lines = WholeLines(LONGEST_LINE) if hub.whole_lines else None
        self._output = hub.output_of(self._writer, self.drop_unwritten)
        self._refusal: Refusal | None = refusal(hub.plan, self._peer, hub.loop)
        self.copies = Copies(hub.room_again)
        self.up = None if hub.input_ended else Flow(hub.loop, self.copies, self._peer, buffer=hub.buffer)
        self._policy = stream_policy(hub.plan, None)
        self._policy.end_absent = hub.plan.ends.at_once  # -q says how long clients are kept, not that they get our end
        if self.up is None:
            self._policy.quit_after = None
        self._session = self._make_session()

    def _make_session(self) -> Session:
        hub, loop, plan = self._hub, self._hub.loop, self._hub.plan
        stages: list[Stage] = [stage for stage in (self._refusal, self._lines) if stage is not None]
        down = Flow(
            loop, self._peer, Lane(self._output, self._writer, self._lines), stages=stages,
            pacers=pacers(plan, loop.time(), upward=False), by_line=hub.whole_lines and plan.pipeline.rate is not None,
            most_reads=plan.ends.read_limit, buffer=hub.buffer,
        )  # fmt: skip
        if self._refusal is not None:
            self._refusal.flows = [flow for flow in (down, self.up) if flow is not None]
        return Session(
            loop, self._peer, self.up, down, self._policy, name=self.name, terminal=hub.terminal,
            on_peer_end=self._peer_ended,
        )  # fmt: skip

    @property
    def sent(self) -> int:
        return self._session.sent

    @property
    def received(self) -> int:
        return self._session.received

    @property
    def takes_input(self) -> bool:
        """Whether what we send can still arrive."""
        return self.up is not None and self.up.running

    def give_way(self) -> None:
        """End it if it has ended its data and nothing waits for it; it may have left long ago."""
        if self._session.peer_ended and not self.copies.waiting:
            self._session.finish()

    def _peer_ended(self) -> None:
        self._hub.kept.add(self._sock, self._session.finish, self._output if self.received else None)

    def start(self) -> None:
        self._session.start(self._finished)
        if self._on_end is not None and self._parting is None:
            self._hub.came(self)

    def end_input(self, empty: bool) -> None:
        """Our input has ended; one that was `empty` had nothing to say to anybody, not even that it ends."""
        self._policy.hold_empty = empty and not self._hub.plan.ends.at_once
        self.copies.end()

    def drop(self, text: str) -> None:
        """End it for a reason of ours."""
        abort(self._sock)
        self._session.finish(Fault(text, TIMEOUT))

    def drop_unwritten(self, error: OSError) -> None:
        """End it because what it sends cannot be written."""
        fault = Fault(f"{self.name}: write {reason(error)}")
        self._session.fault = self._session.fault or fault  # also where its last words came too late for `finish`
        self._session.finish(fault)

    def leave(self) -> bool:
        """Deliver what was read of our input, and reset it if that was not all; whether that takes a moment."""
        if not (self.takes_input and self._hub.spoken):
            return False
        self._hub.read_no_more()
        self._session.break_off()
        return True

    def close(self) -> None:
        """End it now; `on_end` is not called."""
        self._on_end = None
        self._session.finish()
        if self._parting is not None:
            self._parting.close()

    def _finished(self, session: Session) -> None:
        self._hub.left(self)
        self._hub.kept.remove(self._sock)
        if self._refusal is not None:
            self._refusal.close()
        if self._lines is not None:
            self._hub.last_words(self, self._output, self._lines.end(), self._writer)
        self._hub.no_more_of(self._writer)
        reset_by = session.reset_by if self._hub.spoken else None
        if reset_by is None and session.fault is not None:
            self._done()
        else:
            self._parting = Parting(self._hub.loop, self._sock, self._done, patient=True, reset_by=reset_by)

    def _done(self) -> None:
        parting, self._parting = self._parting, None
        fault = self._session.fault or (parting.fault(self.name) if parting is not None else None)
        self._sock.close()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self, fault)


class Hub:
    """What the clients of a plain -l -k share. `stop` is called when the output can take no more."""

    blind = False

    def __init__(
        self,
        loop: Reactor,
        plan: Plan,
        console: Console,
        stop: Callable[[Fault | None], object],
        files: ClientFiles | None = None,
    ) -> None:
        self.loop = loop
        self.plan = plan
        self._console = console
        self._stop = stop
        self._margin = margin(plan)
        self._taps = Taps(plan, self._margin)
        self._files = files
        if plan.pipeline.hash is not None:
            console.remember_files()
        self.buffer = memoryview(bytearray(READ))
        nowhere = plan.ends.send_only or files is not None
        self._endpoint: Endpoint = NothingEndpoint() if nowhere else console.output()
        shared_lines = files is None and (plan.pipeline.lines or self._endpoint.kind == TTY)
        self.whole_lines = shared_lines or self._margin is not None
        self.output = self._output_to(self._endpoint, self._output_failed)
        if self._endpoint.kind == PIPE:  # whose reader may leave while nothing is to be written
            self._endpoint.watch_read(loop, partial(self._stop, None))
        self.clients: dict[HubClient, None] = {}
        self.kept = Kept(loop, self._input_is_silent)
        self._number = 0
        self._stalled: dict[HubClient, int] = {}
        self._stall_timer: TimerHandle | None = None
        self._room_timer: TimerHandle | None = None
        self._input = None if not plan.ends.reads_input else console.input()
        self.terminal = self._input is not None and self._input.kind == TTY
        self.input_ended = self._input is None
        self._broadcast = Broadcast(self.has_room, self._copies)
        self._up = self._make_up()

    @property
    def spoken(self) -> bool:
        """Whether our input has brought anything that its clients may miss the rest of."""
        return self._up is not None and self._up.moved > 0

    def _input_is_silent(self) -> bool | None:
        """Whether our input, which is open, has never brought a byte; None while it is not known."""
        if self._up is None or not self._up.running or self.spoken:
            return False
        return self._up.waits_for_source or None

    def _make_up(self) -> Flow | None:
        """Our input on its way to all; it begins with the first client."""
        if self._input is None:
            return None
        plan = self.plan
        up = Flow(
            self.loop, self._input, self._broadcast, stages=upward(plan, self._taps),
            pacers=pacers(plan, self.loop.time(), upward=True), by_line=plan.pipeline.interval is not None,
        )  # fmt: skip
        up.hold()
        up.start(self._our_input_ended)
        return up

    def writer(self, sock: socket.socket) -> str:
        """A client in one word; "" where nobody asks."""
        if not self.whole_lines and self._files is None:
            return ""
        self._number += 1
        return show_peer(sock) or f"client-{self._number}"

    def client(self, sock: socket.socket, name: str, on_end: OnEnd) -> HubClient:
        """A place for one more."""
        return HubClient(self, sock, name, on_end)

    def close(self) -> None:
        """Write what was taken, print the digests, close what was opened."""
        for timer in (self._stall_timer, self._room_timer):
            if timer is not None:
                timer.cancel()
        self.read_no_more()
        self.output.flush(LEAVING)
        self._console.hashed(self._taps.digests())
        self._taps.close()
        if self._endpoint.kind == PIPE:
            self._endpoint.watch_read(self.loop, None)
        self.output.close()
        if self._files is not None:
            self._files.close()
        if self._input is not None:
            self._input.close()

    def read_no_more(self) -> None:
        """Leave the rest of our input unread: we are about to end."""
        if self._up is not None and self._up.running:
            self._up.stop()

    # --- who is there

    def came(self, client: HubClient) -> None:
        """One more; the first one is what our input was waiting for."""
        self.clients[client] = None
        if self._up is not None and len(self.clients) == 1:
            self._up.release()

    def left(self, client: HubClient) -> None:
        """One less; without any, our input is kept for the next."""
        if client not in self.clients:
            return
        del self.clients[client]
        self._stalled.pop(client, None)
        if self._up is not None and not self.clients:
            self._up.hold()
        self.room_again()

    def _takers(self) -> Iterator[HubClient]:
        """Those whom our input can still reach."""
        return (client for client in self.clients if client.takes_input)

    def _copies(self) -> Iterator[Copies]:
        return (client.copies for client in self._takers())

    def make_room(self) -> None:
        """Descriptors have run out: those who only listen, or are not there any more, give way."""
        for client in list(self.clients):
            client.give_way()

    # --- our input

    def has_room(self) -> bool:
        """Whether every client has room for more; one that takes nothing meanwhile is dropped."""
        full = [client for client in self._takers() if client.copies.waiting >= MOST_WAITING]
        if full and self._stall_timer is None:
            self._stalled = {client: client.sent for client in full}
            self._stall_timer = self.loop.call_at(self.loop.time() + STALL, self._drop_stalled)
        return not full

    def room_again(self) -> None:
        """A client has taken something, or left: our input may go on.

        Not at once: whoever tells us is in the middle of its work, and our input would wake others, and it, again.
        """
        if self._room_timer is None:
            self._room_timer = self.loop.call_at(self.loop.time(), self._go_on)

    def _go_on(self) -> None:
        self._room_timer = None
        self._broadcast.ready()

    def _drop_stalled(self) -> None:
        self._stall_timer = None
        for client, sent in list(self._stalled.items()):
            if client.sent == sent and client.copies.waiting >= MOST_WAITING:
                client.drop(
                    f"{client.name}: takes nothing for {STALL:g} s: dropped, {client.copies.waiting} bytes unsent"
                )
        self._stalled.clear()
        self.room_again()

    def _our_input_ended(self, up: Flow) -> None:
        self.input_ended = True
        if up.error is not None and up.error.errno not in (errno.EBADF, errno.EIO):
            self._console.fail(f"read from standard input: {reason(up.error)}")
        for client in list(self.clients):
            client.end_input(not up.moved)

    # --- our output

    def output_of(self, writer: str, on_failure: Callable[[OSError], object]) -> Output:
        """Where a client's bytes go: our output, or with --output-dir a file of its own."""
        if self._files is None:
            return self.output
        return self._output_to(self._files.of(lambda: writer), on_failure)

    def no_more_of(self, writer: str) -> None:
        """The client is gone."""
        if self._files is not None:
            self._files.forget(writer)

    def _output_to(self, endpoint: Endpoint, on_failure: Callable[[OSError], object]) -> Output:
        mark = None if self._margin is None else self._margin.mark
        lines = SharedLines(mark) if self.whole_lines else None
        return Output(self.loop, endpoint, self._taps.received(), on_failure, lines, self._margin)

    def last_words(self, client: HubClient, output: Output, data: bytes, writer: str) -> None:
        """What a client that is gone has left of a line, and the end of that line."""
        if not output.take_last(data, writer):
            self._console.fail(f"{client.name}: {len(data)} bytes lost: our output takes nothing")

    def _output_failed(self, error: OSError) -> None:
        gone = error.errno == errno.EPIPE
        self._stop(None if gone else Fault(f"write to standard output: {reason(error)}"))
