"""A program behind pipes: its standard streams stand where our input and output stand in a relay.

For what must be seen, changed or paced on its way (-C, -t, -o, --rate, -w ...). The session is that of any
connection, but for the ends that a program has and a person has not.
"""

from __future__ import annotations

from pync.engine.flow import Flow
from pync.engine.session import Session, stream_policy
from pync.engine.stages import pacers, refusal, upward
from pync.handlers.program_client import ProgramClient, Shared
from pync.net.endpoint import NothingEndpoint, SocketEndpoint
from pync.processes.pipes import ProgramPipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.engine.stages import Refusal
    from pync.errors import Fault
    from pync.handlers.program_client import OnEnd
    from pync.net.loop import Reactor
    from pync.plan import Plan


#: Seconds that our end waits for the exit status of a program that has closed its output.
EXIT = 0.1


class PipedClient(ProgramClient):
    """A relay between the connection and the program's standard streams."""

    def __init__(self, shared: Shared, loop: Reactor, sock: socket.socket, name: str, on_end: OnEnd) -> None:
        super().__init__(shared, loop, sock, name, on_end)
        self._session: ProgramSession | None = None
        self._pipes: ProgramPipes | None = None
        self._refusal: Refusal | None = None

    @property
    def sent(self) -> int:
        return self._session.sent if self._session and not self._shared.plan.ends.recv_only else 0

    @property
    def received(self) -> int:
        return self._session.received if self._session else 0

    def stop(self, fault: Fault) -> None:
        if self._session is not None:
            self._session.break_off(fault)

    def leave(self) -> bool:
        if self._session is not None:
            self._session.break_off()
        return self._on_end is not None

    def _leave(self) -> None:
        if self._session is not None:
            self._session.finish()

    def _launch(self, environment: dict[str, str]) -> None:
        self._sock.setblocking(False)
        plan = self._shared.plan
        self._pipes = pipes = ProgramPipes(silent=plan.ends.send_only)
        try:
            self._run(pipes.stdin, pipes.stdout, environment)
        except BaseException:
            pipes.close()
            raise
        finally:
            pipes.close_theirs()
        self._session = self._join(pipes)
        self._session.start(self._finished)

    def _join(self, pipes: ProgramPipes) -> ProgramSession:
        loop, shared, plan = self._loop, self._shared, self._shared.plan
        peer = SocketEndpoint(self._sock)
        self._refusal = refusal(plan, peer, loop)
        down = Flow(
            loop, peer, pipes.to_program,
            stages=[*([self._refusal] if self._refusal else []), *shared.taps.received()],
            pacers=pacers(plan, loop.time(), upward=False), most_reads=plan.ends.read_limit, buffer=shared.buffer,
        )  # fmt: skip
        up = Flow(
            loop, pipes.from_program, NothingEndpoint() if plan.ends.recv_only else peer,
            stages=upward(plan, shared.taps), pacers=pacers(plan, loop.time(), upward=True),
            by_line=plan.pipeline.interval is not None, buffer=shared.buffer,
        )  # fmt: skip
        if self._refusal:
            self._refusal.flows = [down, up]
        return ProgramSession(loop, peer, up, down, plan, self.name, pipes)

    def _hung_up(self, lost: bool) -> None:
        # What has come before the end is still on its way through the relay, which sees its end for itself.
        if lost or self._session is None:
            super()._hung_up(lost)

    def _exited(self) -> None:
        if self._session is not None:
            self._session.program_ended(failed=self.code != 0 and not self._shared.plan.ends.recv_only)
        self._settle()

    def _finished(self, session: Session) -> None:
        assert isinstance(session, ProgramSession)
        assert self._pipes is not None
        self._fault = self._fault or session.fault
        if self._refusal is not None:
            self._refusal.close()
        self._pipes.close()
        if self._on_end is None:  # closed by its owner
            return
        if session.cut_short or session.fault is not None:
            self._end_program()
        else:
            self._say_farewell()
        self._lost = self._lost or (session.over and session.fault is not None)
        self._part(whole=session.reset_by is None)


class ProgramSession(Session):
    """A session whose input and output are a program's, which has ends of its own."""

    def __init__(
        self, loop: Reactor, peer: SocketEndpoint, up: Flow, down: Flow, plan: Plan, name: str,
        pipes: ProgramPipes,
    ) -> None:  # fmt: skip
        policy = stream_policy(plan, None)
        policy.hold_empty = False  # a program that ends without a word has nothing to say
        super().__init__(loop, peer, up, down, policy, name=name)
        self._program_output = up
        self._pipes = pipes
        self._known = False  # how the program has ended
        self._failed = False

    @property
    def cut_short(self) -> bool:
        """Whether it was left while the program might still have said something."""
        return self._input_open

    def program_ended(self, *, failed: bool) -> None:
        """The program has exited: what it said is still sent, and nobody reads what comes."""
        if self._finished:
            return
        self._known, self._failed = True, failed
        self._pipes.from_program.ended = True
        self._down.stop()
        self._output_open = False
        if self._input_open:
            self._program_output.hold()
            self._program_output.release()
        elif "exit" in self._timers:
            self._timers.pop("exit").cancel()
            self._input_done(self._program_output)
        else:
            self.finish()

    def _input_done(self, up: Flow) -> None:
        """Its output has ended. Whether that was all its exit status tells, which is most likely on its way."""
        if self._failed:
            self._reset_soon()
            self.finish()
        elif self._known:
            super()._input_done(up)
        else:
            self._timers["exit"] = self._loop.call_at(self._loop.time() + EXIT, self._goes_on, up)

    def _goes_on(self, up: Flow) -> None:
        """It has closed its output, and still runs."""
        del self._timers["exit"]
        super()._input_done(up)

    def output_closed(self) -> None:
        """It reads no more, but may still speak."""
        if not self._input_open:
            self.finish()

    def _down_ended(self, down: Flow) -> None:
        self._pipes.to_program.close()
        if down.error is None and (self._input_open or "exit" in self._timers):
            self._output_open = False
            if self._policy.quit_after is not None:
                self._quit_when_silent()
            return
        super()._down_ended(down)
