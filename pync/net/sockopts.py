"""Socket options from the command line: buffers, TOS, TTL, keepalive, broadcast, interface.

A table says which option sets what at which level; the one function walks it. Platforms differ:
where a constant is missing the option is an error that names it, never silently dropped.
"""

from __future__ import annotations

import socket
import sys

from pync.errors import USAGE, Fault, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.plan import SocketSettings

#: Constants that Python does not export: ip(7), ipv6(7), FreeBSD and OpenBSD netinet/in.h.
IP_MINTTL = {"linux": 21, "freebsd": 66, "openbsd": 32}
IPV6_MINHOPCOUNT = {"linux": 73, "openbsd": 65}

_Setting = tuple[str, int, "int | None", "int | bytes"]


def apply(sock: socket.socket, settings: SocketSettings) -> None:
    """Set on `sock` all that the command line asks for. Call it before bind or connect.

    Raises:
        Fault: with code 2, naming the option that this system refuses or lacks.
    """
    for spelling, level, name, value in _settings(sock, settings):
        if name is None:
            raise Fault(f"{spelling} is not available on this system", USAGE)
        try:
            sock.setsockopt(level, name, value)
        except OSError as error:
            raise Fault(f"{spelling}: {reason(error)}", USAGE) from None


def check_presence(sock: socket.socket) -> None:
    """Let the system find out within two minutes when a peer that has ended its data is not there any more.

    A peer that closed, and not only half-closed, answers a probe with a reset once its own system has
    forgotten the connection (tcp_fin_timeout, tcp(7)).
    """
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _settings(sock: socket.socket, settings: SocketSettings) -> Iterator[_Setting]:
    """(spelling, level, name, value) for each option given."""
    if settings.recv_buffer is not None:
        yield "--recv-buffer", socket.SOL_SOCKET, socket.SO_RCVBUF, _int(settings.recv_buffer)
    if settings.send_buffer is not None:
        yield "--send-buffer", socket.SOL_SOCKET, socket.SO_SNDBUF, _int(settings.send_buffer)
    if settings.debug:
        yield "--debug-socket", socket.SOL_SOCKET, socket.SO_DEBUG, 1
    if settings.broadcast:
        yield "--broadcast", socket.SOL_SOCKET, socket.SO_BROADCAST, 1
    if settings.interface is not None:
        name = getattr(socket, "SO_BINDTODEVICE", 25 if sys.platform == "linux" else None)
        yield "--interface", socket.SOL_SOCKET, name, settings.interface.encode() + b"\0"
    yield from _ip_settings(sock, settings)
    yield from _keepalive_settings(settings)


def _ip_settings(sock: socket.socket, settings: SocketSettings) -> Iterator[_Setting]:
    six = sock.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    if settings.tos is not None:
        yield "--tos", level, getattr(socket, "IPV6_TCLASS", None) if six else socket.IP_TOS, settings.tos
    if settings.ttl is not None:
        yield "--ttl", level, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, settings.ttl
        if sock.type == socket.SOCK_DGRAM:  # to a group another limit applies, which is 1 by default
            yield "--ttl", level, socket.IPV6_MULTICAST_HOPS if six else socket.IP_MULTICAST_TTL, settings.ttl
    if settings.min_ttl is not None:
        yield "--min-ttl", level, (IPV6_MINHOPCOUNT if six else IP_MINTTL).get(sys.platform), settings.min_ttl


def _keepalive_settings(settings: SocketSettings) -> Iterator[_Setting]:
    if settings.keepalive or settings.keepalive_times:
        yield "--keepalive", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    names = (idle, getattr(socket, "TCP_KEEPINTVL", None), getattr(socket, "TCP_KEEPCNT", None))
    for name, value in zip(names, settings.keepalive_times or (), strict=False):
        yield "--keepalive-times", socket.IPPROTO_TCP, name, int(value)


def _int(size: int) -> int:
    """What fits the C int of SO_RCVBUF; the kernel caps it further (socket(7))."""
    return min(size, 0x7FFFFFFF)
