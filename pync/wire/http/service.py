"""--http: the conversation with one browser.

Requests come from `wire.http.requests` and answers from `wire.http.answers`. Here answers follow each other, a
bounded amount at a time, until the connection ends. Sockets, files and the loop are behind `Service` and `Site`.
"""

from __future__ import annotations

from pync.wire.http.answers import Access, Responder
from pync.wire.http.conditions import http_date, parse_http_date
from pync.wire.http.pages import Refusal
from pync.wire.http.requests import RequestReader
from pync.wire.services import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.wire.http.answers import Answer, Site
    from pync.wire.http.pages import Guests
    from pync.wire.http.requests import Request
    from pync.wire.http.uploads import BasicAuth, Store, Upload
    from pync.wire.services import FilePiece

    Log = Callable[[Access], object]

#: Seconds in which a request must arrive whole, and in which a client must take some of an answer.
REQUEST_TIME = 10.0
STALL_TIME = 60.0
#: Answers are joined up to this many bytes (one answer may be longer), and up to this many answers, before they leave.
BATCH, MOST_ANSWERS = 64 << 10, 8

INVALID, TIMEOUT = 400, 408


def http_service(
    site: Site,
    clock: Callable[[], float],
    guests: Guests,
    store: Store | None = None,
    auth: BasicAuth | None = None,
) -> Callable[[Visitor], Service]:
    """A function that makes the service of one connection, which serves `site`.

    `clock` gives the seconds since 1970. `guests` are the connected clients; the page of a root without index
    shows them. All modules that an answer needs are loaded now, while there are descriptors to load them with.
    """
    parse_http_date(http_date(0))  # strptime loads its module at the first call
    responder = Responder(site, clock, guests, store, auth)
    return lambda visitor: Http(responder, visitor)


class Visitor:
    """What the service knows of its client: `local` if it may see the addresses of others, and the log to write."""

    __slots__ = ("local", "log")

    def __init__(self, local: bool = True, log: Log | None = None) -> None:
        self.local = local
        self.log = log


class Http(Service):
    """One client: HTTP/1.1 and 1.0, one answer after another, until either side has enough."""

    time_limit = REQUEST_TIME
    stall_limit = STALL_TIME

    def __init__(self, responder: Responder, visitor: Visitor) -> None:
        self._responder = responder
        self._visitor = visitor
        self._reader = RequestReader(responder.takes)
        self._upload: Upload | None = None
        self._heard = self._silent = 0  # bytes of the upload since the last `expire`; how often there were none
        self._answer: Answer | None = None  # the answer that is being sent in pieces
        self._piece: FilePiece | None = None  # the piece of a file that is still to be sent
        self._request: Request | None = None  # the latest request

    @property
    def busy(self) -> bool:  # type: ignore[override]
        return self._answer is not None and self._answer.page is not None

    def feed(self, data: bytes) -> bytes:
        if self.closing:
            return b""
        self._reader.feed(data)
        self._heard += len(data)
        return self._answers() if self._upload is None else self._receive()

    def more(self) -> bytes | FilePiece:
        if self._upload is not None:
            return b""
        piece, self._piece = self._piece, None
        if piece is not None:
            self.closing = not self._keeps_alive()
            return piece
        if self._answer is not None and self._answer.page is not None:
            said = next(self._answer.page, None)
            if said is not None:
                return said
            self.closing = not self._keeps_alive()
        self.close()
        return self._answers()

    def expire(self) -> bytes:
        """Answer a request that has begun with an error; close a connection that only waits.

        An upload may take longer, as long as bytes of it arrive; then `expire` is called once a second.
        """
        if self._upload is not None:
            self._silent = 0 if self._heard else self._silent + 1
            self._heard = 0
            if self._silent < STALL_TIME:
                return b""
        return self._last_words(TIMEOUT)

    def end(self) -> bytes:
        return self._last_words(INVALID)

    def close(self) -> None:
        """End the answer that was sent in pieces and the upload, whole or not."""
        self._drop_upload()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()
            self._log(answer.access)

    def _take(self, request: Request) -> bytes:
        """Begin an upload, or refuse it without reading its body."""
        self._request = request
        try:
            self._upload = self._responder.take(request)
        except Refusal as refusal:
            return self._last(self._responder.refused(request, refusal))
        return self._reader.interim() + self._receive()

    def _receive(self) -> bytes:
        upload, request = self._upload, self._request
        assert upload is not None
        assert request is not None
        try:
            data, ended = self._reader.body()
            upload.write(data)
            if not ended:
                return b""
            upload.finish()
        except Refusal as refusal:
            self._drop_upload()
            return self._last(self._responder.refused(request, refusal))
        self._upload = None
        return self._last(self._responder.stored(request))

    def _drop_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.drop()

    def _last(self, answer: Answer) -> bytes:
        self.closing = True
        self._log(answer.access)
        return answer.said

    def _keeps_alive(self) -> bool:
        return self._request is None or self._request.keep_alive

    def _log(self, access: Access) -> None:
        if self._visitor.log is not None:
            self._visitor.log(access)

    def _last_words(self, status: int) -> bytes:
        interrupted = (self._reader.interrupted or self._upload is not None) and not self.closing
        self._drop_upload()
        self.closing = True
        return self._refuse(Refusal(status)) if interrupted else b""

    def _refuse(self, refusal: Refusal) -> bytes:
        self.closing = True
        answer = self._responder.refuse(refusal)
        self._log(answer.access)
        return answer.said

    def _answers(self) -> bytes:
        answers: list[bytes] = []
        length = 0
        while (
            self._answer is None
            and self._upload is None
            and not self.closing
            and length < BATCH
            and len(answers) < MOST_ANSWERS
        ):
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
            return self._refuse(refusal)
        if request is None:
            return self._reader.interim()
        if request.method in self._responder.takes:
            return self._take(request)
        answer = self._responder.answer(request, self._visitor.local)
        self._request = request
        if answer.source is None:
            self.closing = not request.keep_alive
            self._log(answer.access)
        else:
            self._answer, self._piece = answer, answer.piece
        return answer.said
