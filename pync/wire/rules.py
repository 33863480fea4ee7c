"""The syntax of --allow and --deny, and the addresses that a rule names.

Text in, spans of numbers out, and a set that is searched by bisection. An address is a version (4 or 6)
and a number. An IPv4 address mapped into IPv6 (RFC 4291, section 2.5.5.2) counts as IPv4, in rules and in peers;
no span holds addresses of both families. `serving.admission` reads files of rules and looks names up.
"""

from __future__ import annotations

from bisect import bisect_right

from pync.errors import UsageFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Consecutive addresses: version, first number, last number.
Span = tuple[int, int, int]

#: Version → bits of an address.
WIDTHS = {4: 32, 6: 128}
#: The upper 96 bits of a mapped address, and the number of bits of the IPv4 address below them.
MAPPED, MAPPED_BITS = 0xFFFF, 32
#: `10.*.*.1` needs a span for each address. A rule with more spans than this is taken for a mistake.
MOST_SPANS = 1 << 16
#: A word of only these characters is meant as IPv4.
IPV4_LETTERS = frozenset("0123456789.-*/")
EVERY_OCTET = (0, 255)


def split_rules(text: str) -> list[str]:
    """The words of `192.0.2.1, host.example`, separated by commas or white space."""
    return text.replace(",", " ").split()


def parse_rule(word: str) -> list[Span] | str:
    """The addresses that a rule names; a host name is returned as it is.

    Addresses are written `192.0.2.7` or `2001:db8::7`, networks `192.0.2.0/24` (host bits behind the prefix are
    ignored, as nft(8) and ncat(1) do), ranges `192.0.2.7-192.0.2.20`, and by octets, as for ncat(1),
    `192.0.2.7-20`, `192.0.*.-9`. A word that ends in a number is an address and never looked up, because
    getaddrinfo(3) would read `192.2` as 192.0.0.2.

    Raises:
        UsageFault: the word is none of these.
    """
    if "%" in word:
        raise UsageFault(f"'{word}': a rule holds on every interface, write it without %")
    if ":" in word or IPV4_LETTERS.issuperset(word):
        return _spans(word)
    return _name(word)


def unmapped(version: int, number: int) -> tuple[int, int]:
    """The same address, as IPv4 if it is an IPv4 address mapped into IPv6."""
    if version == 6 and number >> MAPPED_BITS == MAPPED:
        return 4, number & ((1 << MAPPED_BITS) - 1)
    return version, number


def _spans(word: str) -> list[Span]:
    if "/" in word:
        return [_network(word)]
    first, dash, last = word.partition("-")
    if dash and (":" in word or first.count(".") == last.count(".") == 3):
        return [_range(word, first, last)]
    if dash or "*" in word:
        return _octet_spans(word)
    version, number = unmapped(*_address(word, word))
    return [(version, number, number)]


def _network(word: str) -> Span:
    text, _, bits = word.partition("/")
    version, number = _address(text, word)
    if not _is_number(bits) or int(bits) > WIDTHS[version]:
        raise UsageFault(f"'{word}': behind / stand the bits of the network, 0 to {WIDTHS[version]}")
    size = 1 << (WIDTHS[version] - int(bits))
    first = number - number % size
    if unmapped(version, first)[0] == unmapped(version, first + size - 1)[0] == 4:
        version, first = unmapped(version, first)
    return version, first, first + size - 1


def _range(word: str, first: str, last: str) -> Span:
    version, low = unmapped(*_address(first, word))
    other, high = unmapped(*_address(last, word))
    if version != other:
        raise UsageFault(f"range '{word}' goes from one family to the other")
    if low > high:
        raise UsageFault(f"range '{word}' runs backwards")
    return version, low, high


def _address(text: str, word: str) -> tuple[int, int]:
    """The version and number of an address as written. IPv6 may stand in brackets."""
    import ipaddress

    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise _no_rule(word) from None
    return address.version, int(address)


def _octet_spans(word: str) -> list[Span]:
    """The spans of a rule by octets: each is a number, `*`, or a range in which either end may be missing."""
    octets = [_octet(part, word) for part in word.split(".")]
    if len(octets) != 4:
        raise _no_rule(word)
    starts = [0]
    for index, (low, high) in enumerate(octets):
        size = 1 << (24 - 8 * index)
        if all(octet == EVERY_OCTET for octet in octets[index + 1 :]):
            return [(4, start + low * size, start + high * size + size - 1) for start in starts]
        if len(starts) * (high - low + 1) > MOST_SPANS:
            raise UsageFault(f"'{word}' stands for too many separate addresses")
        starts = [start + value * size for start in starts for value in range(low, high + 1)]
    raise AssertionError("not reached: behind the last octet there is none that differs from *")


def _octet(part: str, word: str) -> tuple[int, int]:
    if part == "*":
        return EVERY_OCTET
    low, dash, high = part.partition("-")
    if dash and (low or high):
        low, high = low or "0", high or "255"
    elif not dash:
        high = low
    if not (_is_number(low) and _is_number(high) and max(int(low), int(high)) <= 255):
        raise _no_rule(word)
    if int(low) > int(high):
        raise UsageFault(f"range '{word}' runs backwards")
    return int(low), int(high)


def _is_number(text: str) -> bool:
    """Whether the text is up to three digits without a leading zero, because inet_aton(3) reads that as octal."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and (text == "0" or text[0] != "0")


def _name(word: str) -> str:
    """The word, if it can be a host name. A word that getaddrinfo(3) reads as a number is refused."""
    labels = word.removesuffix(".").split(".")
    plain = all(label.replace("-", "").replace("_", "").isalnum() for label in labels)
    if not plain or not any(letter.isalpha() for letter in labels[-1]) or labels[-1].lower().startswith("0x"):
        raise _no_rule(word)
    return word


def _no_rule(word: str) -> UsageFault:
    return UsageFault(
        f"'{word}' is no rule: write an address, a network as 192.0.2.0/24, a range as 192.0.2.7-192.0.2.20, "
        "or the name of a host"
    )


class AddressSet:
    """The addresses of many spans, which may overlap. Each family has a list of its own."""

    __slots__ = ("_borders",)

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._borders: dict[int, list[int]] = {4: [], 6: []}
        for version, first, last in sorted(spans):
            _append(self._borders[version], first, last + 1)

    def holds(self, version: int, number: int) -> bool:
        """Whether one of the spans holds the address; takes O(log n) for n spans."""
        return bisect_right(self._borders[version], number) % 2 == 1


def _append(borders: list[int], first: int, end: int) -> None:
    """Add a span to those that begin no later. The borders alternate: first inside, first outside."""
    if borders and first <= borders[-1]:
        borders[-1] = max(borders[-1], end)
    else:
        borders += (first, end)
