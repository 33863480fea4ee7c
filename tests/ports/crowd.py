"""A crowd of sockets to be looked at: 50 bound ones of all kinds, 300 connections in the states there are.

All of them belong to the process that makes them. Nothing here waits for a time: a connection is handed
out when it is in its state. Only Linux knows the trick that keeps a connection in SYN_RECV.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.running import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

STATES = ("established", "syn_recv", "close_wait", "fin_wait", "time_wait")
#: What tcp(7)'s TCP_INFO calls the states that our end of a connection can be in, by our names.
TCP_STATES = {1: "established", 4: "fin_wait", 5: "fin_wait", 6: "time_wait", 8: "close_wait"}


def port_of(sock: socket.socket) -> int:
    """The port that a socket is bound to."""
    return int(sock.getsockname()[1])


def has_ipv6() -> bool:
    """Whether the loopback has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def local_ports() -> set[int]:
    """The local ports of all TCP sockets of this machine, what lingers in TIME_WAIT included (proc(5))."""
    found = set()
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as table:
            found |= {int(line.split()[1].rpartition(":")[2], 16) for line in list(table)[1:]}
    return found


class Crowd:
    """Sockets that live until `close`; ports and paths by what they are.

    A port is taken only where nothing lingers that somebody else has left: its connections would count too.
    `pairs` are the two ports of each connection, the server's first.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._used = local_ports()
        self.pairs: set[tuple[int, int]] = set()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.ipv4: list[socket.socket] = []
        self.ipv6: list[socket.socket] = []
        self.dual: list[socket.socket] = []
        self.udp: list[socket.socket] = []
        self.unix: list[socket.socket] = []

    def keep(self, sock: socket.socket) -> socket.socket:
        return self._stack.enter_context(sock)

    def close(self) -> None:
        self._stack.close()

    def listen(self, family: int, address: str, backlog: int, dual: bool = False) -> socket.socket:
        sock = self.bind(family, address, dual, socket.SOCK_STREAM)
        while port_of(sock) in self._used:
            sock = self.bind(family, address, dual, socket.SOCK_STREAM)
        sock.listen(backlog)
        sock.settimeout(PATIENCE)
        return sock

    def bind(self, family: int, address: str, dual: bool = False, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        sock = self.keep(socket.socket(family, kind))
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind((address, 0))
        return sock

    def bind_unix(self, kind: int, name: str, backlog: int = 0) -> socket.socket:
        sock = self.keep(socket.socket(socket.AF_UNIX, kind))
        sock.bind(name)
        if kind != socket.SOCK_DGRAM:
            sock.listen(backlog)
        return sock

    def call(self, server: socket.socket, host: str) -> socket.socket:
        """A connection that nobody accepts."""
        client = self.keep(socket.create_connection((host, port_of(server)), PATIENCE))
        self.pairs.add((port_of(server), port_of(client)))
        return client

    def connect(self, server: socket.socket, host: str, state: str) -> tuple[socket.socket, socket.socket | None]:
        """A connection whose end at the server's port is in this state; both ends, as far as we hold them."""
        client = self.call(server, host)
        if state == "syn_recv":  # the server has TCP_DEFER_ACCEPT, and no data comes
            return client, None
        accepted = self.keep(server.accept()[0])
        if state == "close_wait":
            client.shutdown(socket.SHUT_WR)
        elif state == "fin_wait":
            accepted.shutdown(socket.SHUT_WR)
        if state == "time_wait":
            _leave_in_time_wait(client, accepted)
            return client, None
        eventually(lambda: state_of(accepted) == state, state)
        return client, accepted


def state_of(sock: socket.socket) -> str:
    """The state of our end of a connection; it is the first byte of TCP_INFO (tcp(7))."""
    return TCP_STATES.get(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0], "")


