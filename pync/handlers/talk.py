"""Each client gets a conversation with a service of its own.

What is answered is `wire.services`' business, how bytes come and go the conversation's: here one is made for
each connection. The service that needs more than its client's bytes, HTTP, is `handlers.web`'s.
"""

from __future__ import annotations

from pync.engine.conversation import Conversation
from pync.engine.turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pync.engine.conversation import OnEnd
    from pync.net.loop import Reactor
    from pync.plan import Plan
    from pync.wire.services import Service


class Talk:
    """Makes the conversations of a server."""

    blind = False

    def __init__(self, loop: Reactor, plan: Plan, make: Callable[[], Service]) -> None:
        self._loop = loop
        self._make = make
        self._turns = Turns(loop)
        self._idle = plan.limits.idle

    def client(self, sock: socket.socket, name: str, on_end: OnEnd) -> Conversation:
        return Conversation(self._loop, sock, name, on_end, self._make(), self._idle, self._turns)

    def make_room(self) -> None:
        """Nobody is kept who has ended."""

    def close(self) -> None:
        """Nothing is shared."""
