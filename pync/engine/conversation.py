"""One connection of a server with a service that answers: reading, answering, back-pressure, ends, limits.

Not a Session, which joins two streams that each have their own pace: here whatever arrives is answered over
the same socket, at nine tenths of a bare event loop's rate (a flow and a session for each client: two thirds,
1,000 connections). What is answered is `wire.services`' business; how connections come, the server's.
"""

from __future__ import annotations

import errno
import os

from pync.engine.parting import Parting, abort, hang_up, say_goodbye
from pync.engine.turns import Turns
from pync.errors import NETWORK, OK, TIMEOUT, Fault, reason
from pync.net.move import NOT_JOINABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from pync.net.loop import Reactor, TimerHandle
    from pync.wire.services import FilePiece, Service

    OnEnd = Callable[["Conversation", Fault | None], object]
    Answer = bytes | memoryview | FilePiece

#: The most that is read at once, and so the most that a client can have answered before it reads.
READ = 1 << 16
IN_MEMORY = (bytes, memoryview)
#: One step of sendfile: enough to keep a client busy, little enough for the others.
PIECE = 1 << 20
#: Seconds until a limit is looked at again that has been dealt with.
AGAIN = 1.0
#: How a client that has left shows while we send.
GONE = (errno.EPIPE, errno.ECONNRESET)


