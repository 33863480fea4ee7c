"""From a plan to a running server: how many clients, on which loop, and what ends it.

Letting clients in is `serving.server`'s, what is done for them `serving.offers`', or for a single one the joiner's:
here they are put together, and the signals are heard.
"""

from __future__ import annotations

from pync.net import wake
from pync.net.loop import Loop
from pync.serving.client import joiner
from pync.serving.listening import Listening
from pync.serving.server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pync.console import Console
    from pync.handlers.stdio import Client, Joiner, OnEnd
    from pync.net.loop import Reactor
    from pync.plan import Plan
    from pync.serving.loops import ServerLoop
    from pync.serving.offers import MakeOffer
    from pync.wire.address import Target

#: A program for each client costs far more than a conversation: ncat's limit, unless --max-conns says otherwise.
MOST_PROGRAMS = 100


def run_server(target: Target, plan: Plan, console: Console) -> int:
    """Serve the clients of a stream listener; returns the exit code.

    Raises:
        Fault: it cannot be opened, or went on too long (--total-timeout).
    """
    from pync.serving.descriptors import DescriptorLimit
    from pync.serving.offers import offering

    listening = Listening(target, plan, console)
    make_offer = offering(plan, console)
    with DescriptorLimit(), listening:
        return serve(listening, make_offer)


def run_once(target: Target, plan: Plan, console: Console) -> int:
    """Join one connection with our input and output, or with a program; returns the exit code.

    Raises:
        Fault: it cannot be opened, or no connection came in time.
    """
    listening = Listening(target, plan, console)
    one = joiner(plan, console)
    try:
        with listening:
            return serve(listening, lambda server: Single(server.loop, one, listening.remaining))
    finally:
        one.close()


class Single:
    """What is done with the only connection of a listener."""

    def __init__(self, loop: Reactor, joiner: Joiner, remaining: Callable[[], float | None]) -> None:
        self._loop = loop
        self._joiner = joiner
        self._remaining = remaining
        self.blind = joiner.blind

    def client(self, sock: socket.socket, name: str, on_end: OnEnd) -> Client:
        return self._joiner.join(self._loop, sock, name, on_end, self._remaining())

    def make_room(self) -> None:
        """There is no other connection."""

    def close(self) -> None:
        self._joiner.leave_loop()


def serve(listening: Listening, make_offer: MakeOffer, life: int = -1) -> int:
    """Serve until a signal, the end of the total time, or of what `life` can be read for; returns the exit code.

    Raises:
        Fault: what the user should read.
    """
    loop = _loop(listening.plan)
    try:
        if (watched := wake.descriptor()) >= 0:
            loop.add_reader(watched, wake.drain)
        server = _server(listening, loop)
        if life >= 0:
            loop.add_reader(life, server.stop)
        listening.hear(server.stop)
        offer = make_offer(server)
        server.tally.blind = offer.blind
        server.on_full = offer.make_room
        try:
            return server.run(offer.client, listening.remaining())
        finally:
            offer.close()
    finally:
        loop.close()


def _loop(plan: Plan) -> ServerLoop:
    if plan.serving.loop is None:
        return Loop()
    from pync.serving.loops import loop_maker

    return loop_maker(plan.serving.loop)()


def _server(listening: Listening, loop: ServerLoop) -> Server:
    plan, console = listening.plan, listening.console
    server = Server(
        loop,
        listening.listener,
        console,
        admits=listening.admits,
        most=most_clients(plan),
        once=not plan.serving.keep_open,
        alone=not plan.serving.keep_open and not plan.work.answered,
        proxied=listening.proxied,
        tell=console.note if (plan.work.answered or plan.work.program) and plan.serving.keep_open else console.fail,
    )
    listening.count(server.tally)
    return server


def most_clients(plan: Plan) -> int | None:
    """How many are served at once; None for as many as there are descriptors."""
    if plan.serving.max_conns is not None:
        return plan.serving.max_conns
    return MOST_PROGRAMS if plan.work.program else None
