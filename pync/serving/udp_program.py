"""Programs over datagrams: -u with -e or -c. A listener runs one for each peer, a client one for its conversation.

Here is who is served, for how long, and what is said of it. A peer's connection is `net.peers`', what passes
between it and its program `handlers.peer_program`'s.
"""

from __future__ import annotations

import time

from pync.errors import NETWORK, OK, TIMEOUT, Fault, reason
from pync.handlers.peer_program import PeerProgram
from pync.handlers.program import Programs
from pync.net.datagram import Datagrams
from pync.net.dial import remaining
from pync.net.dial_datagrams import dial_target
from pync.net.loop import Loop
from pync.net.peers import PeerConnection, Peers, hear
from pync.net.unixpath import BoundPath
from pync.processes.pipes import LARGEST_MESSAGE
from pync.processes.program import program_from
from pync.serving.listening import Listening
from pync.serving.repeats import Repeats
from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.console import Console
    from pync.net.peer import Peer
    from pync.plan import Plan
    from pync.wire.address import Target

#: Seconds of silence after which a peer counts as gone (-w and --idle-timeout say otherwise).
SILENCE = 60.0
#: Peers served at once (--max-conns says otherwise). One more is not heard until a place is free.
MOST_PEERS = 100


class PeerPrograms:
    """The host of a listener's peers: each has a program of its own."""

    def __init__(self, programs: Programs, loop: Loop, listening: Listening) -> None:
        limits = listening.plan.limits
        self._programs = programs
        self._loop = loop
        self._console = listening.console
        self._idle = SILENCE if limits.idle is None else limits.idle
        self._alive: set[PeerProgram] = set()
        self._failures = Repeats(loop, self._console.fail)
        self._full = False
        most = listening.plan.serving.max_conns or MOST_PEERS
        self._table = Peers(loop, listening.sockets, self, most, self._failures.tell)
        self._tally = Tally(lambda: [program.peer for program in self._alive])
        self.turned_away = listening.turned_away
        listening.count(self._tally)

    def close(self) -> None:
        self._failures.close()
        for program in self._alive:
            program.release()

    def full(self, peer: Peer) -> None:
        self._tally.refused_by_limit += 1
        if not self._full:
            self._full = True
            self._console.fail(f"{peer.name} is not heard: {self._table.most} at once is the limit")

    def welcome(self, peer: Peer) -> PeerConnection | None:
        datagrams = Datagrams([peer.sock], [peer], self._console.note)
        connection = _connection(self._programs, self._loop, datagrams, self._idle)
        try:
            program = PeerProgram(self._programs, self._loop, connection, peer.address or "", self._ended)
        except OSError as error:
            self._failures.tell(f"run {self._programs.program.shown}: {reason(error)}")
            return None
        self._console.note(f"Connection received on {peer.name}", "connected", peer.address)
        self._console.outcome.met(peer.name, peer.address)
        self._alive.add(program)
        self._tally.come()
        return connection

    def _ended(self, program: PeerProgram) -> None:
        peer = program.peer
        name = peer.peer.name
        self._alive.discard(program)
        self._tally.gone(peer)
        self._console.note(f"{name} has left", "closed", name=name, sent=peer.sent, received=peer.received)
        self._full = False


def _connection(programs: Programs, loop: Loop, datagrams: Datagrams, idle: float | None) -> PeerConnection:
    return PeerConnection(loop, datagrams, programs.plan.pipeline.datagram_size, idle, programs.taps.received())


def run_udp_program(target: Target, plan: Plan, console: Console) -> int:
    """Run the program of -e or -c for datagrams; returns the exit code.

    A listener serves until it is stopped. A client returns the status of its program; -w is the silence
    after which the program is told the end of data.

    Raises:
        Fault: the program cannot be run, a socket cannot be had, or (code 3) --total-timeout is over.
    """
    program = program_from(plan.work)
    assert program is not None, "called with -e or -c only"
    listening = Listening(target, plan, console) if plan.serving.listen else None
    started = time.monotonic()
    programs = Programs(program, plan, console)
    programs.buffer = memoryview(bytearray(LARGEST_MESSAGE))
    try:
        return _converse(target, programs, started) if listening is None else _listen(listening, programs)
    finally:
        programs.close()


def _listen(listening: Listening, programs: Programs) -> int:
    loop = Loop()
    try:
        with listening:
            peers = PeerPrograms(programs, loop, listening)
            try:
                _run(loop, listening.remaining(), "listener")
            finally:
                peers.close()
    finally:
        loop.close()
    return OK


def _run(loop: Loop, total: float | None, name: str) -> None:
    late: list[Fault] = []

    def too_late() -> None:
        late.append(Fault(f"{name}: not done within the total timeout: timed out", TIMEOUT))
        loop.stop()

    if total is not None:
        loop.call_at(loop.time() + total, too_late)
    loop.run()
    if late:
        raise late[0]


def _converse(target: Target, programs: Programs, started: float) -> int:
    plan, console, own, loop = programs.plan, programs.console, BoundPath(), Loop()
    try:
        datagrams = dial_target(target, plan, own, console.fail)
        try:
            code = _follow(datagrams, programs, loop, remaining(plan, started))
        finally:
            console.dropped(datagrams.dropped())
            datagrams.close()
    finally:
        loop.close()
        own.remove()
    return NETWORK if code == OK and (datagrams.refused or datagrams.unsent) else code


def _follow(datagrams: Datagrams, programs: Programs, loop: Loop, total: float | None) -> int:
    """Run the program of a client's conversation; returns its exit status."""
    console, peer = programs.console, datagrams.peer
    assert peer is not None
    remote = peer.sock.getpeername() if peer.address is None else peer.address
    console.note(f"Sending to {peer.name}", "connected", remote)
    console.outcome.met(peer.name, remote)
    connection = _connection(programs, loop, datagrams, programs.plan.limits.idle)
    try:
        program = PeerProgram(programs, loop, connection, remote, lambda _: loop.stop())
    except OSError as error:
        raise Fault(f"run {programs.program.shown}: {reason(error)}") from None
    began = time.monotonic()
    hear(loop, datagrams, connection.deliver)
    try:
        _run(loop, total, peer.name)
    finally:
        program.release()
        console.moved(connection.sent, connection.received, time.monotonic() - began)
    return program.code
