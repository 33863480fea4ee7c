"""Programs over datagrams: -u with -e or -c. A listener runs one for each peer, a client one for its conversation.

Here are the sockets and who is served: datagrams know no end, so a peer that is silent for long is taken to be
gone, and the number of peers is bounded. What passes between a peer and its program is `programs.peer_program`'s.
"""

from __future__ import annotations

import socket
import time

from pync.errors import NETWORK, OK, TIMEOUT, Fault, UsageFault, reason
from pync.handlers.peer_program import PeerProgram
from pync.handlers.program import Programs
from pync.net import bursts, wake
from pync.net.datagram import (
    ANCILLARY_SPACE,
    Datagrams,
    DatagramSource,
    truncation,
)
from pync.net.dial import dial_unix, remaining
from pync.net.dial_datagrams import dial_datagrams, unix_datagrams
from pync.net.loop import Loop
from pync.net.peers import Peer
from pync.net.pktinfo import answer_from
from pync.net.resolve import show_host
from pync.net.unixpath import BoundPath
from pync.processes.program import addresses_environment, program_from
from pync.serving.binding import open_listener
from pync.serving.notes import Notes
from pync.serving.repeats import Repeats
from pync.serving.report import on_request
from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console
    from pync.plan import Plan
    from pync.wire.address import Target

#: Seconds of silence after which a peer counts as gone (-w and --idle-timeout say otherwise).
SILENCE = 60.0
#: Peers served at once (--max-conns says otherwise). One more is not heard until a place is free.
MOST_PEERS = 100
#: Datagrams taken in a row before others get their turn.
BATCH = 32


class PeerPrograms:
    """A listener's programs, one for each peer; the `sockets` hear everyone."""

    def __init__(self, programs: Programs, loop: Loop, admits: Callable[[str], bool] | None) -> None:
        self._programs = programs
        self._loop = loop
        self._admits = admits
        self._console = programs.console
        idle = programs.plan.limits.idle
        self._idle = SILENCE if idle is None else idle
        self._most = programs.plan.serving.max_conns or MOST_PEERS
        self._peers: dict[Any, PeerProgram] = {}
        self.alive: set[PeerProgram] = set()  # those that are deaf and not over yet too
        self.tally = Tally(lambda: self.alive)
        self._notes = Notes(self._console)
        self._full = False
        self._failures = Repeats(loop, self._console.fail)
        self._buffer = memoryview(bytearray(1 << 18))

    def listen(self, sock: socket.socket) -> None:
        """Begin to hear a socket."""
        self._loop.add_reader(sock.fileno(), self._readable, sock)

    def close(self) -> None:
        self._failures.close()
        for program in self.alive:
            program.release()

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                count, ancillary, flags, address = sock.recvmsg_into([self._buffer], ANCILLARY_SPACE)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error that an earlier answer met
                continue
            if self._turned_away(sock, address):
                continue
            program = self._program(sock, address, ancillary)
            if program is not None:
                if flags & socket.MSG_TRUNC:
                    self._failures.tell(truncation(count))
                program.take(bytes(self._buffer[:count]))

    def _turned_away(self, sock: socket.socket, address: Any) -> bool:
        refused = self._admits is not None and sock.family != socket.AF_UNIX and not self._admits(address[0])
        if refused:
            self.tally.refused_by_rule += 1
            self._notes.refused(address)
        return refused

    def _program(self, sock: socket.socket, address: Any, ancillary: list[Any]) -> PeerProgram | None:
        """The peer's program, a new one where it has none; None where there is no room for another."""
        key = (sock, address)
        known = self._peers.get(key)
        if known is not None and not known.deaf:
            return known
        if len(self.alive) >= self._most:
            self.tally.refused_by_limit += 1
            if not self._full:
                self._full = True
                self._console.fail(f"{_name(sock, address)} is not heard: {self._most} at once is the limit")
            return None
        return self._start(key, Peer(sock, address, _name(sock, address), answer_from(ancillary)))

    def _start(self, key: Any, peer: Peer) -> PeerProgram | None:
        def ended(program: PeerProgram) -> None:
            self.alive.discard(program)
            self.tally.gone(program)
            self._console.note(
                f"{peer.name} has left", "closed", name=peer.name, sent=program.sent, received=program.received
            )
            self._full = False
            if self._peers.get(key) is program:
                del self._peers[key]

        program = PeerProgram(self._programs, self._loop, _Sender(peer, self._console).send, self._idle, ended)
        try:
            program.start(addresses_environment(peer.sock, peer.address or "", _queried(peer)))
        except OSError as error:
            self._failures.tell(f"run {self._programs.program.shown}: {reason(error)}")
            return None
        self._console.note(f"Connection received on {peer.name}", "connected", peer.address)
        self._console.outcome.met(peer.name, peer.address)
        self._peers[key] = program
        self.alive.add(program)
        self.tally.come()
        return program


