"""Groups: hearing one, and through which interface we send to one (ip(7), ipv6(7), RFC 3678).

A listener that binds a group's address also joins it, because otherwise the network does not bring its
datagrams. What is said to a group, and by whom, does not belong here.
"""

from __future__ import annotations

import errno
import socket
import struct

from pync.errors import NETWORK, USAGE, Fault, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.net.resolve import Address
    from pync.plan import SocketSettings

#: Python does not export it everywhere; the number is that of Linux and the BSDs.
IP_ADD_MEMBERSHIP = getattr(socket, "IP_ADD_MEMBERSHIP", 35)


def is_group(address: Address) -> bool:
    """Whether datagrams to the address go to all who have joined (RFC 1112, RFC 4291)."""
    if address.family == socket.AF_INET6:
        return address.host.lower().startswith("ff")
    return address.family == socket.AF_INET and 224 <= int(address.host.partition(".")[0]) <= 239


def join(sock: socket.socket, address: Address, settings: SocketSettings) -> None:
    """Join the group on --interface, or the one of its zone, or the one that the system picks.

    Raises:
        Fault: there is no such interface, or none to the group.
    """
    index = interface(address, settings)
    try:
        if address.family == socket.AF_INET6:
            group = socket.inet_pton(address.family, address.host.partition("%")[0])
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        else:
            group = socket.inet_pton(address.family, address.host)
            sock.setsockopt(socket.IPPROTO_IP, IP_ADD_MEMBERSHIP, _on_interface(group, index))
    except OSError as error:
        hint = " (--interface says on which network)" if error.errno == errno.ENODEV and not index else ""
        raise Fault(f"join {address.host}: {reason(error)}{hint}", NETWORK) from None


def send_through(sock: socket.socket, address: Address, settings: SocketSettings) -> None:
    """Have what the socket sends to the group leave through --interface.

    Raises:
        Fault: there is no such interface.
    """
    index = interface(address, settings)
    if not index:
        return
    if address.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _on_interface(bytes(4), index))


def interface(address: Address, settings: SocketSettings) -> int:
    """The number of the interface that --interface, or the address's zone, names; 0: none."""
    if settings.interface is None:
        sockaddr: Any = address.sockaddr
        return int(sockaddr[3]) if address.family == socket.AF_INET6 else 0
    try:
        return socket.if_nametoindex(settings.interface)
    except OSError as error:
        raise Fault(f"--interface {settings.interface}: {reason(error)}", USAGE) from None


def _on_interface(group: bytes, index: int) -> bytes:
    """A struct ip_mreqn: the group, no address of ours, the interface."""
    return struct.pack("@4s4xi", group, index)
