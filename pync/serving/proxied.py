"""--proxy-protocol: connections that begin with a PROXY header, which says whose they are.

A connection comes here when it is accepted and becomes a client once its header is there; meanwhile it holds up
no other. What a header means is `wire.proxyheader`'s business, what is done for clients the server's.
"""

from __future__ import annotations

from functools import partial

from pync.engine.opening import Opening
from pync.net.told import ToldSocket, told_sockaddr
from pync.serving.admission import trusted
from pync.serving.binding import client_names
from pync.wire.exchange import Exchange
from pync.wire.proxyheader import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    from pync.console import Console
    from pync.net.loop import Reactor
    from pync.plan import Plan
    from pync.wire.exchange import Step
    from pync.wire.proxyheader import Told

    class Entrance(Protocol):
        """What lets clients in: a server, or the wait for a single one."""

        console: Console

        @property
        def loop(self) -> Reactor: ...
        def let_in(self, connection: socket.socket, address: Any) -> None: ...
        def refuse(self, connection: socket.socket, where: str, address: Any, why: str, by: str) -> None: ...
        def place_is_free(self) -> None: ...

    Admits = Callable[[str], bool]

#: Seconds that a header may take; those of honest proxies come together with the connection.
WITHIN = 3.0
#: Headers that are awaited at once: the oldest gives way to a new one, because honest ones do not wait.
MOST_AWAITED = 1024


def proxied(plan: Plan) -> Callable[[Entrance], Proxied]:
    """What awaits the headers of a server's connections.

    Raises:
        Fault: a rule of --proxy-protocol-from makes no sense.
    """
    rules = trusted(plan.access, plan.limits.connect)
    return partial(Proxied, trusts=rules.admits if rules else None)


class Proxied:
    """The connections whose headers are awaited; `trusts` tells of an address whether it may send one."""

    def __init__(self, entrance: Entrance, trusts: Admits | None = None) -> None:
        self._entrance = entrance
        self._trusts = trusts
        self._awaited: dict[Arrival, None] = {}

    def take(self, connection: socket.socket, address: Any) -> None:
        """Await the header of a connection that has just been accepted."""
        arrival = Arrival(connection, address)
        if self._trusts is not None and not (isinstance(address, tuple) and self._trusts(address[0])):
            self._refuse(arrival, " by rule: no trusted proxy", by="rule")
            return
        if len(self._awaited) >= MOST_AWAITED:
            self.give_way()
        self._awaited[arrival] = None
        arrival.opening = Opening(
            self._entrance.loop, connection, [Exchange(arrival.steps)], partial(self._opened, arrival), WITHIN
        )
        arrival.opening.start()

    def give_way(self) -> bool:
        """Close the connection that has waited longest; whether there was one."""
        arrival = next(iter(self._awaited), None)
        if arrival is None:
            return False
        del self._awaited[arrival]
        arrival.opening.close()
        self._refuse(arrival, ": others wait too, and its header has not come", by="limit")
        return True

    def close(self) -> None:
        """Await no header any more."""
        while self._awaited:
            self._awaited.popitem()[0].opening.close()

    def _opened(self, arrival: Arrival, opening: Opening) -> None:
        self._awaited.pop(arrival, None)
        told, entrance = arrival.told, self._entrance
        if opening.fault is not None:
            if told is None:
                self._refuse(arrival, f" by rule: {opening.fault.text}", by="rule")
            else:
                entrance.console.note(f"The proxy {arrival.name} spoke for itself and sent no data", at=arrival.address)
            entrance.place_is_free()
            return
        assert told is not None
        connection, address = arrival.connection, told_sockaddr(told)
        if entrance.console.verbose:
            entrance.console.note(f"The proxy {arrival.name} {_shown(told)}", at=arrival.address)
        if address is None:
            entrance.let_in(connection, arrival.address)
        else:
            entrance.let_in(ToldSocket(connection, address), address)

    def _refuse(self, arrival: Arrival, why: str, by: str) -> None:
        self._entrance.refuse(arrival.connection, arrival.where, arrival.address, why, by)


class Arrival:
    """A connection, the address that the system knows it by, and what its header says once it is there."""

    __slots__ = ("address", "connection", "name", "opening", "told", "where")
    opening: Opening

    def __init__(self, connection: socket.socket, address: Any) -> None:
        self.connection = connection
        self.address = address
        self.where, self.name = client_names(connection, address)
        self.told: Told | None = None

    def steps(self, exchange: Exchange) -> Step[Told]:
        """The header, and if the proxy speaks for itself, as to check our health, a first byte of data."""
        self.told = told = yield from receive(exchange)
        if told.local:
            yield from exchange.peek(1)
        return told


def _shown(told: Told) -> str:
    """For whom the proxy speaks, and what else it knows."""
    if told.local:
        whom = "itself"
    elif told.source is None or not told.source[0]:
        whom = "an unknown client"
    else:
        whom = told.source[0] if told.unix else f"{told.source[0]} port {told.source[1]}"
    return ", ".join([f"speaks for {whom}", *(f"{word} {value}" for word, value in told.facts)])
