"""--http: the answer to one request, made from a site.

A request goes in; an answer comes out, whole or as far as it can be sent now. A large file is not read here: the
answer names it, and the conversation sends it with sendfile. A long listing is made in pieces while it is sent.
`wire.http.service` holds the conversation; files are behind `Site`.
"""

from __future__ import annotations

import errno

from pync.wire.http.conditions import FAILED, NOT_MODIFIED, OK, PARTIAL, UNSATISFIABLE, http_date, wanted
from pync.wire.http.pages import POLICY, REASONS, ROWS, Listing, Refusal, error_page, listing_pieces, quote
from pync.wire.http.requests import KNOWN, SERVED
from pync.wire.http.uploads import check_origin, target_names
from pync.wire.services import FilePiece

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol

    from pync.wire.http.conditions import Wanted
    from pync.wire.http.pages import Guests
    from pync.wire.http.requests import Request
    from pync.wire.http.uploads import BasicAuth, Store, Upload

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
        """The source of the files."""

        def find(self, names: Sequence[bytes], folder: bool) -> OpenFile | Listing | None:
            """The file or the listing of the folder at the path of these names; `folder`: the path ends with a slash.

            Returns None for a folder if the slash is missing. Raises Refusal: nothing there may be served.
            """


#: A file up to this size is read and sent in one piece with its head; for a larger one sendfile saves the copy.
SMALL = 64 << 10

PUT = b"PUT"
CREATED = 201
MOVED, NOT_ALLOWED, NOT_IMPLEMENTED, BUSY = 301, 405, 501, 503

#: Status line, date, connection, fields, length. `nosniff`: a browser must not guess another type (WHATWG Fetch, 3.6).
HEAD = b"%sServer: pync\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n%s%s%s\r\n"
STATUS_LINES = {status: f"HTTP/1.1 {status} {reason}\r\n".encode("ascii") for status, (reason, _) in REASONS.items()}
CLOSE, STAY = b"Connection: close\r\n", b"Connection: keep-alive\r\n"
CHUNKED, LAST_CHUNK = b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"
#: Types that can hold a script. With uploads, such a file gets an origin of its own (CSP 3, 6.4.3.2), so that its
#: requests to us count as those of another site and are refused.
SCRIPTED = (b"text/html", b"image/svg+xml", b"application/xhtml+xml", b"text/xml", b"application/xml")
SANDBOX = b"Content-Security-Policy: sandbox allow-scripts allow-forms allow-popups\r\n"
ALLOW, ALLOW_PUT = b"Allow: GET, HEAD\r\n", b"Allow: GET, HEAD, PUT\r\n"


def _page_fields(policy: str) -> bytes:
    return (
        b"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
        b"Content-Security-Policy: %s\r\nReferrer-Policy: no-referrer\r\n" % policy.encode("ascii")
    )


PAGE_FIELDS = _page_fields(POLICY)
#: no-cache: a browser may keep the file, but asks each time whether it has changed.
VALIDATORS = b"Cache-Control: no-cache\r\nETag: %s\r\nLast-Modified: %s\r\n"
CONTENT = b"Content-Type: %s\r\nAccept-Ranges: bytes\r\n%s"


class Access:
    """A line of the log: the request (empty if it could not be read), the status, and the bytes of body sent."""

    __slots__ = ("line", "size", "status")

    def __init__(self, line: bytes, status: int, size: int = 0) -> None:
        self.line = line
        self.status = status
        self.size = size


class Answer:
    """The bytes to send, and what follows them: a piece of a file, or a page, with the open file or listing."""

    __slots__ = ("access", "page", "piece", "said", "source")

    def __init__(
        self,
        said: bytes,
        access: Access,
        source: OpenFile | Listing | None = None,
        piece: FilePiece | None = None,
        page: Iterator[bytes] | None = None,
    ) -> None:
        self.said = said
        self.access = access
        self.source = source
        self.piece = piece
        self.page = page

    def close(self) -> None:
        if self.piece is not None:
            self.access.size -= self.piece.count  # the client did not take it
        if self.source is not None:
            self.source.close()


