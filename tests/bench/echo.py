"""One measured echo server: its rate, its latency, how quickly connections come and go, what one of them takes.

The load is load.c's, which checks every byte that comes back.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.bench.contestants import words
from tests.bench.load import load, program, rate
from tests.bench.process import memory, serving
from tests.bench.sample import LostBytes, Sample
from tests.running import unused_port

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.bench.contestants import Server
    from tests.bench.sample import Job

#: Bytes of a message.
MESSAGE = 64
#: Connections that come and go at the same time.
AT_ONCE = 32


def _started(server: Server, port: int) -> AbstractContextManager[int]:
    return serving(words(server.words, port), port, server.listeners)


def echo(server: Server, connections: int, job: Job) -> Sample:
    """Ping-pong on so many connections: messages per second."""
    port = unused_port()
    with _started(server, port):
        return rate(load("load", "echo", port, job.many(connections, min(connections, 20)), MESSAGE, job.seconds))


def connects(server: Server, job: Job) -> Sample:
    """Connect, one exchange, half-close, the server's end: connections per second."""
    port = unused_port()
    with _started(server, port):
        return rate(load("load", "connects", port, AT_ONCE, MESSAGE, job.seconds))


def footprint(server: Server, connections: int, job: Job) -> Sample:
    """KiB that a connection takes which has had one exchange and is idle, and MiB of the server without any."""
    port = unused_port()
    count = min(job.many(connections, 20), server.most)
    with _started(server, port) as pid:
        load("load", "echo", port, 1, MESSAGE, 0.01)  # whatever is loaded late is loaded now
        before = memory(pid)
        holder = subprocess.Popen(
            [program("load"), "hold", str(port), str(count), str(MESSAGE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with holder:
            assert holder.stdout is not None
            if b"connections" not in holder.stdout.readline():
                raise LostBytes(f"{server.words}: no {count} connections")
            after = memory(pid)
    return Sample(max(after - before, 0.0) / count, {"connections": count, "idle MiB": before / 1024})
