"""Datagram sockets with the face of an endpoint: UDP and unix datagrams, as client and as listener.

A `DatagramSource` reads from one or several sockets, a `DatagramSink` writes to whom they agree is
the peer. Boundaries are kept: one read is one datagram, one write is one datagram. Whatever fails on
the way is reported and survived, as UDP wants it; when a session ends is not decided here.
"""

from __future__ import annotations

import errno
import select
import socket

from pync.errors import reason
from pync.net import multicast
from pync.net.dial import candidates, opener
from pync.net.endpoint import DATAGRAM
from pync.net.pktinfo import answer_from
from pync.net.race import DialFault
from pync.net.resolve import show_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.race import Failure, Opener
    from pync.net.resolve import Address
    from pync.options import Options

#: The most a UDP datagram over IPv4 carries: 65535 less the headers of IP and UDP (RFC 768, RFC 791).
LARGEST = 65507
ANCILLARY_SPACE = 64
#: What must be free for a datagram of any length.
SPACE = 1 << 16
#: Datagrams kept for the next address, in case the first one refuses them.
KEPT = 16
#: Senders remembered so that each is announced once.
KNOWN_PEERS = 4096

REFUSED = (errno.ECONNREFUSED, errno.ECONNRESET)


class Peer:
    """Whom we talk to: through which socket, to which address (None: the socket is connected), and
    from which of our own addresses, as an ancillary message."""

    __slots__ = ("address", "ancillary", "name", "sock")

    def __init__(self, sock: socket.socket, address: Any, name: str, ancillary: list[Any] | None = None) -> None:
        self.sock = sock
        self.address = address
        self.name = name
        self.ancillary = ancillary or []

    def send(self, data: memoryview | bytes) -> int:
        if self.address is None:
            return self.sock.send(data)
        if self.ancillary:
            return self.sock.sendmsg([data], self.ancillary, 0, self.address)
        return self.sock.sendto(data, self.address)


def _name(sock: socket.socket, address: Any) -> str:
    host = show_host(address)
    return host if sock.family == socket.AF_UNIX else f"{host} port {address[1]} (udp)"


def truncation(count: int) -> str:
    """The sentence for a datagram that found room for so many of its bytes."""
    return f"a datagram was cut to {count} bytes: it is larger than we can take"


