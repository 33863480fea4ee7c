"""A table of datagram peers: from a listener's sockets to a connection with each of those that send to them.

For whatever keeps a session per peer: a program, a DTLS session, a forwarding. The table reads the sockets, bounds
the number of connections and what waits in them, and answers from the address a peer has asked. What is done with a
connection is its host's. A service that needs no memory of a peer must not have a table: it would be attackable.
"""

from __future__ import annotations

import socket
from collections import deque

from pync.net.datagram import LARGEST, SOON, Datagrams, DatagramSource
from pync.net.endpoint import DATAGRAM, Calling
from pync.net.peer import Peer, shown_peer
from pync.net.pktinfo import answer_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from pync.net.loop import Reactor, TimerHandle
    from pync.net.move import Stage

    class Host(Protocol):
        """What a table asks and tells."""

        def turned_away(self, address: Any) -> bool:
            """Whether what this address sends is not heard."""

        def full(self, peer: Peer) -> object:
            """A datagram of a new peer was thrown away, because there is no place for another connection."""

        def welcome(self, peer: Peer) -> PeerConnection | None:
            """A connection for a new peer, whose first datagram comes next; None: it gets none."""


#: What waits for a reader that is slow: more is lost, as datagrams are.
MOST_WAITING, MOST_BYTES_WAITING = 256, 1 << 18
#: Datagrams taken in a row before others get their turn.
BATCH = 32
#: Room for the longest datagram; those of unix sockets may be longer than UDP's.
LONGEST = 1 << 18


class PeerConnection(Calling):
    """One peer, with the face of an endpoint: a read is one datagram of it, a write is one to it.

    A peer does not say that it is gone: `on_silence` is called once, when nothing has passed either way for `idle`
    seconds. `seen` are stages that see each datagram as it comes, those that are lost for want of room too.
    `sent` and `received` are bytes.
    """

    kind = DATAGRAM

    def __init__(
        self, loop: Reactor, datagrams: Datagrams, largest: int | None, idle: float | None, seen: Sequence[Stage]
    ) -> None:
        super().__init__()
        assert datagrams.peer is not None
        self.peer = datagrams.peer
        self.on_silence: Callable[[], object] = _nothing
        self.on_close: Callable[[PeerConnection], object] = _nothing
        self.deaf = False
        self.sent = self.received = 0
        self._loop = loop
        self._datagrams = datagrams
        self._largest = largest or LARGEST
        self._seen = seen
        self._queue: deque[bytes] = deque()
        self._moved_at = loop.time()
        self._timers: dict[str, TimerHandle] = {}
        if idle is not None:
            self._timers["silence"] = loop.call_at(self._moved_at + idle, self._look_for_silence, idle)

    def deliver(self, data: bytes) -> None:
        """A datagram of the peer has come."""
        self._moved_at = self._loop.time()
        self.received += len(data)
        for stage in self._seen:
            stage.feed(data)
        if not self.deaf and len(self._queue) < MOST_WAITING and self.waiting + len(data) <= MOST_BYTES_WAITING:
            self._queue.append(data)
            self.waiting += len(data)
            self.ready()

    def read_into(self, buffer: memoryview) -> int | None:
        if not self._queue:
            return None
        data = self._queue.popleft()
        self.waiting -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: memoryview | bytes) -> int | None:
        data = memoryview(data)[: self._largest]
        # Counted first: the peer has the answer, and may end us with a signal, before another line is run.
        self.sent += len(data)
        count = self._datagrams.send(data)
        if count is None and self.peer.address is not None and self.peer.sock.family == socket.AF_UNIX:
            # A unix receiver that is full may stay so: its answer is lost, as others' are on a network.
            count = len(data)
        if count is None:
            self.sent -= len(data)
        else:
            self._moved_at = self._loop.time()
        return count

    def watch_write(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        """Try again soon: others send through the same socket, and a unix one is always "writable"."""
        self._cancel("write")
        if callback is not None:
            self._timers["write"] = loop.call_at(loop.time() + SOON, self._try, loop, callback)

    def _try(self, loop: Reactor, callback: Callable[[], object]) -> None:
        self.watch_write(loop, callback)
        callback()

    def stop_reading(self) -> None:
        """Throw away what comes; in a table the peer's next datagram makes a new connection. Writing goes on."""
        self.deaf = True
        self.waiting = 0
        self._queue.clear()

    def close(self) -> None:
        self.stop_reading()
        self._cancel("write")
        self._cancel("silence")
        self.on_close(self)

    def _look_for_silence(self, idle: float) -> None:
        due = self._moved_at + idle
        if due <= self._loop.time():
            self.on_silence()
        else:
            self._timers["silence"] = self._loop.call_at(due, self._look_for_silence, idle)

    def _cancel(self, name: str) -> None:
        if name in self._timers:
            self._timers.pop(name).cancel()


class Peers(Datagrams):
    """The connections of a listener's datagram sockets, at most `most` at once. `report` is told what was cut."""

    def __init__(
        self, loop: Reactor, sockets: list[socket.socket], host: Host, most: int, report: Callable[[str], None]
    ) -> None:
        super().__init__(sockets, [], report)
        self.present: set[PeerConnection] = set()  # those that read no more, too
        self.most = most
        self._host = host
        self._latest: dict[Any, PeerConnection] = {}
        self._current: PeerConnection | None = None
        hear(loop, self, self._deliver)

    def admitted(self, address: Any) -> bool:
        return not self._host.turned_away(address)

    def received(self, sock: socket.socket, address: Any, ancillary: list[Any]) -> None:
        self._current = self._latest.get((sock, address))
        if self._current is None or self._current.deaf:
            self._current = self._meet(Peer(sock, address, shown_peer(sock, address), answer_from(ancillary)))

    def receive_failed(self, error: OSError) -> None:
        """An ICMP error that an answer met: what is sent to a peer may be lost."""

    def _deliver(self, data: bytes) -> None:
        if self._current is not None:
            self._current.deliver(data)

    def _meet(self, peer: Peer) -> PeerConnection | None:
        if len(self.present) >= self.most:
            self._host.full(peer)
            return None
        connection = self._host.welcome(peer)
        if connection is not None:
            connection.on_close = self._forget
            self._latest[peer.sock, peer.address] = connection
            self.present.add(connection)
        return connection

    def _forget(self, connection: PeerConnection) -> None:
        key = connection.peer.sock, connection.peer.address
        self.present.discard(connection)
        if self._latest.get(key) is connection:
            del self._latest[key]


def hear(loop: Reactor, datagrams: Datagrams, deliver: Callable[[bytes], object]) -> None:
    """From now on each datagram that comes through the sockets is delivered."""
    source, buffer = DatagramSource(datagrams), memoryview(bytearray(LONGEST))

    def readable() -> None:
        for _ in range(BATCH):
            count = source.read_into(buffer)
            if count is None:
                return
            deliver(bytes(buffer[:count]))

    source.watch_read(loop, readable)


def _nothing(*_: object) -> None:
    """Nobody is told."""
