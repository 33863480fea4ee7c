"""Names to addresses: what getaddrinfo says goes on untouched, in an order that RFC 8305 asks for.

No name is looked up outside this machine: where an answer matters, getaddrinfo is replaced. How
addresses are written on the command line is tested in wire/test_address.
"""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import USAGE, Fault, UsageFault
from pync.net.resolve import (
    Address,
    interleave,
    port_number,
    resolve,
    service_name,
    show_host,
    unix_address,
    wanted_family,
)
from tests.plans import planned

FAMILIES = st.sampled_from([socket.AF_INET, socket.AF_INET6])


def answer(monkeypatch: pytest.MonkeyPatch, *sockaddrs: Any) -> list[tuple[Any, ...]]:
    """Make getaddrinfo give these, and return the list of the calls it gets."""
    calls: list[tuple[Any, ...]] = []

    def getaddrinfo(*args: Any) -> list[tuple[Any, ...]]:
        calls.append(args)
        return [(_family(sockaddr), args[3], 0, "", sockaddr) for sockaddr in sockaddrs]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return calls


def _family(sockaddr: Any) -> int:
    return socket.AF_INET if len(sockaddr) == 2 else socket.AF_INET6


# --- how an address is shown


@pytest.mark.parametrize(
    ("sockaddr", "shown"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (("2001:db8::1", 80, 0, 0), "2001:db8::1"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1"),
        (("::ffff:1", 80, 0, 0), "::ffff:1"),
        (("fe80::1%eth7", 80, 0, 3), "fe80::1%eth7"),
        ("/run/a.sock", "/run/a.sock"),
        (b"/run/a.sock", "/run/a.sock"),
        ("\0name", "@name"),
        (b"\0name", "@name"),
        (b"\0na\0me", "@na\\x00me"),
        ("/run/\x1b[31m", "/run/\\x1b[31m"),
        (b"/run/\xff", "/run/\\udcff"),
        ("", ""),
    ],
)
def test_an_address_is_shown_as_the_user_would_write_it(sockaddr: Any, shown: str) -> None:
    assert show_host(sockaddr) == shown


def test_a_scope_id_is_shown_as_the_name_of_the_interface() -> None:
    index, name = socket.if_nameindex()[0]
    assert show_host(("fe80::1", 80, 0, index)) == f"fe80::1%{name}"


def test_a_scope_id_without_an_interface_is_shown_as_its_number() -> None:
    unused = max(index for index, _ in socket.if_nameindex()) + 1000
    assert show_host(("fe80::1", 80, 0, unused)) == f"fe80::1%{unused}"


def test_an_address_knows_its_port_and_protocol() -> None:
    tcp = Address(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 80))
    udp = Address(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 53, 0, 0))
    assert (tcp.host, tcp.port, tcp.protocol) == ("127.0.0.1", 80, "tcp")
    assert (udp.host, udp.port, udp.protocol) == ("::1", 53, "udp")


@pytest.mark.parametrize(
    ("path", "sockaddr"), [("/run/a", "/run/a"), ("@name", "\0name"), ("./@a", "./@a"), ("a@b", "a@b")]
)
def test_an_at_sign_in_front_means_an_abstract_name(path: str, sockaddr: str) -> None:
    address = unix_address(path, datagram=False)
    assert (address.family, address.type, address.sockaddr) == (socket.AF_UNIX, socket.SOCK_STREAM, sockaddr)
    assert (address.host, address.port) == (path, 0)


def test_a_unix_datagram_address_says_so() -> None:
    assert unix_address("/run/a", datagram=True).type == socket.SOCK_DGRAM


# --- getaddrinfo


@pytest.mark.parametrize(
    ("host", "sockaddr"), [("127.0.0.1", ("127.0.0.1", 80)), ("::1", ("::1", 80, 0, 0)), ("0::1", ("::1", 80, 0, 0))]
)
@pytest.mark.parametrize("datagram", [False, True])
def test_a_numeric_address_is_one_address_of_the_type_asked_for(host: str, sockaddr: Any, datagram: bool) -> None:
    (found,) = resolve(host, 80, numeric=True, datagram=datagram)
    assert found.sockaddr == sockaddr
    assert found.type == (socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)


def test_the_sockaddrs_of_getaddrinfo_go_on_untouched_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = [("fe80::1", 80, 7, 9), ("192.0.2.1", 80), ("fe80::2%x", 80, 0, 3)]
    answer(monkeypatch, *given_)
    found = resolve("host.example", 80)
    assert all(address.sockaddr is sockaddr for address, sockaddr in zip(found, given_, strict=True))
    assert [address.family for address in found] == [socket.AF_INET6, socket.AF_INET, socket.AF_INET6]


