"""Socket plan: what the command line asks for is what the kernel says afterwards.

Each option is set on real sockets and read back; constants that other systems lack are taken away.
How the values are written is tested in test_values.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import USAGE, Fault
from pync.net import dial, listen, sockopts
from pync.wire.address import Target
from tests.plans import planned

LINUX = sys.platform == "linux"

Read = tuple[int, int]


def has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


SIX = pytest.param(socket.AF_INET6, marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here"), id="v6")
FAMILIES = [pytest.param(socket.AF_INET, id="v4"), SIX]


def applied(family: int, kind: int, reads: list[Read], **given_: Any) -> list[int]:
    """Set the options on a new socket and read these back."""
    with socket.socket(family, kind) as sock:
        sockopts.apply(sock, planned(**given_).sockets)
        return [sock.getsockopt(*read) for read in reads]


V4 = {"tos": (socket.IPPROTO_IP, socket.IP_TOS), "ttl": (socket.IPPROTO_IP, socket.IP_TTL)}
V6 = {
    "tos": (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    "ttl": (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}
ROWS: dict[int, dict[str, Read]] = {socket.AF_INET: V4, socket.AF_INET6: V6}
MIN_TTL: dict[int, tuple[int, int | None]] = {
    socket.AF_INET: (socket.IPPROTO_IP, sockopts.IP_MINTTL.get(sys.platform)),
    socket.AF_INET6: (socket.IPPROTO_IPV6, sockopts.IPV6_MINHOPCOUNT.get(sys.platform)),
}


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("option", "value"), [("tos", 0x10), ("tos", 0xB8), ("ttl", 1), ("ttl", 255)])
def test_tos_and_ttl_reach_the_socket_in_both_families(family: int, kind: int, option: str, value: int) -> None:
    assert applied(family, kind, [ROWS[family][option]], **{option: value}) == [value]


@pytest.mark.skipif(sys.platform not in sockopts.IPV6_MINHOPCOUNT, reason="not on this system")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_lowest_ttl_accepted_reaches_the_socket_in_both_families(family: int) -> None:
    level, name = MIN_TTL[family]
    assert name is not None
    assert applied(family, socket.SOCK_STREAM, [(level, name)], min_ttl=200) == [200]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("option", "name"), [("recv_buffer", socket.SO_RCVBUF), ("send_buffer", socket.SO_SNDBUF)])
def test_buffer_sizes_reach_the_socket(family: int, option: str, name: int) -> None:
    (size,) = applied(family, socket.SOCK_STREAM, [(socket.SOL_SOCKET, name)], **{option: 50_000})
    assert size in (50_000, 100_000)  # Linux doubles what it is asked for (socket(7))


@given(st.integers(1, 1 << 60))
def test_a_buffer_of_any_size_is_capped_and_never_an_error(size: int) -> None:
    names = [(socket.SOL_SOCKET, socket.SO_RCVBUF), (socket.SOL_SOCKET, socket.SO_SNDBUF)]
    assert min(applied(socket.AF_INET, socket.SOCK_STREAM, names, recv_buffer=size, send_buffer=size)) > 0


def test_broadcast_is_allowed_when_asked_for() -> None:
    read = [(socket.SOL_SOCKET, socket.SO_BROADCAST)]
    assert applied(socket.AF_INET, socket.SOCK_DGRAM, read, broadcast=True) == [1]
    assert applied(socket.AF_INET, socket.SOCK_DGRAM, read) == [0]


KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0))),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("times", [None, (60.0,), (60.0, 7.0), (60.0, 7.0, 3.0)])
def test_keepalive_sets_the_times_that_were_given_and_leaves_the_others(
    family: int, times: tuple[float, ...] | None
) -> None:
    given_: dict[str, Any] = {"keepalive": True} if times is None else {"keepalive_times": times}
    on, *values = applied(family, socket.SOCK_STREAM, KEEPALIVE, **given_)
    _, *defaults = applied(family, socket.SOCK_STREAM, KEEPALIVE)
    wanted = [int(seconds) for seconds in times or ()]
    assert on != 0
    assert values == wanted + defaults[len(wanted) :]


@pytest.mark.skipif(not LINUX, reason="SO_BINDTODEVICE is Linux's")
def test_the_interface_reaches_the_socket() -> None:
    with socket.socket() as sock:
        sockopts.apply(sock, planned(interface="lo").sockets)
        assert sock.getsockopt(socket.SOL_SOCKET, 25, 16).rstrip(b"\0") == b"lo"


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="SO_DEBUG needs CAP_NET_ADMIN")
def test_the_debug_flag_reaches_the_socket() -> None:
    assert applied(socket.AF_INET, socket.SOCK_STREAM, [(socket.SOL_SOCKET, socket.SO_DEBUG)], debug_socket=True) == [1]


@pytest.mark.parametrize("family", [*FAMILIES, socket.AF_UNIX])
def test_without_options_nothing_is_set(family: int) -> None:
    calls: list[Any] = []

    class Recording(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            calls.append(args)

    with Recording(family) as sock:
        sockopts.apply(sock, planned().sockets)
    assert calls == []


# --- what a system refuses or lacks


@pytest.mark.skipif(not LINUX, reason="the name of a missing interface is Linux's to refuse")
def test_an_option_that_the_system_refuses_is_an_error_that_names_it() -> None:
    with pytest.raises(Fault, match=r"^--interface: ") as caught:
        applied(socket.AF_INET, socket.SOCK_STREAM, [], interface="nosuch0")
    assert caught.value.code == USAGE


@pytest.mark.parametrize(("option", "value"), [("tos", 0x10), ("ttl", 9), ("min_ttl", 9)])
def test_an_option_of_ip_is_an_error_on_a_unix_socket(option: str, value: int) -> None:
    with pytest.raises(Fault, match=f"^--{option.replace('_', '-')}: ") as caught:
        applied(socket.AF_UNIX, socket.SOCK_STREAM, [], **{option: value})
    assert caught.value.code == USAGE


@pytest.mark.parametrize(
    ("name", "family", "given_"),
    [
        pytest.param("IPV6_TCLASS", socket.AF_INET6, {"tos": 0x10}, marks=SIX.marks),
        ("TCP_KEEPINTVL", socket.AF_INET, {"keepalive_times": (60.0, 7.0)}),
        ("TCP_KEEPCNT", socket.AF_INET, {"keepalive_times": (60.0, 7.0, 3.0)}),
    ],
)
def test_an_option_whose_constant_is_missing_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, family: int, given_: dict[str, Any]
) -> None:
    monkeypatch.delattr(socket, name)
    (option,) = given_
    with pytest.raises(Fault) as caught:
        applied(family, socket.SOCK_STREAM, [], **given_)
    assert (caught.value.text, caught.value.code) == (
        f"--{option.replace('_', '-')} is not available on this system",
        USAGE,
    )


def test_keepalive_times_that_a_system_knows_do_without_those_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPCNT")
    assert applied(socket.AF_INET, socket.SOCK_STREAM, KEEPALIVE[1:3], keepalive_times=(60.0, 7.0)) == [60, 7]


def test_the_time_to_the_first_probe_has_another_name_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    name = getattr(socket, "TCP_KEEPIDLE", None)
    if name is None:
        pytest.skip("this system knows the other name only")
    monkeypatch.delattr(socket, "TCP_KEEPIDLE")
    monkeypatch.setattr(socket, "TCP_KEEPALIVE", name, raising=False)
    assert applied(socket.AF_INET, socket.SOCK_STREAM, KEEPALIVE[:2], keepalive_times=(60.0,)) == [1, 60]


@pytest.mark.parametrize(("option", "value"), [("min_ttl", 9), ("interface", "lo")], ids=["min-ttl", "interface"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_only_some_systems_know_is_an_error_on_the_others(
    monkeypatch: pytest.MonkeyPatch, option: str, value: Any, family: int
) -> None:
    monkeypatch.setattr(sys, "platform", "another")
    monkeypatch.delattr(socket, "SO_BINDTODEVICE", raising=False)
    with socket.socket(family) as sock, pytest.raises(Fault, match="is not available on this system"):
        sockopts.apply(sock, planned(**{option: value}).sockets)


# --- when they are set


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to sockets, in order."""
    happened: list[str] = []

    class Recording(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            if args[:2] == V4["ttl"]:
                happened.append("ttl")
            super().setsockopt(*args)

        def bind(self, address: Any) -> None:
            happened.append("bind")
            super().bind(address)

        def connect_ex(self, address: Any) -> int:
            happened.append("connect")
            return super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Recording)
    return happened


