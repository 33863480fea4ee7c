"""Notices that the peer of a socket is gone while a child reads and writes that socket.

The socket is only watched, because its bytes belong to the child. A reset is a hang-up, and so is a connection
that is shut in both directions. An end of data is none, because the client may still want the answer.
"""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.loop import Reactor, TimerHandle

#: Seconds between two looks where the system has no epoll.
LOOK = 1.0
#: The bits of poll(2) and epoll(7) for an error, the same in both.
ERROR = 8


class Hangups:
    """Watches sockets for errors and hang-ups, which poll(2) reports even if no event is requested.

    One descriptor serves all of them, because an epoll object is itself readable when it has events (epoll(7)).
    """

    def __init__(self, loop: Reactor) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[bool], object]] = {}
        self._timer: TimerHandle | None = None
        self._epoll: Any = None
        self._poll: Any = None
        if hasattr(select, "epoll"):
            self._epoll = self._poll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self._look)
        elif hasattr(select, "poll"):
            self._poll = select.poll()

    def watch(self, fd: int, callback: Callable[[bool], object]) -> None:
        """Call back once when the connection is over; with True if it ended with an error."""
        if self._poll is None:  # select(2) cannot report hang-ups; the child itself will notice
            return
        self._poll.register(fd, 0)
        self._callbacks[fd] = callback
        if self._epoll is None and self._timer is None:
            self._later()

    def leave(self, fd: int) -> None:
        """Stop watching. Call this before close(2), because a child's copy would keep the socket watched (epoll(7))."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def close(self) -> None:
        """Stop watching all sockets."""
        self._callbacks.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._poll = self._epoll = None

    def _look(self) -> None:
        for fd, events in self._poll.poll(0):
            callback = self._callbacks.get(fd)
            self.leave(fd)
            if callback is not None:
                callback(bool(events & ERROR))

    def _look_again(self) -> None:
        self._timer = None
        self._look()
        if self._callbacks:
            self._later()

    def _later(self) -> None:
        self._timer = self._loop.call_at(self._loop.time() + LOOK, self._look_again)
