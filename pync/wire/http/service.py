"""--http: the conversation with one browser, and the answer to one request.

Requests come from `wire.http.requests`, files and folders from a site that is handed over, the time from
a clock that is: no socket, no file system and no loop is known here. Answers are given in order, a
bounded amount at a time; a large file is named to whoever runs the service, not read.
"""

from __future__ import annotations

from pync.wire.http.conditions import FAILED, NOT_MODIFIED, OK, PARTIAL, UNSATISFIABLE, http_date, wanted
from pync.wire.http.pages import POLICY, REASONS, Listing, Refusal, error_page, listing_page, quote
from pync.wire.http.requests import KNOWN, SERVED, RequestReader
from pync.wire.services import FilePiece, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from pync.wire.http.conditions import Wanted
    from pync.wire.http.pages import Connected
    from pync.wire.http.requests import Request

    class OpenFile(Protocol):
        """A file that is open for reading. `modified` is in whole seconds, `tag` an entity-tag in quotes."""

        fd: int
        size: int
        modified: int
        tag: bytes
        type: bytes

        def read(self, offset: int, count: int) -> bytes: ...
        def close(self) -> None: ...

    class Site(Protocol):
        """Where files come from."""

        def find(self, names: Sequence[bytes], folder: bool) -> OpenFile | Listing | None:
            """What is at the path of these names: a file, or a folder's listing; `folder`: it ends with a slash.

            None: it is a folder, and the slash is missing. Raises Refusal: nothing that may be had.
            """


#: Seconds for a request to arrive whole, and for a client to take some of an answer.
REQUEST_TIME = 10.0
STALL_TIME = 60.0
#: Up to here a file is read and goes out in one piece with its head; above, sendfile saves the copy.
SMALL = 64 << 10
#: Answers are put together up to here before they are sent (one answer may be longer).
BATCH = 64 << 10

MOVED, INVALID, NOT_ALLOWED, TIMEOUT, NOT_IMPLEMENTED, BUSY = 301, 400, 405, 408, 501, 503

#: Status line, date, connection, fields, length. A browser takes a type as it is said (WHATWG Fetch, 3.6).
HEAD = b"%sServer: pync\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n%s%s%s\r\n"
STATUS_LINES = {status: f"HTTP/1.1 {status} {reason}\r\n".encode("ascii") for status, (reason, _) in REASONS.items()}
CLOSE, STAY = b"Connection: close\r\n", b"Connection: keep-alive\r\n"
ALLOW = b"Allow: GET, HEAD\r\n"
PAGE_FIELDS = (
    b"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
    b"Content-Security-Policy: %s\r\nReferrer-Policy: no-referrer\r\n" % POLICY.encode("ascii")
)
#: no-cache: a browser may keep the file and asks each time whether it still is the same.
VALIDATORS = b"Cache-Control: no-cache\r\nETag: %s\r\nLast-Modified: %s\r\n"
CONTENT = b"Content-Type: %s\r\nAccept-Ranges: bytes\r\n%s"


def http_service(
    site: Site, clock: Callable[[], float], connected: Callable[[], Sequence[Connected]]
) -> Callable[[], Service]:
    """A maker of services, one for each connection, that serve `site`.

    `clock` gives the seconds since 1970. `connected` lists who is connected at the moment: name,
    seconds since then, bytes received, bytes sent; it is asked for the page of a root without index.
    """
    responder = Responder(site, clock, connected)
    return lambda: Http(responder)


class Http(Service):
    """One client: HTTP/1.1 and 1.0, one answer after another, until either side has enough."""

    __slots__ = ("_file", "_keep_alive", "_piece", "_reader", "_responder")

    time_limit = REQUEST_TIME
    stall_limit = STALL_TIME

    def __init__(self, responder: Responder) -> None:
        super().__init__()
        self._responder = responder
        self._reader = RequestReader()
        self._file: OpenFile | None = None  # whose piece is being sent, or will be next
        self._piece: FilePiece | None = None
        self._keep_alive = True

    def feed(self, data: bytes) -> bytes:
        if self.closing:
            return b""
        self._reader.feed(data)
        return self._answers()

    def more(self) -> bytes | FilePiece:
        piece, self._piece = self._piece, None
        if piece is None:
            self.close()
            return self._answers()
        self.closing = not self._keep_alive
        return piece

    def expire(self) -> bytes:
        """A request that has begun is answered; a connection that only waits is closed without a word."""
        return self._last_words(TIMEOUT)

    def end(self) -> bytes:
        return self._last_words(INVALID)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _last_words(self, status: int) -> bytes:
        interrupted = self._reader.interrupted and not self.closing
        self.closing = True
        return self._responder.refuse(Refusal(status)) if interrupted else b""

    def _answers(self) -> bytes:
        answers: list[bytes] = []
        length = 0
        while self._piece is None and not self.closing and length < BATCH:
            answer = self._next_answer()
            if not answer:
                break
            answers.append(answer)
            length += len(answer)
        return b"".join(answers)

    def _next_answer(self) -> bytes:
        try:
            request = self._reader.next()
        except Refusal as refusal:
            self.closing = True
            return self._responder.refuse(refusal)
        if request is None:
            return self._reader.interim()
        answer = self._responder.answer(request)
        self._keep_alive = request.keep_alive
        self._file, self._piece = answer.file, answer.piece
        self.closing = self._piece is None and not self._keep_alive
        return answer.said


