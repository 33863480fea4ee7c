"""A cable with latency, for kernels without netem(8): two TUN devices and what carries packets between them.

Run as a program it is the carrier: packets read from one device are written to the other a fixed time later,
in their order. Making the devices is here too; giving them to hosts, and addresses, is namespaces.py's. No
import of other tests: the program runs from wherever it lies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

#: linux/if_tun.h: packets as they are, nothing in front of them.
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

#: More than the devices' MTU, which is 1500.
LONGEST_PACKET = 2048
#: Packets taken from one device before the other one has its turn.
BURST = 512


def open_tun(name: str) -> int:
    """A descriptor of a new TUN device, which lives as long as somebody holds the descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(device)
        raise
    return device


class Direction:
    """Packets on their way from one device to another, each with the time at which it is due."""

    def __init__(self, source: int, sink: int, seconds: float) -> None:
        self._source = source
        self._sink = sink
        self._seconds = seconds
        self._packets: deque[tuple[float, bytes]] = deque()

    def take(self) -> None:
        """Take what the source has, up to a burst."""
        due = time.monotonic() + self._seconds
        with contextlib.suppress(BlockingIOError):
            for _ in range(BURST):
                self._packets.append((due, os.read(self._source, LONGEST_PACKET)))

    def deliver(self) -> None:
        """Hand on what is due; a device that takes nothing loses the packet, as a cable would."""
        now = time.monotonic()
        while self._packets and self._packets[0][0] <= now:
            with contextlib.suppress(OSError):
                os.write(self._sink, self._packets.popleft()[1])

    def due(self) -> float:
        """When the next packet is due."""
        return self._packets[0][0] if self._packets else float("inf")


def carry(first: int, second: int, seconds: float) -> None:
    """Carry packets both ways, until the process is ended or a device is gone."""
    directions = (Direction(first, second, seconds), Direction(second, first, seconds))
    while True:
        due = min(direction.due() for direction in directions)
        patience = None if due == float("inf") else max(0.0, due - time.monotonic())
        select.select([first, second], [], [], patience)
        for direction in directions:
            direction.take()
            direction.deliver()


if __name__ == "__main__":
    carry(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
