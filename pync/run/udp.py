"""Datagram mode: a client that tries address after address, a listener that hears everyone.

The sockets and their peers are `net.datagram`'s, the relaying `run.relay`'s: here is who is
opened, what is said, and how it begins.
"""

from __future__ import annotations

import socket
import time

from pync.errors import UsageFault
from pync.net.datagram import Datagrams, Peer, dial_datagrams, listening_datagrams, unix_datagrams
from pync.net.dial import dial_unix
from pync.run.accept import open_listener
from pync.run.client import remaining
from pync.run.relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.options import Options
    from pync.run.console import Console
    from pync.wire.address import Target


def run_udp(target: Target, options: Options, console: Console) -> int:
    """Exchange datagrams with the target, or with whoever sends to it; returns the exit code."""
    started = time.monotonic()
    relay = Relay(options, console)
    try:
        if options.listen:
            return _listen(target, options, console, relay, started)
        if len(target.ports) > 1:
            raise UsageFault("-u/--udp takes one port")
        return _converse(target, options, console, relay, started)
    finally:
        relay.close()


def _converse(target: Target, options: Options, console: Console, relay: Relay, started: float) -> int:
    if target.path is not None:
        sock, address = dial_unix(target.path, options)
        datagrams = unix_datagrams(sock, address.host, console.fail)
    else:
        assert target.host is not None
        datagrams = dial_datagrams(target.host, target.ports[0], options, console.fail)
    assert datagrams.peer is not None
    console.note(f"Sending to {datagrams.peer.name} (udp)")
    return relay.run_datagrams(datagrams, datagrams.peer.name, total=remaining(options, started), waiting=False)


def _listen(target: Target, options: Options, console: Console, relay: Relay, started: float) -> int:
    listener = open_listener(target, options, console)

    def received(peer: Peer) -> None:
        port = "" if peer.sock.family == socket.AF_UNIX else f" {peer.address[1]}"
        console.note(f"Connection received on {peer.name}{port}")
        relay.peer_known()

    try:
        datagrams: Datagrams = listening_datagrams(listener.sockets, console.fail, received)
        return relay.run_datagrams(datagrams, "listener", total=remaining(options, started), waiting=True)
    finally:
        listener.close()
