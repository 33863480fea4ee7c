"""A line for each request of --http: in the common log format, or with --json an object.

The common log format is that of NCSA httpd, which every program that counts visits reads. What a request was
answered with is `wire.http`'s business.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.console import Console
    from pync.handlers.web import Log
    from pync.options import Options
    from pync.wire.http.answers import Access


def access_log(options: Options, console: Console) -> Log | None:
    """Whom to tell of requests, with --json or -v; else None."""
    if options.json:
        from json import dumps

        return lambda host, port, access: console.say(dumps(as_json(host, port, access)))
    if options.verbose:
        return lambda host, _, access: console.note(common_line(host, access, time.localtime()))
    return None


def common_line(host: str, access: Access, now: time.struct_time) -> str:
    """`192.0.2.7 - - [24/Nov/2026:18:30:00 +0100] "GET / HTTP/1.1" 200 512`; "-" for what is not known or empty."""
    line = access.line.replace(b"\\", b"\\\\").replace(b'"', b'\\"').decode("ascii", "backslashreplace")
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z", now)
    return f'{host or "-"} - - [{when}] "{line or "-"}" {access.status} {access.size or "-"}'


def as_json(host: str, port: int, access: Access) -> dict[str, str | int | None]:
    """The same for programs; null for what is not known."""
    method, target, _ = access.line.decode("latin-1").split(" ") if access.line else (None, None, None)
    return {
        "event": "request",
        "address": host or None,
        "port": port or None,
        "method": method,
        "target": target,
        "status": access.status,
        "bytes": access.size,
    }
