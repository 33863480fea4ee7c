"""The other end of datagrams: through which socket, at which address, and how several leave for it at once.

Which peer is the present one, and what fails on the way, is `net.datagram`'s; a listener's many are `net.peers`'.
"""

from __future__ import annotations

import socket

from pync.net import bursts, pktinfo
from pync.net.resolve import show_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Peer:
    """Whom we talk to: through which socket, to which address (None: the socket is connected), and
    from which of our own addresses, as an ancillary message."""

    __slots__ = ("address", "ancillary", "name", "segmented", "sock")

    def __init__(self, sock: socket.socket, address: Any, name: str, ancillary: list[Any] | None = None) -> None:
        self.sock = sock
        self.address = address
        self.name = name
        self.ancillary = ancillary or []
        self.segmented = bursts.LINUX and sock.family != socket.AF_UNIX

    @property
    def local(self) -> Any:
        """The address of ours that the peer writes to."""
        bound = self.sock.getsockname()
        host = pktinfo.local_host(self.ancillary)
        return (host, *bound[1:]) if host else bound

    def send(self, data: memoryview, size: int | None = None) -> int:
        """Send datagrams of `size` bytes, all in one call where that can be, else the first of them; bytes sent."""
        if size is not None and len(data) > size and self.segmented:
            try:
                address = () if self.address is None else (self.address,)
                return bursts.send_segments(self.sock, data, size, self.ancillary, *address)
            except OSError as error:
                if error.errno not in bursts.NOT_SEGMENTED:
                    raise
                self.segmented = False
        return self._send_one(data[:size])

    def _send_one(self, data: memoryview) -> int:
        if self.address is None:
            return self.sock.send(data)
        if self.ancillary:
            return self.sock.sendmsg([data], self.ancillary, 0, self.address)
        return self.sock.sendto(data, self.address)


def peer_name(sock: socket.socket, address: Any) -> str:
    """A peer for sentences."""
    host = show_host(address)
    return host if sock.family == socket.AF_UNIX else f"{host} port {address[1]} (udp)"


def shown_peer(sock: socket.socket, address: Any) -> str:
    """A peer for announcements, `127.0.0.1 53412`; a unix socket need not have an address."""
    return show_host(address or "") if sock.family == socket.AF_UNIX else f"{show_host(address)} {address[1]}"
