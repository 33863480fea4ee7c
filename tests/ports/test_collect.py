"""From sockets to rows, on sockets that are made up: grouping, the home of a connection, filters, order.

Real sockets are in tests/cli/test_ports.py; here is what real ones rarely show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pync.errors import UsageFault
from pync.ports import collect, owners, records
from pync.ports.collect import Wanted
from pync.ports.records import Owner, Port, Socket
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Port]]:
    """The rows of these sockets; each process is called by its number."""

    def rows(*entries: Socket, what: Wanted | None = None) -> list[Port]:
        monkeypatch.setattr(collect, "read", lambda *_: list(entries))
        monkeypatch.setattr(owners, "processes", lambda _: {})
        monkeypatch.setattr(owners, "identify", lambda pids: {pid: Owner(pid, f"p{pid}", "u") for pid in pids})
        return collect.collect(what or Wanted()).ports

    return rows


def listener(address: str = "0.0.0.0", port: int = 80, **more: Any) -> Socket:
    return Socket(records.TCP, address, port, records.LISTENING, **{"pids": (1,), **more})


def connection(address: str, port: int = 80, state: str = records.ESTABLISHED, **more: Any) -> Socket:
    return Socket(records.TCP, address, port, state, **{"peer": ("192.0.2.9", 999), **more})


def asking(**given: Any) -> Wanted:
    what = Wanted()
    for name, value in given.items():
        setattr(what, name, value)
    return what


def counts(rows: list[Port]) -> dict[str, int]:
    return {row.address: sum(row.connections.values()) for row in rows}


@pytest.mark.parametrize(
    ("address", "home"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.2", "0.0.0.0"),
        ("192.0.2.1%eth0", "192.0.2.1"),
        ("192.0.2.2%eth0", "0.0.0.0%eth0"),
        ("2001:db8::1", "::"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%eth1", "::"),
    ],
)
def test_a_connection_belongs_to_the_most_exact_listener(look: Any, address: str, home: str) -> None:
    names = ("192.0.2.1", "0.0.0.0", "0.0.0.0%eth0", "::", "fe80::1%eth0")
    assert {name for name, count in counts(look(*map(listener, names), connection(address))).items() if count} == {home}


def test_an_ipv4_connection_belongs_to_a_dual_stack_listener_only(look: Any) -> None:
    assert counts(look(listener("::", dual_stack=True), connection("192.0.2.1"))) == {"::": 1}
    assert counts(look(listener("::", dual_stack=False), connection("192.0.2.1"))) == {"::": 0}
    assert counts(look(listener("::", dual_stack=None), connection("192.0.2.1"))) == {"::": 1}


def test_connections_without_a_listener_are_rows_only_where_ports_are_asked_for(look: Any) -> None:
    entries = [connection("192.0.2.1", pids=(7,)), connection("192.0.2.1", state=records.TIME_WAIT), connection("::1")]
    assert look(*entries) == []
    first, second = look(*entries, what=asking(ports={80}))
    assert (first.address, first.bound, [owner.pid for owner in first.owners]) == ("192.0.2.1", False, [7])
    assert sum(first.connections.values()) == 2
    assert second.address == "::1"


def test_a_port_that_is_bound_without_listening_is_shown_where_it_is_asked_for(look: Any) -> None:
    idle = Socket(records.TCP, "192.0.2.1", 80, records.BOUND, pids=(7,))
    assert look(idle) == []
    assert [row.bound for row in look(idle, what=asking(ports={80}))] == [True]


def test_a_connected_udp_socket_is_no_bound_port(look: Any) -> None:
    assert look(Socket(records.UDP, "192.0.2.1", 53, records.ESTABLISHED)) == []


def test_sockets_that_share_a_port_add_up(look: Any) -> None:
    (row,) = look(listener(queue=(1, 5), pids=(1, 2)), listener(queue=(2, 6), pids=(3, 2)))
    assert (row.queue, [owner.pid for owner in row.owners]) == ((3, 11), [1, 2, 3])


def test_a_row_is_hidden_where_one_of_its_sockets_has_no_owner(look: Any) -> None:
    assert [row.hidden for row in look(listener(), listener(port=81, pids=()))] == [False, True]
    assert look(listener(), listener(pids=()))[0].hidden  # one of two that share the port


def test_a_finished_connection_without_an_owner_is_not_missed(look: Any) -> None:
    (row,) = look(connection("192.0.2.1", state=records.TIME_WAIT), what=asking(ports={80}))
    assert not row.hidden
    (row,) = look(connection("192.0.2.1", inode=5), what=asking(ports={80}))
    assert row.hidden


def test_owners_are_a_filter(look: Any) -> None:
    entries = [listener(port=80, pids=(1, 22)), listener(port=81, pids=(2,)), listener(port=82, pids=())]
    assert [row.port for row in look(*entries, what=asking(pid=2))] == [81]
    assert [row.port for row in look(*entries, what=asking(program="p2"))] == [80, 81]


def test_rows_are_in_the_order_of_protocol_port_and_family(look: Any) -> None:
    entries = [
        Socket(records.UDP, "0.0.0.0", 53, records.BOUND),
        listener(port=8080),
        listener("::", port=22),
        listener("0.0.0.0", port=22),
        listener("127.0.0.1", port=443),
    ]
    rows = [(row.protocol, row.port, row.address) for row in look(*entries)]
    assert rows == [
        ("tcp", 22, "0.0.0.0"),
        ("tcp", 22, "::"),
        ("tcp", 443, "127.0.0.1"),
        ("tcp", 8080, "0.0.0.0"),
        ("udp", 53, "0.0.0.0"),
    ]


def test_peers_are_kept_only_where_they_are_asked_for(look: Any) -> None:
    entries = [listener(), connection("192.0.2.1"), connection("192.0.2.1", state=records.TIME_WAIT)]
    assert look(*entries)[0].peers == []
    (row,) = look(*entries, what=asking(peers=True))
    assert [(peer.address, peer.port, peer.state) for peer in row.peers] == [
        ("192.0.2.9", 999, "established"),
        ("192.0.2.9", 999, "time_wait"),
    ]


@pytest.mark.parametrize(
    ("plan", "protocols"),
    [
        ({}, ("tcp", "udp")),
        ({"udp": True}, ("udp",)),
        ({"unix": True}, ("unix", "unix-dgram", "unix-seqpacket")),
        ({"unix": True, "udp": True}, ("unix-dgram",)),
    ],
)
def test_the_protocols_follow_from_the_options(plan: dict[str, Any], protocols: tuple[str, ...]) -> None:
    assert collect.wanted([], planned(**plan)).protocols == protocols


def test_operands_are_ports_or_with_unix_paths() -> None:
    assert collect.wanted([80, 81], planned(["80-81"])).ports == {80, 81}
    assert collect.wanted([], planned()).ports is None
    what = collect.wanted([], planned(["/run/x", "@y"], unix=True))
    assert (what.ports, what.paths) == (None, {"/run/x", "@y"})


def test_a_name_that_is_no_service_is_a_usage_fault() -> None:
    with pytest.raises(UsageFault, match="unknown service 'nowhere'"):
        collect.wanted(["nowhere"], planned(["nowhere"]))
