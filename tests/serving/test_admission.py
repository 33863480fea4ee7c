"""Who is admitted: plan, files and names put together, and asked with the addresses that the system gives.

No name is looked up outside this machine: getaddrinfo is replaced. How a rule is written is tested in
wire/test_rules.
"""

from __future__ import annotations

import os
import socket
import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import NETWORK, USAGE, Fault, NameFault, UsageFault
from pync.serving.admission import Admission, admission
from tests.net.addresses import no_descriptor_left
from tests.plans import planned

if TYPE_CHECKING:
    from pathlib import Path

#: What the replaced getaddrinfo knows.
NAMES: dict[str, list[tuple[Any, ...]]] = {
    "both.example": [("192.0.2.7", 0), ("192.0.2.8", 0), ("2001:db8::7", 0, 0, 0)],
    "mapped.example": [("::ffff:192.0.2.9", 0, 0, 0)],
    "local.example": [("fe80::7%3", 0, 0, 3)],
}


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace getaddrinfo: it knows NAMES and nothing else; the list is of the names it was asked for."""
    asked: list[Any] = []

    def getaddrinfo(host: bytes, port: int, family: int, type: int, proto: int, flags: int) -> list[Any]:
        asked.append(host.decode())
        assert family == socket.AF_UNSPEC
        if flags & socket.AI_NUMERICHOST or host.decode() not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = {2: socket.AF_INET, 4: socket.AF_INET6}
        return [(families[len(sockaddr)], type, 6, "", sockaddr) for sockaddr in NAMES[host.decode()]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def judge(**given: Any) -> Admission:
    each: dict[str, Any] = {name: (value,) if isinstance(value, str) else value for name, value in given.items()}
    made = admission(planned(listen=True, **each).access)
    assert made is not None
    return made


def fault(**plan: Any) -> Fault:
    with no_descriptor_left(), pytest.raises(Fault) as caught:
        judge(**plan)
    assert len(caught.value.text.splitlines()) == 1
    return caught.value


# --- allow and deny


def test_without_any_rule_there_is_nobody_to_ask() -> None:
    assert admission(planned(listen=True).access) is None


def test_where_somebody_is_allowed_everybody_else_of_both_families_is_kept_out() -> None:
    judged = judge(allow="192.0.2.7,2001:db8::/32")
    assert judged.admits("192.0.2.7")
    assert judged.admits("2001:db8::7")
    assert not judged.admits("192.0.2.8")
    assert not judged.admits("2001:db9::7")
    assert not judge(allow="192.0.2.7").admits("2001:db8::7")


def test_where_somebody_is_denied_everybody_else_is_let_in() -> None:
    judged = judge(deny="192.0.2.7,2001:db8::/32")
    assert not judged.admits("192.0.2.7")
    assert not judged.admits("2001:db8::7")
    assert judged.admits("192.0.2.8")
    assert judged.admits("::1")


@pytest.mark.parametrize(("allow", "deny"), [("192.0.2.0/24", "192.0.2.7"), ("192.0.2.7", "192.0.2.0/24")])
def test_deny_beats_allow_whichever_is_narrower(allow: str, deny: str) -> None:
    judged = judge(allow=allow, deny=deny)
    assert not judged.admits("192.0.2.7")
    assert judged.admits("192.0.2.9") == (deny == "192.0.2.7")


@pytest.mark.parametrize(("rule", "admitted"), [("::/0", {"::1", "fe80::7%eth0"}), ("0.0.0.0/0", {"127.0.0.1"})])
def test_everybody_of_one_family_is_nobody_of_the_other(rule: str, admitted: set[str]) -> None:
    peers = {"127.0.0.1", "::1", "fe80::7%eth0"}
    assert {peer for peer in peers if judge(allow=rule).admits(peer)} == admitted
    assert {peer for peer in peers if judge(deny=rule).admits(peer)} == peers - admitted


@pytest.mark.parametrize("rule", ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.0/120"])
@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207", "::ffff:192.0.2.7%eth0"])
def test_a_mapped_address_is_the_ipv4_address_in_rules_and_peers(rule: str, peer: str) -> None:
    assert judge(allow=rule).admits(peer)
    assert not judge(deny=rule).admits(peer)


def test_a_mapped_peer_cannot_come_in_as_ipv6() -> None:
    assert not judge(allow="::/0").admits("::ffff:192.0.2.7")
    assert judge(deny="::/0").admits("::ffff:192.0.2.7")


@pytest.mark.parametrize("peer", ["fe80::7", "fe80::7%eth0", "fe80::7%1"])
def test_the_zone_of_a_peer_makes_no_difference(peer: str) -> None:
    assert judge(allow="fe80::/10").admits(peer)
    assert not judge(deny="fe80::7").admits(peer)


@pytest.mark.parametrize("peer", ["", "client", "/run/a.sock", "192.0.2", "::g", "192.0.2.7\0", "%eth0", ":"])
@pytest.mark.parametrize("rules", [{"allow": "0.0.0.0/0,::/0"}, {"deny": "192.0.2.7"}])
def test_a_peer_without_an_address_is_not_admitted(peer: str, rules: dict[str, str]) -> None:
    assert not judge(**rules).admits(peer)


# --- names


@pytest.mark.parametrize("option", ["allow", "deny"])
@pytest.mark.parametrize("family", [{}, {"ipv4": True}, {"ipv6": True}])
def test_a_name_stands_for_all_its_addresses(lookups: list[str], option: str, family: dict[str, bool]) -> None:
    judged = judge(**{option: "both.example,mapped.example"}, **family)
    for peer in ("192.0.2.7", "192.0.2.8", "192.0.2.9", "::ffff:192.0.2.8", "2001:db8::7"):
        assert judged.admits(peer) == (option == "allow")
    for peer in ("192.0.2.10", "2001:db8::8"):
        assert judged.admits(peer) == (option == "deny")
    assert lookups == ["both.example", "mapped.example"]


def test_a_name_of_a_link_local_address_stands_for_it_on_every_interface(lookups: list[str]) -> None:
    assert judge(allow="local.example").admits("fe80::7%eth0")


def test_a_name_is_looked_up_once_however_often_it_stands_there(lookups: list[str], tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("both.example\n" * 1000)
    judge(allow="both.example,both.example", allowfile="rules", deny="both.example").admits("192.0.2.7")
    assert lookups == ["both.example"]


@pytest.mark.parametrize("option", ["allow", "deny"])
def test_a_name_that_is_not_known_is_an_error_that_names_it_and_its_option(lookups: list[str], option: str) -> None:
    refusal = fault(**{option: "192.0.2.7,unknown.example"})
    assert isinstance(refusal, NameFault)
    assert refusal.code == USAGE
    assert refusal.text.startswith(f"--{option}: ")
    assert '"unknown.example"' in refusal.text
    assert refusal.text.endswith("Name or service not known")


def test_an_unknown_name_in_a_file_is_an_error_that_names_file_and_line(lookups: list[str], tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("both.example\n\nunknown.example\n")
    refusal = fault(denyfile="rules")
    assert refusal.code == USAGE
    assert refusal.text.startswith("rules line 3: ")
    assert '"unknown.example"' in refusal.text


def test_with_nodns_a_name_is_refused(lookups: list[str]) -> None:
    refusal = fault(allow="both.example", nodns=True)
    assert refusal.code == USAGE
    assert '"both.example"' in refusal.text


def test_a_number_is_never_handed_to_the_resolver(lookups: list[str]) -> None:
    judge(allow="192.0.2.7,2001:db8::7,192.0.2.0/24,::1-::9,10.*.0.1")
    for word in ("192.2", "3221225991", "0x7f.1", "192.0.2.999"):
        assert isinstance(fault(allow=word), UsageFault)
    assert lookups == []


# --- bad rules


@pytest.mark.parametrize("option", ["allow", "deny"])
def test_a_bad_rule_is_an_error_that_names_it_and_its_option(option: str) -> None:
    refusal = fault(**{option: "192.0.2.7,192.0.2.300"})
    assert refusal.code == USAGE
    assert refusal.text.startswith(f"--{option}: '192.0.2.300' is no rule: ")


@pytest.mark.parametrize("text", [",", " ", ", ,"])
def test_an_option_without_a_rule_is_an_error(text: str) -> None:
    refusal = fault(allow=text)
    assert (refusal.code, refusal.text) == (USAGE, f"--allow: no rule in '{text}'")


@pytest.mark.parametrize("option", ["allowfile", "denyfile"])
@pytest.mark.parametrize("before", ["", "192.0.2.1\n# a comment\n\n2001:db8::/32, 192.0.2.2\n"])
def test_a_bad_line_is_an_error_that_names_file_and_line(tmp_path: Path, option: str, before: str) -> None:
    (tmp_path / "rules").write_text(f"{before}192.0.2.3 192.0.2.0/33\n192.0.2.4\n")
    refusal = fault(**{option: "rules"})
    line = before.count("\n") + 1
    assert refusal.code == USAGE
    assert refusal.text == f"rules line {line}: '192.0.2.0/33': behind / stand the bits of the network, 0 to 32"


@pytest.mark.parametrize("line", [b"192.0.2.\xff", b"# caf\xe9", b"\xff\xfe1\x009\x002\x00", b"\xed\xa0\x80"])
def test_a_line_that_is_not_text_is_an_error_that_names_file_and_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "rules").write_bytes(b"192.0.2.7\n" + line + b"\n")
    refusal = fault(allowfile="rules")
    assert (refusal.code, refusal.text) == (USAGE, "rules line 2: not UTF-8 text")


def test_a_nul_in_a_file_is_no_rule(tmp_path: Path) -> None:
    (tmp_path / "rules").write_bytes(b"192.0.2.7\0\n")
    assert fault(allowfile="rules").text.startswith("rules line 1: ")


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, cause in (("missing", "No such file or directory"), ("folder", "Is a directory")):
        refusal = fault(denyfile=name)
        assert (refusal.code, refusal.text) == (NETWORK, f"read {name}: {cause}")


def test_a_fault_of_reading_in_the_middle_of_a_file_is_an_error_that_names_it() -> None:
    if not os.path.exists("/proc/self/mem"):
        pytest.skip("no file here that opens and cannot be read")
    refusal = fault(denyfile="/proc/self/mem")
    assert (refusal.code, refusal.text) == (NETWORK, "read /proc/self/mem: Input/output error")


# --- files


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_has_rules_commas_white_space_comments_and_empty_lines(
    lookups: list[str], tmp_path: Path, newline: str
) -> None:
    lines = [
        "# who may come in: unknown.example, 192.0.2.50",
        "",
        "192.0.2.7",
        "  192.0.2.8\t192.0.2.9,192.0.2.10 ,  2001:db8::/64 # not 192.0.2.51",
        "   # nor 192.0.2.52",
        "both.example#192.0.2.53",
        "192.0.2.20-29",
        ",",
        "::ffff:192.0.2.30",
    ]
    (tmp_path / "rules").write_text(newline.join(lines), newline="")
    judged = judge(allowfile="rules")
    admitted = {number for number in range(256) if judged.admits(f"192.0.2.{number}")}
    assert admitted == {7, 8, 9, 10, *range(20, 30), 30}
    assert judged.admits("2001:db8::9")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("192.0.2.7\n192.0.2.8", encoding="utf-8-sig")
    assert judge(allowfile="rules").admits("192.0.2.7")


def test_a_pipe_will_do_as_a_file() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"192.0.2.7\n192.0.2.8\n")
        os.close(writer)
        judged = judge(allowfile=f"/dev/fd/{reader}")
    finally:
        os.close(reader)
    assert judged.admits("192.0.2.8")
    assert not judged.admits("192.0.2.9")


def test_options_and_files_add_up(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("192.0.2.2\n")
    (tmp_path / "out").write_text("192.0.2.4\n")
    judged = judge(allow="192.0.2.1,192.0.2.3-5", allowfile="in", deny="192.0.2.3", denyfile="out")
    assert [judged.admits(f"192.0.2.{number}") for number in range(7)] == [False, True, True, False, False, True, False]


@pytest.mark.parametrize("text", ["", "\n", "# nobody yet\n"])
def test_a_file_of_allowed_clients_that_is_empty_keeps_everybody_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules").write_text(text)
    judged = judge(allowfile="rules")
    assert not judged.admits("192.0.2.7")
    assert not judged.admits("::1")


def test_a_file_of_denied_clients_that_is_empty_lets_everybody_in(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("")
    judged = judge(denyfile="rules")
    assert judged.admits("192.0.2.7")
    assert judged.admits("::1")


def test_a_hundred_thousand_rules_are_read_at_once_and_asked_quickly(tmp_path: Path) -> None:
    """The bounds are far above what it takes: only what grows with the square of the rules runs into them."""
    lines = [f"10.{number >> 8 & 255}.{number & 255}.{number >> 16}" for number in range(80_000)]
    lines += [f"2001:db8:{number:x}::/48" for number in range(20_000)]
    (tmp_path / "rules").write_text("\n".join(lines))
    began = time.process_time()
    judged = judge(allowfile="rules")
    assert time.process_time() - began < 20
    began = time.process_time()
    assert all(judged.admits(line.removesuffix("/48")) for line in lines)
    assert not any(judged.admits(f"10.{number >> 8}.{number & 255}.2") for number in range(1000))
    assert not judged.admits("2001:db8:4e20::")
    assert time.process_time() - began < 20


# --- agreement with ipaddress

NETWORKS4 = st.builds(
    lambda number, bits: IPv4Network((number, bits), strict=False),
    st.integers(0xC0000200, 0xC00002FF) | st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
NETWORKS6 = st.builds(
    lambda number, bits: IPv6Network((number, bits), strict=False),
    st.integers(0x20010DB8 << 96, (0x20010DB8 << 96) + 255) | st.integers(0, 2**128 - 1),
    st.integers(0, 128),
).filter(lambda network: network.network_address.ipv4_mapped is None or network.prefixlen < 96)
NETWORKS = st.lists(NETWORKS4 | NETWORKS6, max_size=5)
PEERS4 = (st.integers(0xC0000200, 0xC00002FF) | st.integers(0, 2**32 - 1)).map(IPv4Address)
PEERS6 = (st.integers(0x20010DB8 << 96, (0x20010DB8 << 96) + 255) | st.integers(0, 2**128 - 1)).map(IPv6Address)


@given(NETWORKS, NETWORKS, PEERS4 | PEERS6, st.sampled_from(["", "%eth0", "%7"]))
def test_who_is_admitted_is_what_a_walk_through_the_networks_says(
    allowed: list[Any], denied: list[Any], peer: IPv4Address | IPv6Address, zone: str
) -> None:
    judged = admission(
        planned(listen=True, allow=tuple(map(str, allowed)) or None, deny=tuple(map(str, denied)) or None).access
    )
    bare = (peer.ipv4_mapped if isinstance(peer, IPv6Address) else None) or peer
    expected = not any(bare in network for network in denied)
    if allowed:
        expected = expected and any(bare in network for network in allowed)
    shown = (
        {str(peer) + zone} if isinstance(peer, IPv6Address) else {str(peer), f"::ffff:{peer}", f"::ffff:{peer}%eth0"}
    )
    for host in shown:
        assert (judged is None or judged.admits(host)) == expected
