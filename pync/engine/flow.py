"""One direction of a session: source → stages → sink, one bounded buffer, and its end.

A flow waits on the loop for whichever side holds it up, keeps to the pacers' budget, and reports
its end once. What an end means for the other direction is the session's business.
"""

from __future__ import annotations

from pync.net.move import DONE, MORE, NOT_JOINABLE, SINK_FULL, SOURCE_DRY, Copy, choose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor, TimerHandle
    from pync.net.move import Mover, Stage
    from pync.wire.pacing import Pacer

#: Steps a flow may take before the others get their turn.
STEPS = 16
NO_LIMIT = 1 << 40


class Flow:
    """Moves bytes one way until the end of data, an error, or `stop`."""

    def __init__(
        self,
        loop: Reactor,
        source: Endpoint,
        sink: Endpoint,
        *,
        stages: Sequence[Stage] = (),
        pacers: Sequence[Pacer] = (),
        by_line: bool = False,
        most_reads: int | None = None,
        buffer: memoryview | None = None,
    ) -> None:
        self._loop = loop
        self._source = source
        self._sink = sink
        self._stages = stages if isinstance(stages, list) else list(stages)
        self._pacers = pacers
        self._by_line = by_line
        self._most_reads = most_reads
        self._buffer = buffer  # one that is shared with others, or None
        self._mover: Mover = choose(source, sink, seen=bool(stages) or by_line) or self._copy(b"")
        self._moved_before = 0
        self._reads_before = 0
        self._watching = ""
        self._timer: TimerHandle | None = None
        self._held = 0
        self.pausing = False
        self.running = False
        self._last = False  # what was read is the last
        self.cut = False  # it ended before its source did
        self.error: OSError | None = None
        self.last_moved = loop.time()

    def _copy(self, begun: bytes) -> Copy:
        return Copy(self._source, self._sink, self._stages, by_line=self._by_line, begun=begun, buffer=self._buffer)

    @property
    def moved(self) -> int:
        """Bytes delivered to the sink."""
        return self._moved_before + self._mover.moved

    @property
    def reads(self) -> int:
        """Reads that brought something: data, or a datagram, which may be empty."""
        return self._reads_before + self._mover.reads

    @property
    def sink_to_blame(self) -> bool:
        """With `error`: whether writing failed, not reading."""
        return self._mover.sink_to_blame

    @property
    def held_up_here(self) -> bool:
        """Whether the flow waits for its own pacers, or for its sink to take more."""
        return self.pausing or self._watching == SINK_FULL

    @property
    def waits_for_source(self) -> bool:
        """Whether the source was asked and has nothing at present."""
        return self._watching == SOURCE_DRY

    @property
    def read_enough(self) -> bool:
        """Whether the flow ended because it had taken the reads it was allowed (-W)."""
        return self._most_reads is not None and self.reads >= self._most_reads

    def start(self, on_end: Callable[[Flow], None]) -> None:
        """Begin to move; `on_end` is called once, with `error` set where it was one."""
        self._on_end = on_end
        self.running = True
        self._step()

    def cut_short(self) -> None:
        """Read no more: deliver what was read, and end."""
        self._last = True
        if self.running and not self._held and not self.pausing:
            self._watch("")
            self._cancel_timer()
            self._timer = self._loop.call_at(self._loop.time(), self._step)

    def show(self, stage: Stage) -> None:
        """From now on this stage sees first what comes; it must not change it."""
        self._stages.insert(0, stage)
        if self.running and not isinstance(self._mover, Copy):
            self._take_over()

    def stop(self) -> None:
        """Leave everything as it is; `on_end` is not called any more."""
        self.running = False
        self._watch("")
        self._cancel_timer()
        self._mover.close()

    def hold(self) -> None:
        """Stop moving until as many `release`s have come."""
        self._held += 1
        self._watch("")
        self._cancel_timer()

    def release(self) -> None:
        self._held -= 1
        if self.running and not self._held:
            self._cancel_timer()
            self._timer = self._loop.call_at(self._loop.time(), self._step)

    def _step(self) -> None:
        self._cancel_timer()
        self.pausing = False
        for _ in range(STEPS):
            if not self.running or self._held:
                return
            limit, wake_at = self._budget()
            if limit <= 0:
                self._sleep_until(wake_at)
                return
            state = self._move(limit)
            if state != MORE:
                self._settle(state)
                return
        # Not by waiting for readiness: a FIFO whose writers left before we came never reports it.
        self._watch("")
        self._timer = self._loop.call_at(self._loop.time(), self._step)

    def _move(self, limit: int) -> str:
        if self._last and not (self._mover.holds() or self._source.waiting):
            self.cut = True
            return DONE
        before, reads = self._mover.moved, self._mover.reads
        try:
            state = self._mover.move(limit)
        except OSError as error:
            return self._failed(error)
        count = self._mover.moved - before
        if count or self._mover.reads > reads:
            self.last_moved = self._loop.time()
            for pacer in self._pacers:
                pacer.spent(count, self.last_moved, self._mover.at_boundary())
        if self.read_enough and self._mover.at_boundary():
            return DONE
        return state

    def _failed(self, error: OSError) -> str:
        """A pair that the kernel cannot join is copied from here on; everything else is the end."""
        if error.errno in NOT_JOINABLE and not isinstance(self._mover, Copy):
            self._take_over()
            return MORE
        self.error = error
        return DONE

    def _take_over(self) -> None:
        self._moved_before += self._mover.moved
        self._reads_before += self._mover.reads
        self._mover = self._copy(self._mover.close())

    def _budget(self) -> tuple[int, float]:
        if not self._pacers:
            return NO_LIMIT, 0.0
        now = self._loop.time()
        limit = min(pacer.budget(now) for pacer in self._pacers)
        return limit, max(pacer.next_at(now) for pacer in self._pacers)

    def _settle(self, state: str) -> None:
        if state == DONE:
            self.stop()
            self._on_end(self)
        elif not self._held and not (state == SOURCE_DRY and self._rests()):
            self._watch(state)

    def _rests(self) -> bool:
        """Whether the source, which is dry, is not to be watched yet: then we sleep."""
        if not self._pacers:
            return False
        now = self._loop.time()
        resume_at = max(pacer.resume_at(now) for pacer in self._pacers)
        if resume_at <= now:
            return False
        self._sleep_until(resume_at)
        return True

    def _watch(self, state: str) -> None:
        """Wait for the side that holds the flow up, and for that side only."""
        if state == self._watching:
            return
        self._await(self._watching, None)
        self._watching = state
        self._await(state, self._step)

    def _await(self, state: str, callback: Callable[[], None] | None) -> None:
        if state == SOURCE_DRY:
            self._source.watch_read(self._loop, callback)
        elif state == SINK_FULL:
            self._sink.watch_write(self._loop, callback)

    def _sleep_until(self, when: float) -> None:
        self._watch("")
        self.pausing = True
        self._timer = self._loop.call_at(when, self._step)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
