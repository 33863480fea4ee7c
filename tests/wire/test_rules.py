"""Rules of who may connect: every spelling and every refusal, and agreement with an oracle made of ipaddress.

The oracle is slow and obvious: it asks each rule in turn. Files, options and names that must be looked up are
tested in net/test_admission.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.errors import USAGE, UsageFault
from pync.wire.rules import AddressSet, parse_rule, split_rules, unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    Oracle = Callable[[IPv4Address | IPv6Address], bool]


def spans(word: str) -> list[tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]]:
    """The spans of a rule by the addresses at both ends."""
    found = parse_rule(word)
    assert isinstance(found, list)
    made: dict[int, Callable[[int], Any]] = {4: IPv4Address, 6: IPv6Address}
    return [(made[version](first), made[version](last)) for version, first, last in found]


def fault(word: str) -> str:
    """The text of the usage error that this rule is."""
    with pytest.raises(UsageFault) as caught:
        parse_rule(word)
    assert caught.value.code == USAGE
    assert len(caught.value.text.splitlines()) == 1
    return caught.value.text


@pytest.mark.parametrize(
    ("word", "first", "last"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        ("192.0.2.0/24", "192.0.2.0", "192.0.2.255"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.7"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("192.0.2.7-192.0.2.20", "192.0.2.7", "192.0.2.20"),
        ("192.0.2.7-192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("0.0.0.0-255.255.255.255", "0.0.0.0", "255.255.255.255"),
        ("2001:db8::7", "2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7", "2001:db8::7"),
        ("::", "::", "::"),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("[2001:db8::]/127", "2001:db8::", "2001:db8::1"),
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::7-2001:db8::20", "2001:db8::7", "2001:db8::20"),
        ("[2001:db8::7]-[2001:db8::20]", "2001:db8::7", "2001:db8::20"),
    ],
)
def test_an_address_a_network_and_a_range_name_what_lies_between_their_ends(word: str, first: str, last: str) -> None:
    assert spans(word) == [(ip_address(first), ip_address(last))]


@pytest.mark.parametrize(
    ("word", "first", "last"),
    [
        ("192.0.2.7/24", "192.0.2.0", "192.0.2.255"),
        ("192.0.2.7/0", "0.0.0.0", "255.255.255.255"),
        ("2001:db8::7/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),
        ("::ffff:192.0.2.7/120", "192.0.2.0", "192.0.2.255"),
    ],
)
def test_a_network_may_be_written_by_the_address_of_any_host_in_it(word: str, first: str, last: str) -> None:
    assert spans(word) == [(ip_address(first), ip_address(last))]


@pytest.mark.parametrize(
    ("word", "first", "last"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.0/120", "192.0.2.0", "192.0.2.255"),
        ("::ffff:0:0/96", "0.0.0.0", "255.255.255.255"),
        ("::ffff:192.0.2.7-::ffff:192.0.2.20", "192.0.2.7", "192.0.2.20"),
        ("192.0.2.7-::ffff:192.0.2.20", "192.0.2.7", "192.0.2.20"),
        # more than what is mapped: IPv6 addresses, and no IPv4 address among them
        ("::ffff:0:0/95", "::fffe:0:0", "::ffff:ffff:ffff"),
        ("::1-2001:db8::", "::1", "2001:db8::"),
        # never mapped: the deprecated compatible form, NAT64
        ("::192.0.2.7", "::c000:207", "::c000:207"),
        ("64:ff9b::192.0.2.7", "64:ff9b::c000:207", "64:ff9b::c000:207"),
    ],
)
def test_a_mapped_address_is_ipv4_in_a_rule_too(word: str, first: str, last: str) -> None:
    assert spans(word) == [(ip_address(first), ip_address(last))]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("192.0.2.1-20", [("192.0.2.1", "192.0.2.20")]),
        ("192.0.2.*", [("192.0.2.0", "192.0.2.255")]),
        ("192.0.2.-9", [("192.0.2.0", "192.0.2.9")]),
        ("192.0.2.250-", [("192.0.2.250", "192.0.2.255")]),
        ("192.0.2-3.*", [("192.0.2.0", "192.0.3.255")]),
        ("10-11.*.*.*", [("10.0.0.0", "11.255.255.255")]),
        ("10-11.0.0.1", [("10.0.0.1", "10.0.0.1"), ("11.0.0.1", "11.0.0.1")]),
        ("-1.0.0.1-2", [("0.0.0.1", "0.0.0.2"), ("1.0.0.1", "1.0.0.2")]),
        ("*.*.*.*", [("0.0.0.0", "255.255.255.255")]),
        ("0-255.0-255.*.0-", [("0.0.0.0", "255.255.255.255")]),
        ("127.0-1.3-4.1", [(f"127.{b}.{c}.1", f"127.{b}.{c}.1") for b in (0, 1) for c in (3, 4)]),
    ],
)
def test_octets_may_be_ranges_and_stars_as_for_ncat(word: str, expected: list[tuple[str, str]]) -> None:
    assert spans(word) == [(ip_address(first), ip_address(last)) for first, last in expected]


def test_octets_that_fall_apart_into_too_many_addresses_are_refused() -> None:
    assert len(spans("10.*.*.1")) == 65536
    assert "too many" in fault("10-11.*.*.1")
    assert "too many" in fault("*.*.*.1")


@pytest.mark.parametrize(
    "word",
    [
        "localhost",
        "host.example",
        "host.example.",
        "my-host",
        "a_b.example",
        "7.example",
        "3com",
        "bücher.example",
        "cafe",
    ],
)
def test_a_host_name_is_left_to_be_looked_up(word: str) -> None:
    assert parse_rule(word) == word


@pytest.mark.parametrize(
    "word",
    [
        "",
        "-",
        "*",
        ".",
        "/",
        "/24",
        "192.0.2",
        "192.0.2.",
        "192.0.2.7.1",
        "192.0.2.256",
        "192.0.2.07",
        "192.0..7",
        "10",
        "010.0.0.1",
        "0x7f.1",
        "1.2.3.0x4",
        "host.7",
        "host.7.",
        "192.0.2.7-300",
        "192.0.2.7-8-9",
        "192.0.2.7-192.0.2",
        "192.0.2.-",
        "192.0.2.**",
        "192.0.2.0-192.0.3.*",
        ":",
        ":::",
        "2001:db8::g",
        "2001:db8::1::",
        "1:2:3:4:5:6:7:8:9",
        "[2001:db8::7",
        "2001:db8::7]",
        "[192.0.2.7]",
        "[]",
        "[host.example]",
        "host:80",
        "192.0.2.7:80",
        "[2001:db8::7]:80",
        "2001:db8::*",
        "2001:db8::1-20-30",
        "2001:db8::1-",
        "::ffff:192.0.2.256",
        "*.example",
        "host..example",
        "host.example/24",
        "host/24",
        "ho st",
        "a!b",
        "\u00bd",
        "\u3251",
        "host.\u3251",
        "a\0b",
        "http://host",
        "\u0661.\u0662.\u0663.\u0664",
        "\uff11\uff12\uff17.0.0.\uff11",
    ],
)
def test_what_is_no_rule_is_refused_by_name_and_never_looked_up(word: str) -> None:
    assert f"'{word}' is no rule" in fault(word)


@pytest.mark.parametrize(
    "word",
    ["192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/255.255.255.0", "192.0.2.0/024", "192.0.2.0/24/24"],
)
def test_what_stands_behind_an_ipv4_network_must_be_0_to_32(word: str) -> None:
    assert fault(word) == f"'{word}': behind / stand the bits of the network, 0 to 32"


@pytest.mark.parametrize("word", ["2001:db8::/129", "::/", "::ffff:192.0.2.0/", "2001:db8::/\u0666\u0664", "::/+1"])
def test_what_stands_behind_an_ipv6_network_must_be_0_to_128(word: str) -> None:
    assert fault(word) == f"'{word}': behind / stand the bits of the network, 0 to 128"


@pytest.mark.parametrize(
    "word",
    ["192.0.2.20-192.0.2.7", "192.0.2.20-7", "20-7.0.0.1", "2001:db8::2-2001:db8::1", "192.0.2.9-::ffff:192.0.2.8"],
)
def test_a_range_that_runs_backwards_is_refused(word: str) -> None:
    assert fault(word) == f"range '{word}' runs backwards"


@pytest.mark.parametrize("word", ["192.0.2.7-2001:db8::1", "::1-192.0.2.7", "::1-::ffff:192.0.2.7"])
def test_a_range_from_one_family_to_the_other_is_refused(word: str) -> None:
    assert fault(word) == f"range '{word}' goes from one family to the other"


@pytest.mark.parametrize("word", ["fe80::1%eth0", "fe80::%1/10", "host%eth0", "192.0.2.7%eth0"])
def test_a_zone_in_a_rule_is_refused_because_dropping_it_would_let_in_more(word: str) -> None:
    assert fault(word) == f"'{word}': a rule holds on every interface, write it without %"


@given(st.text(max_size=40) | st.text("0123456789abfx.:-*/[]%", max_size=40))
def test_any_text_is_spans_a_name_or_a_usage_error(word: str) -> None:
    try:
        found = parse_rule(word)
    except UsageFault as refusal:
        assert word in refusal.text
        return
    if isinstance(found, str):
        assert found == word
        assert any(letter.isalpha() for letter in word)
    else:
        assert found
        assert all(first <= last < 1 << (32 if version == 4 else 128) for version, first, last in found)


@pytest.mark.parametrize("text", ["a,b", "a, b", " a\tb\n", "a,,b,", ",a \r\n,b"])
def test_rules_are_separated_by_commas_and_white_space(text: str) -> None:
    assert split_rules(text) == ["a", "b"]


# --- agreement with the oracle

NUMBERS4 = st.integers(0, 2**32 - 1)
NUMBERS6 = st.integers(0, 2**128 - 1)
#: Close together, so that rules overlap, touch and nearly touch, and peers lie at their borders.
NEAR4 = st.integers(0xC0000200, 0xC0000240)
NEAR6 = st.integers((0x20010DB8 << 96), (0x20010DB8 << 96) + 0x40) | st.integers(0xFFFEFFFFFFFE, 0x1000000000001)
ADDRESSES4 = (NEAR4 | NUMBERS4).map(IPv4Address)
ADDRESSES6 = (NEAR6 | NUMBERS6).map(IPv6Address)
MAPPED = ADDRESSES4.map(lambda address: IPv6Address(0xFFFF << 32 | int(address)))


def plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address as the standard library unmaps it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def text_of(address: IPv4Address | IPv6Address) -> str:
    """As it is written, a mapped one with dots; str() writes those with colons in older Pythons."""
    other = plain(address)
    return str(address) if other is address else f"::ffff:{other}"


def single(address: IPv4Address | IPv6Address) -> tuple[str, Oracle]:
    return text_of(address), lambda peer: plain(peer) == plain(address)


def network4(address: IPv4Address, bits: int, as_mapped: bool) -> tuple[str, Oracle]:
    network = IPv4Network((address, bits), strict=False)
    text = f"::ffff:{address}/{bits + 96}" if as_mapped else f"{address}/{bits}"
    return text, lambda peer: plain(peer) in network


def network6(address: IPv6Address, bits: int) -> tuple[str, Oracle]:
    network = IPv6Network((address, bits), strict=False)
    return f"{address}/{bits}", lambda peer: plain(peer) in network and plain(peer).version == 6


def between(one: Any, two: Any) -> tuple[str, Oracle]:
    low, high = sorted((plain(one), plain(two)), key=int)

    def oracle(peer: IPv4Address | IPv6Address) -> bool:
        return plain(peer).version == low.version and int(low) <= int(plain(peer)) <= int(high)

    return f"{low}-{high}", oracle


def by_octets(ranges: list[tuple[int, int, str]]) -> tuple[str, Oracle]:
    def oracle(peer: IPv4Address | IPv6Address) -> bool:
        bare = plain(peer)
        return bare.version == 4 and all(
            low <= octet <= high for octet, (low, high, _) in zip(bare.packed, ranges, strict=True)
        )

    return ".".join(text for _, _, text in ranges), oracle


def octet(low: int, high: int) -> tuple[int, int, str]:
    low, high = min(low, high), max(low, high)
    if (low, high) == (0, 255):
        return low, high, "*"
    return low, high, str(low) if low == high else f"{low}-{high}"


def octets(value: int) -> st.SearchStrategy[tuple[int, int, str]]:
    """An octet rule that holds the value, so that peers from nearby are often met."""
    near = st.integers(max(0, value - 3), value)
    return st.just(octet(value, value)) | st.builds(octet, near, st.just(value))


STAR = st.just(octet(0, 255))


#: What an IPv6 rule is made of: mapped ones are IPv4 rules and have strategies of their own.
TRUE6 = ADDRESSES6.filter(lambda address: address.ipv4_mapped is None)
RULES = (
    st.builds(single, ADDRESSES4 | ADDRESSES6 | MAPPED)
    | st.builds(network4, ADDRESSES4, st.integers(0, 32), st.booleans())
    | st.builds(network6, TRUE6, st.integers(0, 128))
    | st.builds(between, ADDRESSES4, ADDRESSES4)
    | st.builds(between, TRUE6, TRUE6)
    | st.tuples(octets(192), octets(0), octets(2) | STAR, octets(7) | STAR).map(lambda parts: by_octets(list(parts)))
)
PEERS = ADDRESSES4 | ADDRESSES6 | MAPPED


def address_set(words: list[str]) -> AddressSet:
    found = [parse_rule(word) for word in words]
    return AddressSet(span for rule in found if isinstance(rule, list) for span in rule)


@settings(deadline=None)
@given(st.lists(RULES, max_size=8), st.lists(PEERS, min_size=1, max_size=8))
def test_a_set_holds_exactly_the_addresses_that_one_of_its_rules_names(
    rules: list[tuple[str, Oracle]], peers: list[IPv4Address | IPv6Address]
) -> None:
    held = address_set([word for word, _ in rules])
    for peer in peers:
        expected = any(oracle(peer) for _, oracle in rules)
        assert held.holds(*unmapped(peer.version, int(peer))) == expected, peer


@given(st.lists(st.tuples(NEAR4, NEAR4).map(lambda pair: (4, min(pair), max(pair))), max_size=12))
def test_spans_that_overlap_or_touch_hold_what_each_of_them_holds(found: list[tuple[int, int, int]]) -> None:
    held = AddressSet(found)
    for number in range(0xC00001FE, 0xC0000243):
        assert held.holds(4, number) == any(first <= number <= last for _, first, last in found)
        assert not held.holds(6, number)


@given(PEERS)
def test_an_ipv4_address_and_its_mapped_form_are_one_and_the_same(peer: IPv4Address | IPv6Address) -> None:
    version, number = unmapped(peer.version, int(peer))
    assert (version, number) == (plain(peer).version, int(plain(peer)))
    assert unmapped(version, number) == (version, number)


@pytest.mark.parametrize(("word", "other"), [("::/0", "192.0.2.7"), ("0.0.0.0/0", "2001:db8::7"), ("0.0.0.1", "::1")])
def test_the_rules_of_one_family_hold_no_address_of_the_other(word: str, other: str) -> None:
    peer = ip_address(other)
    assert not address_set([word]).holds(peer.version, int(peer))


def test_an_empty_set_holds_nobody() -> None:
    assert not AddressSet().holds(4, 0)
    assert not AddressSet().holds(6, 0)


def test_asking_among_a_hundred_thousand_rules_takes_no_longer_than_a_hundred_bisections() -> None:
    """Against a list that is walked through this is a factor of thousands, so that a busy machine does no harm."""
    many = AddressSet((4, 4 * number, 4 * number + 1) for number in range(100_000))
    few = AddressSet((4, 4 * number, 4 * number + 1) for number in range(10))

    def seconds(asked: AddressSet) -> float:
        began = time.process_time()
        for number in range(0, 400_000, 40):
            asked.holds(4, number)
        return time.process_time() - began

    assert seconds(many) < 100 * seconds(few)
