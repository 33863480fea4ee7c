"""Clients of -l -k that have ended their data: which are let go, which are kept, and how it shows that one is gone.

One that has sent something, while our input never brought a byte, has what it came for: it is let go when all
is written. The others may still listen, so they are kept until they are gone. What ending means is the hub's.
"""

from __future__ import annotations

import select
import socket
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.handlers.shared import Output
    from pync.net.loop import Reactor, TimerHandle

#: Seconds between two looks at who is still there. With keepalive's times, a peer that has vanished is gone
#: after 100 s, one that closed after 100 s too: 60 s until its system forgets it (tcp_fin_timeout, tcp(7)).
LOOK = 10.0
#: Seconds until our input is asked again, which has not been read from yet.
SOON = 0.02


class Kept:
    """The clients that have ended their data. `input_is_silent` answers None as long as our input was not tried."""

    def __init__(self, loop: Reactor, input_is_silent: Callable[[], bool | None]) -> None:
        self._loop = loop
        self._input_is_silent = input_is_silent
        self._clients: dict[int, tuple[socket.socket, Callable[[], object]]] = {}
        self._poll = select.poll() if hasattr(select, "poll") else None
        self._timer: TimerHandle | None = None

    def add(self, sock: socket.socket, finish: Callable[[], object], written_to: Output | None) -> None:
        """This client has ended its data, and `written_to` takes what it has sent; None where that was nothing."""
        self._clients[sock.fileno()] = sock, finish
        if self._poll is not None:
            self._poll.register(sock.fileno(), 0)  # only errors, and that both directions are over
        if self._timer is None:
            self._timer = self._loop.call_at(self._loop.time() + LOOK, self._look)
        if written_to is not None:
            self._judge(sock.fileno(), sock, written_to)

    def remove(self, sock: socket.socket) -> None:
        """Its session is over; it may never have been here. Call before close(2)."""
        if self._clients.pop(sock.fileno(), None) is None:
            return
        if self._poll is not None:
            self._poll.unregister(sock.fileno())
        if not self._clients and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _judge(self, fd: int, sock: socket.socket, output: Output) -> None:
        if self._clients.get(fd, (None,))[0] is not sock:
            return
        silent = self._input_is_silent()
        if silent is None:
            self._loop.call_at(self._loop.time() + SOON, self._judge, fd, sock, output)
        elif silent and output.unwritten:
            output.wait(partial(self._judge, fd, sock, output))
        elif silent:
            self._clients[fd][1]()

    def _look(self) -> None:
        """End the sessions of those that are gone."""
        self._timer = self._loop.call_at(self._loop.time() + LOOK, self._look)
        for fd in self._gone():
            if fd in self._clients:
                self._clients[fd][1]()

    def _gone(self) -> list[int]:
        if self._poll is not None:
            return [fd for fd, _ in self._poll.poll(0)]
        clients = self._clients.items()
        return [fd for fd, (sock, _) in clients if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]
