"""One program that talks in datagrams with one peer: two flows, the program's end, and the peer's silence.

It reads datagrams one after another as a stream, without marks between them; each write of its output is
a datagram. Who the peers are is `net.peers`' and `serving.udp_program`'s.
"""

from __future__ import annotations

from pync.engine.flow import Flow
from pync.engine.stages import upward
from pync.handlers.program_client import FAREWELL, Shared
from pync.processes.lifetime import Lifetime
from pync.processes.pipes import PacketPipes
from pync.processes.program import addresses_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.loop import Reactor, TimerHandle
    from pync.net.peers import PeerConnection


class PeerProgram:
    """The program of one peer. `on_end` is called once, when it has exited and its last words are sent.

    Raises:
        OSError: it cannot be started; nothing is left behind.
    """

    def __init__(
        self, shared: Shared, loop: Reactor, peer: PeerConnection, remote: Any, on_end: Callable[[PeerProgram], object]
    ) -> None:
        self.peer = peer
        self._loop = loop
        self._on_end = on_end
        self._farewell: TimerHandle | None = None
        self._pipes = pipes = PacketPipes()
        try:
            environment = addresses_environment(peer.peer.sock, remote, peer.peer.local)
            child = shared.children.spawn(shared.program, pipes.stdin, pipes.stdout, environment)
        except BaseException:
            pipes.close()
            peer.close()
            raise
        finally:
            pipes.close_theirs()
        peer.on_silence = self._say_farewell
        self._lifetime = Lifetime(loop, shared.children, child, self._exited)
        self._told = Flow(loop, peer, pipes.to_program, buffer=shared.buffer)
        self._said = Flow(loop, pipes.from_program, peer, stages=upward(shared.plan, shared.taps), buffer=shared.buffer)
        self._told.start(self._end_input)
        self._said.start(self._output_ended)

    @property
    def code(self) -> int:
        """Its exit status, as a shell tells it."""
        return self._lifetime.code

    def _end_input(self, _: object = None) -> None:
        """It has exited or reads no more, or its peer is gone: the end of data."""
        self._told.stop()
        self.peer.stop_reading()
        self._pipes.to_program.close()

    def _say_farewell(self) -> None:
        """Its peer is gone: the end of data first, for those that answer then; SIGTERM later."""
        self._end_input()
        self._farewell = self._loop.call_at(self._loop.time() + FAREWELL, self._lifetime.end)

    def _exited(self) -> None:
        self._end_input()
        self._pipes.from_program.ended = True
        if self._said.running:  # what it said is still sent
            self._said.hold()
            self._said.release()
        else:
            self._finish()

    def _output_ended(self, _: Flow) -> None:
        if self._lifetime.exited:
            self._finish()

    def _finish(self) -> None:
        self.release()
        self._on_end(self)

    def release(self) -> None:
        """Close what is ours; the program itself is ended by `Children.close`."""
        self._lifetime.disown()
        self._told.stop()
        self._said.stop()
        if self._farewell is not None:
            self._farewell.cancel()
        self._pipes.close()
        self.peer.close()
