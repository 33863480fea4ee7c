"""What a server offers its clients: a service, files, a program, or a place among many at our streams.

Here the options are made into what makes clients, before anything is bound. Letting clients in is
`serving.server`'s, serving them is the handlers'.
"""

from __future__ import annotations

import os
import resource
import time

from pync.errors import UsageFault
from pync.handlers.hub import Hub
from pync.handlers.talk import Talk
from pync.serving.loops import loop_maker
from pync.wire.services import service

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Protocol

    from pync.console import Console
    from pync.handlers.stdio import Client, OnEnd
    from pync.plan import Plan
    from pync.serving.server import Server
    from pync.wire.http.uploads import BasicAuth

    class Offer(Protocol):
        """What is done for every client, and what they share; `blind` where bytes pass by uncounted."""

        @property
        def blind(self) -> bool: ...

        def client(self, sock: socket.socket, name: str, on_end: OnEnd, /) -> Client: ...
        def make_room(self) -> None: ...
        def close(self) -> None: ...

    MakeOffer = Callable[[Server], Offer]


def offering(plan: Plan, console: Console) -> MakeOffer:
    """What the options say is done for clients; whatever is wrong with it shows before anything is bound.

    Raises:
        Fault: there is no such directory to serve, no such program, no such event loop, no output.
    """
    loop_maker(plan.serving.loop)
    if plan.work.root is not None:
        return _web(plan, console)
    if plan.work.program:
        return _programs(plan, console)
    if plan.work.service is not None:
        make = service(plan.work.service, time.time)
        return lambda server: Talk(server.loop, plan, make)
    if not plan.ends.send_only:
        console.check_output()
    files = None
    if plan.pipeline.output_dir is not None:
        from pync.handlers.client_files import ClientFiles

        files = ClientFiles(plan.pipeline.output_dir)
    return lambda server: Hub(server.loop, plan, console, lambda fault: server.stop(fault=fault), files)


def _web(plan: Plan, console: Console) -> MakeOffer:
    from pync.handlers.access import access_log
    from pync.handlers.site import Site
    from pync.handlers.uploads import Store
    from pync.handlers.web import Web

    assert plan.work.root is not None
    auth = _auth(plan)
    site, log = Site(plan.work.root), access_log(plan, console)
    store = Store(site, overwrite=plan.work.overwrite, most=plan.work.max_upload) if plan.work.upload else None
    return lambda server: Web(server.loop, plan, site, lambda: server.clients, log, store, auth)


def _auth(plan: Plan) -> BasicAuth | None:
    """Whom --auth, or else PYNC_AUTH, lets in; None for everybody.

    Raises:
        UsageFault: there is no colon in it.
    """
    credentials = os.environ.get("PYNC_AUTH") if plan.work.auth is None else plan.work.auth
    if credentials is None:
        return None
    if ":" not in credentials:
        raise UsageFault("--auth (or PYNC_AUTH) needs USER:PASS")
    from pync.wire.http.uploads import BasicAuth

    return BasicAuth(credentials)


def _programs(plan: Plan, console: Console) -> MakeOffer:
    from pync.handlers.program import ProgramClients, Programs
    from pync.processes.program import program_from

    program = program_from(plan.work)
    assert program is not None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)  # a program gets what we were given
    return lambda server: ProgramClients(server.loop, Programs(program, plan, console, limit))
