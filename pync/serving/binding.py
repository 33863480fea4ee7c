"""Opening a listener for any mode: bind, say where, write the port file, before anybody can come.

The sockets themselves are `net.listen`'s. Here is what the command line says of them, and the messages.
"""

from __future__ import annotations

import os
import socket

from pync.errors import AddressInUse, Fault
from pync.net.listen import Listener, listen, write_port_file
from pync.net.resolve import show_host
from pync.options import PROGRAMS, any_of
from pync.wire.address import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.net.resolve import Address
    from pync.net.unixpath import BoundPath
    from pync.options import Options

#: A plain listener takes one connection: whoever comes second is better refused than kept waiting.
BACKLOG_ONE = 1
#: What a server asks for; the system cuts it to its own limit (net.core.somaxconn, listen(2)).
BACKLOG_MANY = 4096
#: The port that a URL need not name (RFC 9110, 4.2.1).
HTTP_PORT = 80


def open_listener(target: Target, options: Options, console: Console, own: BoundPath) -> Listener:
    """Bind, say where, write the port file: all of it before anybody can be accepted."""
    listener = bind(target, options, console, own)
    say_bound(listener, target, options, console)
    if options.port_file is not None:
        try:
            write_port_file(options.port_file, listener)
        except Fault:
            listener.close()
            raise
    return listener


def admission_for(options: Options) -> Callable[[str], bool] | None:
    """Tells of an address whether it may come (--allow, --deny and their files); None where all may.

    Raises:
        Fault: a rule, a file or a name in one makes no sense.
    """
    if not any_of(options, ("allow", "deny", "allowfile", "denyfile")):
        return None
    from pync.serving.admission import admission

    rules = admission(options)
    return rules.admits if rules else None


def bind(target: Target, options: Options, console: Console, own: BoundPath) -> Listener:
    """Bind, and say nothing of it but that a port was in use, where another one may be taken."""
    backlog = options.backlog or (BACKLOG_MANY if options.keep_open else BACKLOG_ONE)
    for port in target.ports[:-1]:
        try:
            one = Target(target.host, [port])
            return listen(one, options, backlog, console.note, own, private=private(options))
        except AddressInUse:
            console.say(f"port {port} is in use, trying the next one")
    last = Target(target.host, target.ports[-1:], target.path)
    return listen(last, options, backlog, console.note, own, private=private(options))


def say_bound(listener: Listener, target: Target, options: Options, console: Console) -> None:
    """A line for each address; without -v too where the system picked the port."""
    tell = console.say if target.ports == [0] else console.note
    for address in listener.addresses():
        at = address.sockaddr
        if address.family == socket.AF_UNIX:
            tell(f"Bound on {address.host}", "bound", at)
            if not options.udp:
                tell(f"Listening on {address.host}", "listening", at)
        elif options.udp:
            tell(f"Bound on {address.host} {address.port}", "bound", at)
        else:
            tell(f"Listening on {address.host} {address.port}", "listening", at)
    if target.host is None and target.path is None and private(options):
        console.say("only for this machine: name a HOST, such as 0.0.0.0 or ::, to let others in")
    if any_of(options, ("http", "http_root")) and target.path is None:
        url = _url(min(listener.addresses(), key=lambda address: address.family != socket.AF_INET))
        console.say(f"Serving {os.path.abspath(options.http_root or '.')} at {url}", "serving", url=url)


def _url(address: Address) -> str:
    """What to type into a browser on this machine; a wildcard stands for the loopback too."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{address.port}/" if address.port != HTTP_PORT else f"http://{shown}/"


def private(options: Options) -> bool:
    """Whether what is served is nothing to offer to everybody by default: programs, files."""
    return any_of(options, (*PROGRAMS, "http", "http_root"))


def client_names(connection: socket.socket, peer: Any) -> tuple[str, str]:
    """A client for announcements, `127.0.0.1 53412`, and for sentences, `127.0.0.1 port 53412`."""
    if connection.family == socket.AF_UNIX:
        path = show_host(connection.getsockname())
        return path, f"client of {path}"
    host = show_host(peer)
    return f"{host} {peer[1]}", f"{host} port {peer[1]}"
