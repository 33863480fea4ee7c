"""A line for each request of --http: in the common log format, or with --json an object of the same.

The common log format is that of NCSA httpd, which every program that counts visits reads. What a request was
answered with is `wire.http`'s business.
"""

from __future__ import annotations

import time

from pync.net.resolve import show_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.console import Console
    from pync.handlers.web import Log
    from pync.plan import Plan
    from pync.wire.http.answers import Access


def access_log(plan: Plan, console: Console) -> Log | None:
    """What tells of requests, with --json or -v; else None."""
    if not (plan.view.json or plan.view.verbose):
        return None
    return lambda peer, access: console.say(
        common_line(peer, access, time.localtime()), "request", peer, **facts_of(access)
    )


def common_line(peer: Any, access: Access, now: time.struct_time) -> str:
    """`192.0.2.7 - - [24/Nov/2026:18:30:00 +0100] "GET / HTTP/1.1" 200 512`; "-" for what is unknown or empty.

    `peer` is a sockaddr, None where the client has none.
    """
    host = show_host(peer) if isinstance(peer, tuple) else "-"
    line = access.line.replace(b"\\", b"\\\\").replace(b'"', b'\\"').decode("ascii", "backslashreplace")
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z", now)
    return f'{host} - - [{when}] "{line or "-"}" {access.status} {access.size or "-"}'


def facts_of(access: Access) -> dict[str, str | int | None]:
    """The same for programs; null for what could not be read."""
    method, target, _ = access.line.decode("latin-1").split(" ") if access.line else (None, None, None)
    return {"method": method, "target": target, "status": access.status, "bytes": access.size}
