"""The PROXY protocol, versions 1 and 2: the addresses of a connection that came through a proxy.

An exchange reads the header and `header` writes one, by HAProxy's specification "The PROXY protocol"
(proxy-protocol.txt, sections 2.1 and 2.2). The server decides which peers it trusts to send one.
"""

from __future__ import annotations

from pync.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.wire.exchange import Exchange, Step

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
#: Section 2.1: 107 bytes hold the longest line, its CRLF included.
LONGEST_LINE = 107
#: The specification allows 65,535, and HAProxy's buffer holds 16 KiB; real headers are far shorter.
LONGEST_BODY = 4096
HIGHEST_PORT = 65535
VERSION, LOCAL, PROXY = 0x20, 0, 1
#: Section 2.2: high half of the family byte → bytes of one address, bytes of one port.
UNSPEC, INET, INET6, UNIX = 0, 1, 2, 3
SIZES = {UNSPEC: (0, 0), INET: (4, 2), INET6: (16, 2), UNIX: (108, 0)}
STREAM, DATAGRAM = 1, 2
ALPN, AUTHORITY, CRC32C, SSL = 0x01, 0x02, 0x03, 0x20
#: The extensions that messages show, and the word for each.
SHOWN = {ALPN: "ALPN", AUTHORITY: "authority"}
#: Section 2.2.6: the extension SSL has five fixed bytes, then extensions of its own.
SSL_FIXED = 5
SSL_SHOWN = {0x21: "TLS", 0x22: "common name", 0x23: "cipher"}
POLYNOMIAL = 0x82F63B78


class Told:
    """What a header says.

    Attributes:
        local: whether the proxy connects on its own behalf, such as for a health check; the socket's addresses count.
        source: host and port of the client, a path with port 0, or None if the proxy does not know.
        destination: the address that the client connected to, in the same form.
        facts: the extensions that are shown, as (word, value).
        unix: source and destination are paths.
    """

    __slots__ = ("destination", "facts", "local", "source", "unix")

    def __init__(
        self,
        source: tuple[str, int] | None = None,
        destination: tuple[str, int] | None = None,
        facts: list[tuple[str, str]] | None = None,
        local: bool = False,
        unix: bool = False,
    ) -> None:
        self.source = source
        self.destination = destination
        self.facts = facts or []
        self.local = local
        self.unix = unix


def receive(exchange: Exchange) -> Step[Told]:
    """The steps of the receiving side. The first byte tells version 1 from version 2.

    Raises:
        Fault: the connection does not begin with a valid header.
    """
    first = yield from exchange.peek(1)
    if first == b"P":
        return (yield from _line(exchange))
    if first == SIGNATURE[:1]:
        return (yield from _binary(exchange))
    raise Fault(f"no PROXY header: it begins with {first!r}")


def header(version: int, source: tuple[str, int] | None, destination: tuple[str, int] | None) -> bytes:
    """The header for these addresses. For None or a path it says that the addresses are unknown."""
    if source is None or destination is None or not (source[1] and _is_address(source[0])):
        return b"PROXY UNKNOWN\r\n" if version == 1 else SIGNATURE + bytes([VERSION | PROXY, UNSPEC << 4, 0, 0])
    hosts = [source[0].partition("%")[0], destination[0].partition("%")[0]]
    ports = [source[1], destination[1]]
    six = ":" in hosts[0]
    if version == 1:
        return f"PROXY TCP{6 if six else 4} {hosts[0]} {hosts[1]} {ports[0]} {ports[1]}\r\n".encode("ascii")
    body = b"".join(_packed(host) for host in hosts) + b"".join(port.to_bytes(2, "big") for port in ports)
    family = (INET6 if six else INET) << 4 | STREAM
    return SIGNATURE + bytes([VERSION | PROXY, family]) + len(body).to_bytes(2, "big") + body


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _packed(host: str) -> bytes:
    import ipaddress

    return ipaddress.ip_address(host).packed


# --- version 1


def _line(exchange: Exchange) -> Step[Told]:
    line = yield from exchange.until(b"\r\n", LONGEST_LINE)
    words = line.split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return Told()
    if words[0] != b"PROXY" or len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise Fault(f"no PROXY header: {line!r}")
    six = words[1] == b"TCP6"
    hosts = [_read_host(word, six) for word in words[2:4]]
    ports = [_read_port(word) for word in words[4:6]]
    return Told((hosts[0], ports[0]), (hosts[1], ports[1]))


def _read_host(word: bytes, six: bool) -> str:
    import ipaddress

    try:
        text = word.decode("ascii")
        if "%" in text:  # a zone means nothing on another machine
            raise ValueError(text)
        return str(ipaddress.IPv6Address(text) if six else ipaddress.IPv4Address(text))
    except ValueError:
        raise Fault(f"PROXY header: {word!r} is no IPv{6 if six else 4} address") from None


