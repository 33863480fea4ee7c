"""How rules of who may connect are written, and which addresses they name.

Text in, spans of numbers out, and a set that is asked with a bisection. An address is a version (4 or 6)
and a number; one mapped into IPv6 (RFC 4291, section 2.5.5.2) is the IPv4 address it stands for, in rules as
in peers, and no span ever holds addresses of both families. Files and look-ups are `serving.admission`'s.
"""

from __future__ import annotations

from bisect import bisect_right

from pync.errors import UsageFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: The version, and the first and last number, of addresses in a row.
Span = tuple[int, int, int]

#: Bits of an address, by version.
WIDTHS = {4: 32, 6: 128}
#: The upper 96 bits of a mapped address, and how many bits of it are the IPv4 address.
MAPPED, MAPPED_BITS = 0xFFFF, 32
#: `10.*.*.1` is not a span but one for each address; more of them than this are no rule but a mistake.
MOST_SPANS = 1 << 16
#: Of these and nothing else is made what is meant for IPv4.
IPV4_LETTERS = frozenset("0123456789.-*/")
EVERY_OCTET = (0, 255)


def split_rules(text: str) -> list[str]:
    """The words of `192.0.2.1, host.example`: commas separate them, and white space does."""
    return text.replace(",", " ").split()


def parse_rule(word: str) -> list[Span] | str:
    """The addresses that a rule names, or the host name that it is.

    Addresses are written `192.0.2.7` or `2001:db8::7`, networks `192.0.2.0/24` (bits of a host behind the
    prefix are passed over, as by nft(8) and ncat(1)), ranges `192.0.2.7-192.0.2.20`, and by octets, as for
    ncat(1), `192.0.2.7-20`, `192.0.*.-9`. Whatever ends in a number is an address and never looked up:
    getaddrinfo(3) would make 192.0.0.2 of `192.2`.

    Raises:
        UsageFault: it is none of these.
    """
    if "%" in word:
        raise UsageFault(f"'{word}': a rule holds on every interface, write it without %")
    if ":" in word or IPV4_LETTERS.issuperset(word):
        return _spans(word)
    return _name(word)


def unmapped(version: int, number: int) -> tuple[int, int]:
    """The same address, as IPv4 where it is IPv4 mapped into IPv6."""
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
    """The version and number of an address as written; brackets may stand around IPv6."""
    import ipaddress

    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise _no_rule(word) from None
    return address.version, int(address)


def _octet_spans(word: str) -> list[Span]:
    """Each octet is a number, `*`, or a range whose ends may be left out."""
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
    """Up to three decimal digits without a leading zero, which some would read as octal."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and (text == "0" or text[0] != "0")


def _name(word: str) -> str:
    """A text that could be the name of a host; what getaddrinfo(3) would take for a number is none."""
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
    """The addresses of many spans, which may overlap; each family is kept apart."""

    __slots__ = ("_borders",)

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._borders: dict[int, list[int]] = {4: [], 6: []}
        for version, first, last in sorted(spans):
            _append(self._borders[version], first, last + 1)

    def holds(self, version: int, number: int) -> bool:
        """Whether the address is in one of the spans; the time grows with the logarithm of their count."""
        return bisect_right(self._borders[version], number) % 2 == 1


def _append(borders: list[int], first: int, end: int) -> None:
    """Add a span to those that begin no later: within and without take turns at the borders."""
    if borders and first <= borders[-1]:
        borders[-1] = max(borders[-1], end)
    else:
        borders += (first, end)
