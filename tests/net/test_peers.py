"""A table of datagram peers, on the quick loop and real sockets: which senders get a connection, and until when."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from pync.net.datagram import Datagrams
from pync.net.loop import Loop
from pync.net.peers import MOST_BYTES_WAITING, MOST_WAITING, PeerConnection, Peers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.net.peer import Peer

BUFFER = memoryview(bytearray(1 << 17))


class Table:
    """A host that welcomes everyone for 50 ms of silence, its table of two places, and the loop."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.sock = bound()
        self.connections: list[PeerConnection] = []
        self.silent: list[PeerConnection] = []
        self.refused: list[Peer] = []
        self.peers = Peers(self.loop, [self.sock], self, 2, print)

    def turned_away(self, address: Any) -> bool:
        return False

    def full(self, peer: Peer) -> None:
        self.refused.append(peer)

    def welcome(self, peer: Peer) -> PeerConnection:
        connection = PeerConnection(self.loop, Datagrams([peer.sock], [peer], print), 4, 0.05, [])
        connection.on_silence = lambda: self.silent.append(connection)
        self.connections.append(connection)
        return connection

    def hear(self, *senders: socket.socket, data: bytes = b"x") -> None:
        for sender in senders:
            sender.sendto(data, self.sock.getsockname())
        self.turn()

    def turn(self, seconds: float = 0.0) -> None:
        self.loop.call_at(self.loop.time() + seconds, self.loop.stop)
        self.loop.run()


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    for connection in made.connections:
        connection.close()
    made.loop.close()
    made.sock.close()


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    made = [bound() for _ in range(3)]
    yield made
    for sock in made:
        sock.close()


def test_each_sender_has_one_connection_and_one_more_than_the_limit_none(
    table: Table, clients: list[socket.socket]
) -> None:
    table.hear(*clients, clients[0])
    assert [each.peer.address for each in table.connections] == [each.getsockname() for each in clients[:2]]
    assert [each.address for each in table.refused] == [clients[2].getsockname()]
    assert table.connections[0].received == 2
    table.connections[0].close()
    table.hear(clients[2])
    assert table.connections[-1].peer.address == clients[2].getsockname()
    assert table.peers.present == set(table.connections[1:])


def test_a_connection_that_reads_no_more_keeps_its_place_and_its_peer_gets_another(
    table: Table, clients: list[socket.socket]
) -> None:
    table.hear(clients[0])
    table.connections[0].stop_reading()
    table.hear(clients[0])
    assert len(table.connections) == len(table.peers.present) == 2
    table.connections[0].close()
    table.hear(clients[0])
    assert [each.received for each in table.connections] == [1, 2]


def test_reads_keep_boundaries_and_writes_are_cut_to_the_size(table: Table, clients: list[socket.socket]) -> None:
    table.hear(clients[0], data=b"one")
    table.hear(clients[0], data=b"")
    connection = table.connections[0]
    assert [connection.read_into(BUFFER) for _ in range(3)] == [3, 0, None]
    assert connection.write(b"answer") == connection.sent == 4
    assert clients[0].recv(100) == b"answ"


@pytest.mark.parametrize(("size", "most"), [(1, MOST_WAITING), (60_000, MOST_BYTES_WAITING // 60_000)])
def test_what_waits_is_bounded(table: Table, clients: list[socket.socket], size: int, most: int) -> None:
    table.hear(clients[0], data=b"")
    connection = table.connections[0]
    for _ in range(most + 10):
        connection.deliver(b"x" * size)
    assert connection.waiting <= most * size
    read = [count for count in iter(lambda: connection.read_into(BUFFER), None) if count]
    assert most - 1 <= len(read) <= most
    assert connection.waiting == 0


def test_silence_is_told_once_and_not_while_something_passes(table: Table, clients: list[socket.socket]) -> None:
    table.hear(clients[0])
    began = table.loop.time()
    while table.loop.time() < began + 0.1:
        table.connections[0].write(b"x")
        table.turn(0.005)
    assert table.connections[0].received == 1
    table.turn(0.2)
    assert table.silent == table.connections
