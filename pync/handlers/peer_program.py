"""One program that talks in datagrams with one peer: what waits for it, what it says, when it is over.

It reads datagrams one after another as a stream, without marks between them; each write of its output is
a datagram. Whose datagrams they are, and how they are sent, is `serving.udp_program`'s business.
"""

from __future__ import annotations

import socket
from collections import deque

from pync.handlers.program_client import FAREWELL, Shared
from pync.net.datagram import LARGEST
from pync.processes.lifetime import Lifetime
from pync.processes.pipes import PacketPipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle

    #: Sends a datagram: its size, or None where there is no room now. Reports and survives its failures.
    Send = Callable[[memoryview], int | None]

#: What waits for a program that does not read: more is lost, as datagrams are.
MOST_WAITING, MOST_BYTES_WAITING = 256, 1 << 18
#: Datagrams handled in a row before others get their turn.
BATCH = 32
#: Answers that are still sent of a program that has exited, while others keep its output open.
LAST_ANSWERS = 1024
#: Seconds until the next look at what tells nothing by itself; doubled up to the second one.
SOON, LATER = 0.001, 0.05
#: Larger than any message that a program can write at once (net.core.wmem_max, socket(7)).
LARGEST_MESSAGE = 1 << 20


class PeerProgram:
    """The program of one peer. `on_end` is called once, when it has exited and its last words are sent."""

    def __init__(
        self, shared: Shared, loop: Reactor, send: Send, idle: float | None, on_end: Callable[[PeerProgram], object]
    ) -> None:
        self._shared = shared
        self._loop = loop
        self._send = send
        self._idle = idle
        self._on_end = on_end
        self._largest = shared.plan.pipeline.datagram_size or LARGEST
        self._stages = shared.taps.sent()
        if shared.plan.pipeline.crlf:
            from pync.wire.newlines import Crlf

            self._stages.insert(0, Crlf())
        self._waiting: deque[memoryview] = deque()
        self._bytes_waiting = 0
        self._begun = False  # part of the first one is written
        self._unsent: deque[memoryview] = deque()
        self._timers: dict[str, TimerHandle] = {}
        self._patience = SOON
        self._last_moved = loop.time()
        self._left = LAST_ANSWERS
        self._reading = False
        self._over = False
        self.deaf = False  # it is told nothing any more
        self.sent = 0
        self.received = 0

    @property
    def code(self) -> int:
        """Its exit status, as a shell tells it."""
        return self._lifetime.code

    def start(self, environment: dict[str, str]) -> None:
        """Run it.

        Raises:
            OSError: it cannot be started; nothing is left behind.
        """
        shared = self._shared
        self._pipes = pipes = PacketPipes()
        try:
            child = shared.children.spawn(shared.program, pipes.stdin, pipes.stdout, environment)
        except BaseException:
            pipes.close()
            raise
        finally:
            pipes.close_theirs()
        self._lifetime = Lifetime(self._loop, shared.children, child, self._exited)
        self._read_answers()
        if self._idle is not None:
            self._timers["idle"] = self._loop.call_at(self._last_moved + self._idle, self._look_for_silence)

    def take(self, data: bytes) -> None:
        """A datagram of the peer's, for the program to read when it likes."""
        self._last_moved = self._loop.time()
        self.received += len(data)
        for stage in self._shared.taps.received():
            data = stage.feed(data)
        if self.deaf or not data:  # a stream has no empty messages
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes_waiting + len(data) > MOST_BYTES_WAITING:
            return
        self._waiting.append(memoryview(data))
        self._bytes_waiting += len(data)
        if "feed" not in self._timers:
            self._patience = SOON
            self._feed()

    def end(self) -> None:
        """Its peer is gone: the end of data first, for those that answer then; SIGTERM later."""
        self._stop_feeding()
        if "farewell" not in self._timers:
            self._timers["farewell"] = self._loop.call_at(self._loop.time() + FAREWELL, self._lifetime.end)

    # --- datagrams → program

    def _feed(self) -> None:
        """Write the first that waits, if the one before it was read."""
        self._timers.pop("feed", None)
        try:
            while self._waiting:
                if not self._begun and not self._pipes.taken():
                    break
                if not self._write(self._waiting[0]):
                    break
        except OSError:  # it reads no more
            self._stop_feeding()
            return
        if self._waiting:
            self._timers["feed"] = self._loop.call_at(self._loop.time() + self._patience, self._feed)
            self._patience = min(2 * self._patience, LATER)

    def _write(self, data: memoryview) -> bool:
        count = self._pipes.to_program.write(data)
        if count is None:
            return False
        self._bytes_waiting -= count
        self._begun = count < len(data)
        if self._begun:
            self._waiting[0] = data[count:]
        else:
            self._waiting.popleft()
            self._patience = SOON
        return True

    def _stop_feeding(self) -> None:
        self.deaf = True
        self._waiting.clear()
        timer = self._timers.pop("feed", None)
        if timer is not None:
            timer.cancel()
        self._pipes.to_program.close()

    # --- program → datagrams

    def _read_answers(self) -> None:
        self._reading = True
        self._loop.add_reader(self._pipes.answers.fileno(), self._answer)

    def _answer(self) -> None:
        self._timers.pop("send", None)
        for _ in range(BATCH):
            if not self._push():
                self._hold()
                return
            try:
                data = self._pipes.answers.recv(LARGEST_MESSAGE)
            except BlockingIOError:
                self._nothing_more()
                return
            except OSError:
                data = b""
            if not data and self._at_end():
                self._pause()
                self._nothing_more()
                return
            self._say(data)
        if self._lifetime.exited:
            self._go_on_after_exit()

    def _at_end(self) -> bool:
        """Whether nothing read was the end, and not an empty message."""
        try:
            return not self._pipes.answers.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return not isinstance(error, BlockingIOError)

    def _say(self, data: bytes) -> None:
        self._last_moved = self._loop.time()
        for stage in self._stages:
            data = stage.feed(data)
        view = memoryview(data)
        self._unsent.extend(view[start : start + self._largest] for start in range(0, len(view), self._largest))

    def _push(self) -> bool:
        """Send what was said; whether all of it is."""
        while self._unsent:
            # Counted first: the peer has the answer, and may end us with a signal, before another line is run.
            self.sent += len(self._unsent[0])
            if self._send(self._unsent[0]) is None:
                self.sent -= len(self._unsent[0])
                return False
            self._unsent.popleft()
        return True

    def _hold(self) -> None:
        """No room: hear nothing more of the program until there is."""
        self._pause()
        self._timers["send"] = self._loop.call_at(self._loop.time() + LATER, self._resume)

    def _resume(self) -> None:
        self._read_answers()
        self._answer()

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._pipes.answers.fileno())

    # --- its end

    def _exited(self) -> None:
        self._stop_feeding()
        if "send" not in self._timers:
            self._answer()

    def _nothing_more(self) -> None:
        if self._lifetime.exited:
            self._finish()

    def _go_on_after_exit(self) -> None:
        """Somebody else still writes: the loop has the next turn, as long as that is bearable."""
        self._left -= BATCH
        if self._left <= 0:
            self._finish()

    def _finish(self) -> None:
        if not self._over:
            self.release()
            self._on_end(self)

    def release(self) -> None:
        """Close what is ours; the program itself is ended by `Children.close`."""
        self._over = True
        self._lifetime.disown()
        self._pause()
        for timer in self._timers.values():
            timer.cancel()
        self._pipes.close()

    def _look_for_silence(self) -> None:
        assert self._idle is not None
        due = self._last_moved + self._idle
        if due <= self._loop.time():
            self.end()
        else:
            self._timers["idle"] = self._loop.call_at(due, self._look_for_silence)
