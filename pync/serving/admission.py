"""Who may connect: what --allow, --deny and their files come to on this machine.

Here files are read and names looked up, once and before anything is bound; then a peer's address is judged
without a system call. How rules are written is `wire.rules`'s business, what becomes of a client that is
turned away the server's.
"""

from __future__ import annotations

import socket

from pync.errors import Fault, NameFault, UsageFault, reason
from pync.net.resolve import resolve
from pync.wire.rules import AddressSet, parse_rule, split_rules, unmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.plan import Access
    from pync.wire.rules import Span


class Admission:
    """Tells whom to serve: nobody who is denied; where `allowed` is not None, only who is in it."""

    __slots__ = ("_allowed", "_denied")

    def __init__(self, allowed: AddressSet | None, denied: AddressSet) -> None:
        self._allowed = allowed
        self._denied = denied

    def admits(self, host: str) -> bool:
        """Whether a peer with this numeric address may connect; its zone (`%eth0`) makes no difference.

        A text that is no address is not admitted.
        """
        try:
            version, number = _numeric(host)
        except (OSError, ValueError):
            return False
        if self._denied.holds(version, number):
            return False
        return self._allowed is None or self._allowed.holds(version, number)


def _numeric(host: str) -> tuple[int, int]:
    if ":" not in host:
        return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big")
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return unmapped(6, int.from_bytes(packed, "big"))


def admission(access: Access, limit: float | None = None) -> Admission | None:
    """What the options say about who may connect; None where they let everybody in.

    A file of allowed clients without any rule admits nobody: a list that has become empty must not
    open the door. `limit` bounds a look-up, in seconds. A name stands for all its addresses, whatever -4 and -6 say.

    Raises:
        UsageFault: a rule is none; the text names its option, or its file and line.
        NameFault: a name does not resolve.
        Fault: with code 1, a file cannot be read.
    """
    lookup = Lookup(access.numeric, limit)
    allowed = _side("--allow", access.allow, access.allowfile, lookup)
    denied = _side("--deny", access.deny, access.denyfile, lookup)
    if allowed is None and denied is None:
        return None
    return Admission(allowed, denied or AddressSet())


def trusted(access: Access, limit: float | None = None) -> Admission | None:
    """Which proxies may tell whose connection it is (--proxy-protocol-from); None where all may.

    Raises:
        UsageFault: a rule is none.
        NameFault: a name does not resolve.
    """
    proxies = _side("--proxy-protocol-from", access.proxies, None, Lookup(access.numeric, limit))
    return None if proxies is None else Admission(proxies, AddressSet())


def _side(
    option: str, texts: tuple[str, ...] | None, paths: tuple[str, ...] | None, lookup: Lookup
) -> AddressSet | None:
    """All that was given of one side, however often."""
    if texts is None and paths is None:
        return None
    spans: list[Span] = []
    for text in texts or ():
        spans += _from_option(option, text, lookup)
    for path in paths or ():
        for place, line in _lines(path):
            spans += lookup.spans(split_rules(line), place)
    return AddressSet(spans)


def _from_option(option: str, text: str, lookup: Lookup) -> list[Span]:
    words = split_rules(text)
    if not words:
        raise UsageFault(f"{option}: no rule in '{text}'")
    return lookup.spans(words, option)


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """The lines of a file without comments, each with the place to name when it is wrong."""
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{path} line {number}"
                yield place, _decoded(line, place).partition("#")[0]
    except OSError as error:
        raise Fault(f"read {path}: {reason(error)}") from None


def _decoded(line: bytes, place: str) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageFault(f"{place}: not UTF-8 text") from None


class Lookup:
    """Turns rules into spans; a name that comes again is not looked up again."""

    def __init__(self, numeric: bool, limit: float | None = None) -> None:
        self._numeric = numeric
        self._limit = limit
        self._known: dict[str, list[Span]] = {}

    def spans(self, words: list[str], place: str) -> list[Span]:
        """The spans of the rules that stand at this place, which is named when one is wrong."""
        found: list[Span] = []
        for word in words:
            try:
                rule = parse_rule(word)
                found += self._addresses(rule) if isinstance(rule, str) else rule
            except NameFault as fault:
                raise NameFault(f"{place}: {fault.text}", fault.code) from None
            except UsageFault as fault:
                raise UsageFault(f"{place}: {fault.text}") from None
        return found

    def _addresses(self, name: str) -> list[Span]:
        if name not in self._known:
            found = resolve(name, 0, numeric=self._numeric, limit=self._limit)
            numbers = [_numeric(address.sockaddr[0]) for address in found]
            self._known[name] = [(version, number, number) for version, number in numbers]
        return self._known[name]