class Conversation:
    """Serves one client; reads only when all that was answered is sent, so that nothing can pile up.

    `idle` is --idle-timeout in seconds. `turns` are those that all clients of the loop share: a service that may
    say much after one read answers in its turn only. `on_end` is called once, when it is over by itself.
    """

    __slots__ = (
        "_active", "_answered", "_ended", "_fd", "_feed", "_idle", "_limits", "_loop", "_lull", "_lull_missed",
        "_on_end", "_over", "_parting", "_pending", "_queued", "_recv", "_send_bytes", "_service", "_simple", "_sock",
        "_timed", "_turns", "_writing", "name", "received", "sent", "started",
    )  # fmt: skip

    code = OK

    def __init__(
        self,
        loop: Reactor,
        sock: socket.socket,
        name: str,
        on_end: OnEnd,
        service: Service,
        idle: float | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._service = service
        self._recv = sock.recv
        self._send_bytes = sock.send
        self._feed = service.feed
        self._on_end = on_end
        self._idle = idle
        self._turns = turns or Turns(loop)
        self._queued = False  # for a turn
        self._simple = service.simple and idle is None
        limits = (idle, service.quiet, service.time_limit, service.stall_limit)
        self._timed = any(limit is not None for limit in limits)
        self._pending: Answer = b""
        self._writing = False  # waiting for room, and so not listening
        self._ended = False  # the client has said all it had to say
        self._over = False
        self._parting: Parting | None = None
        self._limits: TimerHandle | None = None
        self._lull: TimerHandle | None = None
        self._lull_missed = False  # it came while an answer was still on its way
        self.started = self._active = self._answered = loop.time()
        self.name = name
        self.sent = 0
        self.received = 0

    def start(self) -> None:
        """Greet, then listen."""
        self._loop.add_reader(self._fd, self._readable if self._simple else self._ask)
        if self._timed:
            self._look_at_limits()
        self._attempt(self._greet)

    def leave(self) -> bool:
        """Nothing of it needs a moment more: `close` will do."""
        return False

    def close(self) -> None:
        """End it now; `on_end` is not called."""
        if self._over:
            return
        self._release()
        hang_up(self._sock)

    # --- what happens on the socket

    def _readable(self) -> None:
        # The hot path: one read, one answer, one write, and little else.
        try:
            data = self._recv(READ)
            if not data:
                self._client_ended()
                return
            self.received += len(data)
            self._reply(self._feed(data))
        except Exception as error:
            self._failed(error)

    def _reply(self, answer: bytes) -> None:
        """As `_say`, where there is nothing more to ask for."""
        try:
            count = self._send_bytes(answer)
        except BlockingIOError:
            count = 0
        self.sent += count
        if count < len(answer):
            self._wait_for_room(memoryview(answer)[count:])

    def _writable(self) -> None:
        self._attempt(self._go_on)

    def _ask(self) -> None:
        """Readable or writable: what then is done may take long, so it waits for its turn."""
        if not self._queued:
            self._queued = True
            self._turns.ask(self._turn)

    def _turn(self) -> None:
        self._queued = False
        if not (self._over or self._parting):
            self._attempt(self._go_on if self._writing else self._hear)

    def _hear(self) -> None:
        data = self._recv(READ)
        if not data:
            self._client_ended()
            return
        self.received += len(data)
        if self._timed:
            self._heard()
        self._say(self._feed(data))

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Whatever goes wrong ends this conversation, and no other."""
        if isinstance(error, BlockingIOError):  # a wake-up for nothing
            return
        if self._service.endless and getattr(error, "errno", None) in GONE:  # the client has had enough
            self._finish(None)
        elif isinstance(error, OSError):
            abort(self._sock)  # a file or a listing that cannot go on is not whole
            code = TIMEOUT if error.errno == errno.ETIMEDOUT else NETWORK
            self._finish(Fault(f"connection with {self.name} lost: {reason(error)}", code))
        else:  # a mistake of ours: better one client lost than all
            self._finish(Fault(f"connection with {self.name} closed: internal error: {error!r}"))

    def _greet(self) -> None:
        self._say(self._service.greet())

    def _client_ended(self) -> None:
        self._ended = True
        self._loop.remove_reader(self._fd)
        self._say(self._service.end())

    def _go_on(self) -> None:
        pending, self._pending = self._pending, b""
        self._say(pending)
        if not (self._pending or self._service.busy or self._over or self._parting):
            self._listen_again()

    # --- answering

    def _say(self, answer: Answer) -> None:
        """Send this and what else there is to say, until the client has to take it or to speak, or the turn is over."""
        service = self._service
        while True:
            if answer:
                rest = self._send(answer)
                if self._timed:
                    self._active = self._answered = self._loop.time()
                if rest:
                    self._wait_for_room(rest)
                    return
            if service.closing:
                self._part()
                return
            answer = service.more()
            if not (answer or service.busy):
                if self._ended:
                    self._part()
                return
            if self._turns.over():
                self._wait_for_room(answer)
                return

    def _send(self, answer: Answer) -> Answer:
        """Send what there is room for; what is left of it."""
        if not isinstance(answer, IN_MEMORY):
            return self._send_file(answer)
        try:
            count = self._send_bytes(answer)
        except BlockingIOError:
            count = 0
        self.sent += count
        return b"" if count == len(answer) else memoryview(answer)[count:]

    def _send_file(self, piece: FilePiece) -> Answer:
        while True:
            try:
                count = self._send_piece(piece)
            except BlockingIOError:
                return piece
            if not count:
                raise OSError(errno.EIO, "the file became shorter while it was sent")
            self.sent += count
            piece.offset += count
            piece.count -= count
            if not piece.count:
                return b""
            if self._turns.over():
                return piece

    def _send_piece(self, piece: FilePiece) -> int:
        if hasattr(os, "sendfile"):
            try:
                return os.sendfile(self._fd, piece.fd, piece.offset, min(piece.count, PIECE))
            except OSError as error:
                if error.errno not in NOT_JOINABLE:  # some file systems can only be read
                    raise
        data = os.pread(piece.fd, min(piece.count, READ), piece.offset)
        return self._send_bytes(data) if data else 0

    def _wait_for_room(self, answer: Answer) -> None:
        self._pending = answer
        if self._writing:
            return
        self._writing = True
        if not self._ended:
            self._loop.remove_reader(self._fd)
        self._loop.add_writer(self._fd, self._writable if self._simple else self._ask)

    def _listen_again(self) -> None:
        self._writing = False
        self._loop.remove_writer(self._fd)
        if not self._ended:
            self._loop.add_reader(self._fd, self._readable if self._simple else self._ask)
        if self._lull_missed:
            self._wait_for_lull()

    # --- time

    def _heard(self) -> None:
        self._active = self._loop.time()
        if self._service.quiet is not None:
            self._wait_for_lull()

    def _wait_for_lull(self) -> None:
        assert self._service.quiet is not None
        self._lull_missed = False
        if self._lull is not None:
            self._lull.cancel()
        self._lull = self._loop.call_at(self._loop.time() + self._service.quiet, self._after_lull)

    def _after_lull(self) -> None:
        self._lull = None
        if self._pending:  # first the client has to take what was answered
            self._lull_missed = True
        elif self._queued:  # more has come than was read
            self._wait_for_lull()
        else:
            self._attempt(lambda: self._say(self._service.lull()))

    def _look_at_limits(self) -> None:
        """End what is overdue; come back when the next limit may be reached."""
        now = self._loop.time()
        nearest = None
        for due, act in self._deadlines():
            if due <= now:
                self._attempt(act)
            if self._over or self._parting is not None:
                return
            again = due if due > now else now + AGAIN
            nearest = again if nearest is None else min(nearest, again)
        if nearest is not None:
            self._limits = self._loop.call_at(nearest, self._look_at_limits)

    def _deadlines(self) -> Iterator[tuple[float, Callable[[], None]]]:
        if self._idle is not None:
            yield self._active + self._idle, self._be_silent
        stall, patience = self._service.stall_limit, self._service.time_limit
        if stall is not None:
            yield (self._active if self._pending else self._loop.time()) + stall, self._stall
        if patience is not None:
            yield (self._loop.time() if self._writing else self._answered) + patience, self._expire

    def _be_silent(self) -> None:
        self._finish(Fault(f"{self.name}: no data for {self._idle:g} s: timed out", TIMEOUT))

    def _stall(self) -> None:
        self._finish(Fault(f"{self.name}: takes nothing for {self._service.stall_limit:g} s: closed", TIMEOUT))

    def _expire(self) -> None:
        self._say(self._service.expire())

    # --- the end

    def _part(self) -> None:
        """All is said: our FIN, and time for a client that still reads, or is still talking."""
        if self._ended:
            say_goodbye(self._sock)
            self._finish(None)
            return
        self._stop_waiting()
        self._parting = parting = Parting(
            self._loop, self._sock, lambda: self._finish(parting.fault(self.name)), patient=True
        )

    def _finish(self, fault: Fault | None) -> None:
        if self._over:
            return
        try:
            self._release()
        finally:
            self._sock.close()
            self._on_end(self, fault)

    def _release(self) -> None:
        self._over = True
        self._stop_waiting()
        if self._parting is not None:
            self._parting.stop()
        self._service.close()

    def _stop_waiting(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        for timer in (self._limits, self._lull):
            if timer is not None:
                timer.cancel()
        self._limits = self._lull = None
