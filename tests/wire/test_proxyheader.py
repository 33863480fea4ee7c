"""PROXY headers: what is told, what is refused, and that nothing else can come of any bytes.

Real proxies before and behind pync are in cli/test_proxy_protocol.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import Fault
from pync.wire.exchange import Exchange
from pync.wire.proxyheader import SIGNATURE, Told, crc32c, header, receive

PORTS = st.integers(1, 65535)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), PORTS, st.ip_addresses(v=4).map(str), PORTS),
    st.tuples(st.ip_addresses(v=6).map(str), PORTS, st.ip_addresses(v=6).map(str), PORTS),
)
#: How many mutated headers are tried; PYNC_MUTATIONS asks for more.
MUTATIONS = int(os.environ.get("PYNC_MUTATIONS", "20000"))


def read(data: bytes) -> tuple[Told, bytes]:
    """What a header says, and the bytes behind it."""
    exchange = Exchange(receive)
    exchange.feed(data)
    if not exchange.done:
        exchange.end()
    assert isinstance(exchange.result, Told)
    return exchange.result, exchange.rest


def binary(command: int, kind: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(body).to_bytes(2, "big") + body


def extension(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def summed(command: int, kind: int, body: bytes, spoil: int = 0) -> bytes:
    """A header that ends with its checksum."""
    empty = binary(command, kind, body + extension(3, bytes(4)))
    return empty[:-4] + (crc32c(empty) ^ spoil).to_bytes(4, "big")


INET_BODY = bytes([192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 1, 187])


@given(PAIRS, st.sampled_from([1, 2]), st.binary(max_size=20), st.integers(0, 60))
def test_what_is_written_is_read_however_it_is_cut(
    pair: tuple[str, int, str, int], version: int, rest: bytes, cut: int
) -> None:
    source, destination = pair[:2], pair[2:]
    data = header(version, source, destination) + rest
    exchange = Exchange(receive)
    exchange.feed(data[:cut])
    left = data[cut:]
    if not exchange.done:
        exchange.feed(left)
        left = b""
    told = exchange.result
    assert isinstance(told, Told)
    assert (told.source, told.destination, exchange.rest + left) == (source, destination, rest)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("source", [None, ("/run/x", 0), ("@name", 0)])
def test_a_client_without_an_address_is_unknown(version: int, source: tuple[str, int] | None) -> None:
    told, _ = read(header(version, source, ("127.0.0.1", 80)))
    assert (told.source, told.local) == (None, False)


def test_the_sum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_zone_is_not_told() -> None:
    assert header(1, ("fe80::1%eth0", 5), ("fe80::2%eth0", 6)) == b"PROXY TCP6 fe80::1 fe80::2 5 6\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 whatever 0 x\r\n", binary(0x21, 0x00, b""),
        binary(0x21, 0x00, b"\xff\xff\xff"), summed(0x21, 0x00, b""),
    ],
)  # fmt: skip
def test_an_unknown_client_keeps_the_sockets_address(data: bytes) -> None:
    told, rest = read(data + b"x")
    assert (told.source, told.local, rest) == (None, False, b"x")


@pytest.mark.parametrize(
    "data",
    [binary(0x20, 0x00, b""), binary(0x20, 0x11, INET_BODY), binary(0x20, 0x77, b"??"), summed(0x20, 0x00, b"")],
)
def test_a_proxy_may_speak_for_itself(data: bytes) -> None:
    told, rest = read(data)
    assert (told.source, told.local, rest) == (None, True, b"")


def test_paths_and_abstract_names_are_told() -> None:
    told, _ = read(binary(0x21, 0x31, b"/run/a".ljust(108, b"\0") + b"\0name".ljust(108, b"\0")))
    assert (told.source, told.destination) == (("/run/a", 0), ("@name", 0))


def test_the_facts_that_users_want_are_told() -> None:
    tls = b"\x01" + bytes(4) + extension(0x21, b"TLSv1.3") + extension(0x22, b"me\x1b")
    body = INET_BODY + extension(1, b"h2") + extension(2, b"example.org") + extension(5, b"id") + extension(0x20, tls)
    told, _ = read(summed(0x21, 0x11, body))
    assert told.facts == [("ALPN", "h2"), ("authority", "example.org"), ("TLS", "TLSv1.3"), ("common name", "me\x1b")]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n", b"\0", b"PROXY\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", b"PROXY TCP5 a b 1 2\r\n",
        b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", b"proxy UNKNOWN\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP6 ::1%lo ::1 1 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", SIGNATURE[:11] + b"X",
        binary(0x11, 0x11, INET_BODY), binary(0x22, 0x11, INET_BODY), binary(0x21, 0x41, INET_BODY),
        binary(0x21, 0x13, INET_BODY), binary(0x21, 0x10, INET_BODY), binary(0x21, 0x01, b""),
        binary(0x21, 0x11, INET_BODY[:-1]), binary(0x21, 0x11, INET_BODY + b"\x01\0"),
        binary(0x21, 0x11, INET_BODY + b"\x01\0\5abc"), binary(0x21, 0x11, INET_BODY + extension(3, b"abc")),
        binary(0x21, 0x11, INET_BODY + bytes(4096)), summed(0x21, 0x11, INET_BODY, spoil=1),
        summed(0x20, 0x00, b"", spoil=1), summed(0x21, 0x00, b"", spoil=1),
    ],
)  # fmt: skip
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(Fault):
        read(data)


def test_the_longest_line_and_the_longest_body_are_taken() -> None:
    assert read(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n")[0].source is None
    padded = INET_BODY + extension(4, bytes(4096 - 3 - len(INET_BODY)))
    assert read(binary(0x21, 0x11, padded))[0].source == ("192.0.2.1", 80)


def test_mutated_headers_give_a_result_or_a_fault_and_nothing_else() -> None:
    chance = random.Random(1)
    tls = extension(0x20, b"\x01" + bytes(4) + extension(0x21, b"TLSv1.3"))
    seeds = [
        header(1, ("192.0.2.1", 80), ("192.0.2.2", 443)), header(1, ("::1", 80), ("::2", 443)), b"PROXY UNKNOWN\r\n",
        header(2, ("::1", 80), ("::2", 443)), summed(0x21, 0x11, INET_BODY + tls), summed(0x20, 0, b""),
        binary(0x21, 0x31, b"/a".ljust(108, b"\0") * 2),
    ]  # fmt: skip
    outcomes = {"told": 0, "refused": 0}
    for _ in range(MUTATIONS):
        data = bytearray(chance.choice(seeds) + b"rest")
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(data))
            action = chance.randrange(3)
            if action == 0:
                data[at] = chance.randrange(256)
            elif action == 1:
                del data[at : at + chance.randrange(1, 5)]
            else:
                data[at:at] = chance.randbytes(chance.randrange(1, 5))
            data = data or bytearray(b"P")
        try:
            read(bytes(data))
            outcomes["told"] += 1
        except Fault:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > MUTATIONS // 100
