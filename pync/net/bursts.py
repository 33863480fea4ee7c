"""Many datagrams at a time: room for those that arrive, several in one system call, and how many were dropped.

All of it is Linux's (udp(7), socket(7)); elsewhere, and where a kernel refuses, each function says so and the
datagrams go one by one. Who talks to whom is `net.datagram`'s.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pync.plan import SocketSettings

LINUX = sys.platform == "linux"
#: Constants that Python does not export: asm-generic/socket.h, linux/udp.h, linux/sock_diag.h.
SO_RCVBUFFORCE, SO_MEMINFO = 33, 55
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
SK_MEMINFO_VARS, SK_MEMINFO_DROPS = 9, 8
#: Bytes that may wait for us. Measured: a loaded machine lets us wait for the processor for a tenth of a second.
ROOM = 32 << 20
#: Datagrams in one call: more is refused (UDP_MAX_SEGMENTS).
MOST_SEGMENTS = 64
#: What a kernel, an interface or an address says that takes one datagram a call only.
NOT_SEGMENTED = (errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP)


def make_room(sock: socket.socket, settings: SocketSettings) -> None:
    """Have as many datagrams wait for us as the system lets them, unless -I says how many."""
    if settings.recv_buffer is not None or sock.family == socket.AF_UNIX:
        return
    for name in (SO_RCVBUFFORCE if LINUX else socket.SO_RCVBUF, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, name, ROOM)
        except OSError:  # no rights to exceed the system's limit, or a system that refuses instead of capping
            continue
        return


def join_received(sock: socket.socket) -> None:
    """Have datagrams of one sender, which are equally long, arrive joined: for where their borders do not matter."""
    if LINUX and sock.family != socket.AF_UNIX:
        try:
            sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        except OSError:  # before Linux 5.0
            return


def dropped(sockets: Iterable[socket.socket]) -> int:
    """Datagrams that the system threw away because a buffer of ours was full; 0 where it does not say.

    Read once, at the end. SO_RXQ_OVFL tells the same number with each datagram, but not those after the last one.
    """
    return sum(_dropped(sock) for sock in sockets)


def _dropped(sock: socket.socket) -> int:
    if not LINUX or sock.family == socket.AF_UNIX:
        return 0
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS)
    except OSError:
        return 0
    numbers = struct.unpack(f"@{len(told) // 4}I", told)
    return int(numbers[SK_MEMINFO_DROPS]) if len(numbers) > SK_MEMINFO_DROPS else 0


def send_segments(sock: socket.socket, data: memoryview, size: int, ancillary: list[Any], *address: Any) -> int:
    """Send datagrams of `size` bytes each, the last one may be shorter, in one call; the bytes sent.

    Raises:
        OSError: with one of NOT_SEGMENTED where they must go one by one.
    """
    return sock.sendmsg([data], [*ancillary, (SOL_UDP, UDP_SEGMENT, struct.pack("@H", size))], 0, *address)
