"""Plain listen mode: bind, wait for a connection from somebody who may come, join it.

The sockets are `net.listen`'s, the joining `handlers.stdio`'s: here is the waiting, and the messages. Many at
once are `serving.server`'s.
"""

from __future__ import annotations

import socket

from pync.errors import TIMEOUT, Fault
from pync.net.listen import STILLBORN
from pync.net.loop import Loop
from pync.serving.binding import client_names
from pync.serving.client import joiner
from pync.serving.listening import Listening
from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.handlers.program import Programs
    from pync.handlers.stdio import Relay
    from pync.net.listen import Listener
    from pync.plan import Plan
    from pync.wire.address import Target


def run_listener(target: Target, plan: Plan, console: Console) -> int:
    """Listen, take one connection, join it; returns the exit code."""
    listening = Listening(target, plan, console)
    relay = joiner(plan, console)
    try:
        with listening:
            return _serve_one(listening, relay)
    finally:
        relay.close()


def _serve_one(listening: Listening, relay: Relay | Programs) -> int:
    tally = Tally()
    tally.blind, tally.present = relay.blind, lambda: [relay] if tally.now else []
    listening.count(tally)
    door = Door(listening.listener, listening.console, tally, listening.admits)
    sock, name = door.wait(listening.remaining())
    tally.come()
    try:
        return relay.run(sock, name, total=listening.remaining())
    finally:
        tally.gone(relay)


class Door:
    """Waits for somebody who may come in."""

    def __init__(
        self, listener: Listener, console: Console, tally: Tally, admits: Callable[[str], bool] | None
    ) -> None:
        self._listener = listener
        self._console = console
        self._tally = tally
        self._admits = admits
        self._loop = Loop()
        self._accepted: list[tuple[socket.socket, str, tuple[str, Any]]] = []

    def wait(self, limit: float | None) -> tuple[socket.socket, str]:
        """The connection, from whichever socket, and the name of who is there; nobody else comes in then.

        Raises:
            Fault: with code 3, when `limit` seconds have passed.
        """
        for sock in self._listener.sockets:
            self._loop.add_reader(sock.fileno(), self._ready, sock)
        if limit is not None:
            self._loop.call_at(self._loop.time() + limit, self._loop.stop)
        try:
            self._loop.run()
        finally:
            self._loop.close()
        if not self._accepted:
            raise Fault("no connection in time: timed out", TIMEOUT)
        sock, name, said = self._accepted[0]
        self._listener.close_sockets()  # first: once it is said that one is here, no other gets in
        self._console.note(f"Connection received on {said[0]}", "connected", said[1])
        return sock, name

    def _ready(self, sock: socket.socket) -> None:
        connection = None if self._accepted else _take(sock)
        if connection is None:
            return
        address, where, name = _names(connection)
        if self._may_come(connection):
            self._accepted.append((connection, name, (where, address)))
            self._loop.stop()
            return
        self._tally.refused_by_rule += 1
        self._console.note(f"Connection from {where} refused by rule", "refused", address, by="rule")
        connection.close()

    def _may_come(self, connection: socket.socket) -> bool:
        if self._admits is None or connection.family == socket.AF_UNIX:
            return True
        try:
            return self._admits(connection.getpeername()[0])
        except OSError:  # gone already: nobody to be let in
            return False


def _take(sock: socket.socket) -> socket.socket | None:
    """The connection, or None where the client is gone again before we came (accept(2))."""
    try:
        connection, _ = sock.accept()
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in STILLBORN:
            return None
        raise
    connection.setblocking(False)
    return connection


def _names(connection: socket.socket) -> tuple[Any, str, str]:
    """The client's address, and what it is called in announcements and in sentences."""
    try:
        peer = None if connection.family == socket.AF_UNIX else connection.getpeername()
    except OSError:  # gone already: reading will tell
        return "", "a client that has left", "client"
    return peer or "", *client_names(connection, peer)
