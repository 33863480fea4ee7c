"""A large sweep in two processes: each has half of the ports, and of what may be open at once.

The second process is a fork that writes its outcomes into a pipe when it is done, and is ended with us
in any case. What is probed, and how, is `probe.sweep`'s business.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys

from pync.net import wake
from pync.net.resolve import Address
from pync.probe.outcome import REFUSED, Outcome, at_port, refused_outcome
from pync.probe.sweep import Sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Report = Callable[[Outcome], None]

#: Below this many ports a second process costs more than it brings (measured on loopback: 5 ms).
WORTHWHILE = 4096


def pays_off(ports: list[int]) -> bool:
    """Whether a second process would help, and may be forked: not beside threads (fork(2))."""
    threading = sys.modules.get("threading")
    alone = threading is None or threading.active_count() == 1
    return len(ports) >= WORTHWHILE and alone and _processors() > 1


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ForkedSweep:
    """A sweep whose second half runs in a process of its own. `make` makes the sweep of one half."""

    def __init__(self, addresses: list[Address], make: Callable[[Report], Sweep], report: Report) -> None:
        self._addresses = addresses
        self._make = make
        self._report = report
        self._sweep = make(report)
        self._child = 0

    def run(self, ports: list[int]) -> None:
        """Probe them all; outcomes of the second half are reported after those of the first."""
        half = len(ports) // 2
        with open(self._fork(ports[half:]), "rb") as pipe:
            self._sweep.run(ports[:half])
            data = pipe.read()
        if self._reap():
            raise OSError("the second process of the scan did not come to its end")
        for packed in marshal.loads(data):
            self._report(self._unpack(packed))

    def close(self) -> None:
        """End the second process, if it is still there, and close what is open."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            self._reap()
        self._sweep.close()

    def _fork(self, ports: list[int]) -> int:
        """Start the second process; what it found can be read from the descriptor."""
        reading, writing = os.pipe()
        # A signal between the fork and the next step would leave a process that nobody knows of.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, wake.ENDS)
        self._child = os.fork()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self._child:
            os.close(writing)
            return reading
        code = 1
        try:
            os.close(reading)
            self._probe_into(writing, ports)
            code = 0
        finally:
            os._exit(code)  # not through the parent's clean-up

    def _probe_into(self, pipe: int, ports: list[int]) -> None:
        found: list[Outcome] = []
        sweep = self._make(found.append)
        sweep.run(ports)
        data = memoryview(marshal.dumps([self._pack(outcome) for outcome in found]))
        while data:
            data = data[os.write(pipe, data) :]

    def _reap(self) -> int:
        """Wait for the second process: its status, 0 where it came to its end."""
        child, self._child = self._child, 0
        return os.waitpid(child, 0)[1]

    def _pack(self, outcome: Outcome) -> int | tuple[Any, ...]:
        """Plain values for the pipe; the bulk, refused at the only address, is no more than a number."""
        if outcome.state == REFUSED and len(self._addresses) == 1:
            return outcome.port
        failures = [(self._index(address), error.errno) for address, error in outcome.failures]
        return outcome.port, outcome.state, self._index(outcome.address), failures

    def _index(self, address: Address) -> int:
        hosts = [(each.family, each.host) for each in self._addresses]
        return hosts.index((address.family, address.host))

    def _unpack(self, packed: int | tuple[Any, ...]) -> Outcome:
        if isinstance(packed, int):
            return refused_outcome(packed, at_port(self._addresses[0], packed))
        port, state, index, failures = packed
        errors = [(at_port(self._addresses[each], port), OSError(code, os.strerror(code))) for each, code in failures]
        return Outcome(port, state, at_port(self._addresses[index], port), errors)
