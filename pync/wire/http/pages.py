"""The pages that --http makes itself: errors, the listing of a folder, the list of connected clients.

Entries and clients go in, bytes come out. Every name and address is escaped here, because names come from
file systems and addresses from peers. A page that can be long comes in pieces.
"""

from __future__ import annotations

from pync.values import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    #: A client: its address, seconds connected, bytes received from it, bytes sent to it.
    Connected = tuple[str, float, int, int]

    class Guests(Protocol):
        """The clients that are connected now: their number, and some of them."""

        def __len__(self) -> int: ...
        def __getitem__(self, some: slice, /) -> Sequence[Connected]: ...


#: RFC 9110, section 15, and RFC 6585: status → reason phrase, and what the error page says.
REASONS = {
    200: ("OK", ""),
    206: ("Partial Content", ""),
    301: ("Moved Permanently", "This folder's address ends with a slash."),
    201: ("Created", ""),
    304: ("Not Modified", ""),
    400: ("Bad Request", "The request is not valid HTTP/1.1."),
    401: ("Unauthorized", "Name and password are asked for here."),
    403: ("Forbidden", "This may not be done."),
    404: ("Not Found", "Nothing is served under this address."),
    405: ("Method Not Allowed", "Files are fetched with GET and HEAD, sent with PUT where --http-upload allows it."),
    409: ("Conflict", "Something of this name is there already, and it is not replaced."),
    408: ("Request Timeout", "The request did not arrive in time."),
    412: ("Precondition Failed", "The file is no longer the one that was asked for."),
    413: ("Content Too Large", "The request carries more data than is taken here."),
    414: ("URI Too Long", "The address is too long."),
    416: ("Range Not Satisfiable", "The file has no such part."),
    417: ("Expectation Failed", "The only expectation understood is 100-continue."),
    431: ("Request Header Fields Too Large", "The head of the request is too large."),
    500: ("Internal Server Error", "The file could not be read."),
    501: ("Not Implemented", "This kind of request is not understood."),
    503: ("Service Unavailable", "Busy, or the file is being changed. Try again in a moment."),
    507: ("Insufficient Storage", "There is no room for this file."),
    505: ("HTTP Version Not Supported", "HTTP/1.0 and HTTP/1.1 are spoken here."),
}

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}th{text-align:left}"
    "td,th{padding:.1em 1em .1em 0;overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap}"
)
#: A page of ours may only be shown, with this one style. The hash is that of STYLE (CSP 3, 8.5).
POLICY = (
    "default-src 'none'; style-src 'sha256-YtXk3RS9RICe9+GjwV5LOq/Al3C2ZYw6zTGtB+pJF3E='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: The most clients shown.
MOST_CONNECTED = 1000
#: Rows of a table made at a time (about 16 KB, in a millisecond); fewer if names are longer than USUAL_NAME.
ROWS, USUAL_NAME = 64, 48

#: The bytes that need no quoting in a link (RFC 3986, 2.3). Not ":", because "javascript:x" would be a scheme.
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_QUOTED = [chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in range(256)]
#: Characters of markup, control characters, and those that change the direction of writing.
_ESCAPED = {
    **dict.fromkeys([*range(32), *range(127, 160), 0x061C, 0x200E, 0x200F], "\ufffd"),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("'"): "&#x27;",
}


class Refusal(Exception):
    """The request is answered with the error page of this status; `fields` are the header lines that it needs."""

    def __init__(self, status: int, fields: bytes = b"") -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields


class Entry:
    """One line of a listing; `modified` is a date and time for people."""

    __slots__ = ("folder", "modified", "name", "size")

    def __init__(self, name: bytes, folder: bool, size: int = 0, modified: str = "") -> None:
        self.name = name
        self.folder = folder
        self.size = size
        self.modified = modified


class Listing:
    """The entries of a folder, folders first; `cut` if it has more than are shown.

    A listing that is read in pieces has its `parts` once it is `ready`. `lost`: reading was given up.
    """

    __slots__ = ("count", "cut", "lost", "parts", "ready")

    def __init__(self, entries: list[Entry], cut: bool = False) -> None:
        self.cut = cut
        self.lost = False
        self.complete(entries)

    def complete(self, entries: list[Entry]) -> None:
        """Take all entries; the listing is then ready."""
        entries.sort(key=_folders_first)
        self.count = len(entries)
        usual, real = USUAL_NAME * self.count, sum(len(entry.name) for entry in entries)
        rows = max(1, ROWS * usual // max(1, usual, real))
        #: Each part is a few rows: the entries at first, and their bytes once a client has asked for them.
        self.parts: list[list[Entry] | bytes] = [entries[at : at + rows] for at in range(0, self.count, rows)]
        self.ready = True

    def rows(self, part: int) -> bytes:
        """The bytes of a part, made once for all clients."""
        rows = self.parts[part]
        if not isinstance(rows, bytes):
            rows = self.parts[part] = _encoded([_entry_row(entry) for entry in rows])
        return rows

    def read_on(self) -> None:
        """Read one more piece of the folder.

        Raises:
            Refusal: the folder can no longer be read.
        """

    def close(self) -> None:
        """One of the requests that share this listing is done with it."""


def quote(name: bytes) -> str:
    """A name as one segment of a link, with all bytes quoted that mean something in a URL (RFC 3986, 2.1)."""
    return "".join([_QUOTED[byte] for byte in name])


def escape(text: str) -> str:
    """A text escaped for the inside of an element or of a quoted attribute."""
    return text.translate(_ESCAPED)


def show_name(name: bytes) -> str:
    """The name of a file as escaped text; bytes that are not UTF-8 become replacement characters."""
    return escape(name.decode("utf-8", "replace"))


def error_page(status: int) -> bytes:
    """The page for an error status."""
    reason, sentence = REASONS[status]
    return _encoded([_beginning(f"{status} {reason}"), f"<p>{sentence}</p>\n"]) + ENDING


def listing_pieces(
    path: Sequence[bytes], listing: Listing, guests: Guests = (), *, name_guests: bool = True, form: str = ""
) -> Iterator[bytes]:
    """The pieces of the page of the folder at `path` (its segments below the root).

    With `guests` the page shows the connected clients, and without `name_guests` only their number.
    """
    title = "".join(["/", *(f"{show_name(segment)}/" for segment in path)])
    yield _encoded([_beginning(title), form, _TABLE, _UP if path else ""])
    for part in range(len(listing.parts)):
        yield listing.rows(part)
    yield _encoded(
        [
            "</table>\n",
            f"<p>Only {listing.count} of the names in this folder are shown.</p>\n" if listing.cut else "",
            f"<h2>Connected: {len(guests)}</h2>\n" if guests else "",
        ]
    )
    if guests and name_guests:
        yield _CONNECTED
        for start in range(0, min(len(guests), MOST_CONNECTED), ROWS):
            yield _encoded([_guest_row(guest) for guest in guests[start : min(start + ROWS, MOST_CONNECTED)]])
        yield b"</table>\n"
    yield ENDING


ENDING = b"</body>\n</html>\n"
_TABLE = '<table>\n<tr><th>Name</th><th class="n">Size</th><th class="n">Modified (UTC)</th></tr>\n'
_UP = '<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n'
_CONNECTED = (
    b'<table id="connected">\n'
    b'<tr><th>Address</th><th class="n">Since</th><th class="n">Received</th><th class="n">Sent</th></tr>\n'
)


def _encoded(texts: Sequence[str]) -> bytes:
    return "".join(texts).encode("utf-8", "replace")


def _beginning(title: str) -> str:
    """A document up to its heading; the caller has escaped the title."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )


def _folders_first(entry: Entry) -> tuple[bool, str, bytes]:
    return not entry.folder, entry.name.decode("utf-8", "replace").casefold(), entry.name


def _entry_row(entry: Entry) -> str:
    slash = "/" if entry.folder else ""
    size = "" if entry.folder else format_size(entry.size)
    link = f'<a href="{quote(entry.name)}{slash}">{show_name(entry.name)}{slash}</a>'
    return f'<tr><td>{link}</td><td class="n">{size}</td><td class="n">{escape(entry.modified)}</td></tr>\n'


def _guest_row(guest: Connected) -> str:
    name, seconds, received, sent = guest
    return (
        f'<tr><td>{escape(name)}</td><td class="n">{_duration(seconds)}</td>'
        f'<td class="n">{format_size(received)}</td><td class="n">{format_size(sent)}</td></tr>\n'
    )


def _duration(seconds: float) -> str:
    """`0:07`, `12:34`, `3:00:00`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