class _Sender:
    """Answers one peer; what cannot be sent is lost, and noted once."""

    def __init__(self, peer: Peer, console: Console) -> None:
        self._peer = peer
        self._console = console
        self._said = False

    def send(self, data: memoryview) -> int | None:
        if not self._peer.address:
            return len(data)  # a unix socket without a name cannot be answered
        try:
            return self._peer.send(data)
        except BlockingIOError:
            # A unix receiver that is full may stay so: its answer is lost, as others' are on a network.
            return len(data) if self._peer.sock.family == socket.AF_UNIX else None
        except OSError as error:
            if not self._said:
                self._said = True
                self._console.note(f"send to {self._peer.name}: {reason(error)}")
            return len(data)


def _queried(peer: Peer) -> Any:
    """The address of ours that the peer wrote to."""
    bound = peer.sock.getsockname()
    for _, _, data in peer.ancillary:
        six = peer.sock.family == socket.AF_INET6
        # struct in6_pktinfo, or in_pktinfo with our address second (ipv6(7), ip(7)).
        host = socket.inet_ntop(peer.sock.family, data[:16] if six else data[4:8])
        return (host, *bound[1:])
    return bound


def _name(sock: socket.socket, address: Any) -> str:
    return show_host(address or "") if sock.family == socket.AF_UNIX else f"{show_host(address)} {address[1]}"


def run_udp_program(target: Target, plan: Plan, console: Console, admits: Callable[[str], bool] | None = None) -> int:
    """Run the program of -e or -c for datagrams; returns the exit code.

    A listener serves until it is stopped. A client returns the status of its program; -w is the silence
    after which the program is told the end of data. `admits` tells from the host of a peer whether it may come.

    Raises:
        Fault: the program cannot be run, a socket cannot be had, or (code 3) --total-timeout is over.
    """
    started = time.monotonic()
    program = program_from(plan.work)
    assert program is not None, "called with -e or -c only"
    programs = Programs(program, plan, console)
    own = BoundPath()
    try:
        if plan.serving.listen:
            return _listen(target, programs, own, started, admits)
        return _converse(target, programs, own, started)
    finally:
        own.remove()
        programs.close()


def _listen(
    target: Target, programs: Programs, own: BoundPath, started: float, admits: Callable[[str], bool] | None
) -> int:
    handlers = wake.Handlers()
    on_request(handlers, programs.console.report)
    listener = open_listener(target, programs.plan, programs.console, own)
    loop = Loop()
    peers = PeerPrograms(programs, loop, admits)
    peers.tally.addresses = listener.names()
    programs.console.outcome.listens(peers.tally)
    try:
        for sock in listener.sockets:
            peers.listen(sock)
        _run(loop, remaining(programs.plan, started), "listener")
    finally:
        peers.close()
        handlers.restore()
        loop.close()
        programs.console.dropped(bursts.dropped(listener.sockets))
        listener.close()
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


def _converse(target: Target, programs: Programs, own: BoundPath, started: float) -> int:
    plan, console = programs.plan, programs.console
    datagrams = _dial(target, plan, console, own)
    peer = datagrams.peer
    assert peer is not None
    remote = peer.sock.getpeername() if peer.address is None else peer.address
    console.note(f"Sending to {peer.name}", "connected", remote)
    console.outcome.met(peer.name, remote)
    began = time.monotonic()
    loop = Loop()
    source = DatagramSource(datagrams)
    program = PeerProgram(programs, loop, datagrams.send, plan.limits.idle, lambda _: loop.stop())
    buffer = memoryview(bytearray(1 << 18))

    def readable() -> None:
        for _ in range(BATCH):
            count = source.read_into(buffer)
            if count is None:
                return
            program.take(bytes(buffer[:count]))

    try:
        try:
            program.start(addresses_environment(peer.sock, remote, peer.sock.getsockname()))
        except OSError as error:
            raise Fault(f"run {programs.program.shown}: {reason(error)}") from None
        for sock in datagrams.sockets:
            loop.add_reader(sock.fileno(), readable)
        try:
            _run(loop, remaining(plan, started), peer.name)
        finally:
            program.release()
            console.moved(program.sent, program.received, time.monotonic() - began)
    finally:
        loop.close()
        console.dropped(datagrams.dropped())
        source.close()
    return NETWORK if program.code == OK and (datagrams.refused or datagrams.unsent) else program.code


def _dial(target: Target, plan: Plan, console: Console, own: BoundPath) -> Datagrams:
    if len(target.ports) > 1:
        raise UsageFault("-u/--udp takes one port, unless it is to be probed with -z")
    if target.path is not None:
        sock, address = dial_unix(target.path, plan, own)
        return unix_datagrams(sock, address.host, console.fail)
    assert target.host is not None
    return dial_datagrams(target.host, target.ports[0], plan, console.fail)
