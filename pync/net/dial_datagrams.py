"""Opening the sockets of a conversation by datagrams: for each address of a host, a unix path, or a listener's.

What is said through them, and what fails on the way, is `net.datagram`'s.
"""

from __future__ import annotations

import errno
import socket

from pync.errors import UsageFault, reason
from pync.net import bursts, multicast
from pync.net.datagram import Datagrams
from pync.net.dial import candidates, dial_unix, opener
from pync.net.peer import Peer
from pync.net.race import DialFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.race import Failure, Opener
    from pync.net.resolve import Address
    from pync.net.unixpath import BoundPath
    from pync.plan import Plan
    from pync.wire.address import Target


def dial_target(target: Target, plan: Plan, own: BoundPath, report: Callable[[str], None]) -> Datagrams:
    """The conversation with a target; `report` is told what fails in it. A unix socket of ours is bound to `own`.

    Raises:
        Fault: the target is not one, does not resolve, or cannot be reached.
    """
    if len(target.ports) > 1:
        raise UsageFault("-u/--udp takes one port, unless it is to be probed with -z")
    if target.path is not None:
        sock, address = dial_unix(target.path, plan, own)
        return Datagrams([sock], [Peer(sock, None, address.host)], report)
    assert target.host is not None
    return dial_datagrams(target.host, target.ports[0], plan, report)


def dial_datagrams(host: str, port: int | str, plan: Plan, report: Callable[[str], None]) -> Datagrams:
    """A socket for each address of the host that has a route; nothing is sent yet.

    Raises:
        Fault: the name does not resolve, or no address can be reached.
    """
    addresses = candidates(host, port, plan)
    open_socket = opener(plan, addresses)
    peers: list[Peer] = []
    failures: list[Failure] = []
    try:
        for address in addresses:
            try:
                peers.append(_peer_at(address, host, plan, open_socket))
            except OSError as error:
                failures.append((address, _with_hint(error)))
    except BaseException:
        for peer in peers:
            peer.sock.close()
        raise
    if not peers:
        raise DialFault(host, failures)
    return Datagrams([peer.sock for peer in peers], peers, report)


def _peer_at(address: Address, host: str, plan: Plan, open_socket: Opener) -> Peer:
    """The peer at an address of the host; an address that cannot be had leaves no socket behind."""
    sock = open_socket(address)
    try:
        return _aim(sock, address, host, plan)
    except BaseException:
        sock.close()
        raise


def _aim(sock: socket.socket, address: Address, host: str, plan: Plan) -> Peer:
    """Connect, so that refusals are heard of; but not to a group, whose members answer from their own addresses."""
    shown = host if host == address.host else f"{host} ({address.host})"
    name = f"{shown} port {address.port} (udp)"
    bursts.make_room(sock, plan.sockets)
    group = multicast.is_group(address)
    if group:
        multicast.send_through(sock, address, plan.sockets)
    if plan.sockets.broadcast or group:
        return Peer(sock, address.sockaddr, name)
    sock.connect(address.sockaddr)
    return Peer(sock, None, name)


def _with_hint(error: OSError) -> OSError:
    if error.errno == errno.EACCES:
        return OSError(error.errno, f"{reason(error)} (a broadcast address needs -b)")
    return error


def listening_datagrams(
    sockets: list[socket.socket],
    report: Callable[[str], None],
    on_peer: Callable[[Peer], None],
    admits: Callable[[Any], bool] | None = None,
) -> Datagrams:
    """The conversation of a listener: its peer is whoever sent last, of those whose sockaddr `admits` lets in."""
    return Datagrams(sockets, [], report, on_peer, admits)