def _leave_in_time_wait(client: socket.socket, accepted: socket.socket) -> None:
    """The server's end closes first, so that it is the one that lingers."""
    accepted.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    client.shutdown(socket.SHUT_WR)
    eventually(lambda: state_of(client) != "close_wait" and state_of(accepted) not in ("established",), "the last FIN")
    accepted.close()
    client.close()


def defer(sock: socket.socket) -> socket.socket:
    """Keep connections in SYN_RECV until data comes (tcp(7), TCP_DEFER_ACCEPT)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    return sock


@contextlib.contextmanager
def empty_crowd() -> Iterator[Crowd]:
    """Nothing yet; what is made of it is gone when the block is left."""
    crowd = Crowd()
    try:
        yield crowd
    finally:
        crowd.close()


@contextlib.contextmanager
def big_crowd() -> Iterator[Crowd]:
    """50 bound sockets (40 where there is no IPv6) and 300 connections."""
    with empty_crowd() as crowd:
        for number in range(20):
            crowd.ipv4.append(crowd.listen(socket.AF_INET, "127.0.0.1" if number % 2 else "0.0.0.0", number + 1))
        for number in range(5 if has_ipv6() else 0):
            crowd.ipv6.append(crowd.listen(socket.AF_INET6, "::1" if number % 2 else "::", number + 1))
            crowd.dual.append(crowd.listen(socket.AF_INET6, "::", number + 1, dual=True))
        crowd.udp += [crowd.bind(socket.AF_INET, "127.0.0.1" if number % 2 else "0.0.0.0") for number in range(6)]
        if has_ipv6():
            crowd.udp += [crowd.bind(socket.AF_INET6, "::1"), crowd.bind(socket.AF_INET6, "::")]
            crowd.udp += [crowd.bind(socket.AF_INET6, "::", dual=True) for _ in range(2)]
        _bind_unix(crowd)
        _connect_all(crowd)
        yield crowd


def _bind_unix(crowd: Crowd) -> None:
    for number in range(4):
        crowd.unix.append(crowd.bind_unix(socket.SOCK_STREAM, str(crowd.directory / f"a stream {number}"), number + 1))
    crowd.unix.append(crowd.bind_unix(socket.SOCK_SEQPACKET, str(crowd.directory / "seqpacket"), 7))
    crowd.unix += [crowd.bind_unix(socket.SOCK_DGRAM, str(crowd.directory / f"datagrams{n}")) for n in range(3)]
    crowd.unix.append(crowd.bind_unix(socket.SOCK_DGRAM, f"\0pync-crowd-{os.getpid()}"))
    crowd.unix.append(crowd.bind_unix(socket.SOCK_STREAM, f"\0pync-crowd-{os.getpid()}", 2))
    for server in crowd.unix[:2]:
        client = crowd.keep(socket.socket(socket.AF_UNIX))
        client.connect(server.getsockname())
        crowd.keep(server.accept()[0])
        waiting = crowd.keep(socket.socket(socket.AF_UNIX))
        waiting.connect(server.getsockname())


def _connect_all(crowd: Crowd) -> None:
    """300 connections: each of the first listeners has all states, one is for SYN_RECV alone."""
    defer(crowd.ipv4[0]).listen(64)
    servers = [(sock, "127.0.0.1") for sock in crowd.ipv4[1:9]]
    servers += [(sock, "::1") for sock in crowd.ipv6[:2]] + [(sock, "::1") for sock in crowd.dual[:1]]
    servers += [(sock, "127.0.0.1") for sock in crowd.dual[:2]]
    states = [state for state in STATES if state != "syn_recv"]
    for number in range(260):
        server, host = servers[number % len(servers)]
        crowd.connect(server, host, states[(number // len(servers)) % len(states)])
    for _ in range(20):
        crowd.connect(crowd.ipv4[0], "127.0.0.1", "syn_recv")
    for number in range(20):  # these stay in the queues, whose lengths are compared
        crowd.call(crowd.ipv4[19 - number % 4], "127.0.0.1")