def _read_port(word: bytes) -> int:
    if word.isdigit() and len(word) <= 5 and (word == b"0" or word[:1] != b"0") and int(word) <= HIGHEST_PORT:
        return int(word)
    raise Fault(f"PROXY header: {word!r} is no port")


# --- version 2


def _binary(exchange: Exchange) -> Step[Told]:
    for count in range(1, len(SIGNATURE)):  # refuse at the first wrong byte
        begin = yield from exchange.peek(count + 1)
        if begin != SIGNATURE[: count + 1]:
            raise Fault(f"no PROXY header: it begins with {begin!r}")
    fixed = yield from exchange.peek(len(SIGNATURE) + 4)
    command, kind = fixed[12], fixed[13]
    length = int.from_bytes(fixed[14:], "big")
    if command & 0xF0 != VERSION or command & 0x0F not in (LOCAL, PROXY):
        raise Fault(f"PROXY header: unknown version and command 0x{command:02x}")
    if length > LONGEST_BODY:
        raise Fault(f"PROXY header: {length} bytes are more than {LONGEST_BODY}")
    whole = yield from exchange.exactly(len(fixed) + length)
    return _read_binary(whole, command & 0x0F == LOCAL, kind)


def _read_binary(whole: bytes, local: bool, kind: int) -> Told:
    family = kind >> 4
    known = family in SIZES and kind & 0x0F <= DATAGRAM and not (kind and (family == UNSPEC or not kind & 0x0F))
    if not known and not local:
        raise Fault(f"PROXY header: unknown family 0x{kind:02x}")
    size, port_size = SIZES[family] if known else SIZES[UNSPEC]
    start = len(SIGNATURE) + 4 + 2 * (size + port_size)
    if start > len(whole):
        raise Fault(f"PROXY header: {len(whole)} bytes are too few for its addresses")
    if local or not kind:
        _check_sum(whole, _extensions(whole, start, strict=False))
        return Told(local=local)
    extensions = _extensions(whole, start, strict=True)
    _check_sum(whole, extensions)
    source, destination = _addresses(whole, family, size)
    return Told(source, destination, list(_facts(extensions)), unix=family == UNIX)


def _addresses(whole: bytes, family: int, size: int) -> list[tuple[str, int]]:
    import ipaddress

    start = len(SIGNATURE) + 4
    hosts = [whole[start : start + size], whole[start + size : start + 2 * size]]
    if family == UNIX:
        return [(_path(host), 0) for host in hosts]
    at = start + 2 * size
    ports = [int.from_bytes(whole[at : at + 2], "big"), int.from_bytes(whole[at + 2 : at + 4], "big")]
    return [(str(ipaddress.ip_address(host)), port) for host, port in zip(hosts, ports, strict=True)]


def _path(field: bytes) -> str:
    """The path in a field: it ends at its first NUL, but an abstract name begins with one (unix(7))."""
    abstract = field[:1] == b"\0" and field.strip(b"\0") != b""
    name = field[1:] if abstract else field
    return "@" * abstract + name.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _extensions(whole: bytes, start: int, *, strict: bool) -> list[tuple[int, int, bytes]]:
    """The extensions (section 2.2.1), each as (type, offset of its value, value)."""
    found: list[tuple[int, int, bytes]] = []
    while start < len(whole):
        length = int.from_bytes(whole[start + 1 : start + 3], "big")
        if start + 3 + length > len(whole):
            if strict:
                raise Fault("PROXY header: an extension is cut off")
            return []
        found.append((whole[start], start + 3, whole[start + 3 : start + 3 + length]))
        start += 3 + length
    return found


def _facts(extensions: list[tuple[int, int, bytes]]) -> Iterator[tuple[str, str]]:
    for kind, _, value in extensions:
        if kind in SHOWN:
            yield SHOWN[kind], value.decode("utf-8", "backslashreplace")
        elif kind == SSL:
            for part, _, inner in _extensions(value, SSL_FIXED, strict=False):
                if part in SSL_SHOWN:
                    yield SSL_SHOWN[part], inner.decode("utf-8", "backslashreplace")


def _check_sum(whole: bytes, extensions: list[tuple[int, int, bytes]]) -> None:
    """Check the sum over the whole header, in which the field of the sum counts as zero (section 2.2.4)."""
    for kind, at, value in extensions:
        if kind != CRC32C:
            continue
        if len(value) != 4 or crc32c(whole[:at] + bytes(4) + whole[at + 4 :]) != int.from_bytes(value, "big"):
            raise Fault("PROXY header: its checksum is wrong")


_TABLE: list[int] = []


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of the bytes (RFC 3720, appendix B.4)."""
    if not _TABLE:
        for number in range(256):
            entry = number
            for _ in range(8):
                entry = entry >> 1 ^ (POLYNOMIAL if entry & 1 else 0)
            _TABLE.append(entry)
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF
