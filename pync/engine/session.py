"""Two flows over one connection: half-close, -q, idle and total limits, the one outcome.

This is cli.md's table "End of data" in code: each situation has its method. Nothing here
reads, writes or prints; whoever starts a session gets the outcome and speaks.
"""

from __future__ import annotations

import errno
import os

from pync.errors import NETWORK, TIMEOUT, Fault, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.engine.flow import Flow
    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor, TimerHandle
    from pync.plan import Plan


#: Seconds that the last bytes of a stream have which ends before it is whole.
LAST_WORDS = 1.0


class Policy:
    """What the command line says about ends and limits; seconds, None for "no limit"."""

    __slots__ = (
        "awaits_peer", "by_silence", "end_absent", "half_close", "hold_empty", "idle", "quit_after", "send_only",
        "total",
    )  # fmt: skip

    def __init__(
        self,
        *,
        half_close: bool = True,
        hold_empty: bool = False,
        end_absent: bool = False,
        quit_after: float | None = None,
        by_silence: bool = False,
        awaits_peer: bool = False,
        send_only: bool = False,
        idle: float | None = None,
        total: float | None = None,
    ) -> None:
        self.half_close = half_close
        self.hold_empty = hold_empty  # an input without a byte says nothing: keep our FIN back
        self.end_absent = end_absent  # an input that is not there, or cannot be read, ends at once
        self.quit_after = None if quit_after is None or quit_after < 0 else quit_after
        self.by_silence = by_silence  # `quit_after` is one of silence: datagrams have no end
        self.awaits_peer = awaits_peer  # no silence counts until the first datagram has come
        self.send_only = send_only
        self.idle = idle
        self.total = total


def stream_policy(plan: Plan, total: float | None) -> Policy:
    """The rules for a stream. `total` are the seconds that are left of --total-timeout.

    That an empty input has nothing to say is a default, which an explicit -N or -q overrules.
    """
    explicit = plan.ends.at_once or (plan.ends.quit_after is not None and plan.ends.quit_after >= 0)
    return Policy(
        half_close=plan.ends.half_close,
        hold_empty=plan.ends.hold_empty and not explicit,
        end_absent=explicit,
        quit_after=plan.ends.quit_after,
        send_only=plan.ends.send_only,
        idle=plan.limits.idle,
        total=total,
    )


