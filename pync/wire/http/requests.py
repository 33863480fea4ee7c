"""Reading HTTP requests: from bytes, cut anywhere, to one request after another, or to a refusal.

Framing and limits are here and the same for every cut; what stands in a head is h11's to parse and
to judge. What a request is answered with is `wire.http.service`'s business. Stricter than a proxy would be:
only CRLF ends a line, nothing is folded, and behind a request with a body no other one is read, so
that no two readers of the same bytes can disagree about where a request begins (RFC 9112, 11.2).
"""

from __future__ import annotations

import h11

from pync.wire.http.pages import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes of the request line with its CRLF, bytes of the whole head, fields in it, bytes of a body as sent.
LONGEST_LINE = 8 << 10
LARGEST_HEAD = 16 << 10
MOST_FIELDS = 100
LARGEST_BODY = 64 << 10

#: RFC 9110, 9.3 and RFC 5789: methods that are known and not served (405); others are not known (501).
SERVED = (b"GET", b"HEAD")
KNOWN = (*SERVED, b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: What cannot stand in a host and port (RFC 3986, 3.2), of what h11 lets through.
NOT_IN_HOST = b' "#/<>?@\\^`{|}'
HEX_DIGITS = b"0123456789abcdefABCDEF"


class Request:
    """One request: whole, valid, its body (if any) read and thrown away.

    `segments` is the path, each segment decoded; the last one is empty where it ends with a slash.
    `query` is the query with its question mark. `keep_alive`: another request may follow. `line` is the
    request line.
    """

    __slots__ = ("headers", "http10", "keep_alive", "length", "line", "method", "query", "segments")

    def __init__(self, parsed: h11.Request, served: Sequence[bytes] = SERVED) -> None:
        self.method = parsed.method
        self.headers = _joined(parsed.headers)
        self.http10 = parsed.http_version == b"1.0"
        self.line = b"%b %b HTTP/%b" % (parsed.method, parsed.target, parsed.http_version)
        options = [word.strip() for word in self.headers.get(b"connection", b"").lower().split(b",")]
        self.keep_alive = b"keep-alive" in options if self.http10 else True
        self.keep_alive = self.keep_alive and b"close" not in options
        target, question_mark, query = parsed.target.partition(b"?")
        self.query = question_mark + query
        self.segments = _segments(target) if self.method in served else []
        #: Bytes of the body, None where it is chunked.
        self.length: int | None = None


class RequestReader:
    """Takes what arrives and gives out requests. `interrupted`: a request has begun and is not whole."""

    __slots__ = ("_body", "_body_left", "_buffer", "_continue", "_request", "_takes")

    def __init__(self, takes: Sequence[bytes] = ()) -> None:
        self._takes = takes  # the methods whose body is given out by `body`, once the request has been
        self._buffer = bytearray()
        self._request: Request | None = None  # the one whose body is being read
        self._body: h11.Connection | None = None
        self._body_left = 0
        self._continue = False

    @property
    def interrupted(self) -> bool:
        return self._request is not None or bytes(self._buffer[:3]) not in (b"", b"\r", b"\r\n")

    def feed(self, data: bytes) -> None:
        """Take what has arrived; `next` looks at it."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next request, or None as long as it is not whole.

        Raises:
            Refusal: what has arrived cannot become a request that is answered. Nothing more can be read.
        """
        if self._body is None:
            head = self._head()
            if head is None:
                return None
            self._parse(head)
        return self._finished()

    def interim(self) -> bytes:
        """The permission that a client waits for before it sends the body (RFC 9110, 10.1.1), once."""
        if not self._continue:
            return b""
        self._continue = False
        return CONTINUE

    def _head(self) -> bytes | None:
        """Cut off the next head, with the empty line behind it, once it is there."""
        buffer = self._buffer
        if not buffer:
            return None
        start = 2 if buffer[:2] == b"\r\n" else 0  # RFC 9112, 2.2: an empty line in front is passed over
        end = buffer.find(b"\r\n\r\n", start, start + LARGEST_HEAD)
        head = bytes(buffer[start : end + 4] if end >= 0 else buffer[start : start + LARGEST_HEAD])
        _check_lines(head)
        if end < 0:
            if len(head) == LARGEST_HEAD:
                raise Refusal(431)
            return None
        del buffer[: end + 4]
        return head

    def _parse(self, head: bytes) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        try:
            connection.receive_data(head)
            parsed = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise Refusal(error.error_status_hint) from None
        if not isinstance(parsed, h11.Request):
            raise Refusal(400)
        self._request = request = Request(_valid(parsed), (*SERVED, *self._takes))
        length = _body_length(head, request)
        if request.method in self._takes:
            request.length = None if b"transfer-encoding" in request.headers else length
            request.keep_alive = False
            self._body = connection
            self._continue = not request.http10 and b"expect" in request.headers and not self._buffer
            return
        if length == 0:
            return
        if length > LARGEST_BODY:
            raise Refusal(413)
        request.keep_alive = False
        waits = not request.http10 and b"expect" in request.headers and not self._buffer
        if waits and request.method not in SERVED:
            return  # RFC 9110, 10.1.1: it can be refused without its body
        self._body, self._body_left, self._continue = connection, LARGEST_BODY, waits

    def _finished(self) -> Request | None:
        """The request, once its body has been read."""
        taken = self._request is not None and self._request.method in self._takes
        if self._body is not None and not taken and not self._body_ended():
            return None
        request, self._request = self._request, None
        return request

    def body(self) -> tuple[bytes, bool]:
        """What has come of the body of a request that has been given out, and whether that is its end.

        Raises:
            Refusal: it is not framed as it should be.
        """
        body, pieces = self._body, []
        assert body is not None
        if self._buffer:
            self._continue = False
            body.receive_data(bytes(self._buffer))
            self._buffer.clear()
        try:
            while isinstance(event := body.next_event(), h11.Data):
                pieces.append(bytes(event.data))
        except h11.RemoteProtocolError:
            raise Refusal(400) from None
        return b"".join(pieces), event is not h11.NEED_DATA

    def _body_ended(self) -> bool:
        body, buffer = self._body, self._buffer
        assert body is not None
        if buffer:
            self._continue = False  # it did not wait
            body.receive_data(bytes(buffer[: self._body_left]))
            self._body_left -= min(len(buffer), self._body_left)
            buffer.clear()
        try:
            while isinstance(event := body.next_event(), h11.Data):
                pass
        except h11.RemoteProtocolError:
            raise Refusal(400) from None
        if event is not h11.NEED_DATA:
            return True
        if not self._body_left:
            raise Refusal(413)
        return False


def _check_lines(head: bytes) -> None:
    """Hold the limits and the line ends of a head, or of as much of it as there is."""
    if head[:1] <= b" " and head not in (b"", b"\r"):
        raise Refusal(400)  # speaks TLS, or nothing of the kind
    if head.count(b"\n") != head.count(b"\r\n"):
        raise Refusal(400)  # RFC 9112, 2.2 would allow a bare LF; smugglers live on it
    if b"\n " in head or b"\n\t" in head:
        raise Refusal(400)  # RFC 9112, 5.2
    if len(head) >= LONGEST_LINE and b"\r\n" not in head[:LONGEST_LINE]:
        raise Refusal(414)
    if head.count(b"\n") > MOST_FIELDS + 2:
        raise Refusal(431)


def _valid(parsed: h11.Request) -> h11.Request:
    """What h11 leaves to the server: version, host, expectations, and that nobody says a body's length twice."""
    version, headers = parsed.http_version, dict(parsed.headers)
    if version[:1] != b"1":
        raise Refusal(505)
    host = headers.get(b"host")
    if (host is None and version != b"1.0") or (host and any(byte in NOT_IN_HOST for byte in host)):
        raise Refusal(400)
    if b"transfer-encoding" in headers and (b"content-length" in headers or version == b"1.0"):
        raise Refusal(400)  # RFC 9112, 6.1
    if version != b"1.0" and headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Refusal(417)
    return parsed


def _body_length(head: bytes, request: Request) -> int:
    """How many bytes of body follow; for a chunked body, of which nobody knows, 1."""
    if b"transfer-encoding" in request.headers:
        return 1
    length = request.headers.get(b"content-length")
    if length is None:
        return 0
    # h11 makes one of several that agree; a client that says it twice is up to something (RFC 9112, 6.3).
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if len(lines) > 1 or b"," in lines[0]:
        raise Refusal(400)
    return int(length)  # h11: digits, at most 20


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Fields by lower-case name; lines of the same name are one list (RFC 9110, 5.2)."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def _segments(target: bytes) -> list[bytes]:
    """The segments of a target's path, decoded: origin-form, or absolute-form (RFC 9112, 3.2)."""
    if not target.startswith(b"/"):
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise Refusal(400)
        target = b"/" + rest.partition(b"/")[2]
    if b"#" in target:
        raise Refusal(400)
    segments = target[1:].split(b"/")
    return [_decoded(segment) for segment in segments] if b"%" in target else segments


def _decoded(segment: bytes) -> bytes:
    """A segment with its percent-encoded bytes decoded (RFC 3986, 2.1), once."""
    first, *parts = segment.split(b"%")
    pieces = [first]
    for part in parts:
        digits = part[:2]
        if len(digits) < 2 or not all(digit in HEX_DIGITS for digit in digits):
            raise Refusal(400)
        pieces.append(bytes([int(digits, 16)]) + part[2:])
    return b"".join(pieces)
