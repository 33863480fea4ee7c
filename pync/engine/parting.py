"""Leaving a connection: by a FIN once everything is delivered, or by a reset where the stream is not whole.

Closing with unread data sends a reset, which can take from the peer what it has not read yet (RFC 1122,
section 4.2.2.13); closing early leaves the rest to the kernel, which tells no one when it fails. So we read and
discard until the peer has ended or acknowledged everything. Whether a stream is whole is not decided here.
"""

from __future__ import annotations

import socket
import sys

from pync.errors import Fault, reason

try:  # as this loads, for a server that has run out of descriptors can load nothing
    import fcntl
    import termios

    SIOCOUTQ = termios.TIOCOUTQ
except ImportError:
    SIOCOUTQ = 0

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle

#: Seconds without a byte acknowledged after which a peer is left with what it has.
STALLED = 5.0
#: Seconds that a peer which has everything may go on sending: it may read only after it has written.
GRACE = 1.0
#: Seconds between two looks at what is acknowledged, which no event tells: the first, the longest.
SOON, LATER = 0.001, 0.1
READ = 1 << 16
#: Reads in a row before others get their turn.
TURNS = 16
#: struct linger (socket(7)): close(2) sends a reset and forgets what is queued.
LINGER_RESET = (1).to_bytes(4, sys.byteorder) + bytes(4)


class Parting:
    """Sends our FIN and waits, discarding what comes; `on_done` is called when the socket may be closed.

    It is done when the peer has ended, or has acknowledged everything: and then, if it still sends, a second
    later (`GRACE`); with `patient` a silent peer has that second too. 5 s without progress end it.

    With `reset_by`, a time of the loop, no FIN is sent: it is done when everything is acknowledged, at that
    time at the latest, and closing sends a reset.
    """

    __slots__ = (
        "_delay", "_fault", "_heard", "_loop", "_on_done", "_patient", "_reading", "_reset_by", "_since", "_sock",
        "_timer", "_unacknowledged",
    )  # fmt: skip

    def __init__(
        self, loop: Reactor, sock: socket.socket, on_done: Callable[[], object], *, patient: bool = False,
        reset_by: float | None = None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._sock = sock
        self._on_done = on_done
        self._patient = patient
        self._reset_by = reset_by
        self._fault: str | None = None
        self._heard = float("-inf")
        if reset_by is None:
            say_goodbye(sock)
        self._unacknowledged = self._ask()
        self._since = loop.time()  # the last progress
        self._delay = SOON
        self._reading = True
        loop.add_reader(sock.fileno(), self._readable)
        self._timer: TimerHandle = loop.call_at(self._since, self._look)

    def stop(self) -> None:
        """Wait no longer; `on_done` is not called."""
        self._timer.cancel()
        self._stop_reading()
        if self._reset_by is not None:
            abort(self._sock)

    def close(self) -> None:
        """Wait no longer, and close."""
        self.stop()
        if self._reset_by is None:
            hang_up(self._sock)
        self._sock.close()

    def fault(self, name: str) -> Fault | None:
        """When it is done: what the peer `name` did not get of what we sent."""
        if self._fault is None or not self._unacknowledged or self._reset_by is not None:
            return None
        return Fault(f"connection with {name} lost: {self._unacknowledged} bytes not delivered: {self._fault}")

    def _ask(self) -> int | None:
        """Bytes that the peer has not acknowledged; None where the system does not tell."""
        count = unacknowledged(self._sock)
        if count and self._reset_by is None:
            return count - 1  # the FIN counts as one
        return count

    def _readable(self) -> None:
        try:
            ended = discard(self._sock)
        except OSError as error:
            self._fault, self._unacknowledged = reason(error), self._ask()
            self._done()
            return
        self._heard = self._loop.time()
        if ended and self._reset_by is None:
            self._done()
        elif ended:
            self._stop_reading()

    def _look(self) -> None:
        now = self._loop.time()
        before, self._unacknowledged = self._unacknowledged, self._ask()
        if before != self._unacknowledged:
            self._since = now
        if self._over(now):
            self._done()
            return
        self._timer = self._loop.call_at(now + self._delay, self._look)
        self._delay = min(2 * self._delay, LATER)

    def _over(self, now: float) -> bool:
        if self._reset_by is not None:
            return not self._unacknowledged or now >= self._reset_by
        if self._unacknowledged == 0:
            return now >= self._since + GRACE or not (self._patient or self._sends(now))
        if now < self._since + STALLED:
            return False
        self._fault = f"nothing acknowledged for {STALLED:g} s"
        return True

    def _sends(self, now: float) -> bool:
        """Whether the peer goes on sending: what comes after we have closed is answered with a reset."""
        if now < self._heard + LATER:
            return True
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _done(self) -> None:
        self.stop()
        self._on_done()


def hang_up(sock: socket.socket) -> None:
    """Our FIN, and close at once: for those who have no time to wait."""
    say_goodbye(sock)
    try:
        discard(sock)
    except OSError:  # the connection is over already
        return
    finally:
        sock.close()


def abort(sock: socket.socket) -> None:
    """From now on closing it sends a reset: the peer has to see that its data is not whole.

    A unix-domain socket knows no reset: there the peer sees an end of data (unix(7)).
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    except OSError:  # the connection is over already
        return


def say_goodbye(sock: socket.socket) -> None:
    """Our FIN; that the peer is gone already is no news."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return


def discard(sock: socket.socket) -> bool:
    """Throw away what has arrived; whether the peer's end was there.

    Without relying on O_NONBLOCK: a program that was given the socket, or a child of its, may have cleared it.

    Raises:
        OSError: the connection is lost.
    """
    try:
        for _ in range(TURNS):
            if not sock.recv(READ, socket.MSG_DONTWAIT):
                return True
    except BlockingIOError:
        return False
    return False


def unacknowledged(sock: socket.socket) -> int | None:
    """Bytes sent that the peer's system has not acknowledged, with our FIN as one more (SIOCOUTQ, tcp(7)).

    None where the system does not tell. What is sent into a unix-domain socket is with its peer at once.
    """
    if sock.family == socket.AF_UNIX:
        return 0
    if sys.platform != "linux" or not SIOCOUTQ:
        return None
    try:
        answer = fcntl.ioctl(sock.fileno(), SIOCOUTQ, bytes(4))
    except OSError:
        return None
    return int.from_bytes(answer, sys.byteorder)
