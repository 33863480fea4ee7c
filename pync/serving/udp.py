"""Datagram mode: a client that tries address after address, a listener that hears everyone.

The sockets and their peers are `net.datagram`'s, the relaying `handlers.stdio`'s: here is who is
opened, what is said, and how it begins.
"""

from __future__ import annotations

import socket
import time

from pync.engine.session import Policy
from pync.errors import NETWORK, OK
from pync.handlers.stdio import Relay
from pync.net.datagram import (
    Datagrams,
    DatagramSink,
    DatagramSource,
)
from pync.net.dial import remaining
from pync.net.dial_datagrams import dial_target, listening_datagrams
from pync.net.endpoint import PIPE, TTY, PipeEndpoint
from pync.net.loop import Loop
from pync.net.packets import PacketSource
from pync.net.peer import Peer
from pync.net.resolve import show_address, show_host
from pync.net.unixpath import BoundPath
from pync.serving.listening import Listening
from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.console import Console
    from pync.engine.flow import Flow
    from pync.plan import Plan
    from pync.wire.address import Target

#: Seconds of silence after our input that end a session (-q, or -w, says otherwise).
SILENCE = 1.0


class DatagramRelay(Relay):
    """Joins datagrams to the standard streams."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self._held_input: Flow | None = None

    def run_datagrams(self, datagrams: Datagrams, name: str, *, total: float | None, waiting: bool) -> int:
        """Relay datagrams until our input and then the peer are silent; closes the sockets.

        `waiting` says that there is no peer yet: our input is left alone until `peer_known`.
        Returns the exit code: 1 where the only thing heard of the peer was a refusal, or where
        something could not be sent.
        """
        loop = Loop()
        source = DatagramSource(datagrams, many=not self.plan.borders)
        sink = DatagramSink(datagrams, self.plan.pipeline.datagram_size, alone=self.plan.pipeline.rate is not None)
        if isinstance(self.input, PipeEndpoint) and self.input.kind == PIPE and not self.plan.pipeline.by_read:
            self.input = PacketSource(self.input, sink)
        down = self.downward(loop, source, [Attribution(self, datagrams)] if self.plan.pipeline.by_peer else [])
        up = self.upward(loop, sink)
        self._held_input = up if waiting else None
        if self._held_input:
            self._held_input.hold()
        session = self.session(loop, source, up, down, self._policy(total), name)
        try:
            code = self.converse(loop, session, unsent=lambda: datagrams.unsent)
            if up is not None and not up.moved and not self.plan.serving.listen:
                self.console.note("nothing was sent: our input was empty")
        finally:
            loop.close()
            self.console.dropped(datagrams.dropped())
            source.close()
        return NETWORK if code == OK and (datagrams.refused or datagrams.unsent) else code

    def meet(self, peer: Peer) -> None:
        """Tell the outcome of a peer; one through a connected socket has its address there."""
        self.console.outcome.met(peer.name, peer.sock.getpeername() if peer.address is None else peer.address)

    def peer_known(self) -> None:
        """The first datagram has come to a listener: now there is somebody to send our input to."""
        if self._held_input is not None:
            self._held_input.release()
            self._held_input = None

    def _policy(self, total: float | None) -> Policy:
        plan = self.plan
        patience = SILENCE if plan.limits.silence is None else plan.limits.silence
        if self.input is not None and self.input.kind == TTY:
            patience = -1.0
        explicit = plan.ends.quit_after is not None and plan.ends.quit_after >= 0
        return Policy(
            half_close=False,
            hold_empty=plan.serving.listen and not explicit,
            end_absent=explicit and plan.ends.reads_input,
            quit_after=patience if plan.ends.quit_after is None else plan.ends.quit_after,
            by_silence=True,
            awaits_peer=plan.serving.listen,
            send_only=plan.ends.send_only,
            idle=plan.limits.idle,
            total=total,
        )


class Attribution:
    """A stage before all others, which tells the relay whose datagram is at hand."""

    def __init__(self, relay: DatagramRelay, datagrams: Datagrams) -> None:
        self._relay = relay
        self._datagrams = datagrams
        self._peer: Peer | None = None

    def feed(self, data: bytes) -> bytes:
        peer = self._datagrams.peer
        if peer is not None and peer is not self._peer:
            self._peer = peer
            address = peer.sock.getpeername() if peer.address is None else peer.address
            self._relay.at_hand(show_address(address))
        return data

    def end(self) -> bytes:
        return b""


def run_udp(target: Target, plan: Plan, console: Console) -> int:
    """Exchange datagrams with the target, or with whoever sends to it; returns the exit code."""
    if plan.serving.listen:
        return _listen(Listening(target, plan, console))
    started = time.monotonic()
    relay = DatagramRelay(plan, console)
    try:
        return _converse(target, plan, console, relay, started)
    finally:
        relay.close()


def _converse(target: Target, plan: Plan, console: Console, relay: DatagramRelay, started: float) -> int:
    own = BoundPath()
    try:
        datagrams = dial_target(target, plan, own, console.fail)
        assert datagrams.peer is not None
        name = datagrams.peer.name
        console.note(f"Sending to {name}", "connected", datagrams.peer.address or datagrams.peer.sock.getpeername())
        relay.meet(datagrams.peer)
        return relay.run_datagrams(datagrams, name, total=remaining(plan, started), waiting=False)
    finally:
        own.remove()


def _listen(listening: Listening) -> int:
    relay = DatagramRelay(listening.plan, listening.console)
    try:
        with listening:
            return _hear_everyone(listening, relay)
    finally:
        relay.close()


def _hear_everyone(listening: Listening, relay: DatagramRelay) -> int:
    console, tally = listening.console, Tally(lambda: [relay])
    listening.count(tally)

    def received(peer: Peer) -> None:
        tally.come()
        relay.meet(peer)
        port = "" if peer.sock.family == socket.AF_UNIX else f" {peer.address[1]}"
        console.note(f"Connection received on {show_host(peer.address)}{port}", "connected", peer.address)
        relay.peer_known()

    def admits(address: Any) -> bool:
        return not listening.turned_away(address)

    datagrams = listening_datagrams(listening.sockets, console.fail, received, admits if listening.admits else None)
    return relay.run_datagrams(datagrams, "listener", total=listening.remaining(), waiting=True)
