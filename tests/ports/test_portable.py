"""The same picture from psutil, as on systems without sock_diag: what it can tell, and what it leaves open."""

from __future__ import annotations

import os
import socket
import sys
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pync.errors import Fault
from pync.ports import collect, netlink, portable, records
from tests.ports.crowd import Crowd, empty_crowd, has_ipv6, port_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = namedtuple("Connection", "fd family type laddr raddr status pid")  # as psutil's


@pytest.fixture
def few() -> Iterator[Crowd]:
    with empty_crowd() as made:
        yield made


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[Any]:
        raise PermissionError

    monkeypatch.setattr(netlink, "sockets", refuse)
    monkeypatch.setattr("pync.ports.owners._pids", list)  # there is no /proc there either


def look(what: collect.Wanted, port: int) -> records.Port:
    (row,) = (row for row in collect.collect(what).ports if row.port == port)
    return row


def test_a_listener_has_its_connections_and_its_owner_but_no_queue(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    few.connect(server, "127.0.0.1", "established")
    few.connect(server, "127.0.0.1", "close_wait")
    row = look(collect.Wanted(), port_of(server))
    assert (row.connections["established"], row.connections["close_wait"]) == (1, 1)
    assert (row.bound, row.queue, row.hidden, [owner.pid for owner in row.owners]) == (True, None, False, [os.getpid()])


def test_a_udp_socket_has_its_owner(few: Crowd) -> None:
    row = look(collect.Wanted((records.UDP,)), port_of(few.bind(socket.AF_INET, "127.0.0.1")))
    assert (row.protocol, row.connections, [owner.pid for owner in row.owners]) == ("udp", {}, [os.getpid()])


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback")
def test_whether_a_wildcard_is_dual_stack_is_left_open_and_its_ipv4_connections_are_counted(few: Crowd) -> None:
    server = few.listen(socket.AF_INET6, "::", 5, dual=True)
    few.connect(server, "127.0.0.1", "established")
    row = look(collect.Wanted(), port_of(server))
    assert (row.dual_stack, row.connections["established"]) == (None, 1)


def test_unix_sockets_with_a_name_are_told(few: Crowd) -> None:
    path = str(few.directory / "socket")
    few.bind_unix(socket.SOCK_STREAM, path, 1)
    (row,) = (row for row in collect.collect(collect.Wanted(records.UNIX)).ports if row.address == path)
    assert (row.protocol, row.port, [owner.pid for owner in row.owners]) == ("unix", None, [os.getpid()])


def told(*connections: Connection) -> list[tuple[str, str, int, str, tuple[int, ...]]]:
    merged = portable.merged(connections, (records.TCP, records.UDP))
    return [(entry.protocol, entry.address, entry.port, entry.state, tuple(entry.pids)) for entry in merged]


def tcp(local: Any, remote: Any, status: str, pid: int | None) -> Connection:
    return Connection(3, socket.AF_INET, socket.SOCK_STREAM, local, remote, status, pid)


def test_a_socket_that_is_named_for_each_of_its_processes_is_one_entry() -> None:
    listener = [tcp(("0.0.0.0", 80), (), "LISTEN", pid) for pid in (7, 8, 7)]
    assert told(*listener) == [("tcp", "0.0.0.0", 80, "listening", (7, 8))]


def test_connections_of_one_process_with_different_peers_stay_apart() -> None:
    two = [tcp(("127.0.0.1", 80), ("127.0.0.1", peer), "ESTABLISHED", 7) for peer in (1000, 1001)]
    assert [entry[3] for entry in told(*two)] == ["established", "established"]


@pytest.mark.parametrize(
    ("status", "state"), [("FIN_WAIT1", "fin_wait"), ("FIN_WAIT2", "fin_wait"), ("LAST_ACK", "other"), ("NEW", "other")]
)
def test_every_state_has_a_column(status: str, state: str) -> None:
    assert told(tcp(("127.0.0.1", 80), ("127.0.0.1", 1000), status, 7))[0][3] == state


def test_mapped_addresses_are_plain_and_sockets_without_a_name_are_left_out() -> None:
    assert told(tcp(("::ffff:192.0.2.1", 80), (), "LISTEN", None), tcp((), (), "CLOSE", 7)) == [
        ("tcp", "192.0.2.1", 80, "listening", ())
    ]


def test_where_only_root_may_ask_for_all_each_process_is_asked(few: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: str) -> list[Any]:
        raise psutil.AccessDenied(0)

    monkeypatch.setattr(psutil, "net_connections", denied)
    monkeypatch.setattr(psutil, "process_iter", lambda: iter([psutil.Process(os.getpid())]))
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    assert [owner.pid for owner in look(collect.Wanted(), port_of(server)).owners] == [os.getpid()]


def test_a_process_that_may_not_be_asked_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> list[Any]:
        raise psutil.AccessDenied(0)

    monkeypatch.setattr(psutil, "net_connections", denied)
    monkeypatch.setattr(psutil, "process_iter", lambda: iter([psutil.Process(os.getpid())]))
    monkeypatch.setattr(psutil.Process, "net_connections" if psutil.version_info >= (6,) else "connections", denied)
    assert portable.sockets((records.TCP,)) == []


def test_a_system_that_tells_nothing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> list[Any]:
        raise RuntimeError("a malformed line")

    monkeypatch.setattr(psutil, "net_connections", broken)
    with pytest.raises(Fault, match="the system does not tell of its sockets: a malformed line"):
        portable.sockets((records.TCP,))


@pytest.mark.skipif(sys.platform != "linux", reason="compared with sock_diag")
def test_it_finds_the_same_ports_as_sock_diag(few: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {port_of(few.listen(socket.AF_INET, "127.0.0.1", 1)) for _ in range(5)}
    found = {entry.port for entry in portable.sockets((records.TCP,)) if entry.state == records.LISTENING}
    assert made <= found
