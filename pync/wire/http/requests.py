"""Reading HTTP requests: from bytes, cut anywhere, to one request after another, or to a refusal.

Framing and limits are enforced here, the same for every cut; h11 parses and checks the head.
`wire.http.service` answers. The reader is stricter than a proxy: only CRLF ends a line, folded lines are refused,
and a request with a body is the last one of its connection. So two readers of the same bytes cannot disagree about
where a request begins (RFC 9112, 11.2).
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

#: RFC 9110, 9.3 and RFC 5789: known methods that are not served get 405, unknown ones 501.
SERVED = (b"GET", b"HEAD")
KNOWN = (*SERVED, b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Characters that h11 lets through but that a host and port cannot hold (RFC 3986, 3.2).
NOT_IN_HOST = b' "#/<>?@\\^`{|}'
HEX_DIGITS = b"0123456789abcdefABCDEF"


class Request:
    """One request, whole and valid. A body that no upload takes has been read and thrown away.

    Attributes:
        segments: the path, each segment decoded; the last one is empty if the path ends with a slash.
        query: the query with its question mark.
        keep_alive: whether another request may follow.
        line: the request line.
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
        #: Bytes of the body; None if it is chunked.
        self.length: int | None = None


class RequestReader:
    """Takes what arrives and returns requests. `interrupted`: a request has begun and is not whole."""

    __slots__ = ("_body", "_body_left", "_buffer", "_continue", "_request", "_takes")

    def __init__(self, takes: Sequence[bytes] = ()) -> None:
        self._takes = takes  # for these methods `next` returns the head, then `body` returns the body
        self._buffer = bytearray()
        self._request: Request | None = None  # the request of the body that is being read
        self._body: h11.Connection | None = None
        self._body_left = 0
        self._continue = False

    @property
    def interrupted(self) -> bool:
        return self._request is not None or bytes(self._buffer[:3]) not in (b"", b"\r", b"\r\n")

    def feed(self, data: bytes) -> None:
        """Take what has arrived; `next` parses it."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next request; None until it is whole.

        Raises:
            Refusal: the request is invalid or too large. The connection cannot be read any further.
        """
        if self._body is None:
            head = self._head()
            if head is None:
                return None
            self._parse(head)
        return self._finished()

    def interim(self) -> bytes:
        """100 Continue, once, if the client waits for it before it sends the body (RFC 9110, 10.1.1); else b""."""
        if not self._continue:
            return b""
        self._continue = False
        return CONTINUE

    def _head(self) -> bytes | None:
        """Remove and return the next head with the empty line behind it; None until it is there."""
        buffer = self._buffer
        if not buffer:
            return None
        start = 2 if buffer[:2] == b"\r\n" else 0  # RFC 9112, 2.2: an empty line in front is ignored
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
            return  # RFC 9110, 10.1.1: the request can be refused without its body
        self._body, self._body_left, self._continue = connection, LARGEST_BODY, waits

    def _finished(self) -> Request | None:
        """The request, once its whole body has been read."""
        taken = self._request is not None and self._request.method in self._takes
        if self._body is not None and not taken and not self._body_ended():
            return None
        request, self._request = self._request, None
        return request

    def body(self) -> tuple[bytes, bool]:
        """The bytes of the body that have arrived, and whether they are its end.

        Raises:
            Refusal: the framing of the body is invalid.
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
            self._continue = False  # the client did not wait
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
    """Check the limits and the line ends of a head, or of its beginning. Raises Refusal."""
    if head[:1] <= b" " and head not in (b"", b"\r"):
        raise Refusal(400)  # TLS, or another protocol
    if head.count(b"\n") != head.count(b"\r\n"):
        raise Refusal(400)  # RFC 9112, 2.2 would allow a bare LF, but request smuggling relies on it
    if b"\n " in head or b"\n\t" in head:
        raise Refusal(400)  # RFC 9112, 5.2
    if len(head) >= LONGEST_LINE and b"\r\n" not in head[:LONGEST_LINE]:
        raise Refusal(414)
    if head.count(b"\n") > MOST_FIELDS + 2:
        raise Refusal(431)


def _valid(parsed: h11.Request) -> h11.Request:
    """Check what h11 leaves to the server: version, host, expectations, and only one length of the body."""
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
    """How many bytes of body follow; 1 for a chunked body, because its length is not known yet."""
    if b"transfer-encoding" in request.headers:
        return 1
    length = request.headers.get(b"content-length")
    if length is None:
        return 0
    # h11 merges equal lengths; we refuse them, because an honest client sends one (RFC 9112, 6.3).
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if len(lines) > 1 or b"," in lines[0]:
        raise Refusal(400)
    return int(length)  # h11: digits, at most 20


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Fields by lower-case name; lines of the same name become one list (RFC 9110, 5.2)."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def _segments(target: bytes) -> list[bytes]:
    """The decoded segments of the path of a target in origin-form or absolute-form (RFC 9112, 3.2)."""
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
    """A segment with its percent-encoded bytes decoded once (RFC 3986, 2.1)."""
    first, *parts = segment.split(b"%")
    pieces = [first]
    for part in parts:
        digits = part[:2]
        if len(digits) < 2 or not all(digit in HEX_DIGITS for digit in digits):
            raise Refusal(400)
        pieces.append(bytes([int(digits, 16)]) + part[2:])
    return b"".join(pieces)
