"""Leaving without destroying what was sent: over real connections of the loopback, on a clock of the test's.

Only TCP forgets what it has received when a reset comes, so socket pairs would prove nothing here.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from pync.engine.parting import (
    GRACE,
    READ,
    STALLED,
    TURNS,
    Parting,
    discard,
    say_goodbye,
    unacknowledged,
)
from pync.engine.session import LAST_WORDS
from tests.engine.test_flow import JumpingLoop, tcp_pair
from tests.running import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our side, which does not block, and the peer's."""
    ours, peer = tcp_pair()
    ours.setblocking(False)
    peer.settimeout(PATIENCE)
    with ours, peer:
        yield ours, peer


def parting(loop: JumpingLoop, sock: socket.socket, done: list[str], **how: Any) -> Parting:
    """As a conversation parts: closed when it is done."""

    def over() -> None:
        done.append("done")
        sock.close()

    return Parting(loop, sock, over, **how)


def fill(sock: socket.socket) -> int:
    """Send until there is no room: how much that was."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(bytes(READ))
    return sent


def wait_until_done(loop: JumpingLoop, done: list[str]) -> None:
    """Even the loopback takes its time."""

    def noticed() -> list[str]:
        loop.settle()
        return done

    eventually(noticed, "that the peer is gone is noticed")


def test_a_socket_that_a_program_has_made_blocking_again_holds_nobody_up(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, peer = pair
    peer.sendall(b"x")
    os.set_blocking(ours.fileno(), True)  # behind Python's back: the flag belongs to all who hold the socket
    assert not discard(ours)


def test_a_peer_that_is_still_talking_reads_our_last_words(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    loop, done = JumpingLoop(), list[str]()
    peer.sendall(b"x" * 100_000)
    ours.sendall(b"last words")
    parting(loop, ours, done)
    for _ in range(5):
        peer.sendall(b"y" * 10_000)
        loop.settle()
    assert done == []
    assert peer.recv(100) == b"last words"
    assert peer.recv(100) == b""
    peer.shutdown(socket.SHUT_WR)
    wait_until_done(loop, done)
    assert loop.empty


@pytest.mark.parametrize("patient", [True, False])
def test_a_silent_peer_that_has_everything_is_left_at_once_or_after_a_moment(
    patient: bool, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, peer = pair
    loop, done = JumpingLoop(), list[str]()
    parting(loop, ours, done, patient=patient)
    loop.advance(GRACE * 0.9)
    assert done == ([] if patient else ["done"])
    assert peer.recv(1) == b""
    loop.advance(GRACE * 0.3)
    assert done == ["done"]
    assert loop.empty


def test_a_peer_that_takes_something_now_and_then_is_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    loop, done = JumpingLoop(), list[str]()
    sent = fill(ours)
    leaving = parting(loop, ours, done)
    got = 0
    while got < sent // 2:
        before = unacknowledged(ours)
        while unacknowledged(ours) == before:
            got += len(peer.recv(READ))
        loop.advance(STALLED * 0.9)
        assert done == []
    loop.advance(STALLED * 2.1)
    assert done == ["done"]
    fault = leaving.fault("somebody")
    assert fault is not None
    assert fault.text.startswith("connection with somebody lost: ")
    assert fault.text.endswith(" bytes not delivered: nothing acknowledged for 5 s")


def test_a_reset_waits_for_what_was_sent_and_no_longer_than_it_may(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, peer = pair
    loop, done = JumpingLoop(), list[str]()
    sent = fill(ours)
    parting(loop, ours, done, reset_by=loop.time() + LAST_WORDS)
    loop.advance(LAST_WORDS * 0.9)
    assert done == []
    loop.advance(LAST_WORDS * 0.2)
    assert done == ["done"]
    got = 0
    with pytest.raises(ConnectionResetError):
        while data := peer.recv(READ):
            got += len(data)
    assert got < sent


def test_a_peer_that_resets_is_done_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    loop, done = JumpingLoop(), list[str]()
    parting(loop, ours, done)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    wait_until_done(loop, done)
    assert loop.empty


def test_after_stop_nobody_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    loop, done = JumpingLoop(), list[str]()
    parting(loop, ours, done).stop()
    peer.close()
    loop.run_out()
    assert done == []
    assert loop.empty


def test_what_arrives_is_thrown_away_a_bounded_part_at_a_time() -> None:
    class Endless:
        reads = 0

        def recv(self, size: int, flags: int = 0) -> bytes:
            self.reads += 1
            return bytes(size)

    flood = Endless()
    assert not discard(flood)  # type: ignore[arg-type]
    assert flood.reads == TURNS


def test_goodbye_to_somebody_who_is_gone_is_no_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with contextlib.suppress(OSError):
        while True:
            ours.send(b"x")
    say_goodbye(ours)
    assert discard(ours)