class Responder:
    """Answers requests from a site. One responder serves all connections."""

    def __init__(
        self,
        site: Site,
        clock: Callable[[], float],
        guests: Guests,
        store: Store | None = None,
        auth: BasicAuth | None = None,
    ) -> None:
        self._site = site
        self._store = store
        self._auth = auth
        self._allow = ALLOW if store is None else ALLOW_PUT
        self._listing_fields, self._form = PAGE_FIELDS, ""
        self.takes: tuple[bytes, ...] = ()
        if store is not None:
            from pync.wire.http.form import FORM, FORM_POLICY

            self._listing_fields, self._form = _page_fields(FORM_POLICY), FORM
            self.takes = (PUT,)
        self._clock = clock
        self._guests = guests
        self._second = -1
        self._date = b""

    def refuse(self, refusal: Refusal) -> Answer:
        """The last answer on a connection after an invalid request."""
        page = error_page(refusal.status)
        head = self._head(refusal.status, CLOSE, PAGE_FIELDS + refusal.fields, len(page))
        return Answer(head + page, Access(b"", refusal.status, len(page)))

    def answer(self, request: Request, local: bool) -> Answer:
        """The answer to a request; `local`: it may show the addresses of other clients."""
        try:
            return self._answer(request, local)
        except Refusal as refusal:
            return self.refused(request, refusal)

    def take(self, request: Request) -> Upload:
        """The upload that takes the body of a request. Raises Refusal."""
        assert self._store is not None
        if self._auth is not None:
            self._auth.check(request)
        check_origin(request)
        return self._store.begin(target_names(request), request.length)

    def stored(self, request: Request) -> Answer:
        """The answer once the whole file is stored."""
        return self._whole(request, CREATED, PAGE_FIELDS, b"")

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        return self._whole(request, refusal.status, PAGE_FIELDS + refusal.fields, error_page(refusal.status))

    def _answer(self, request: Request, local: bool) -> Answer:
        if self._auth is not None:
            self._auth.check(request)
        if request.method not in SERVED:
            raise Refusal(NOT_ALLOWED if request.method in KNOWN else NOT_IMPLEMENTED, self._allow)
        names, folder = request.segments, not request.segments[-1]
        if folder:
            names = names[:-1]
        found = self._site.find(names, folder)
        if found is None:
            raise Refusal(MOVED, _location(names, request.query))
        if not isinstance(found, Listing):
            return self._of_file(request, found)
        access = Access(request.line, OK)
        page = listing_pieces(names, found, () if names else self._guests, name_guests=local, form=self._form)
        return Answer(b"", access, found, page=self._listed(request, found, page, access))

    def _listed(self, request: Request, listing: Listing, page: Iterator[bytes], access: Access) -> Iterator[bytes]:
        """The pieces of an answer with a page; b"" where a step read the folder and has nothing to send yet.

        Raises:
            OSError: the listing had to be given up.
        """
        try:
            while not listing.ready:
                listing.read_on()
                yield b""
        except Refusal as refusal:
            refused = self.refused(request, refusal)
            access.status, access.size = refusal.status, refused.access.size
            yield refused.said
            return
        if listing.count + len(self._guests) <= ROWS:
            whole = self._whole(request, OK, self._listing_fields, b"".join(page))
            access.size = whole.access.size
            yield whole.said
            return
        yield from self._streamed(request, listing, page, access)

    def _streamed(self, request: Request, listing: Listing, page: Iterator[bytes], access: Access) -> Iterator[bytes]:
        """A page of unknown length: in chunks, or for HTTP/1.0 up to the end of the connection."""
        request.keep_alive = request.keep_alive and not request.http10
        coding = b"" if request.http10 else CHUNKED
        yield self._head(OK, _connection(request), self._listing_fields + coding, None)
        if request.method == b"HEAD":
            return
        for piece in page:
            if listing.lost:
                raise OSError(errno.ETIMEDOUT, "the listing was taken too slowly, and others wait for theirs")
            access.size += len(piece)
            yield piece if request.http10 or not piece else b"%x\r\n%b\r\n" % (len(piece), piece)
        if not request.http10:
            yield LAST_CHUNK

    def _of_file(self, request: Request, file: OpenFile) -> Answer:
        piece = None
        try:
            now = self._clock()
            want = _checked(wanted(request.headers, file.tag, file.modified, file.size, now), file.size)
            length = None if want.status == NOT_MODIFIED else want.count
            fields = _file_fields(file, want, now)
            if self._store is not None and file.type.partition(b";")[0] in SCRIPTED:
                fields += SANDBOX
            head = self._head(want.status, _connection(request), fields, length)
            if request.method == b"HEAD" or not want.count:
                return Answer(head, Access(request.line, want.status))
            access = Access(request.line, want.status, want.count)
            if want.count <= SMALL:
                return Answer(head + _read(file, want), access)
            piece = FilePiece(file.fd, want.offset, want.count)
            return Answer(head, access, file, piece)
        finally:
            if piece is None:
                file.close()

    def _whole(self, request: Request, status: int, fields: bytes, body: bytes) -> Answer:
        head = self._head(status, _connection(request), fields, len(body))
        sent = b"" if request.method == b"HEAD" else body
        return Answer(head + sent, Access(request.line, status, len(sent)))

    def _head(self, status: int, connection: bytes, fields: bytes, length: int | None) -> bytes:
        """The head of an answer. `length` is that of the body, sent or (for HEAD) not; None without a body."""
        size = b"" if length is None else b"Content-Length: %d\r\n" % length
        return HEAD % (STATUS_LINES[status], self._now(), connection, fields, size)

    def _now(self) -> bytes:
        second = int(self._clock())
        if second != self._second:
            self._second, self._date = second, http_date(second)
        return self._date


def _connection(request: Request) -> bytes:
    """The Connection field, b"" where it may be left out: by default 1.1 persists and 1.0 closes (RFC 9112, 9.3)."""
    if not request.keep_alive:
        return CLOSE
    return STAY if request.http10 else b""


def _location(names: Sequence[bytes], query: bytes) -> bytes:
    """A path of this site. It can never read as `//host`, because no name is empty and all are quoted."""
    path = "".join(f"/{quote(name)}" for name in names).encode("ascii")
    return b"Location: %s/%s\r\n" % (path, query)


def _checked(want: Wanted, size: int) -> Wanted:
    """The wanted part, if a file of this size has it. Raises Refusal."""
    if want.status == UNSATISFIABLE:
        raise Refusal(UNSATISFIABLE, b"Content-Range: bytes */%d\r\n" % size)
    if want.status == FAILED:
        raise Refusal(FAILED)
    return want


def _file_fields(file: OpenFile, want: Wanted, now: float) -> bytes:
    """The fields that describe a file. Its date of modification never lies in the future (RFC 9110, 8.8.2.1)."""
    validators = VALIDATORS % (file.tag, http_date(min(file.modified, now)))
    if want.status == NOT_MODIFIED:
        return validators
    content = CONTENT % (file.type, validators)
    if want.status != PARTIAL:
        return content
    return content + b"Content-Range: bytes %d-%d/%d\r\n" % (want.offset, want.offset + want.count - 1, file.size)


def _read(file: OpenFile, want: Wanted) -> bytes:
    """The bytes of a small answer. Raises Refusal: the file has become shorter since it was opened."""
    body = file.read(want.offset, want.count)
    if len(body) != want.count:
        raise Refusal(BUSY)
    return body