def test_options_are_set_before_connect_and_still_stand_afterwards(order: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        order.clear()
        sock, _ = dial.dial("127.0.0.1", server.getsockname()[1], planned(ttl=9, source_port="0"))
        with sock:
            assert sock.getsockopt(*V4["ttl"]) == 9
    assert order == ["ttl", "bind", "connect"]


def test_options_are_set_before_bind_and_pass_to_accepted_connections(order: list[str]) -> None:
    listener = listen.listen(Target("127.0.0.1", [0]), planned(ttl=9), 1, lambda text: None)
    try:
        (server,) = listener.sockets
        server.setblocking(True)
        with socket.socket() as client:
            client.connect(server.getsockname())
            with server.accept()[0] as connection:
                assert connection.getsockopt(*V4["ttl"]) == 9
    finally:
        listener.close()
    assert order == ["ttl", "bind"]


def test_an_option_that_fails_leaves_no_socket_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Refusing(socket.socket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

        def setsockopt(self, *args: Any) -> None:
            if args[:2] == V4["ttl"]:
                raise PermissionError(1, "Operation not permitted")
            super().setsockopt(*args)

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(Fault, match="--ttl: Operation not permitted"):
        dial.dial("127.0.0.1", 9, planned(ttl=9))
    with pytest.raises(Fault, match="--ttl: Operation not permitted"):
        listen.listen(Target("127.0.0.1", [0]), planned(ttl=9), 1, lambda text: None)
    assert len(made) == 2
    assert all(sock.fileno() == -1 for sock in made)


def test_the_interface_name_goes_to_the_kernel_with_its_terminator(monkeypatch: pytest.MonkeyPatch) -> None:
    given_: list[Any] = []
    with socket.socket() as sock:
        monkeypatch.setattr(socket.socket, "setsockopt", lambda self, *args: given_.append(args))
        monkeypatch.setattr(socket, "SO_BINDTODEVICE", 25, raising=False)
        sockopts.apply(sock, planned(interface="eth7").sockets)
    assert given_ == [(socket.SOL_SOCKET, 25, b"eth7\0")]
