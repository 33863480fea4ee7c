"""A large sweep in two processes: each probes half of the ports, with half of the sockets.

The second process is a fork. It writes its findings into a pipe when it is done, and it always ends with us.
`probe.sweep` does the probing.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys

from pync.net import wake
from pync.net.resolve import Address
from pync.probe.finding import REFUSED, Finding, at_port, refused_finding
from pync.probe.sweep import Sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Report = Callable[[Finding], None]

#: For fewer ports a second process costs more than it saves (measured on loopback: 5 ms).
WORTHWHILE = 4096


def pays_off(ports: list[int]) -> bool:
    """Whether a second process would save time and may be forked, which is not safe with other threads (fork(2))."""
    threading = sys.modules.get("threading")
    alone = threading is None or threading.active_count() == 1
    return len(ports) >= WORTHWHILE and alone and _processors() > 1


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ForkedSweep:
    """A sweep that runs its second half in another process. `make` makes the sweep of one half."""

    def __init__(self, addresses: list[Address], make: Callable[[Report], Sweep], report: Report) -> None:
        self._addresses = addresses
        self._make = make
        self._report = report
        self._sweep = make(report)
        self._child = 0

    def run(self, ports: list[int]) -> None:
        """Probe all ports; the findings of the second half are reported after those of the first."""
        half = len(ports) // 2
        with open(self._fork(ports[half:]), "rb") as pipe:
            self._sweep.run(ports[:half])
            data = pipe.read()
        if self._reap():
            raise OSError("the second process of the scan did not come to its end")
        for packed in marshal.loads(data):
            self._report(self._unpack(packed))

    def close(self) -> None:
        """End the second process if it still runs, and close all descriptors."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            self._reap()
        self._sweep.close()

    def _fork(self, ports: list[int]) -> int:
        """Start the second process; returns the descriptor to read its findings from."""
        reading, writing = os.pipe()
        # A signal between the fork and the registration would leave an unknown process behind.
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
            os._exit(code)  # skip the clean-up of the parent

    def _probe_into(self, pipe: int, ports: list[int]) -> None:
        found: list[Finding] = []
        sweep = self._make(found.append)
        sweep.run(ports)
        data = memoryview(marshal.dumps([self._pack(finding) for finding in found]))
        while data:
            data = data[os.write(pipe, data) :]

    def _reap(self) -> int:
        """Wait for the second process; returns its status, 0 for success."""
        child, self._child = self._child, 0
        return os.waitpid(child, 0)[1]

    def _pack(self, finding: Finding) -> int | tuple[Any, ...]:
        """A finding as plain values for the pipe. Most ports are refused at the only address; they become a number."""
        if finding.state == REFUSED and len(self._addresses) == 1:
            return finding.port
        failures = [(self._index(address), error.errno) for address, error in finding.failures]
        return finding.port, finding.state, self._index(finding.address), failures

    def _index(self, address: Address) -> int:
        hosts = [(each.family, each.host) for each in self._addresses]
        return hosts.index((address.family, address.host))

    def _unpack(self, packed: int | tuple[Any, ...]) -> Finding:
        if isinstance(packed, int):
            return refused_finding(packed, at_port(self._addresses[0], packed))
        port, state, index, failures = packed
        errors = [(at_port(self._addresses[each], port), OSError(code, os.strerror(code))) for each, code in failures]
        return Finding(port, state, at_port(self._addresses[index], port), errors)