class Datagrams:
    """The sockets of one conversation and its present peer.

    A client has a socket for each address of the host and moves on to the next when one refuses
    before anything was heard. A listener takes datagrams from everyone; its peer is the latest sender.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        peers: list[Peer],
        report: Callable[[str], None],
        on_peer: Callable[[Peer], None] | None = None,
        admits: Callable[[Any], bool] | None = None,
    ) -> None:
        self.sockets = sockets
        self.peer: Peer | None = peers[0] if peers else None
        self._others = peers[1:]
        self._report = report
        self._on_peer = on_peer
        self._admits = admits
        self._known: set[Any] = set()
        self._unanswered: list[bytes] = []
        self._reported: set[int] = set()
        self.heard = False
        self.refused = False
        self.unsent = 0  # bytes that were read from our input and could not be sent

    # --- receiving

    def admitted(self, address: Any) -> bool:
        """Whether a sender may be heard (--allow, --deny); one without an address is a unix socket's."""
        return self._admits is None or not isinstance(address, tuple) or self._admits(address)

    def received(self, sock: socket.socket, address: Any, ancillary: list[Any]) -> None:
        """A datagram has come from `address`."""
        self.heard = True
        self.refused = False
        self._unanswered.clear()
        if self._on_peer is None or not address:
            return
        if self.peer is None or self.peer.address != address or self.peer.sock is not sock:
            self.peer = Peer(sock, address, _name(sock, address), answer_from(ancillary))
            self._announce(address)

    def _announce(self, address: Any) -> None:
        if address in self._known:
            return
        if len(self._known) >= KNOWN_PEERS:
            self._known.clear()
        self._known.add(address)
        if self._on_peer and self.peer:
            self._on_peer(self.peer)

    def receive_failed(self, error: OSError) -> None:
        """An ICMP error that belongs to an earlier datagram of ours."""
        self._failed(error, 0)

    def truncated(self, count: int) -> None:
        self._report(truncation(count))

    # --- sending

    def send(self, data: memoryview) -> int | None:
        """Send one datagram to the present peer; None where the socket is full.

        A refusal that an earlier datagram met comes up here, and this one is not sent: try again.
        """
        if self.peer is None:
            return None
        try:
            return self._send_to_peer(data)
        except BlockingIOError:
            return None
        except OSError as error:
            self._failed(error, len(data))
            if error.errno in REFUSED:
                return self._send_again(data)
        return len(data)

    def _send_to_peer(self, data: memoryview | bytes) -> int:
        assert self.peer is not None
        count = self.peer.send(data)
        if self._others and not self.heard and len(self._unanswered) < KEPT:
            self._unanswered.append(bytes(data))
        return count

    def _send_again(self, data: memoryview) -> int | None:
        try:
            count: int | None = self._send_to_peer(data)
        except BlockingIOError:
            count = None
        except OSError:
            return len(data)  # reported already; the next datagram tries anew
        self.unsent -= len(data)  # sent after all, or still to be sent
        return count

    def _failed(self, error: OSError, lost: int) -> None:
        self.unsent += lost
        refused = error.errno in REFUSED
        if refused and self._others and not self.heard:
            self._move_on()
            return
        self.refused = self.refused or (refused and not self.heard)
        if error.errno in self._reported and error.errno != errno.EMSGSIZE:
            return
        self._reported.add(error.errno or 0)
        name = self.peer.name if self.peer else "peer"
        size = f"datagram of {lost} bytes: " if error.errno == errno.EMSGSIZE else ""
        self._report(f"send to {name}: {size}{reason(error)}")

    def _move_on(self) -> None:
        """The address refused and nothing was ever heard: the next one gets what was sent so far."""
        self.peer = self._others.pop(0)
        again, self._unanswered = self._unanswered, []
        for data in again:
            try:
                self._send_to_peer(data)
            except OSError as error:
                self._failed(error, len(data))
                return

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


class DatagramSource:
    """Reads a datagram from whichever socket has one. Empty datagrams are data: 0 is not the end.

    With `many`, a read takes all that are there, one behind the other, for where nobody asks for their borders.
    """

    kind = DATAGRAM
    pollable = True

    def __init__(self, datagrams: Datagrams, *, many: bool = False) -> None:
        self._datagrams = datagrams
        self._many = many
        self._sockets = list(datagrams.sockets)
        self._gathered = _gather(self._sockets) if len(self._sockets) > 1 else None
        self.fd = self._sockets[0].fileno() if len(self._sockets) == 1 else -1
        if self._gathered:
            self.fd = self._gathered.fileno()

    def read_into(self, buffer: memoryview) -> int | None:
        total = self._read_one(buffer)
        if total is None or not self._many:
            return total
        # Copying datagrams one at a time was measured at half of the rate: each costs a write.
        while len(buffer) - total >= SPACE:
            count = self._read_one(buffer[total:])
            if count is None:
                break
            total += count
        return total

    def _read_one(self, buffer: memoryview) -> int | None:
        for sock in self._sockets:
            try:
                count, ancillary, flags, address = sock.recvmsg_into([buffer], ANCILLARY_SPACE)
            except BlockingIOError:
                continue
            except OSError as error:
                self._datagrams.receive_failed(error)
                continue
            if not self._datagrams.admitted(address):
                continue  # whatever waits behind it makes the socket readable again
            if flags & socket.MSG_TRUNC:
                self._datagrams.truncated(count)
            self._datagrams.received(sock, address, ancillary)
            self._prefer(sock)
            return count
        return None

    def _prefer(self, sock: socket.socket) -> None:
        """The busy socket is asked first next time, but not twice while another waits: take turns."""
        if len(self._sockets) > 1 and self._sockets[0] is sock:
            self._sockets.append(self._sockets.pop(0))

    def write(self, data: memoryview | bytes) -> int | None:
        raise NotImplementedError("a source is not written to")

    def half_close(self) -> None:
        """Datagrams know no end."""

    def close(self) -> None:
        if self._gathered is not None:
            self._gathered.close()
        self._datagrams.close()


