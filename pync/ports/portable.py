"""Every socket of this machine from psutil: for systems other than Linux, and where sock_diag is refused.

psutil knows neither queues nor whether an IPv6 socket takes IPv4 too. On some systems only root may see the
sockets of other users; these are then missing. `collect` filters the result.
"""

from __future__ import annotations

import socket

from pync.errors import Fault
from pync.ports import records
from pync.ports.records import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: psutil's names of states; all others are OTHER. A socket without a state is bound, or has a peer.
STATES = {
    "ESTABLISHED": records.ESTABLISHED,
    "SYN_RECV": records.SYN_RECV,
    "FIN_WAIT1": records.FIN_WAIT,
    "FIN_WAIT2": records.FIN_WAIT,
    "TIME_WAIT": records.TIME_WAIT,
    "CLOSE": records.BOUND,
    "CLOSE_WAIT": records.CLOSE_WAIT,
    "LISTEN": records.LISTENING,
}
UNIX_TYPES = {
    int(socket.SOCK_STREAM): records.UNIX_STREAM,
    int(socket.SOCK_DGRAM): records.UNIX_DATAGRAM,
    int(getattr(socket, "SOCK_SEQPACKET", 5)): records.UNIX_SEQPACKET,
}
INET_TYPES = {int(socket.SOCK_STREAM): records.TCP, int(socket.SOCK_DGRAM): records.UDP}
MAPPED = "::ffff:"


def sockets(protocols: tuple[str, ...]) -> list[Socket]:
    """All sockets of these protocols that psutil can see.

    Raises:
        Fault: the system does not list any sockets.
    """
    import psutil

    kind = "unix" if any(protocol in records.UNIX for protocol in protocols) else "inet"
    try:
        connections: Iterable[Any] = psutil.net_connections(kind)
    except psutil.AccessDenied:
        connections = _own(kind)
    except (psutil.Error, OSError, RuntimeError, NotImplementedError) as error:
        raise Fault(f"the system does not tell of its sockets: {error}") from None
    return merged(connections, protocols)


def _own(kind: str) -> Iterable[Any]:
    """The sockets of the processes that we may read; macOS shows the others to root only."""
    import psutil

    for process in psutil.process_iter():
        look = getattr(process, "net_connections", None) or process.connections  # before psutil 6
        try:
            for connection in look(kind):
                yield (*connection[:6], process.pid)
        except (psutil.Error, OSError, RuntimeError):
            continue


def merged(connections: Iterable[Any], protocols: tuple[str, ...]) -> list[Socket]:
    """One entry for each socket, because psutil lists a socket once for each process that has inherited it."""
    found: dict[tuple[Any, ...], Socket] = {}
    for _, _, type_, local, remote, status, pid in connections:
        entry = _entry(type_, local, remote, status)
        if entry is None or entry.protocol not in protocols:
            continue
        key = (entry.protocol, entry.address, entry.port, entry.peer, entry.state)
        known = found.setdefault(key, entry)
        if pid is not None and pid not in known.pids:
            known.pids = (*known.pids, pid)
    return list(found.values())


def _entry(type_: int, local: Any, remote: Any, status: str) -> Socket | None:
    """The record of a socket; None for a socket without an address."""
    if not local:
        return None
    if isinstance(local, str):
        protocol = UNIX_TYPES.get(int(type_))
        return Socket(protocol, local, 0, records.BOUND) if protocol else None
    address = _plain(local[0])
    state = STATES.get(status, records.OTHER) if status != "NONE" else records.ESTABLISHED if remote else records.BOUND
    dual_stack = None if address == "::" else False
    peer = (_plain(remote[0]), remote[1]) if remote else ("", 0)
    return Socket(INET_TYPES[int(type_)], address, local[1], state, peer=peer, dual_stack=dual_stack)


def _plain(address: str) -> str:
    """`::ffff:192.0.2.1` → `192.0.2.1`."""
    return address[len(MAPPED) :] if address.startswith(MAPPED) and "." in address else address
