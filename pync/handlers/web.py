"""Each client is served the files of one directory, and can see who else is there.

What HTTP means is `wire.http`'s business, what the directory holds `handlers.site`'s: here they meet the clients.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from socket import AF_UNIX

from pync.engine.conversation import Conversation
from pync.engine.turns import Turns
from pync.net.resolve import show_host
from pync.wire.http.service import Visitor, http_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection
    from typing import Any

    from pync.engine.conversation import OnEnd
    from pync.handlers.site import Site
    from pync.handlers.uploads import Store
    from pync.net.loop import Reactor
    from pync.plan import Plan
    from pync.wire.http.answers import Access
    from pync.wire.http.pages import Connected
    from pync.wire.http.uploads import BasicAuth

    #: Is told of each request: the client's sockaddr, None where it has none, and what became of the request.
    Log = Callable[[Any, Access], object]


class Guests:
    """Who is connected at the moment, as the page shows them: looked at row by row, for there may be thousands."""

    def __init__(self, loop: Reactor, clients: Callable[[], Collection[object]]) -> None:
        self._loop = loop
        self._clients = clients

    def __len__(self) -> int:
        return len(self._clients())

    def __getitem__(self, some: slice) -> list[Connected]:
        now = self._loop.time()
        here = islice(self._clients(), some.start, some.stop)
        return [
            (client.name, now - client.started, client.received, client.sent)
            for client in here
            if isinstance(client, Conversation)
        ]


class Web:
    """Makes the conversations of a web server; `log` is told of every request."""

    blind = False

    def __init__(
        self,
        loop: Reactor,
        plan: Plan,
        site: Site,
        clients: Callable[[], Collection[object]],
        log: Log | None = None,
        store: Store | None = None,
        auth: BasicAuth | None = None,
    ) -> None:
        self._loop = loop
        self._site = site
        self._log = log
        self._idle = plan.limits.idle
        self._turns = Turns(loop)
        self._make = http_service(site, time.time, Guests(loop, clients), store, auth)

    def client(self, sock: socket.socket, name: str, on_end: OnEnd) -> Conversation:
        peer = _peer(sock)
        log = None if self._log is None else partial(self._log, peer)
        service = self._make(Visitor(_is_local(sock, peer), log))
        return Conversation(self._loop, sock, name, on_end, service, self._idle, self._turns)

    def make_room(self) -> None:
        """Nobody is kept who has ended."""

    def close(self) -> None:
        self._site.close()


def _peer(sock: socket.socket) -> Any:
    """The client's sockaddr; None for one without: through a unix path, or gone already."""
    try:
        peer = sock.getpeername()
    except OSError:
        return None
    return peer if isinstance(peer, tuple) else None


def _is_local(sock: socket.socket, peer: Any) -> bool:
    """Whether it is on this machine (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3), where addresses are no secret."""
    if not peer:
        return sock.family == AF_UNIX
    host = show_host(peer)
    return host == "::1" or host.startswith("127.")