class DatagramSink:
    """Sends each write as one datagram of at most `largest` bytes."""

    kind = DATAGRAM
    pollable = True

    def __init__(self, datagrams: Datagrams, largest: int | None) -> None:
        self._datagrams = datagrams
        self._largest = largest

    @property
    def fd(self) -> int:
        """What to wait for; -1 where readiness tells nothing.

        An unconnected unix socket is always "writable", however full its receiver is (unix(7)).
        """
        peer = self._datagrams.peer
        if peer is None or (peer.sock.family == socket.AF_UNIX and peer.address is not None):
            return -1
        return peer.sock.fileno()

    def read_into(self, buffer: memoryview) -> int | None:
        raise NotImplementedError("a sink is not read from")

    def write(self, data: memoryview | bytes) -> int | None:
        return self._datagrams.send(memoryview(data)[: self._largest])

    def half_close(self) -> None:
        """Datagrams know no end."""

    def close(self) -> None:
        self._datagrams.close()


def _gather(sockets: list[socket.socket]) -> select.epoll | None:
    """One descriptor that is readable when any of the sockets is; None where the system has no epoll."""
    if not hasattr(select, "epoll"):
        return None
    poll = select.epoll()
    for sock in sockets:
        poll.register(sock.fileno(), select.EPOLLIN)
    return poll


# --- opening


def dial_datagrams(host: str, port: int | str, options: Options, report: Callable[[str], None]) -> Datagrams:
    """A socket for each address of the host that has a route; nothing is sent yet.

    Raises:
        Fault: the name does not resolve, or no address can be reached.
    """
    addresses = candidates(host, port, options)
    open_socket = opener(options, addresses)
    peers: list[Peer] = []
    failures: list[Failure] = []
    try:
        for address in addresses:
            try:
                peers.append(_peer_at(address, host, options, open_socket))
            except OSError as error:
                failures.append((address, _with_hint(error)))
    except BaseException:
        for peer in peers:
            peer.sock.close()
        raise
    if not peers:
        raise DialFault(host, failures)
    return Datagrams([peer.sock for peer in peers], peers, report)


def _peer_at(address: Address, host: str, options: Options, open_socket: Opener) -> Peer:
    """The peer at an address of the host; an address that cannot be had leaves no socket behind."""
    sock = open_socket(address)
    try:
        return _aim(sock, address, host, options)
    except BaseException:
        sock.close()
        raise


def _aim(sock: socket.socket, address: Address, host: str, options: Options) -> Peer:
    """Connect, so that refusals are heard of; but not to a group, whose members answer from their own addresses."""
    shown = host if host == address.host else f"{host} ({address.host})"
    name = f"{shown} port {address.port} (udp)"
    group = multicast.is_group(address)
    if group:
        multicast.send_through(sock, address, options)
    if options.broadcast or group:
        return Peer(sock, address.sockaddr, name)
    sock.connect(address.sockaddr)
    return Peer(sock, None, name)


def _with_hint(error: OSError) -> OSError:
    if error.errno == errno.EACCES:
        return OSError(error.errno, f"{reason(error)} (a broadcast address needs -b)")
    return error


def unix_datagrams(sock: socket.socket, path: str, report: Callable[[str], None]) -> Datagrams:
    """The conversation over a unix datagram socket that is connected to `path`."""
    return Datagrams([sock], [Peer(sock, None, path)], report)


def listening_datagrams(
    sockets: list[socket.socket],
    report: Callable[[str], None],
    on_peer: Callable[[Peer], None],
    admits: Callable[[Any], bool] | None = None,
) -> Datagrams:
    """The conversation of a listener: its peer is whoever sent last, of those whose sockaddr `admits` lets in."""
    return Datagrams(sockets, [], report, on_peer, admits)