class Session:
    """Joins `up` (our input to the peer; None where there is none) and `down` (the peer to our output)."""

    def __init__(
        self,
        loop: Reactor,
        peer: Endpoint,
        up: Flow | None,
        down: Flow,
        policy: Policy,
        *,
        name: str = "peer",
        terminal: bool = False,
        on_peer_end: Callable[[], object] | None = None,
    ) -> None:
        self._loop = loop
        self._peer = peer
        self._up = up
        self._down = down
        self._policy = policy
        self._name = name  # the peer, for the messages
        self._terminal = terminal
        self._on_peer_end = on_peer_end  # all that the peer had to say is written
        self._timers: dict[str, TimerHandle] = {}
        self._input_open = up is not None
        self._output_open = True
        self._end_said = False
        self._finished = False
        self.over = False  # nothing more can come or arrive: the peer has ended, or the connection is lost
        self.fault: Fault | None = None
        self.reset_by: float | None = None
        self.output_gone = False
        self.started = loop.time()

    @property
    def sent(self) -> int:
        return self._up.moved if self._up else 0

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has said all it had to say."""
        return not self._output_open

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def input_left(self) -> bool:
        """Whether more of our input might have come, so that the peer has only a part. A terminal is never whole."""
        return self._input_open and not self._terminal and not self._policy.by_silence

    @property
    def received(self) -> int:
        return self._down.moved

    @property
    def last_moved(self) -> float:
        """When the last byte was delivered, either way, on the loop's clock."""
        return max(flow.last_moved for flow in (self._up, self._down) if flow is not None)

    @property
    def waits_for(self) -> str:
        """What keeps the session from its end, where we have nothing more to send; "" where we may have."""
        if self._input_open or not self._output_open or self._finished:
            return ""
        if self._end_said:
            return f"{self._name} to end; ours is sent"
        why = "we have nothing to send" if self._policy.half_close else "as --no-shutdown asks"
        return f"{self._name} to end; ours is held back: {why} (-N sends it at once)"

    def start(self, on_finish: Callable[[Session], None]) -> None:
        """Begin both directions; `on_finish` is called once, when nothing is left to do."""
        self._on_finish = on_finish
        if self._policy.total is not None:
            self._timers["total"] = self._loop.call_at(self.started + self._policy.total, self._total_over)
        if self._policy.idle is not None:
            self._timers["idle"] = self._loop.call_at(self.started + self._policy.idle, self._look_for_silence)
        self._down.start(self._down_ended)
        if self._finished:
            return
        if self._up is not None:
            self._up.start(self._up_ended)
        elif self._policy.end_absent:
            self._say_end()

    def finish(self, fault: Fault | None = None) -> None:
        """End the session now; the first fault is the one that counts."""
        if self._finished:
            return
        self._finished = True
        self.fault = self.fault or fault
        for flow in (self._up, self._down):
            if flow is not None:
                flow.stop()
        for timer in self._timers.values():
            timer.cancel()
        self._on_finish(self)

    def break_off(self, fault: Fault | None = None) -> None:
        """End for a reason of ours. What was read of our input is delivered first, within `LAST_WORDS`.

        If that was not all of it, `reset_by` is the time by which the connection has to be reset.
        """
        if not self.input_left:
            self.finish(fault)
            return
        if self._finished or self.reset_by is not None:
            return
        assert self._up is not None
        self.fault = self.fault or fault
        self._reset_soon()
        self._down.stop()
        for timer in self._timers.values():
            timer.cancel()
        self._timers = {"reset": self._loop.call_at(self._loop.time() + LAST_WORDS, self.finish)}
        self._up.cut_short()

    def _reset_soon(self) -> None:
        self.reset_by = self._loop.time() + LAST_WORDS

    def _broken_off(self, up: Flow) -> None:
        if up.error is None and not up.cut:  # what was read was all there was
            self._input_open = False
            self.reset_by = None
        self.finish()

    # --- our input ends

    def _up_ended(self, up: Flow) -> None:
        if self.reset_by is not None:
            self._broken_off(up)
            return
        self._input_open = False
        if up.error is None:
            self._input_done(up)
        elif up.sink_to_blame:
            self._peer_stopped_listening(up.error)
        elif up.error.errno == errno.EBADF or (up.error.errno == errno.EIO and self._terminal):
            self._not_readable()  # not open for reading, or a terminal that is not ours
        else:
            self._reset_soon()
            self.finish(Fault(f"read from standard input: {reason(up.error)}"))

    def _input_done(self, up: Flow) -> None:
        if not self._policy.hold_empty or up.moved:
            self._say_end()
        self._after_input()

    def _not_readable(self) -> None:
        if self._policy.end_absent:
            self._say_end()
        self._after_input()

    def _say_end(self) -> None:
        if self._policy.half_close:
            self._end_said = True
            self._peer.half_close()
        if self._policy.quit_after is not None:
            self._arm_quit(self._loop.time() + self._policy.quit_after)
            self._silence_is_the_end()

    def _silence_is_the_end(self) -> None:
        """With datagrams, silence after our input is how a session ends well: no failure."""
        if self._policy.by_silence and "idle" in self._timers:
            self._timers.pop("idle").cancel()

    def _after_input(self) -> None:
        if self._policy.send_only or not self._output_open:
            self.finish()

    def _peer_stopped_listening(self, error: OSError) -> None:
        """What was read from our input cannot be delivered: not whole, whatever the peer still sends."""
        self.fault = self.fault or self._lost(error)
        if not self._output_open:
            self.finish()

    # --- the peer's data ends

    def _down_ended(self, down: Flow) -> None:
        self._output_open = False
        self.over = down.error is None and not down.read_enough
        if down.error is not None:
            self._receiving_failed(down)
            return
        if self._on_peer_end is not None:
            self._on_peer_end()
        if down.read_enough or self._terminal or not self._input_open:
            self.finish()
        elif self._policy.quit_after is not None:
            self._quit_when_silent()

    def _receiving_failed(self, down: Flow) -> None:
        error = down.error
        assert error is not None
        if not down.sink_to_blame:
            self.finish(self._lost(error))
        elif error.errno == errno.EPIPE:
            self.output_closed()
        else:
            self.break_off(Fault(f"write to standard output: {reason(error)}"))

    def output_closed(self) -> None:
        """Whoever reads our output has enough; noticed even while nothing is to be written."""
        self.output_gone = True
        if self.sent:  # it counts on the rest of our input
            self.break_off()
        else:
            self.finish()

    # --- time

    def _arm_quit(self, when: float) -> None:
        if "quit" in self._timers:
            self._timers["quit"].cancel()
        self._timers["quit"] = self._loop.call_at(when, self._quit)

    def _quit(self) -> None:
        if self._input_open or self._policy.by_silence:
            self._quit_when_silent()
        else:
            self.finish()

    def _quit_when_silent(self) -> None:
        """Leave when nothing has moved for -q: the peer has ended and our input may never, or there are no ends."""
        assert self._policy.quit_after is not None
        last = self._loop.time() if self._no_peer_yet else self.last_moved
        due = last + self._policy.quit_after
        if due <= self._loop.time():
            self.finish()
        else:
            self._arm_quit(due)

    def _look_for_silence(self) -> None:
        assert self._policy.idle is not None
        last = self.last_moved
        if self._held_up_here():
            last = self._loop.time()
        due = last + self._policy.idle
        if due <= self._loop.time():
            self.break_off(Fault(f"{self._name}: no data for {self._policy.idle:g} s: timed out", TIMEOUT))
        else:
            self._timers["idle"] = self._loop.call_at(due, self._look_for_silence)

    @property
    def _no_peer_yet(self) -> bool:
        return self._policy.awaits_peer and not self._down.reads

    def _held_up_here(self) -> bool:
        """Whether the silence is not the peer's: a pause of ours, a slow reader of our output, no peer yet."""
        return self._no_peer_yet or self._down.held_up_here or (self._up is not None and self._up.pausing)

    def _total_over(self) -> None:
        self.break_off(self.not_in_time())

    def not_in_time(self) -> Fault:
        return Fault(f"{self._name}: not done within the total timeout: timed out", TIMEOUT)

    def _lost(self, error: OSError) -> Fault:
        """What to say when the connection broke before both directions were done."""
        self.over = True
        if error.errno == errno.EPIPE and self._output_open:
            # The reset itself went unseen: a write that was cut short by it has taken its error away.
            error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        code = TIMEOUT if error.errno == errno.ETIMEDOUT else NETWORK
        return Fault(f"connection with {self._name} lost: {reason(error)}", code)