class Answer:
    """What is said; and where a piece of a file comes behind it, the piece and its file, which is open."""

    __slots__ = ("file", "piece", "said")

    def __init__(self, said: bytes, file: OpenFile | None = None, piece: FilePiece | None = None) -> None:
        self.said = said
        self.file = file
        self.piece = piece


class Responder:
    """Answers requests from a site; one serves all connections."""

    def __init__(self, site: Site, clock: Callable[[], float], connected: Callable[[], Sequence[Connected]]) -> None:
        self._site = site
        self._clock = clock
        self._connected = connected
        self._second = -1
        self._date = b""

    def refuse(self, refusal: Refusal) -> bytes:
        """The last answer on a connection whose client went wrong."""
        page = error_page(refusal.status)
        return self._head(refusal.status, CLOSE, PAGE_FIELDS + refusal.fields, len(page)) + page

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except Refusal as refusal:
            fields = PAGE_FIELDS + refusal.fields
            return Answer(self._whole(request, refusal.status, fields, error_page(refusal.status)))

    def _answer(self, request: Request) -> Answer:
        if request.method not in SERVED:
            raise Refusal(NOT_ALLOWED if request.method in KNOWN else NOT_IMPLEMENTED, ALLOW)
        names, folder = request.segments, not request.segments[-1]
        if folder:
            names = names[:-1]
        found = self._site.find(names, folder)
        if found is None:
            raise Refusal(MOVED, _location(names, request.query))
        if not isinstance(found, Listing):
            return self._of_file(request, found)
        page = listing_page(names, found, () if names else self._connected())
        return Answer(self._whole(request, OK, PAGE_FIELDS, page))

    def _of_file(self, request: Request, file: OpenFile) -> Answer:
        piece = None
        try:
            now = self._clock()
            want = _checked(wanted(request.headers, file.tag, file.modified, file.size, now), file.size)
            length = None if want.status == NOT_MODIFIED else want.count
            head = self._head(want.status, _connection(request), _file_fields(file, want, now), length)
            if request.method == b"HEAD" or want.count <= SMALL:
                return Answer(head if request.method == b"HEAD" else head + _read(file, want))
            piece = FilePiece(file.fd, want.offset, want.count)
            return Answer(head, file, piece)
        finally:
            if piece is None:
                file.close()

    def _whole(self, request: Request, status: int, fields: bytes, body: bytes) -> bytes:
        head = self._head(status, _connection(request), fields, len(body))
        return head if request.method == b"HEAD" else head + body

    def _head(self, status: int, connection: bytes, fields: bytes, length: int | None) -> bytes:
        """An answer's head; `length` is that of the body, or what it would be, None where there can be none."""
        size = b"" if length is None else b"Content-Length: %d\r\n" % length
        return HEAD % (STATUS_LINES[status], self._now(), connection, fields, size)

    def _now(self) -> bytes:
        second = int(self._clock())
        if second != self._second:
            self._second, self._date = second, http_date(second)
        return self._date


def _connection(request: Request) -> bytes:
    """RFC 9112, 9.3: 1.1 stays and 1.0 goes, if nothing is said."""
    if not request.keep_alive:
        return CLOSE
    return STAY if request.http10 else b""


def _location(names: Sequence[bytes], query: bytes) -> bytes:
    """A path of our own: no name is empty and all are quoted, so no `//host` can come of it."""
    path = "".join(f"/{quote(name)}" for name in names).encode("ascii")
    return b"Location: %s/%s\r\n" % (path, query)


def _checked(want: Wanted, size: int) -> Wanted:
    """What is wanted of a file of this size, unless there is no such thing."""
    if want.status == UNSATISFIABLE:
        raise Refusal(UNSATISFIABLE, b"Content-Range: bytes */%d\r\n" % size)
    if want.status == FAILED:
        raise Refusal(FAILED)
    return want


def _file_fields(file: OpenFile, want: Wanted, now: float) -> bytes:
    """What is said about a file. RFC 9110, 8.8.2.1: no date of modification lies in the future."""
    validators = VALIDATORS % (file.tag, http_date(min(file.modified, now)))
    if want.status == NOT_MODIFIED:
        return validators
    content = CONTENT % (file.type, validators)
    if want.status != PARTIAL:
        return content
    return content + b"Content-Range: bytes %d-%d/%d\r\n" % (want.offset, want.offset + want.count - 1, file.size)


def _read(file: OpenFile, want: Wanted) -> bytes:
    """The bytes of a small answer; a file that has become shorter since it was opened is being changed."""
    body = file.read(want.offset, want.count)
    if len(body) != want.count:
        raise Refusal(BUSY)
    return body
