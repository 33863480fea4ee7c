"""Reading requests: limits to the byte, whatever the cuts, and what becomes of a path.

What is answered is test_http.py's; the hostile requests are there too.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.http.pages import Refusal
from pync.wire.http.requests import LARGEST_BODY, LARGEST_HEAD, LONGEST_LINE, MOST_FIELDS, Request, RequestReader
from tests.wire.hostile_requests import get, with_fields


def read(data: bytes, size: int = 1 << 16) -> Request | int | None:
    """The first request of the stream, cut into pieces of this size; or the status it is refused with."""
    reader = RequestReader()
    request = None
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        try:
            request = reader.next()
        except Refusal as refusal:
            return refusal.status
        if request is not None:
            break
    return request


def segments(target: bytes) -> list[bytes]:
    request = read(get(target))
    assert isinstance(request, Request)
    return request.segments


def padded(length: int, build: bytes) -> bytes:
    """A request in which PAD is replaced by as many letters as make `build` so long."""
    return build.replace(b"PAD", b"a" * (length - len(build) + 3))


def head_of(length: int) -> bytes:
    return padded(length, with_fields(b"X: PAD"))


def line_of(length: int) -> bytes:
    return padded(length, b"GET /PAD HTTP/1.1\r\n") + b"Host: a\r\n\r\n"


def fields(count: int) -> bytes:
    return with_fields(*[b"X: y"] * (count - 1))


def body_of(length: int) -> bytes:
    return with_fields(b"Content-Length: %d" % length) + b"a" * length


def chunks_of(length: int) -> bytes:
    """A chunked body that takes so many bytes on the wire."""
    rest = length - len(b"ffff\r\n\r\n0\r\n\r\n")
    body = b"%04x\r\n%s\r\n0\r\n\r\n" % (rest, b"a" * rest)
    assert len(body) == length
    return with_fields(b"Transfer-Encoding: chunked") + body


@pytest.mark.parametrize("size", [1, 1000, 1 << 16])
@pytest.mark.parametrize(
    ("build", "limit", "status"),
    [
        (head_of, LARGEST_HEAD, 431),
        (line_of, LONGEST_LINE, 414),
        (fields, MOST_FIELDS, 431),
        (body_of, LARGEST_BODY, 413),
        (chunks_of, LARGEST_BODY, 413),
    ],
)
def test_a_limit_holds_to_the_byte_whatever_the_cuts(build, limit, status, size) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(read(build(limit), size), Request)
    assert read(build(limit + 1), size) == status


@given(st.lists(st.binary(min_size=1), min_size=1))
def test_any_name_can_be_asked_for_percent_encoded(names: list[bytes]) -> None:
    assert segments(b"".join(b"/" + b"".join(b"%%%02X" % byte for byte in name) for name in names)) == names


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", [b""]),
        (b"/a/b.txt", [b"a", b"b.txt"]),
        (b"/a/", [b"a", b""]),
        (b"//a", [b"", b"a"]),
        (b"/a%2fb/c", [b"a/b", b"c"]),
        (b"/%2541", [b"%41"]),
        (b"/a?b/c%", [b"a"]),
        (b"/a+b", [b"a+b"]),
        (b"http://host", [b""]),
        (b"http://host:80/a/b", [b"a", b"b"]),
        (b"HTTP://host?x", [b""]),
    ],
)
def test_a_target_is_split_first_and_decoded_once(target: bytes, expected: list[bytes]) -> None:
    assert segments(target) == expected


def test_fields_of_the_same_name_are_one_list() -> None:
    request = read(with_fields(b"If-None-Match: a", b"if-none-match: b"))
    assert isinstance(request, Request)
    assert request.headers[b"if-none-match"] == b"a, b"


@pytest.mark.parametrize(
    ("data", "interrupted"),
    [(b"", False), (b"\r\n", False), (b"G", True), (get(b"/"), False), (get(b"/") + b"G", True)],
)
def test_it_is_known_whether_a_request_has_begun(data: bytes, interrupted: bool) -> None:
    reader = RequestReader()
    reader.feed(data)
    while reader.next() is not None:
        pass
    assert reader.interrupted == interrupted
