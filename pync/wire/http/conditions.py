"""Which part of a file a request wants: conditions and ranges (RFC 9110, sections 13 and 14), and HTTP dates.

Headers and the validators of a file go in, a decision comes out; `answers` opens the file and writes the answer.
A condition that cannot be read is ignored, and so is a wrong date, as the RFC demands.
"""

from __future__ import annotations

from datetime import datetime, timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OK, PARTIAL, NOT_MODIFIED, FAILED, UNSATISFIABLE = 200, 206, 304, 412, 416

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: RFC 9110, 5.6.7: the form to send, and the two old ones that must be understood.
DATE_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
#: The first and last second that datetime and a year of four digits can express.
EARLIEST, LATEST = -62135596800, 253402300799
#: A number with more digits than this is larger than any file; it counts as "very many" and is not converted.
MOST_DIGITS = 18


class Wanted:
    """The status of the answer, and which bytes of the file go with it."""

    __slots__ = ("count", "offset", "status")

    def __init__(self, status: int, offset: int = 0, count: int = 0) -> None:
        self.status = status
        self.offset = offset
        self.count = count


def http_date(seconds: float) -> bytes:
    """A time (seconds since 1970) as IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`; clamped to the years 1 to 9999."""
    moment = _utc(seconds)
    day, month = DAYS[moment.weekday()], MONTHS[moment.month - 1]
    return (
        f"{day}, {moment.day:02} {month} {moment.year:04} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    ).encode("ascii")


def listing_date(seconds: float) -> str:
    """A time (seconds since 1970) for people: `1994-11-06 08:49`, UTC."""
    return _utc(seconds).strftime("%Y-%m-%d %H:%M")


def parse_http_date(text: bytes) -> int | None:
    """The time (seconds since 1970) that one of the three forms names; None if the text has none of them."""
    for form in DATE_FORMS:
        try:
            moment = datetime.strptime(text.decode("ascii"), form)  # the C locale: pync sets no other
        except ValueError:
            continue
        return int(moment.replace(tzinfo=timezone.utc).timestamp())
    return None


def wanted(headers: Mapping[bytes, bytes], tag: bytes, modified: int, size: int, now: float) -> Wanted:
    """The status and the part to answer to a GET or HEAD for a file of `size` bytes with these validators.

    `tag` is its entity-tag in quotes, `modified` its time of modification in whole seconds. Conditions are
    tested in the order of RFC 9110, 13.2.2.
    """
    if headers and _fails(headers, tag, modified):
        return Wanted(FAILED)
    if headers and _is_known(headers, tag, modified):
        return Wanted(NOT_MODIFIED)
    asked = headers.get(b"range")
    if asked is None or not _range_applies(headers, tag, modified, now):
        return Wanted(OK, 0, size)
    return _ranged(asked, size)


def _fails(headers: Mapping[bytes, bytes], tag: bytes, modified: int) -> bool:
    """Whether If-Match, or without it If-Unmodified-Since, fails (13.1.1, 13.1.4)."""
    match = headers.get(b"if-match")
    if match is not None:
        return match != b"*" and tag not in _tags(match)
    since = _date(headers, b"if-unmodified-since")
    return since is not None and modified > since


def _is_known(headers: Mapping[bytes, bytes], tag: bytes, modified: int) -> bool:
    """Whether the client has this version, by If-None-Match, or without it by If-Modified-Since (13.1.2, 13.1.3)."""
    none_match = headers.get(b"if-none-match")
    if none_match is not None:
        weak = [known.removeprefix(b"W/") for known in _tags(none_match)]
        return none_match == b"*" or tag in weak
    since = _date(headers, b"if-modified-since")
    return since is not None and modified <= since


def _range_applies(headers: Mapping[bytes, bytes], tag: bytes, modified: int, now: float) -> bool:
    """Whether If-Range holds (13.1.5): a strong tag, or the exact date if no later change can share it (8.8.2.2)."""
    condition = headers.get(b"if-range")
    if condition is None:
        return True
    return condition == tag or (condition == http_date(modified) and modified + 1 <= now)


def _tags(field: bytes) -> list[bytes]:
    # Our tags hold no comma. A foreign tag with a comma is torn here, but it would not match anyway.
    return [word.strip() for word in field.split(b",")]


def _date(headers: Mapping[bytes, bytes], name: bytes) -> int | None:
    field = headers.get(name)
    return None if field is None else parse_http_date(field)


def _ranged(field: bytes, size: int) -> Wanted:
    """The part named by a range of bytes (14.1.2). Anything else, such as several ranges, is ignored (14.2)."""
    whole = Wanted(OK, 0, size)
    unit, equals, ranges = field.partition(b"=")
    first, dash, last = ranges.strip().partition(b"-")
    if not (equals and dash and unit.strip().lower() == b"bytes" and _are_numbers(first, last)):
        return whole
    if not first:
        count = min(_number(last), size)
        return Wanted(PARTIAL, size - count, count) if count else Wanted(UNSATISFIABLE)
    start, end = _number(first), _number(last) if last else size
    if start > end and last:
        return whole
    if start >= size:
        return Wanted(UNSATISFIABLE)
    return Wanted(PARTIAL, start, min(end + 1, size) - start)


def _are_numbers(first: bytes, last: bytes) -> bool:
    return bool(first or last) and all(text.isdigit() for text in (first, last) if text)


def _number(digits: bytes) -> int:
    return int(digits) if len(digits) <= MOST_DIGITS else int((digits.lstrip(b"0") or b"0")[: MOST_DIGITS + 1])


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(int(seconds), EARLIEST), LATEST), timezone.utc)
