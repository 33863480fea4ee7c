"""A pipe whose reads are datagrams: those that are equally long leave together, in one call.

A writer decides how long each read is (a pipe with O_DIRECT keeps its packets apart, pipe(7)). How several
leave at once is `net.bursts`'; here nothing is sent.
"""

from __future__ import annotations

import os

from pync.net.bursts import MOST_SEGMENTS
from pync.net.datagram import LARGEST
from pync.net.endpoint import PIPE, Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.net.datagram import DatagramSink
    from pync.net.endpoint import PipeEndpoint


class PacketSource(Descriptor):
    """Reads as long as each read brings as much as the first one, and tells the sink that length.

    The last one may be shorter, as the kernel wants it of segments (udp(7)). Nothing is waited for.
    """

    kind = PIPE

    def __init__(self, pipe: PipeEndpoint, sink: DatagramSink) -> None:
        self._pipe = pipe
        self.fd = pipe.fd
        self._sink = sink
        self._held = b""  # a read that was longer than those before it
        self._ended = False

    def read_into(self, buffer: memoryview) -> int | None:
        count = self._first(buffer)
        if not count:
            return count
        self._sink.each(count)
        return self._more(buffer, count) if 2 * count <= LARGEST else count

    def _first(self, buffer: memoryview) -> int | None:
        if self._held:
            held, self._held = self._held, b""
            buffer[: len(held)] = held
            return len(held)
        if self._ended:
            return 0
        try:
            return os.readv(self.fd, [buffer])
        except BlockingIOError:
            return None

    def _more(self, buffer: memoryview, size: int) -> int:
        fd, total = self.fd, size
        most = size * min(MOST_SEGMENTS, LARGEST // size)
        while total < most:
            try:
                count = os.readv(fd, [buffer[total:]])
            except BlockingIOError:
                break
            if count != size:
                return total + self._other(buffer[total : total + count], size)
            total += count
        return total

    def _other(self, read: memoryview, size: int) -> int:
        """A read of another length is the end of the run: a shorter one belongs to it, a longer one waits."""
        if len(read) > size:
            self._held = bytes(read)
            return 0
        self._ended = not read
        return len(read)

    def write(self, data: memoryview | bytes) -> int | None:
        raise NotImplementedError("a source is not written to")

    def half_close(self) -> None:
        """A pipe has one direction only."""

    def close(self) -> None:
        self._pipe.close()
