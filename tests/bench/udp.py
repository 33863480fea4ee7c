"""One measured UDP sender or receiver: datagrams of one size per second, counted where they arrive.

The other end is datagrams.c's and faster. What a sender sends is what it reads: its input is a pipe that keeps
packets apart (O_DIRECT, pipe(7)), so that all of them cut alike. Lost datagrams are nobody's error here,
the share of them stands in a column; one of another size is.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

from tests.bench.contestants import words
from tests.bench.load import load, program
from tests.bench.process import watched
from tests.bench.sample import LostBytes, Sample
from tests.running import eventually, unused_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.sample import Job

#: How many a sender is given for each second of the job: about what the quickest of them sends.
RATE = 250_000
#: Seconds without a further byte that mean a receiver has written all it got.
SILENCE = 0.2


def send(command: str, size: int, job: Job) -> Sample:
    """packets → UDP: per second, from the first to the last that arrives."""
    count = int(RATE * job.seconds)
    counter = subprocess.Popen([program("datagrams"), "count", str(size)], stdout=subprocess.PIPE)
    with counter:
        assert counter.stdout is not None
        port = json.loads(counter.stdout.readline())["port"]
        cpu = _send_all(words(command, port), size, count)
        told = json.loads(counter.stdout.readline())
    if told["other"] or not told["whole"]:
        raise LostBytes(f"{command}: {told['whole']} datagrams of {size} bytes, {told['other']} of another size")
    lost = 100 * (1 - told["whole"] / count)
    return Sample(told["whole"] / told["seconds"], {"lost %": lost, "CPU µs each": cpu * 1e6 / count})


def _send_all(command: list[str], size: int, count: int) -> float:
    """Its CPU seconds."""
    packets, feed = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    with watched(command, stdin=packets) as sender:
        os.close(packets)
        with watched([program("datagrams"), "packets", str(size), str(count)], stdout=feed) as feeder:
            os.close(feed)
            cpu = sender.end()
            feeder.end()
    return cpu


def receive(command: str, size: int, job: Job) -> Sample:
    """UDP → file, flooded for the job's seconds: what is in the file, per second."""
    port = unused_port()
    target = job.source.with_suffix(".datagrams")
    with open(target, "wb") as taken:
        with watched(words(command, port), stdin=subprocess.DEVNULL, stdout=taken) as receiver:
            receiver.wait_listening(port, "udp")
            told = load("datagrams", "flood", port, size, job.seconds)
            arrived = _settled(target)
            receiver.kill()
    target.unlink()
    if not arrived or arrived % size:
        raise LostBytes(f"{command}: {arrived} bytes are no number of datagrams of {size}")
    lost = 100 * (1 - arrived / size / told["sent"])
    return Sample(arrived / size / told["seconds"], {"lost %": lost})


def _settled(target: Path) -> int:
    """The size of a file that has stopped growing."""
    last = [(-1, time.monotonic())]

    def still() -> bool:
        size = target.stat().st_size
        if size != last[0][0]:
            last[0] = (size, time.monotonic())
        return time.monotonic() - last[0][1] > SILENCE

    eventually(still, f"{target.name} stops growing")
    return last[0][0]
