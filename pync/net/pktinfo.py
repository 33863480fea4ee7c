"""Answering a datagram from the address it came to: IP_PKTINFO and IPV6_PKTINFO (ip(7), RFC 3542).

On a host with several addresses the kernel would pick one, and the client throws away what comes from
another than it asked. Only the two ancillary messages are known here, no peer and no session.
"""

from __future__ import annotations

import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Room for one of the messages.
ANCILLARY_SPACE = 64
#: Python exports this only from 3.12 on; the number is Linux's (ip(7)).
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8 if sys.platform == "linux" else None)
IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", None)
IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", None)


def ask_local_address(sock: socket.socket, host: str) -> None:
    """Have the kernel tell to which of our addresses a datagram came, where `host` to bind to stands for all.

    Otherwise the answer may leave from another address than the query came to, and the client
    throws it away (ip(7), RFC 3542 section 6). Before bind(2): of a datagram that is there earlier, the
    kernel does not know it any more.
    """
    settings = {
        socket.AF_INET: ("0.0.0.0", socket.IPPROTO_IP, IP_PKTINFO),
        socket.AF_INET6: ("::", socket.IPPROTO_IPV6, IPV6_RECVPKTINFO),
    }
    if sock.family not in settings:
        return
    wildcard, level, name = settings[sock.family]
    if host != wildcard or name is None:
        return
    try:
        sock.setsockopt(level, name, 1)
    except OSError:
        return  # the kernel picks the address then, as it does for every other netcat


def tells_more(sock: socket.socket) -> bool:
    """Whether a datagram may tell more than its sender: which address of ours it came to, or that it was cut."""
    return sock.family == socket.AF_UNIX or sock.getsockname()[0] in ("0.0.0.0", "::")


def answer_from(ancillary: list[Any]) -> list[Any]:
    """The ancillary message that makes an answer leave from the address the query came to."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            # struct in_pktinfo: interface, local address, destination in the header.
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO and data[0] != 0xFF:
            # struct in6_pktinfo: address, interface. Only link-local addresses need the interface.
            link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            return [(level, kind, data if link_local else data[:16] + bytes(4))]
    return []


def local_host(ancillary: list[Any]) -> str:
    """The address of ours in what `answer_from` gave; "" where there is none."""
    for level, _, data in ancillary:
        if level == socket.IPPROTO_IP:
            return socket.inet_ntop(socket.AF_INET, data[4:8])
        return socket.inet_ntop(socket.AF_INET6, data[:16])
    return ""
