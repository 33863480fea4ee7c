"""Listening: one v6-only socket for each address of a name, UDP, and the life of a unix socket.

Here sockets are bound and put away again. Accepting and talking happen on the floor above.
"""

from __future__ import annotations

import errno
import os
import socket

from pync.errors import NETWORK, AddressInUse, Fault, reason
from pync.net import sockopts
from pync.net.pktinfo import ask_local_address
from pync.net.resolve import Address, resolve, unix_address, wanted_family
from pync.net.unixpath import BoundPath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

    from pync.plan import Plan
    from pync.wire.address import Target

#: A family that this machine lacks is no error while another one binds.
FAMILY_MISSING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
#: Errors of accept(2) that belong to the connection that was about to come.
STILLBORN = (
    errno.ECONNABORTED, errno.EPROTO, errno.ENOPROTOOPT, errno.EPERM, errno.ETIMEDOUT,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
)  # fmt: skip
#: How many numbers are tried until one is free for both families (`-l 0`).
PORT_TRIES = 16
#: How many names are tried for the draft of a --port-file.
DRAFT_TRIES = 8


class Listener:
    """The bound sockets of one `-l`, and what must be cleaned up when they close."""

    def __init__(self, sockets: list[socket.socket], own: BoundPath) -> None:
        self.sockets = sockets
        self._own = own

    def addresses(self) -> list[Address]:
        """Where the sockets really are bound: port 0 has become a number."""
        return [Address(sock.family, sock.type, sock.getsockname()) for sock in self.sockets]

    def names(self) -> list[str]:
        """The same as the messages write them: an address and a port, or a path."""
        return [
            address.host if address.family == socket.AF_UNIX else f"{address.host} {address.port}"
            for address in self.addresses()
        ]

    def close_sockets(self) -> None:
        """Let nobody else in."""
        for sock in self.sockets:
            sock.close()

    def close(self) -> None:
        """Close the sockets; remove the unix path, if it still is ours."""
        self.close_sockets()
        self._own.remove()


def listen(
    target: Target,
    plan: Plan,
    backlog: int,
    note: Callable[[str], None],
    own: BoundPath | None = None,
    *,
    private: bool = False,
) -> Listener:
    """Bind all that `target` names; stream sockets also listen.

    Where it names no host, that is every address, or with `private` this machine's own. `note` is told of
    a family that this machine lacks. `own` keeps a unix path from the moment it
    is bound; without it the Listener does, once it is returned.

    Raises:
        Fault: code 2 where the name does not resolve or an address is in use, else 1.
    """
    if target.path is not None:
        return _listen_unix(target.path, plan, backlog, own or BoundPath())
    addresses = resolve(
        target.host,
        target.ports[0],
        family=wanted_family(plan.names),
        datagram=plan.names.datagram,
        numeric=plan.names.numeric,
        passive=not private,
        limit=plan.limits.connect,
    )
    return Listener(_bind_all(addresses, plan, backlog, note), BoundPath())


def _bind_all(addresses: list[Address], plan: Plan, backlog: int, note: Callable[[str], None]) -> list[socket.socket]:
    any_port = addresses[0].port == 0
    for last_try in [False] * (PORT_TRIES - 1) + [True]:
        try:
            return _bind_each(addresses, plan, backlog, note)
        except AddressInUse as error:
            if last_try or not any_port:
                raise
            note(f"{error.text}; trying another number")
    raise AssertionError("not reached: the last try returns or raises")


def _bind_each(addresses: list[Address], plan: Plan, backlog: int, note: Callable[[str], None]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: list[Fault] = []
    try:
        for address in addresses:
            # With port 0 the first family's number serves for the others too.
            port = address.port or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sockets.append(_bind(address, port, plan, backlog))
            except OSError as error:
                fault = _bind_fault(address, port, error)
                if error.errno not in FAMILY_MISSING:
                    raise fault from None
                missing.append(fault)
        if not sockets:
            raise missing[0]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    for fault in missing:
        note(fault.text)
    return sockets


def _bind(address: Address, port: int, plan: Plan, backlog: int) -> socket.socket:
    sock = socket.socket(address.family, address.type)
    try:
        sock.setblocking(False)
        if address.family == socket.AF_INET6:
            # Before bind, and on every system alike: 0.0.0.0 has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if address.type == socket.SOCK_STREAM:
            # For UDP, Linux would let a second listener take the port over.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if plan.sockets.reuse_port and hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sockopts.apply(sock, plan.sockets)
        host, _, *rest = address.sockaddr
        if address.type == socket.SOCK_STREAM:
            sock.bind((host, port, *rest))
            sock.listen(backlog)
        else:
            ask_local_address(sock, host)
            _bind_datagrams(sock, (host, port, *rest), address, plan)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_datagrams(sock: socket.socket, sockaddr: Any, address: Address, plan: Plan) -> None:
    from pync.net import bursts, multicast

    bursts.make_room(sock, plan.sockets)
    group = multicast.is_group(address)
    if group:  # several programs of a machine may hear the same group
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(sockaddr)
    if group:
        multicast.join(sock, address, plan.sockets)


def _bind_fault(address: Address, port: int, error: OSError) -> Fault:
    text = f"listen on {address.host} port {port} ({address.protocol}): {reason(error)}"
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(text, address.protocol, address.host, port)
    return Fault(text, NETWORK)


def _listen_unix(path: str, plan: Plan, backlog: int, own: BoundPath) -> Listener:
    address = unix_address(path, plan.names.datagram)
    sock = socket.socket(address.family, address.type)
    try:
        sock.setblocking(False)
        sockopts.apply(sock, plan.sockets)
        if path.startswith("@"):
            sock.bind(address.sockaddr)
        else:
            own.bind(sock, path)
        if address.type == socket.SOCK_STREAM:
            sock.listen(backlog)
    except OSError as error:
        sock.close()
        text = f"listen on {address.host}: {reason(error)}"
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(text, "unix-dgram" if plan.names.datagram else "unix", path, 0) from None
        raise Fault(text, NETWORK) from None
    except BaseException:
        sock.close()
        raise
    return Listener([sock], own)


def write_port_file(path: str, listener: Listener) -> None:
    """Write the bound port, a line each if they differ, so that the file is there whole or not at all.

    Raises:
        Fault: the file cannot be written.
    """
    ports = dict.fromkeys(address.port for address in listener.addresses())
    if os.path.exists(path) and not os.path.isfile(path):  # root could replace a device
        raise Fault(f"write {path}: not a regular file")
    try:
        file, draft = _draft(path)
        with file:
            try:
                file.writelines(f"{port}\n" for port in ports)
                file.flush()
                os.replace(draft, path)
            except OSError:
                os.unlink(draft)
                raise
    except OSError as error:
        raise Fault(f"write {path}: {reason(error)}") from None


def _draft(path: str) -> tuple[TextIO, str]:
    """A new file beside `path`, and its name, which no other process and no earlier run of ours has used.

    "x", because what lies in the way is not ours: it is neither written through nor removed.
    """
    for last_try in [False] * (DRAFT_TRIES - 1) + [True]:
        draft = f"{path}.{os.urandom(4).hex()}.tmp"
        try:
            return open(draft, "x", encoding="ascii"), draft
        except FileExistsError:
            if last_try:
                raise
    raise AssertionError("not reached: the last try returns or raises")
