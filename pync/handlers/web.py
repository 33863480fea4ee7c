"""Each client is served the files of one directory, and can see who else is there.

What HTTP means is `wire.http`'s business, what the directory holds `handlers.site`'s: here they meet the clients.
"""

from __future__ import annotations

import time

from pync.engine.conversation import Conversation
from pync.handlers.talk import Talk
from pync.wire.http.service import http_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pync.handlers.site import Site
    from pync.net.loop import Reactor
    from pync.options import Options


class Web(Talk):
    """Each client is served the files of one directory, and can see who else is there."""

    def __init__(self, loop: Reactor, options: Options, site: Site, clients: Callable[[], Iterable[object]]) -> None:
        self._clients = clients
        self._site = site
        super().__init__(loop, options, http_service(site, time.time, self._connected))

    def _connected(self) -> list[tuple[str, float, int, int]]:
        now = self._loop.time()
        here = [client for client in self._clients() if isinstance(client, Conversation)]
        return [(client.name, now - client.started, client.received, client.sent) for client in here]

    def close(self) -> None:
        self._site.close()
