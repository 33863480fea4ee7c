"""Closing a connection of many without destroying what was sent: our FIN, then a moment for the other side.

Closing with unread data sends a reset, which can take from the peer what it has not read yet (RFC 1122,
section 4.2.2.13). Nothing is decided here: whoever parts has said all there was to say.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor

#: Seconds that a peer has to notice our end while it still sends.
PARTING = 1.0
READ = 1 << 16
#: Reads in a row before others get their turn.
TURNS = 16


class Parting:
    """Waits for the peer's end and throws away what comes before it; `on_done` is called when it may be closed."""

    __slots__ = ("_loop", "_on_done", "_sock", "_timer")

    def __init__(self, loop: Reactor, sock: socket.socket, on_done: Callable[[], object]) -> None:
        self._loop = loop
        self._sock = sock
        self._on_done = on_done
        say_goodbye(sock)
        loop.add_reader(sock.fileno(), self._readable)
        self._timer = loop.call_at(loop.time() + PARTING, self._done)

    def stop(self) -> None:
        """Wait no longer; `on_done` is not called."""
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())

    def _readable(self) -> None:
        if discard(self._sock):
            self._done()

    def _done(self) -> None:
        self.stop()
        self._on_done()


def say_goodbye(sock: socket.socket) -> None:
    """Our FIN; that the peer is gone already is no news."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return


def discard(sock: socket.socket) -> bool:
    """Throw away what has arrived; whether the peer's end was there.

    Without relying on O_NONBLOCK: a program that was given the socket, or a child of its, may have cleared it.
    """
    try:
        for _ in range(TURNS):
            if not sock.recv(READ, socket.MSG_DONTWAIT):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