@pytest.mark.parametrize(
    ("plan", "family", "flags"),
    [
        ({}, socket.AF_UNSPEC, 0),
        ({"family": socket.AF_INET6}, socket.AF_INET6, 0),
        ({"numeric": True}, socket.AF_UNSPEC, socket.AI_NUMERICHOST),
        ({"passive": True}, socket.AF_UNSPEC, socket.AI_PASSIVE),
    ],
)
def test_getaddrinfo_is_asked_once_for_both_families_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any], family: int, flags: int
) -> None:
    calls = answer(monkeypatch, ("192.0.2.1", 80))
    resolve("host.example", 80, **plan)
    (call,) = calls
    assert call[0] in ("host.example", b"host.example")
    assert call[1:] == (80, family, socket.SOCK_STREAM, 0, flags)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize(("passive", "hosts"), [(True, ("0.0.0.0", "::")), (False, ("127.0.0.1", "::1"))])
def test_no_host_means_every_address_for_a_listener_and_this_machine_for_a_client(
    family: int, passive: bool, hosts: tuple[str, str]
) -> None:
    (found,) = resolve(None, 80, family=family, passive=passive)
    assert found.host == hosts[family == socket.AF_INET6]


def test_numeric_makes_a_name_an_error_without_any_look_up() -> None:
    with pytest.raises(Fault, match=r"host\.example") as caught:
        resolve("host.example", 80, numeric=True)
    assert caught.value.code == USAGE


def test_an_unknown_name_is_an_error_in_the_systems_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Fault) as caught:
        resolve("host.example", 80)
    assert caught.value.code == USAGE
    assert re.search(r"host\.example.*: Name or service not known$", caught.value.text)


def test_a_name_of_other_letters_is_looked_up_in_its_idna_form(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer(monkeypatch, ("192.0.2.1", 80))
    resolve("b\xfccher.example", 80)
    (host, *_), *_ = calls
    assert host in ("b\xfccher.example", b"xn--bcher-kva.example")  # Python's getaddrinfo encodes a str itself


@pytest.mark.parametrize("name", ["\xfc" * 64 + ".example", "\xfc..example", ".\xfc"])
def test_a_name_that_cannot_be_one_is_an_error_that_says_so(name: str) -> None:
    with pytest.raises(Fault, match="not a valid host name") as caught:
        resolve(name, 80)
    assert caught.value.code == USAGE
    assert name in caught.value.text


@pytest.mark.parametrize("port", [65536, 70000, 1 << 31, 1 << 64, -1])
def test_a_port_out_of_range_is_an_error_that_names_it_and_never_wraps(port: int) -> None:
    with pytest.raises(Fault, match=str(port)) as caught:
        resolve("127.0.0.1", port, numeric=True)
    assert caught.value.code == USAGE


# --- services


def test_a_service_is_looked_up_for_the_protocol_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    services = {("both", "tcp"): 1001, ("both", "udp"): 1002}
    monkeypatch.setattr(socket, "getservbyname", lambda name, protocol: services[name, protocol])
    assert [address.port for address in resolve("127.0.0.1", "both")] == [1001]
    assert [address.port for address in resolve("127.0.0.1", "both", datagram=True)] == [1002]


def test_an_unknown_service_is_a_usage_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def getservbyname(name: str, protocol: str) -> int:
        raise OSError("service/proto not found")

    monkeypatch.setattr(socket, "getservbyname", getservbyname)
    with pytest.raises(UsageFault, match="'nosuch': no such udp service"):
        port_number("nosuch", "udp")


def test_a_service_name_is_a_usage_error_where_only_numbers_are_allowed() -> None:
    with pytest.raises(UsageFault, match=r"'http'.*-n"):
        port_number("http", "tcp", numeric=True)


@given(st.integers(0, 65535), st.booleans())
def test_a_number_is_itself(port: int, numeric: bool) -> None:
    assert port_number(port, "tcp", numeric) == port


def test_a_port_without_a_service_is_shown_as_a_star(monkeypatch: pytest.MonkeyPatch) -> None:
    def getservbyport(port: int, protocol: str) -> str:
        if port == 80:
            return "http"
        raise OSError("port/proto not found")

    monkeypatch.setattr(socket, "getservbyport", getservbyport)
    assert service_name(80, "tcp") == "http"
    assert service_name(81, "tcp") == "*"


# --- order and family


@given(st.lists(FAMILIES))
def test_interleaving_keeps_every_address_and_the_order_within_a_family(families: list[int]) -> None:
    addresses = [Address(family, socket.SOCK_STREAM, (str(index), 0)) for index, family in enumerate(families)]
    turns = interleave(addresses)
    for family in set(families):
        assert [a for a in turns if a.family == family] == [a for a in addresses if a.family == family]
    assert len(turns) == len(addresses)
    assert turns[:1] == addresses[:1]


@given(st.lists(FAMILIES))
def test_two_attempts_in_a_row_differ_in_family_while_both_are_left(families: list[int]) -> None:
    turns = interleave([Address(family, socket.SOCK_STREAM, ("", 0)) for family in families])
    for index in range(1, len(turns)):
        left = {address.family for address in turns[index:]}
        if len(left) == 2:
            assert turns[index].family != turns[index - 1].family


@pytest.mark.parametrize(
    ("given_", "family"),
    [({}, socket.AF_UNSPEC), ({"ipv4": True}, socket.AF_INET), ({"ipv6": True}, socket.AF_INET6)],
)
def test_the_options_4_and_6_ask_for_one_family(given_: dict[str, Any], family: int) -> None:
    assert wanted_family(planned(**given_).names) == family
