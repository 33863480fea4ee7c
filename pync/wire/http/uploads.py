"""--http-upload and --auth: which requests may write, and which may ask at all.

Files go to a `Store`. A request that names another site as its origin is refused, because a browser sends what any
page tells it to send (Fetch Metadata; RFC 6454, 7).
"""

from __future__ import annotations

from pync.wire.http.pages import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from pync.wire.http.requests import Request

    class Upload(Protocol):
        """A file that is being received. It appears in its folder only once it is whole."""

        def write(self, data: bytes) -> None:
            """Append to the file. Raises Refusal: the data cannot be stored."""

        def finish(self) -> None:
            """The file is whole: put it in its place. Raises Refusal."""

        def drop(self) -> None:
            """The file will never be whole: remove it."""

    class Store(Protocol):
        """The place where uploads go."""

        def begin(self, names: Sequence[bytes], length: int | None) -> Upload:
            """Begin a file at the path of these names; `length` in bytes, None if unknown. Raises Refusal."""


INVALID, UNAUTHORIZED, FORBIDDEN, TOO_LARGE = 400, 401, 403, 413
#: The values of Sec-Fetch-Site that are accepted: our own page, or the user (the address bar, a bookmark).
OWN = (b"same-origin", b"none")
#: RFC 7617: the text before and after the colon, in UTF-8.
CHALLENGE = b'WWW-Authenticate: Basic realm="pync", charset="UTF-8"\r\n'


class BasicAuth:
    """Accepts requests with the credentials `USER:PASS`, compared in constant time."""

    def __init__(self, credentials: str) -> None:
        from base64 import b64encode
        from hmac import compare_digest  # loads OpenSSL, which no other server needs

        self._expected = b64encode(credentials.encode("utf-8", "surrogateescape"))
        self._are_equal = compare_digest

    def check(self, request: Request) -> None:
        """Raises Refusal: the request lacks the credentials."""
        scheme, _, token = request.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"basic" or not self._are_equal(token.strip(), self._expected):
            raise Refusal(UNAUTHORIZED, CHALLENGE)


def check_origin(request: Request) -> None:
    """Raises Refusal: another site told the browser to send this request."""
    origin, host = request.headers.get(b"origin"), request.headers.get(b"host", b"")
    if request.headers.get(b"sec-fetch-site", b"none").lower() not in OWN:
        raise Refusal(FORBIDDEN)
    if origin is not None and origin.partition(b"://")[2].lower() != host.lower():
        raise Refusal(FORBIDDEN)


def target_names(request: Request) -> list[bytes]:
    """The path of the file that the request stores. Raises Refusal: the path names a folder."""
    if not request.segments[-1]:
        raise Refusal(INVALID)
    return request.segments
