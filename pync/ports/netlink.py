"""Every socket of this machine from Linux's sock_diag(7): states, queues with their limits, V6ONLY.

/proc/net/tcp has neither the limit of a listener's queue nor V6ONLY, and takes three times as long to read.
sock_diag needs no privileges. It gives the inode of a socket; `owners` finds the processes. Of tens of thousands
of connections, only those of a wanted port are decoded.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

from pync.ports import records
from pync.ports.records import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# linux/netlink.h, linux/sock_diag.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST_DUMP = 0x301
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port: struct nlmsghdr
ATTRIBUTE = struct.Struct("=HH")  # length, type: struct nlattr
ALL_STATES = 0xFFFFFFFF

# linux/inet_diag.h: struct inet_diag_req_v2 is the first five fields and an empty inet_diag_sockid.
INET_REQUEST = struct.Struct("=BBBBI48x")
INET_IDS = struct.Struct("!BBxxHH16s16s4s")  # family, state, ports, addresses, interface: struct inet_diag_msg
INET_PORT = slice(4, 6)  # the local one, within INET_IDS
INET_COUNTS = struct.Struct("=IIII")  # receive queue, send queue, uid, inode
INET_COUNTS_AT, INET_SIZE = 56, 72
INET_DIAG_SKV6ONLY = 11
MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, RFC 4291 section 2.5.5.2

# linux/unix_diag.h
UNIX_REQUEST = struct.Struct("=BBHIIIII")
UNIX_IDS = struct.Struct("=BBBxI8x")  # family, type, state, inode: struct unix_diag_msg
UNIX_SHOW_NAME, UNIX_SHOW_RQLEN, UNIX_SHOW_UID = 0x01, 0x10, 0x40
UNIX_NAME, UNIX_RQLEN, UNIX_UID = 0, 4, 7
UNIX_TYPES = {
    socket.SOCK_STREAM: records.UNIX_STREAM,
    socket.SOCK_DGRAM: records.UNIX_DATAGRAM,
    socket.SOCK_SEQPACKET: records.UNIX_SEQPACKET,
}

#: net/tcp_states.h. Since Linux 6.8, a TCP socket that is only bound is reported as CLOSE.
STATES = {
    1: records.ESTABLISHED,
    2: records.OTHER,  # SYN_SENT
    3: records.SYN_RECV,
    4: records.FIN_WAIT,
    5: records.FIN_WAIT,
    6: records.TIME_WAIT,
    7: records.BOUND,
    8: records.CLOSE_WAIT,
    9: records.OTHER,  # LAST_ACK
    10: records.LISTENING,
    11: records.OTHER,  # CLOSING
    12: records.SYN_RECV,
    13: records.BOUND,
}
INET_PROTOCOLS = {records.TCP: socket.IPPROTO_TCP, records.UDP: socket.IPPROTO_UDP}


def sockets(protocols: tuple[str, ...], ports: Collection[int] | None = None) -> list[Socket]:
    """All sockets of these protocols with one of these local ports, in this process's network namespace.

    None for `ports` means the bound ports; connections from other ports are then left out.

    Raises:
        OSError: the system is not Linux, or refuses (a sandbox, a kernel without the module).
    """
    if not sys.platform.startswith("linux"):
        raise OSError("sock_diag is Linux's")
    found: list[Socket] = []
    for protocol in protocols:
        if protocol in INET_PROTOCOLS:
            found.extend(_inet(protocol, ports))
    if any(protocol in records.UNIX for protocol in protocols):
        found.extend(entry for entry in _unix() if entry.protocol in protocols)
    return found


def _inet(protocol: str, ports: Collection[int] | None) -> list[Socket]:
    messages = [
        message
        for family in (socket.AF_INET, socket.AF_INET6)
        for message in _dump(INET_REQUEST.pack(family, INET_PROTOCOLS[protocol], 0, 0, ALL_STATES))
    ]
    if ports is None:
        packed = {message[INET_PORT] for message in messages if STATES.get(message[1]) in records.HELD}
    else:
        packed = {port.to_bytes(2, "big") for port in ports}
    return [_inet_socket(protocol, message) for message in messages if message[INET_PORT] in packed]


def _inet_socket(protocol: str, message: bytes) -> Socket:
    family, state, port, peer_port, address, peer_address, interface = INET_IDS.unpack_from(message)
    waiting, limit, uid, inode = INET_COUNTS.unpack_from(message, INET_COUNTS_AT)
    name = STATES.get(state, records.OTHER)
    entry = Socket(
        protocol,
        _address(family, address) + (_interface(interface) if interface != bytes(4) else ""),
        port,
        name,
        peer=(_address(family, peer_address), peer_port),
        inode=inode,
        uid=uid,
    )
    if name is records.LISTENING:
        entry.queue = (waiting, limit)
    if family == socket.AF_INET6 and address == bytes(16):
        entry.dual_stack = _attributes(message, INET_SIZE).get(INET_DIAG_SKV6ONLY) == b"\0"
    return entry


def _address(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    if packed.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def _interface(index: bytes) -> str:
    number = int.from_bytes(index, sys.byteorder)
    try:
        return f"%{socket.if_indextoname(number)}"
    except OSError:  # the interface has been removed
        return f"%{number}"


def _unix() -> Iterator[Socket]:
    show = UNIX_SHOW_NAME | UNIX_SHOW_RQLEN | UNIX_SHOW_UID
    for message in _dump(UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, ALL_STATES, 0, show, 0, 0)):
        attributes = _attributes(message, UNIX_IDS.size)
        _, type_, state, inode = UNIX_IDS.unpack_from(message)
        if UNIX_NAME in attributes and type_ in UNIX_TYPES:
            yield _unix_socket(UNIX_TYPES[type_], state, inode, attributes)


def _unix_socket(protocol: str, state: int, inode: int, attributes: dict[int, bytes]) -> Socket:
    # A datagram socket with a connected peer is reported as ESTABLISHED, but it is bound as well.
    name = records.BOUND if protocol == records.UNIX_DATAGRAM else STATES.get(state, records.OTHER)
    entry = Socket(protocol, path_text(attributes[UNIX_NAME]), 0, name, inode=inode)
    if name is records.LISTENING and UNIX_RQLEN in attributes:
        waiting, limit = struct.unpack("=II", attributes[UNIX_RQLEN])
        entry.queue = (waiting, limit)
    if UNIX_UID in attributes:
        (entry.uid,) = struct.unpack("=I", attributes[UNIX_UID])
    return entry


def path_text(name: bytes) -> str:
    """The path as text; an abstract name begins with @ (unix(7))."""
    if name.startswith(b"\0"):
        return "@" + os.fsdecode(name[1:])
    return os.fsdecode(name.rstrip(b"\0"))


def _attributes(message: bytes, start: int) -> dict[int, bytes]:
    found = {}
    while start + ATTRIBUTE.size <= len(message):
        length, kind = ATTRIBUTE.unpack_from(message, start)
        if length < ATTRIBUTE.size:
            break
        found[kind] = message[start + ATTRIBUTE.size : start + length]
        start += _aligned(length)
    return found


def _dump(request: bytes) -> Iterator[bytes]:
    """Send the request for a table, and yield each message of the answer without its header."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as link:
        size = HEADER.size + len(request)
        link.send(HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + request)
        while True:
            data = link.recv(1 << 16)
            start = 0
            while start + HEADER.size <= len(data):
                length, kind, *_ = HEADER.unpack_from(data, start)
                body = data[start + HEADER.size : start + length]
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    _check(body)
                    return
                yield body
                start += max(_aligned(length), HEADER.size)


def _check(body: bytes) -> None:
    """Raise the error in the last message of an answer: 0 or a negative errno (netlink(7))."""
    code = -int(struct.unpack_from("=i", body)[0]) if body else 0
    if code:
        raise OSError(code, os.strerror(code))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
