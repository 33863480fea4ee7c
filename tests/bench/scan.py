"""One measured scan: many closed ports of this machine, or of a host with 40 ms of latency.

One port is open, and has to be found: a scan that ends in another exit code than 0, or names open ports
without it, is no measurement. The host is a network namespace of tests.cli.namespaces, which needs root.
What was scanned in part is scaled up to the whole.
"""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.bench.contestants import HOST, words
from tests.bench.process import ended, watched
from tests.bench.sample import LostBytes, Sample
from tests.cli.namespaces import latency, two_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.sample import Job

#: There and back, in seconds.
LATENCY = 0.04
#: How many ports of the far host make a scan, and the first of them.
FAR = 2000
FIRST = 30000


def scan_loopback(command: str, job: Job) -> Sample:
    """Every port of the loopback; one is ours and open, almost all of the others are closed."""
    with socket.create_server((HOST, 0)) as server:
        return _scan(words(command), server.getsockname()[1])


def scan_far(command: str, ports: int, smoke: int, job: Job) -> Sample:
    """So many ports of the far host, in a smoke so many, the first of them open; then as if it had been FAR."""
    count = job.many(ports, smoke)
    with two_hosts() as hosts, latency(hosts, LATENCY) as far, hosts[1].listening(FIRST):
        scanning = hosts[0].command(*words(command), far.ipv4, f"{FIRST}-{FIRST + count - 1}")
        sample = _scan(scanning, FIRST)
    times = FAR / count
    return Sample(sample.value * times, {**sample.more, "CPU s": sample.more["CPU s"] * times})


def _scan(command: Sequence[str], port: int) -> Sample:
    started = time.perf_counter()
    with watched(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        sample = ended(started, 0, process)
        assert process.process.stderr is not None
        with process.process.stderr as stderr:
            messages = stderr.read().decode()
    if messages and f"{port} port [tcp/" not in messages:  # nc.openbsd names none without -v
        raise LostBytes(f"{' '.join(command)} did not find port {port}: {messages}")
    return sample
