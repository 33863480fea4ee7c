"""Many clients at once: accepting, limits, access rules, the count of all.

Server and clients know nothing of the loop but the methods of `serving.loops`. What is done for a client is a
`Client`'s business: a conversation with a service, a child process, or a place in the hub.
"""

from __future__ import annotations

import errno
import socket

from pync.errors import NETWORK, OK, TIMEOUT, Fault, LocalFault, reason
from pync.net.listen import STILLBORN
from pync.serving.binding import client_names
from pync.serving.repeats import Repeats
from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.handlers.stdio import Client, OnEnd
    from pync.net.listen import Listener
    from pync.net.loop import TimerHandle
    from pync.serving.loops import ServerLoop
    from pync.serving.proxied import Entrance, Proxied

    #: (the connection, the client's name, whom to tell of its end) → the client.
    MakeClient = Callable[[socket.socket, str, OnEnd], Client]
    Admits = Callable[[str], bool]

#: Connections accepted in a row before those that are there get their turn.
BATCH = 64
#: Seconds that clients have to take the last of what we sent, when we end.
LEAVING = 1.0
#: Seconds until accepting is tried again when the system had no room for a connection.
RETRY = 1.0
#: Errors of accept(2) that mean "no room": for descriptors, for memory.
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Lets clients in and keeps them until they end.

    `admits` tells whether an address may come, `most` how many clients are served at once. With `once` a
    single one is let in, and `run` ends with it; if it is `alone`, it keeps the time and tells its end itself, and has
    all the time it needs to leave. `tell` is given how clients fail; what fails on our side is an error in any case.
    With `proxied`, connections begin with a header that tells the client's address.
    """

    def __init__(
        self,
        loop: ServerLoop,
        listener: Listener,
        console: Console,
        *,
        admits: Admits | None = None,
        most: int | None = None,
        once: bool = False,
        alone: bool = False,
        tell: Callable[[str], object] | None = None,
        proxied: Callable[[Entrance], Proxied] | None = None,
    ) -> None:
        self.loop = loop
        self._listener = listener
        self.console = console
        self._proxied = None if proxied is None else proxied(self)
        self._arrived = self.let_in if self._proxied is None else self._proxied.take
        self._admits = admits
        self._most = most
        self._once = once
        self._alone = alone
        self._limit: TimerHandle | None = None
        self._of_peers = Repeats(loop, tell or console.note)
        self._ours = Repeats(loop, console.fail)
        self._make: MakeClient | None = None
        self._accepting = False
        self._retry: TimerHandle | None = None
        self._said_no_room = False
        self._stopping = False
        self.on_full: Callable[[], object] = _nothing  # asked for room when descriptors have run out
        self.clients: dict[Client, None] = {}
        self.tally = Tally(lambda: self.clients)
        self.code = OK
        self.fault: Fault | None = None

    def run(self, make: MakeClient, total: float | None = None) -> int:
        """Serve until `stop`; returns the exit code.

        Raises:
            Fault: why it was stopped, or that `total` seconds are over.
        """
        self._make = make
        if not self._alone:
            self.loop.unforeseen = self._unforeseen
        self._accept_again()
        if total is not None:
            what = "no connection in time" if self._alone else "not done within the total timeout"
            fault = Fault(f"{what}: timed out", TIMEOUT)
            self._limit = self.loop.call_at(self.loop.time() + total, self.stop, OK, fault)
        in_order = not self._alone
        try:
            self.loop.run()
            in_order = True
        finally:
            self._close(in_order)
            for repeats in (self._of_peers, self._ours):
                repeats.close()
        if self.fault is not None:
            raise self.fault
        return self.code

    def stop(self, code: int = OK, fault: Fault | None = None) -> None:
        """Let nobody in any more and leave the loop: with this code, or the fault; the first reason is the one."""
        self._pause()
        if not self._stopping:
            self.code = code
        self._stopping = True
        self.fault = self.fault or fault
        self.loop.stop()

    def _unforeseen(self, error: Exception) -> None:
        """What a callback did not catch: a Fault, such as a log that cannot be written, ends all, nothing else does."""
        if isinstance(error, Fault):
            self.stop(fault=error)
        else:
            self.console.fail(f"internal error: {error!r}")

    # --- letting in

    def _accept_again(self) -> None:
        self._retry = None
        self._accepting = True
        for sock in self._listener.sockets:
            self.loop.add_reader(sock.fileno(), self._accept_batch, sock)

    def _pause(self) -> None:
        """Leave whoever comes in the system's queue."""
        self._accepting = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for sock in self._listener.sockets:
            if sock.fileno() >= 0:
                self.loop.remove_reader(sock.fileno())

    def _accept_batch(self, sock: socket.socket) -> None:
        for _ in range(BATCH):
            if not self._accepting or not self._accept(sock):
                return

    def _accept(self, sock: socket.socket) -> bool:
        """Take one connection; whether there may be another."""
        try:
            connection, address = sock.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in STILLBORN:
                return True
            self._no_room(error)
            return False
        connection.setblocking(False)
        self._arrived(connection, address)
        return True

    def _no_room(self, error: OSError) -> None:
        """No busy loop: go on when a client has left, or after a while."""
        if self._alone or error.errno not in NO_ROOM:
            self.stop(fault=Fault(f"accept a connection: {reason(error)}"))
            return
        if not self._said_no_room:
            self._said_no_room = True
            self.console.fail(f"accept a connection: {reason(error)}: clients wait until others have left")
        self._pause()
        self._retry = self.loop.call_at(self.loop.time() + RETRY, self._accept_again)
        self.on_full()
        if self._proxied is not None and self._proxied.give_way():
            self.place_is_free()

    def let_in(self, connection: socket.socket, address: Any) -> None:
        """Make a client of a connection, unless it may not come or there are too many."""
        where, name = client_names(connection, address)
        if not self._may_come(connection, address):
            self.refuse(connection, where, address, " by rule", by="rule")
            return
        if self._most is not None and len(self.clients) >= self._most:
            self.refuse(connection, where, address, f": {self._most} at once is the limit", by="limit")
            return
        if self._once:  # before it is told: who reads it finds that no second one is let in
            self._pause()
            self._listener.close_sockets()
            if self._proxied is not None:
                self._proxied.close()
        if self._alone and self._limit is not None:
            self._limit.cancel()
        self.console.note(f"Connection received on {where}", "connected", address)
        self.console.outcome.met(name, address)
        self._serve(connection, name)

    def _may_come(self, connection: socket.socket, address: Any) -> bool:
        if self._admits is None:
            return True
        if not isinstance(address, tuple):  # a path: no rule holds for ours, and none lets one in that a proxy tells
            return connection.family == socket.AF_UNIX
        return self._admits(address[0])

    def refuse(self, connection: socket.socket, where: str, address: Any, why: str, by: str) -> None:
        """Close a connection that is not let in; `by` is "rule" or "limit", `why` goes on from "refused"."""
        if by == "rule":
            self.tally.refused_by_rule += 1
        else:
            self.tally.refused_by_limit += 1
        self.console.note(f"Connection from {where} refused{why}", "refused", address, by=by)
        connection.close()

    def place_is_free(self) -> None:
        """A descriptor is free again, so that accepting may go on."""
        if self._retry is not None:
            self._pause()
            self._accept_again()

    def _serve(self, connection: socket.socket, name: str) -> None:
        assert self._make is not None
        try:
            client = self._make(connection, name, self._ended)
        except OSError as error:
            from pync.engine.parting import abort

            abort(connection)  # an end of data would look like an empty answer
            connection.close()
            self._ours.tell(f"{name}: {reason(error)}", name)
            if self._once:
                self.stop(NETWORK)
            return
        self.clients[client] = None
        self.tally.come()
        client.start()

    def _ended(self, client: Client, fault: Fault | None) -> None:
        """A client is over by itself: its place is free."""
        del self.clients[client]
        self.tally.gone(client)
        if fault is not None:
            repeats = self._ours if isinstance(fault, LocalFault) else self._of_peers
            repeats.tell(fault.text, client.name)
        elif self.console.verbose and not self._alone:
            self._say_left(client)
        if self._stopping:
            if not self.clients:
                self.loop.stop()
        elif self._once:
            self.stop(client.code if fault is None else fault.code)
        else:
            self.place_is_free()

    def _say_left(self, client: Client) -> None:
        if self.tally.blind:
            self.console.note(f"{client.name} has left", "closed", name=client.name, sent=None, received=None)
            return
        sent, received = client.sent, client.received
        text = f"{client.name} has left: sent {sent} bytes, received {received} bytes"
        self.console.note(text, "closed", name=client.name, sent=sent, received=received)

    def _close(self, in_order: bool = True) -> None:
        self._pause()
        self._listener.close_sockets()
        if self._proxied is not None:
            self._proxied.close()
        self._stopping = True
        for client in [client for client in list(self.clients) if not (in_order and client.leave())]:
            self._close_client(client)
        if self.clients:
            over = None if self._alone else self.loop.call_at(self.loop.time() + LEAVING, self.loop.stop)
            self.loop.run()  # until the last one has left, or a second signal calls `stop`
            if over is not None:
                over.cancel()
        for client in list(self.clients):
            self._close_client(client)

    def _close_client(self, client: Client) -> None:
        del self.clients[client]
        client.close()
        self.tally.gone(client)


def _nothing() -> None:
    """Nobody is asked."""
