"""Opening a listener for any mode: bind, say where, write the port file, before anybody can come.

The sockets themselves are `net.listen`'s. Here is what the command line says of them, and the messages.
"""

from __future__ import annotations

import os
import socket

from pync.errors import AddressInUse, Fault
from pync.net.listen import Listener, listen, write_port_file
from pync.net.resolve import show_host
from pync.wire.address import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.net.resolve import Address
    from pync.net.unixpath import BoundPath
    from pync.plan import Plan

#: A plain listener takes one connection: whoever comes second is better refused than kept waiting.
BACKLOG_ONE = 1
#: What a server asks for; the system cuts it to its own limit (net.core.somaxconn, listen(2)).
BACKLOG_MANY = 4096
#: The port that a URL need not name (RFC 9110, 4.2.1).
HTTP_PORT = 80


def open_listener(target: Target, plan: Plan, console: Console, own: BoundPath) -> Listener:
    """Bind, write the port file, say where: all of it before anybody can be accepted.

    It is said last, so that the file is there for whoever has read the line.
    """
    listener = bind(target, plan, console, own)
    if plan.serving.port_file is not None:
        try:
            write_port_file(plan.serving.port_file, listener)
        except Fault:
            listener.close()
            raise
    say_bound(listener, target, plan, console)
    return listener


def admission_for(plan: Plan) -> Callable[[str], bool] | None:
    """Tells of an address whether it may come (--allow, --deny and their files); None where all may.

    Raises:
        Fault: a rule, a file or a name in one makes no sense.
    """
    if not plan.access.any:
        return None
    from pync.serving.admission import admission

    rules = admission(plan.access, plan.limits.connect)
    return rules.admits if rules else None


def bind(target: Target, plan: Plan, console: Console, own: BoundPath) -> Listener:
    """Bind, and say nothing of it but that a port was in use, where another one may be taken."""
    backlog = plan.serving.backlog or (BACKLOG_MANY if plan.serving.keep_open else BACKLOG_ONE)
    for port in target.ports[:-1]:
        try:
            one = Target(target.host, [port])
            return listen(one, plan, backlog, console.note, own, private=plan.work.private)
        except AddressInUse:
            console.say(f"port {port} is in use, trying the next one")
    last = Target(target.host, target.ports[-1:], target.path)
    return listen(last, plan, backlog, console.note, own, private=plan.work.private)


def say_bound(listener: Listener, target: Target, plan: Plan, console: Console) -> None:
    """A line for each address; without -v too where the system picked the port."""
    tell = console.say if target.ports == [0] else console.note
    for address in listener.addresses():
        at = address.sockaddr
        if address.family == socket.AF_UNIX:
            tell(f"Bound on {address.host}", "bound", at)
            if not plan.names.datagram:
                tell(f"Listening on {address.host}", "listening", at)
        elif plan.names.datagram:
            tell(f"Bound on {address.host} {address.port}", "bound", at)
        else:
            tell(f"Listening on {address.host} {address.port}", "listening", at)
    if target.host is None and target.path is None and plan.work.private:
        console.say("only for this machine: name a HOST, such as 0.0.0.0 or ::, to let others in")
    if plan.work.root is not None and target.path is None:
        url = _url(min(listener.addresses(), key=lambda address: address.family != socket.AF_INET))
        console.say(f"Serving {os.path.abspath(plan.work.root)} at {url}", "serving", url=url)


def _url(address: Address) -> str:
    """What to type into a browser on this machine; a wildcard stands for the loopback too."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{address.port}/" if address.port != HTTP_PORT else f"http://{shown}/"


def client_names(connection: socket.socket, peer: Any) -> tuple[str, str]:
    """A client for announcements, `127.0.0.1 53412`, and for sentences, `127.0.0.1 port 53412`."""
    if not isinstance(peer, tuple):
        path = show_host(connection.getsockname() if connection.family == socket.AF_UNIX else peer)
        return path, f"client of {path}"
    host = show_host(peer)
    return f"{host} {peer[1]}", f"{host} port {peer[1]}"
