"""Handshakes on a fresh connection: over real sockets, on a clock of the test's.

What they say is made up here; the PROXY protocol's is in wire/test_proxyheader, and in cli/test_proxy_protocol.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from pync.engine.opening import LOOK, Opening
from pync.errors import NETWORK, TIMEOUT
from pync.wire.exchange import LONGEST, Exchange
from tests.engine.test_flow import JumpingLoop, tcp_pair
from tests.running import PATIENCE, eventually
from tests.sockets import receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.wire.exchange import Step

WITHIN = 3.0


def greeting(exchange: Exchange) -> Step[bytes]:
    """Greets, is told a name, and thanks."""
    exchange.send(b"who?\n")
    name = yield from exchange.until(b"\n", 80)
    exchange.send(b"thanks\n")
    return name


def mute(exchange: Exchange) -> Step[bytes]:
    """Says nothing, and wants a lot."""
    return (yield from exchange.exactly(2 * LOOK))


def farewell(exchange: Exchange) -> Step[str]:
    """Needs nothing of the peer."""
    exchange.send(b"bye\n")
    return "said"
    yield


class Stage:
    """An opening with these handshakes, and its peer."""

    def __init__(self, sock: socket.socket, peer: socket.socket, *steps: object) -> None:
        self.loop = JumpingLoop()
        self.peer = peer
        self.sock = sock
        self.done: list[Opening] = []
        exchanges = [Exchange(each) for each in steps]  # type: ignore[arg-type]
        self.opening = Opening(self.loop, sock, exchanges, self.done.append, WITHIN)
        self.opening.start()

    def is_over(self) -> list[Opening]:
        self.loop.settle()
        return self.done

    def fault(self) -> str:
        """Why it failed; the connection is closed then."""
        eventually(self.is_over, "the opening has failed")
        assert self.opening.fault is not None
        assert self.sock.fileno() == -1
        return self.opening.fault.text


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our side, which does not block, and the peer's."""
    ours, peer = tcp_pair()
    ours.setblocking(False)
    peer.settimeout(PATIENCE)
    with ours, peer:
        yield ours, peer


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 6 + LOOK])
def test_one_handshake_follows_another_and_what_is_behind_them_stays_in_the_socket(
    cut: int, pair: tuple[socket.socket, socket.socket]
) -> None:
    stage = Stage(*pair, greeting, mute, farewell)
    data = b"alice\n" + b"x" * (2 * LOOK) + b"the rest"
    for piece in (data[:cut], data[cut:]):
        stage.peer.sendall(piece)
        stage.loop.settle()
    eventually(stage.is_over, "all are done")
    assert stage.opening.fault is None
    assert stage.opening.results == [b"alice", b"x" * (2 * LOOK), "said"]
    assert stage.sock.recv(100) == b"the rest"
    stage.sock.shutdown(socket.SHUT_WR)
    assert receive_all(stage.peer) == b"who?\nthanks\nbye\n"
    assert stage.loop.empty


def test_bytes_one_by_one_do(pair: tuple[socket.socket, socket.socket]) -> None:
    stage = Stage(*pair, greeting)
    for number in b"bob\n":
        assert not stage.is_over()
        stage.peer.sendall(bytes([number]))
    eventually(stage.is_over, "it is done")
    assert stage.opening.results == [b"bob"]


def test_it_is_given_up_in_time_however_much_has_come(pair: tuple[socket.socket, socket.socket]) -> None:
    stage = Stage(*pair, greeting)
    stage.peer.sendall(b"ali")
    stage.loop.advance(WITHIN - 0.1)
    assert not stage.done
    stage.loop.advance(0.2)
    assert "within 3 s" in stage.fault()
    assert stage.opening.fault is not None
    assert stage.opening.fault.code == TIMEOUT
    assert len(stage.done) == 1
    assert stage.loop.empty


@pytest.mark.parametrize(
    ("last", "why"),
    [(b"x" * 80, "no end of a line"), (b"ali", "ended in the middle"), (None, "Connection reset by peer")],
)
def test_a_fault_an_end_and_a_reset_close_it(
    last: bytes | None, why: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    stage = Stage(*pair, greeting)
    if last is None:
        assert stage.peer.recv(5) == b"who?\n"
        reset(stage.peer)
    else:
        stage.peer.sendall(last)
        stage.peer.shutdown(socket.SHUT_WR)
    assert why in stage.fault()
    assert stage.opening.fault is not None
    assert stage.opening.fault.code == NETWORK
    assert stage.loop.empty


def test_a_peer_that_floods_gets_no_further_than_the_bound(pair: tuple[socket.socket, socket.socket]) -> None:
    def endless(exchange: Exchange) -> Step[bytes]:
        return (yield from exchange.exactly(1 << 30))

    pair[1].setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 1 << 20:
            sent += pair[1].send(bytes(1 << 16))
    assert str(LONGEST) in Stage(*pair, endless).fault()


def test_what_is_to_be_sent_waits_for_room(pair: tuple[socket.socket, socket.socket]) -> None:
    long = os.urandom(1 << 16)

    def talkative(exchange: Exchange) -> Step[None]:
        for _ in range(256):
            exchange.send(long)
        return
        yield

    stage = Stage(*pair, talkative)
    assert not stage.is_over()
    got = bytearray()
    while not stage.is_over() or len(got) < 256 << 16:
        got += stage.peer.recv(1 << 20)
    assert bytes(got) == 256 * long
    assert stage.loop.empty


def test_closing_it_says_nothing_to_its_owner(pair: tuple[socket.socket, socket.socket]) -> None:
    stage = Stage(*pair, greeting)
    stage.opening.close()
    assert stage.sock.fileno() == -1
    assert not stage.is_over()
    assert stage.loop.empty
