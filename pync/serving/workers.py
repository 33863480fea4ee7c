"""--workers: processes that serve the same port, each with listening sockets of its own (SO_REUSEPORT, socket(7)).

The parent binds everything before it forks and keeps it: what waits at the socket of a worker that died is served
by the next one. It passes signals on and adds up the counts. What a worker does is `serving.serve`'s business.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from pync.errors import NETWORK, OK, TIMEOUT, Fault, reason
from pync.net import wake
from pync.net.loop import Loop
from pync.net.unixpath import BoundPath
from pync.plan import Plan
from pync.serving.binding import bind
from pync.serving.descriptors import DescriptorLimit
from pync.serving.listening import Listening
from pync.serving.offers import offering
from pync.serving.serve import most_clients, serve
from pync.serving.tally import Tally
from pync.wire.address import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.console import Console
    from pync.net.listen import Listener
    from pync.net.loop import Timer

    #: What a worker does: its number, where its counts go, and what it must not outlive; the exit code.
    Work = Callable[[int, "Counts", int], int]

#: Signals that must not fall between a fork and the line that knows of it.
HELD = (*wake.ENDS, signal.SIGUSR1)
#: Seconds between two starts of the same worker, at least.
RESTART = 1.0
#: Seconds that workers have to end, and to answer when they are asked for their counts.
ENDING, ANSWERING = 5.0, 1.0


def run_workers(target: Target, plan: Plan, console: Console) -> int:
    """Serve with several processes; returns the exit code.

    Raises:
        Fault: it cannot be opened, or went on too long (--total-timeout).
    """
    plan = plan.changed(sockets=plan.sockets.but(reuse_port=True))
    crew = Crew(plan, console)
    listening = Listening(target, plan, console, crew.ask)
    make_offer = offering(plan, console)
    with DescriptorLimit(), listening, crew:
        listeners = _one_each(listening)

        def work(number: int, counts: Counts, life: int) -> int:
            share = _share(plan, number, len(listeners))
            return serve(listening.in_worker(listeners[number], share, counts.show), make_offer, life)

        try:
            return crew.run(listeners, work, listening)
        finally:
            for listener in listeners:
                listener.close()


def _one_each(listening: Listening) -> list[Listener]:
    """A listener for each worker, all at the same addresses and port; only the first one's are announced."""
    plan, target = listening.plan, listening.target
    count = min(plan.serving.workers or 1, most_clients(plan) or sys.maxsize)
    same = Target(target.host, [listening.listener.addresses()[0].port])
    listeners = [listening.listener]
    try:
        while len(listeners) < count:
            listeners.append(bind(same, plan, listening.console, BoundPath()))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _share(plan: Plan, number: int, count: int) -> Plan:
    """The plan of one worker of so many: the limit of clients is one for all, that of time is its parent's."""
    most = most_clients(plan)
    serving = plan.serving if most is None else plan.serving.but(max_conns=(most + number) // count)
    return plan.changed(serving=serving, limits=plan.limits.but(total=None))


class Worker:
    """One process: `counts` is the pipe it writes its counts to, `life` the one whose end tells it that we are gone."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.counts = self.life = -1
        self.started = 0.0
        self.answered = False
        self.last: dict[str, int] = {}
        self.blind = False
        self.error: str | None = None
        self._unread = b""

    def read(self) -> bool:
        """Take what it has written; False when it has ended."""
        data = os.read(self.counts, 1 << 16)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self.blind, self.last, self.error = json.loads(line)
            self.answered = True
        return bool(data)

    def reap(self) -> int:
        """Wait for its end, which has come or is near: how it ended, as waitpid(2) says."""
        pid, self.pid = self.pid, 0
        self._unread = b""
        for fd in (self.counts, self.life):
            os.close(fd)
        return os.waitpid(pid, 0)[1]


class Crew:
    """The workers of one listener; `run` keeps them going until a signal."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._listeners: list[Listener] = []
        self._plan = plan
        self._console = console
        self._work: Work | None = None
        self._workers: list[Worker] = []
        self._tally = Tally()
        self._loop = Loop()
        self._stopping = False
        self._ever = False  # whether any worker could be started
        self._report_due: Timer | None = None
        self._code = OK
        self._fault: Fault | None = None

    def run(self, listeners: list[Listener], work: Work, listening: Listening) -> int:
        """Start them and wait; returns the exit code.

        Raises:
            Fault: the total time is over.
        """
        self._listeners, self._work = listeners, work
        self._workers = [Worker(number) for number in range(len(listeners))]
        self._tally.addresses = listeners[0].names()
        listening.hear(self._stop)
        if (total := listening.remaining()) is not None:
            fault = Fault("not done within the total timeout: timed out", TIMEOUT)
            self._loop.call_at(self._loop.time() + total, self._stop, OK, fault)
        for worker in self._workers:
            self._start(worker)
        self._loop.run()
        self._sum_up()
        if self._fault is not None:
            raise self._fault
        return self._code

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        """End those that are left, at once."""
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, signal.SIGKILL)
                worker.reap()
        self._loop.close()

    # --- their lives

    def _start(self, worker: Worker) -> None:
        if self._stopping:
            return
        try:
            self._fork(worker)
        except OSError as error:
            if not self._ever:
                self._stop(NETWORK, Fault(f"start worker {worker.number + 1}: {reason(error)}"))
                return
            self._console.fail(f"start worker {worker.number + 1}: {reason(error)}")
            self._loop.call_at(self._loop.time() + RESTART, self._start, worker)
            return
        self._ever = True
        self._loop.add_reader(worker.counts, self._heard, worker)

    def _fork(self, worker: Worker) -> None:
        worker.started = self._loop.time()
        worker.counts, writing = os.pipe()
        try:
            reading, worker.life = os.pipe()
        except OSError:
            os.close(worker.counts)
            os.close(writing)
            raise
        # A signal between the fork and the next step would leave a process that nobody knows of.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            worker.pid = os.fork()
            if not worker.pid:
                self._live(worker, writing, reading, mask)
        except OSError:
            os.close(worker.counts)
            os.close(worker.life)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(writing)
            os.close(reading)

    def _live(self, worker: Worker, writing: int, life: int, mask: set[int]) -> None:
        """The life of a worker; never returns."""
        code = NETWORK
        try:
            wake.renew()
            for number in HELD:  # until `serve` hears them itself
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL if number in wake.ENDS else _not_yet)
            for other in self._workers:
                for fd in (other.counts, other.life):
                    if fd >= 0 and (other.pid or other is worker):
                        os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = self._serve(worker.number, writing, life)
        finally:
            os._exit(code)  # not through the parent's clean-up

    def _serve(self, number: int, writing: int, life: int) -> int:
        for other, listener in enumerate(self._listeners):
            if other != number:
                listener.close_sockets()
        assert self._work is not None
        counts = Counts(self._console, writing)
        try:
            return self._work(number, counts, life)
        except Fault as fault:
            self._console.fail(fault.text)
            return fault.code
        except Exception as error:  # a mistake of ours: say so, a traceback would end nowhere
            self._console.fail(f"worker {number + 1}: internal error: {error!r}")
            return NETWORK
        finally:
            counts.show()

    def _heard(self, worker: Worker) -> None:
        if worker.read():
            if worker.error is not None:
                self._console.outcome.failed(worker.error)
            self._answer_if_all_have()
            return
        self._loop.remove_reader(worker.counts)
        status = worker.reap()
        self._tally.add({**worker.last, "now": 0} if worker.last else {})
        worker.last = {}
        if not self._stopping:
            self._console.fail(f"worker {worker.number + 1} {_how(status)}: starting another")
            self._loop.call_at(max(self._loop.time(), worker.started + RESTART), self._start, worker)
        elif not any(each.pid for each in self._workers):
            self._loop.stop()

    def _stop(self, code: int, fault: Fault | None = None) -> None:
        """End them all in order, and those that do not end soon in any way."""
        if self._stopping:
            return
        self._stopping = True
        self._code, self._fault = code, fault
        self._signal(signal.SIGTERM)
        self._loop.call_at(self._loop.time() + ENDING, self._signal, signal.SIGKILL)
        if not any(worker.pid for worker in self._workers):
            self._loop.stop()

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    # --- their counts

    def ask(self) -> None:
        """Let all tell their counts, and show them."""
        for worker in self._workers:
            worker.answered = not worker.pid
        self._signal(signal.SIGUSR1)
        if self._report_due is None:
            self._report_due = self._loop.call_at(self._loop.time() + ANSWERING, self._answer)

    def _answer_if_all_have(self) -> None:
        if self._report_due is not None and all(worker.answered for worker in self._workers):
            self._report_due.cancel()
            self._answer()

    def _answer(self) -> None:
        self._report_due = None
        self._sum_up()
        self._console.report()

    def _sum_up(self) -> None:
        """What those that are gone have counted, and those that are there."""
        total = Tally()
        total.started, total.addresses = self._tally.started, self._tally.addresses
        total.blind = any(worker.blind for worker in self._workers)
        for numbers in (self._tally.counts(), *(worker.last for worker in self._workers)):
            total.add(numbers)
        self._console.outcome.listens(total)


class Counts:
    """How a worker shows its counts: a line for its parent, on request and at the end."""

    def __init__(self, console: Console, fd: int) -> None:
        self._outcome = console.outcome
        self._fd = fd

    def show(self) -> None:
        line = json.dumps(self._outcome.counts())
        try:
            os.write(self._fd, line.encode() + b"\n")
        except BrokenPipeError:  # the parent is gone, and so shall we be
            return


def _not_yet(*_: object) -> None:
    """A request for counts that comes before there are any."""


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
