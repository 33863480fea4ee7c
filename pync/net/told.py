"""A connection whose other end is not the one that the system knows: a proxy has told who the client is.

A socket like this names the client as its peer, as if the client had connected by itself. Which proxies may tell
such a thing is decided where connections are accepted.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.wire.proxyheader import Told


class ToldSocket(socket.socket):
    """The same connection as `sock`, which is detached; `address` is the sockaddr that its peer has from now on."""

    __slots__ = ("_address",)

    def __init__(self, sock: socket.socket, address: Any) -> None:
        family, kind, protocol = sock.family, sock.type, sock.proto
        super().__init__(family, kind, protocol, fileno=sock.detach())
        self.setblocking(False)
        self._address = address

    def getpeername(self) -> Any:
        return self._address


def told_sockaddr(told: Told) -> Any:
    """The client's sockaddr, a path where it is one; None where the proxy speaks for itself or does not know."""
    if told.local or told.source is None or not told.source[0]:
        return None
    host, port = told.source
    if told.unix or ":" not in host:
        return host if told.unix else (host, port)
    import ipaddress

    mapped = ipaddress.IPv6Address(host).ipv4_mapped  # told by a listener of both families
    return (host, port, 0, 0) if mapped is None else (str(mapped), port)
