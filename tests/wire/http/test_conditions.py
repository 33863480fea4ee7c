"""Conditions, ranges and dates of HTTP: what of a file a request wants."""

from __future__ import annotations

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.http.conditions import EARLIEST, LATEST, http_date, listing_date, parse_http_date, wanted

TAG = b'"a1"'
MODIFIED = 784_111_777
DATE, BEFORE, AFTER = (http_date(MODIFIED + difference) for difference in (0, -1, 1))
NOW = MODIFIED + 100.0
SIZE = 1000


def decide(headers: dict[bytes, bytes], size: int = SIZE, now: float = NOW) -> tuple[int, int, int]:
    want = wanted(headers, TAG, MODIFIED, size, now)
    return want.status, want.offset, want.count


WHOLE = (200, 0, SIZE)
PART = (206, 1, 3)
RANGE = {b"range": b"bytes=1-3"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, WHOLE),
        ({b"if-none-match": TAG}, (304, 0, 0)),
        ({b"if-none-match": b'W/"a1"'}, (304, 0, 0)),
        ({b"if-none-match": b'"b", "a1" , "c"'}, (304, 0, 0)),
        ({b"if-none-match": b"*"}, (304, 0, 0)),
        ({b"if-none-match": b'"a", "1"'}, WHOLE),
        ({b"if-none-match": b'"b"', b"if-modified-since": DATE}, WHOLE),
        ({b"if-modified-since": DATE}, (304, 0, 0)),
        ({b"if-modified-since": AFTER}, (304, 0, 0)),
        ({b"if-modified-since": BEFORE}, WHOLE),
        ({b"if-modified-since": b"Sunday, 06-Nov-94 08:49:37 GMT"}, (304, 0, 0)),
        ({b"if-modified-since": b"Sun Nov  6 08:49:37 1994"}, (304, 0, 0)),
        ({b"if-modified-since": b"\xff"}, WHOLE),
        ({b"if-match": TAG}, WHOLE),
        ({b"if-match": b"*"}, WHOLE),
        ({b"if-match": b'W/"a1"'}, (412, 0, 0)),
        ({b"if-match": b'"b"', b"if-none-match": TAG}, (412, 0, 0)),
        ({b"if-unmodified-since": DATE}, WHOLE),
        ({b"if-unmodified-since": BEFORE}, (412, 0, 0)),
        ({b"if-match": TAG, b"if-unmodified-since": BEFORE}, WHOLE),
        ({b"if-none-match": TAG, **RANGE}, (304, 0, 0)),
        ({b"if-range": TAG, **RANGE}, PART),
        ({b"if-range": b'W/"a1"', **RANGE}, WHOLE),
        ({b"if-range": DATE, **RANGE}, PART),
        ({b"if-range": AFTER, **RANGE}, WHOLE),
        ({b"if-range": b"nonsense", **RANGE}, WHOLE),
    ],
)
def test_conditions_are_weighed_as_the_rfc_orders(headers: dict[bytes, bytes], expected: tuple[int, int, int]) -> None:
    assert decide(headers) == expected


def test_a_date_is_no_strong_validator_while_the_same_second_may_bring_a_change() -> None:
    assert decide({b"if-range": DATE, **RANGE}, now=MODIFIED + 0.5) == WHOLE


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 1000))
def test_a_range_gives_the_bytes_that_a_slice_would(first: int, last: int, size: int) -> None:
    status, offset, count = decide({b"range": b"bytes=%d-%d" % (first, last)}, size)
    if last < first:
        assert (status, offset, count) == (200, 0, size)
        return
    expected = range(size)[first : last + 1]
    assert status == (206 if expected else 416)
    assert list(range(offset, offset + count)) == list(expected)


@given(st.integers(0, 2000), st.integers(0, 1000))
def test_open_ranges_give_what_open_slices_would(number: int, size: int) -> None:
    status, offset, count = decide({b"range": b"bytes=%d-" % number}, size)
    assert (status, list(range(offset, offset + count))) == (206 if number < size else 416, list(range(size))[number:])
    status, offset, count = decide({b"range": b"bytes=-%d" % number}, size)
    expected = list(range(size))[-number:] if number else []
    assert (status, list(range(offset, offset + count))) == (206 if expected else 416, expected)


@pytest.mark.parametrize(
    "field",
    [b"bytes", b"bytes=", b"bytes=-", b"bytes=a-", b"bytes=1", b"bytes=+1-", b"bytes=1-2,4-5", b"rows=1-2", b""],
)
def test_what_is_not_one_range_of_bytes_is_passed_over(field: bytes) -> None:
    assert decide({b"range": field}) == WHOLE


@given(st.dictionaries(st.sampled_from([b"range", b"if-range", b"if-match", b"if-modified-since"]), st.binary()))
def test_no_header_whatever_raises_or_leads_outside_the_file(headers: dict[bytes, bytes]) -> None:
    status, offset, count = decide(headers)
    assert status in (200, 206, 304, 412, 416)
    assert 0 <= offset <= offset + count <= SIZE


@pytest.mark.parametrize("digits", [18, 19, 5000])
def test_numbers_beyond_all_files_are_understood(digits: int) -> None:
    assert decide({b"range": b"bytes=" + b"9" * digits + b"-"}) == (416, 0, 0)
    assert decide({b"range": b"bytes=1-" + b"9" * digits}) == (206, 1, SIZE - 1)
    assert decide({b"range": b"bytes=" + b"0" * digits + b"1-3"}) == PART


@given(st.integers(0, LATEST))
def test_a_date_is_written_as_the_standard_library_does_and_read_back(seconds: int) -> None:
    assert http_date(seconds).decode() == email.utils.formatdate(seconds, usegmt=True)
    assert parse_http_date(http_date(seconds)) == seconds


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_times_that_no_date_can_say_become_the_nearest_that_can(seconds: float) -> None:
    clamped = min(max(int(seconds), EARLIEST), LATEST)
    assert http_date(seconds) == http_date(clamped)
    assert listing_date(seconds) == listing_date(clamped)
