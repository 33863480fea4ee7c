"""Plain listen mode: bind, wait for a connection, relay it; with -k the next one after it.

The sockets are `net.listen`'s, the relay `engine.relay`'s: here is the waiting, and the messages.
"""

from __future__ import annotations

import errno
import socket
import time

from pync.engine.loop import Loop
from pync.engine.relay import Relay
from pync.errors import TIMEOUT, Fault
from pync.net.dial import remaining
from pync.net.listen import Listener, listen, write_port_file
from pync.net.resolve import show_host
from pync.net.unixpath import BoundPath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.engine.console import Console
    from pync.options import Options
    from pync.wire.address import Target

#: A plain listener takes one connection: whoever comes second is better refused than kept waiting.
BACKLOG_ONE = 1
BACKLOG_MANY = 128


def run_listener(target: Target, options: Options, console: Console) -> int:
    """Listen, take one connection (with -k one after another), relay; returns the exit code."""
    started = time.monotonic()
    relay = Relay(options, console)
    own = BoundPath()
    try:
        listener = open_listener(target, options, console, own)
        try:
            return _serve(listener, options, console, relay, started)
        finally:
            listener.close()
    finally:
        own.remove()
        relay.close()


def _serve(listener: Listener, options: Options, console: Console, relay: Relay, started: float) -> int:
    while True:
        sock = _accept(listener, remaining(options, started))
        if not options.keep_open:
            listener.close_sockets()
        code = relay.run(sock, _peer_name(sock, console), total=remaining(options, started))
        if not options.keep_open or relay.output_gone:
            return code


def open_listener(target: Target, options: Options, console: Console, own: BoundPath) -> Listener:
    """Bind, say where, write the port file: all of it before anybody can be accepted."""
    backlog = BACKLOG_MANY if options.keep_open else BACKLOG_ONE
    listener = listen(target, options, backlog, console.note, own)
    say_bound(listener, target, options, console)
    if options.port_file is not None:
        try:
            write_port_file(options.port_file, listener)
        except Fault:
            listener.close()
            raise
    return listener


def say_bound(listener: Listener, target: Target, options: Options, console: Console) -> None:
    """A line for each address; without -v too where the system picked the port."""
    tell = console.say if target.ports == [0] else console.note
    for address in listener.addresses():
        if address.family == socket.AF_UNIX:
            tell(f"Bound on {address.host}")
            if not options.udp:
                tell(f"Listening on {address.host}")
        else:
            tell(f"{'Bound' if options.udp else 'Listening'} on {address.host} {address.port}")


def _accept(listener: Listener, limit: float | None) -> socket.socket:
    """Wait for a connection on any of the sockets.

    Raises:
        Fault: with code 3, when `limit` seconds have passed.
    """
    accepted: list[socket.socket] = []
    loop = Loop()

    def ready(sock: socket.socket) -> None:
        if not accepted:
            connection = _take(sock)
            if connection is not None:
                accepted.append(connection)
                loop.stop()

    for sock in listener.sockets:
        loop.add_reader(sock.fileno(), ready, sock)
    if limit is not None:
        loop.call_at(loop.time() + limit, loop.stop)
    try:
        loop.run()
    finally:
        loop.close()
    if not accepted:
        raise Fault("no connection in time: timed out", TIMEOUT)
    return accepted[0]


def _take(sock: socket.socket) -> socket.socket | None:
    """The connection, or None where the client is gone again before we came (accept(2))."""
    try:
        connection, _ = sock.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    except OSError as error:
        if error.errno == errno.EPROTO:
            return None
        raise
    connection.setblocking(False)
    return connection


def _peer_name(connection: socket.socket, console: Console) -> str:
    if connection.family == socket.AF_UNIX:
        path = show_host(connection.getsockname())
        console.note(f"Connection received on {path}")
        return f"client of {path}"
    try:
        peer = connection.getpeername()
    except OSError:  # gone already: reading will tell
        return "client"
    host = show_host(peer)
    console.note(f"Connection received on {host} {peer[1]}")
    return f"{host} port {peer[1]}"
