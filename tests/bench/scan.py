"""One measured scan: many closed ports of this machine, or of a host with 40 ms of latency.

One port is open, and has to be found: a scan that ends in another exit code than 0, or names open ports
without it, is no measurement. The host is a network namespace of tests.cli.namespaces, which needs root.
What was scanned in part is scaled up by the number given.
"""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.bench.transfer import LostBytes, Sample, Watched
from tests.cli.namespaces import latency, two_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

#: There and back, in seconds.
LATENCY = 0.04
FIRST = 30000


def scan_loopback(command: Sequence[str]) -> Sample:
    """Every port of the loopback; one is ours and open, almost all of the others are closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return _scan([*command, "127.0.0.1", "1-65535"], server.getsockname()[1])


def scan_far(command: Sequence[str], ports: int, times: int = 1) -> Sample:
    """So many ports of the far host, the first of them open; seconds and CPU are multiplied by `times`."""
    with two_hosts() as hosts, latency(hosts, LATENCY) as far, hosts[1].listening(FIRST):
        words = hosts[0].command(*command, far.ipv4, f"{FIRST}-{FIRST + ports - 1}")
        sample = _scan(words, FIRST)
    return Sample(sample.seconds * times, sample.cpu * times, sample.peak)


def _scan(command: Sequence[str], port: int) -> Sample:
    started = time.perf_counter()
    process = Watched(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    cpu = process.end()
    seconds = time.perf_counter() - started
    assert process.process.stderr is not None
    with process.process.stderr as stderr:
        messages = stderr.read().decode()
    if messages and f" {port} port [tcp/" not in messages:  # nc.openbsd names none without -v
        raise LostBytes(f"{command!r} did not find port {port}: {messages}")
    return Sample(seconds, cpu, process.peak)
