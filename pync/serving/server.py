"""Many clients at once: accepting, limits, access rules, the count of all.

Server and clients know nothing of the loop but the methods of `serving.loops`. What is done for a client is a
`Client`'s business: a conversation with a service, a child process, or a place in the hub.
"""

from __future__ import annotations

import errno
import resource
import socket

from pync.engine.parting import abort
from pync.errors import NETWORK, OK, TIMEOUT, Fault, LocalFault, reason
from pync.net.listen import STILLBORN
from pync.serving.binding import client_names
from pync.serving.repeats import Repeats
from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from pync.console import Console
    from pync.net.listen import Listener
    from pync.net.loop import TimerHandle
    from pync.serving.loops import ServerLoop

    class Client(Protocol):
        """A connection that is being served; `close` ends it now, without a word to its owner.

        `leave` begins to end it where something is to be delivered first: True says that its owner will be told.
        """

        @property
        def name(self) -> str: ...
        @property
        def sent(self) -> int: ...
        @property
        def received(self) -> int: ...
        def start(self) -> None: ...
        def leave(self) -> bool: ...
        def close(self) -> None: ...

    OnEnd = Callable[[Any, Fault | None], object]
    #: (the connection, the client's name, whom to tell of its end) → the client.
    MakeClient = Callable[[socket.socket, str, OnEnd], Client]
    Admits = Callable[[str], bool]

#: Connections accepted in a row before those that are there get their turn.
BATCH = 64
#: Seconds that clients have to take the last of what we sent, when we end.
LEAVING = 1.0
#: Seconds until accepting is tried again when the system had no room for a connection.
RETRY = 1.0
#: Descriptors asked for where the system names no limit.
MANY = 1 << 20
#: Errors of accept(2) that mean "no room": for descriptors, for memory.
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Lets clients in and keeps them until they end.

    `admits` tells whether an address may come, `most` how many clients are served at once. With `once` a
    single one is let in, and `run` ends with it. `tell` is given how clients fail; what fails on our side is an
    error in any case.
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
        tell: Callable[[str], object] | None = None,
    ) -> None:
        self.loop = loop
        self._listener = listener
        self._console = console
        self._admits = admits
        self._most = most
        self._once = once
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
        self.loop.unforeseen = self._unforeseen
        self._accept_again()
        if total is not None:
            fault = Fault("not done within the total timeout: timed out", TIMEOUT)
            self.loop.call_at(self.loop.time() + total, self.stop, OK, fault)
        try:
            self.loop.run()
        finally:
            self._close()
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
            self._console.fail(f"internal error: {error!r}")

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
        self._let_in(connection, address)
        return True

    def _no_room(self, error: OSError) -> None:
        """No busy loop: go on when a client has left, or after a while."""
        if error.errno not in NO_ROOM:
            self.stop(fault=Fault(f"accept a connection: {reason(error)}"))
            return
        if not self._said_no_room:
            self._said_no_room = True
            self._console.fail(f"accept a connection: {reason(error)}: clients wait until others have left")
        self._pause()
        self._retry = self.loop.call_at(self.loop.time() + RETRY, self._accept_again)
        self.on_full()

    def _let_in(self, connection: socket.socket, address: Any) -> None:
        where, name = client_names(connection, address)
        if self._admits is not None and connection.family != socket.AF_UNIX and not self._admits(address[0]):
            self.tally.refused_by_rule += 1
            self._console.note(f"Connection from {where} refused by rule", "refused", address, by="rule")
            connection.close()
            return
        if self._most is not None and len(self.clients) >= self._most:
            self.tally.refused_by_limit += 1
            why = f"{self._most} at once is the limit"
            self._console.note(f"Connection from {where} refused: {why}", "refused", address, by="limit")
            connection.close()
            return
        self._console.note(f"Connection received on {where}", "connected", address)
        self._console.outcome.met(name, address)
        if self._once:
            self._pause()
            self._listener.close_sockets()
        self._serve(connection, name)

    def _serve(self, connection: socket.socket, name: str) -> None:
        assert self._make is not None
        try:
            client = self._make(connection, name, self._ended)
        except OSError as error:
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
        elif self._console.verbose:
            self._say_left(client)
        if self._stopping:
            if not self.clients:
                self.loop.stop()
        elif self._once:
            self.stop(OK if fault is None else fault.code)
        elif self._retry is not None:
            self._pause()
            self._accept_again()

    def _say_left(self, client: Client) -> None:
        if self.tally.blind:
            self._console.note(f"{client.name} has left", "closed", name=client.name, sent=None, received=None)
            return
        sent, received = client.sent, client.received
        text = f"{client.name} has left: sent {sent} bytes, received {received} bytes"
        self._console.note(text, "closed", name=client.name, sent=sent, received=received)

    def _close(self) -> None:
        self._pause()
        self._listener.close_sockets()
        self._stopping = True
        for client in [client for client in list(self.clients) if not client.leave()]:
            self._close_client(client)
        if self.clients:
            over = self.loop.call_at(self.loop.time() + LEAVING, self.loop.stop)
            self.loop.run()  # until the last one has left, or a second signal calls `stop`
            over.cancel()
        for client in list(self.clients):
            self._close_client(client)

    def _close_client(self, client: Client) -> None:
        del self.clients[client]
        client.close()
        self.tally.gone(client)


def _nothing() -> None:
    """Nobody is asked."""


class DescriptorLimit:
    """As many clients as the system lets this process have: soft RLIMIT_NOFILE up to the hard one (getrlimit(2)).

    It holds while its `with` lasts. `before` is what we were given, which a process that called us gets back.
    """

    def __init__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def __enter__(self) -> DescriptorLimit:
        soft, hard = self.before
        self._set((hard if hard != resource.RLIM_INFINITY else max(soft, MANY), hard))
        return self

    def __exit__(self, *_: object) -> None:
        self._set(self.before)

    def _set(self, limit: tuple[int, int]) -> None:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        except (ValueError, OSError):  # some systems cap it below what they say
            return
