"""How bytes get from a source to a sink: copy, splice or sendfile, and which of them when.

A mover does one bounded step and says what to wait for; it neither waits nor knows a loop. The
choice is a table at the end, from measurements: `python -m tests.bench` prints them anew.
"""

from __future__ import annotations

import errno
import os
import sys

from pync.net.endpoint import DATAGRAM, FILE, LINES, PIPE, SOCKET, grow_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from pync.net.endpoint import Endpoint
    from pync.net.space import Ahead

    class Stage(Protocol):
        """Looks at the bytes on their way, or changes them; cut anywhere, same result."""

        def feed(self, data: bytes) -> bytes: ...
        def end(self) -> bytes: ...

    class Mover(Protocol):
        """`moved` counts bytes delivered, `reads` the reads that brought any.

        `close` gives back what was read and not delivered, for the mover that takes over.
        """

        moved: int
        reads: int
        sink_to_blame: bool

        def move(self, limit: int) -> str: ...
        def at_boundary(self) -> bool: ...
        def holds(self) -> bool: ...
        def close(self) -> bytes: ...


#: What a step answers: go on, wait for the source, wait for the sink, all is delivered.
MORE, SOURCE_DRY, SINK_FULL, DONE = "more", "source dry", "sink full", "done"

NEWLINE = 10
#: Where the search for a newline begins; a memoryview cannot be searched without a copy.
LINE_WINDOW = 1 << 12

#: One step of a copy. Measured: 512 KiB beats 64 KiB by a fifth, 1 MiB gains no more.
CHUNK = 1 << 19
#: One step of splice or sendfile: what a grown pipe holds.
ZERO_COPY_CHUNK = 1 << 20
#: A file that has got this much is worth having its blocks allocated ahead. Measured, 512 MiB into a new file:
#: 0.8 of the receiver's CPU time without it on tmpfs, 0.7 on ext4; loading what it needs takes 4 ms.
AHEAD_AFTER = 1 << 25
#: A pipe that has carried this much is worth growing: it was full at least once.
BULK = 1 << 16


class Copy:
    """Reads into one buffer and writes from it: at most one chunk is held at any time.

    A `buffer` given is shared with others: what cannot be written at once is kept apart.
    """

    def __init__(
        self,
        source: Endpoint,
        sink: Endpoint,
        stages: Sequence[Stage] = (),
        *,
        by_line: bool = False,
        begun: bytes = b"",
        buffer: memoryview | None = None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._stages = stages
        self._by_line = by_line
        self._shared = buffer is not None
        self._buffer = memoryview(bytearray(CHUNK)) if buffer is None else buffer
        self._pending = memoryview(begun)  # what another mover has read and not delivered
        self._ended = False
        self._boundary = not begun
        self._small_pipe = PIPE in (source.kind, sink.kind)
        self._zero_is_end = source.kind != DATAGRAM
        self._cuttable = sink.kind not in (DATAGRAM, LINES)
        self._lines_together = sink.kind == LINES
        self.moved = 0
        self.reads = 0
        self.sink_to_blame = False

    def move(self, limit: int) -> str:
        """Read unless something is still to be written, then write at most `limit` bytes.

        A datagram is never cut by the limit: it leaves whole, or waits.
        """
        if not self._pending:
            if self._ended:
                return DONE
            self.sink_to_blame = False
            count = self._source.read_into(self._buffer)
            if count is None:
                return SOURCE_DRY
            self._accept(count)
            if not self._pending:
                return MORE
            state = self._write(limit)
            if self._shared and self._pending:
                self._pending = memoryview(bytes(self._pending))  # others read into the buffer now
            return state
        return self._write(limit)

    def at_boundary(self) -> bool:
        """Whether the last write ended a unit: a line with `by_line`, else all that was read."""
        return self._boundary

    def holds(self) -> bool:
        """Whether something was read and is not delivered, or the source's end was."""
        return self._ended or bool(self._pending)

    def close(self) -> bytes:
        """Nobody takes over from a copy: what it holds is lost with the session."""
        return b""

    def _accept(self, count: int) -> None:
        self._pending = self._buffer[:count]
        if count or not self._zero_is_end:
            self.reads += 1
        else:
            self._ended = True
        if self._stages:
            self._pending = memoryview(self._through_stages(bytes(self._pending)))
        self._boundary = not self._pending

    def _through_stages(self, data: bytes) -> bytes:
        for stage in self._stages:
            data = stage.feed(data) if data else data
            if self._ended:
                data += stage.end()
        return data

    def _write(self, limit: int) -> str:
        self.sink_to_blame = True
        data = self._unit(limit)
        if self._cuttable:
            data = data[:limit]
        count = self._sink.write(data)
        if count is None:
            return SINK_FULL
        self.moved += count
        self._boundary = count == len(self._pending) or (self._by_line and data[count - 1] == NEWLINE)
        self._pending = self._pending[count:]
        if self._small_pipe and self.moved > BULK:
            self._small_pipe = False
            _grow_pipes(self._source, self._sink)
        return MORE

    def _unit(self, limit: int) -> memoryview:
        """What may leave in one write: everything, or with `by_line` a line, or several where the sink takes them."""
        if not self._by_line:
            return self._pending
        if self._lines_together and (end := bytes(self._pending[:limit]).rfind(b"\n") + 1):
            return self._pending[:end]
        window = LINE_WINDOW
        while True:
            line = bytes(self._pending[:window]).find(b"\n") + 1
            if line or window >= len(self._pending):
                return self._pending[:line] if line else self._pending
            window *= 4


class Direct:
    """The base of what moves inside the kernel: unless a mover says otherwise, every step delivers all that it took."""

    def __init__(self, source: Endpoint, sink: Endpoint) -> None:
        self._source = source
        self._sink = sink
        self._small_pipe = True
        self.moved = 0
        self.reads = 0
        self.sink_to_blame = False

    def at_boundary(self) -> bool:
        """Every step delivers all that it took."""
        return True

    def holds(self) -> bool:
        """Every step delivers all that it took."""
        return False

    def close(self) -> bytes:
        """Nothing is ever held."""
        return b""


class Splice(Direct):
    """Socket to pipe inside the kernel (splice(2)). EAGAIN may mean an empty socket or a full pipe."""

    def __init__(self, source: Endpoint, sink: Endpoint) -> None:
        super().__init__(source, sink)
        self._waited_for_source = False

    def move(self, limit: int) -> str:
        """Move what is there, at most `limit` bytes."""
        try:
            count = os.splice(self._source.fd, self._sink.fd, min(limit, ZERO_COPY_CHUNK), flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            # Only one of the two can be asked for at a time; whichever was not, is waited for next.
            self._waited_for_source = not self._waited_for_source
            return SOURCE_DRY if self._waited_for_source else SINK_FULL
        except BrokenPipeError:
            self.sink_to_blame = True
            raise
        self._waited_for_source = False
        if not count:
            return DONE
        self.moved += count
        self.reads += 1
        if self._small_pipe and self.moved > BULK:
            self._small_pipe = False
            _grow_pipes(self._source, self._sink)
        return MORE


class SpliceThrough(Direct):
    """Socket to file or socket inside the kernel, through a pipe of our own: one of the two must be one (splice(2)).

    Sockets must be non-blocking. Where the sink takes no more for now, our pipe keeps the rest.
    """

    def __init__(self, source: Endpoint, sink: Endpoint) -> None:
        super().__init__(source, sink)
        self._ahead: Ahead | None = None
        self._room = AHEAD_AFTER if sink.kind == FILE else sys.maxsize
        self._reading, self._writing = os.pipe()
        self._held = 0

    def move(self, limit: int) -> str:
        """Fill our pipe unless it still holds something, then empty it into the sink."""
        if not self._held:
            self.sink_to_blame = False
            try:
                size = min(limit, ZERO_COPY_CHUNK)
                self._held = os.splice(self._source.fd, self._writing, size, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:  # unambiguous: our pipe is empty
                return SOURCE_DRY
            if not self._held:
                return DONE
            self.reads += 1
        self.sink_to_blame = True
        try:
            count = os.splice(self._reading, self._sink.fd, min(self._held, limit))
        except BlockingIOError:
            return SINK_FULL
        self._held -= count
        self.moved += count
        if self._small_pipe and self.moved > BULK:
            self._small_pipe = False
            grow_pipe(self._writing)
        if self.moved > self._room:
            self._make_room()
        return MORE

    def _make_room(self) -> None:
        from pync.net.space import STEP, Ahead

        if self._ahead is None:
            self._ahead = Ahead(self._sink.fd)
        self._room = self.moved + STEP if self._ahead.extend() else sys.maxsize

    def at_boundary(self) -> bool:
        """Whether our pipe is empty."""
        return not self._held

    def holds(self) -> bool:
        """Whether our pipe holds something."""
        return self._held > 0

    def close(self) -> bytes:
        """What our pipe still holds: a sink that takes no splice shows it only then."""
        if self._reading < 0:
            return b""
        if self._ahead is not None:
            self._ahead.give_back()
        held = b""
        while len(held) < self._held:
            held += os.read(self._reading, self._held - len(held))
        os.close(self._reading)
        os.close(self._writing)
        self._reading = self._writing = -1
        self._held = 0
        return held


class Sendfile(Direct):
    """Regular file to socket inside the kernel (sendfile(2)), from the file's current offset."""

    def move(self, limit: int) -> str:
        """Send what the socket takes, at most `limit` bytes."""
        try:
            count = os.sendfile(self._sink.fd, self._source.fd, None, min(limit, ZERO_COPY_CHUNK))
        except BlockingIOError:
            return SINK_FULL
        except OSError as error:
            self.sink_to_blame = error.errno not in (errno.EIO, errno.EISDIR, errno.EBADF)
            raise
        if not count:
            return DONE
        self.moved += count
        self.reads += 1
        return MORE


#: What the kernel says of a pair of descriptors that it cannot join without a copy.
NOT_JOINABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ESPIPE)

#: (source, sink) → the function it needs, the mover. All other pairs are copied.
ZERO_COPY: dict[tuple[str, str], tuple[str, type[Splice | SpliceThrough | Sendfile]]] = {
    (SOCKET, PIPE): ("splice", Splice),
    (SOCKET, FILE): ("splice", SpliceThrough),
    (SOCKET, SOCKET): ("splice", SpliceThrough),
    (FILE, SOCKET): ("sendfile", Sendfile),
}


def choose(source: Endpoint, sink: Endpoint, *, seen: bool) -> Mover | None:
    """The zero-copy mover for this pair; None where the bytes must be `seen`, or copying serves best."""
    function, mover = ZERO_COPY.get((source.kind, sink.kind), ("", None))
    if seen or mover is None or sys.platform != "linux":  # elsewhere sendfile is another function
        return None
    try:
        return mover(source, sink) if hasattr(os, function) and not _may_block(source, sink) else None
    except OSError:  # too many open files: a copy needs none of its own
        return None


def _may_block(source: Endpoint, sink: Endpoint) -> bool:
    """Between sockets splice(2) waits unless both are O_NONBLOCK, which we never set on one that we inherited."""
    return source.kind == sink.kind == SOCKET and (os.get_blocking(source.fd) or os.get_blocking(sink.fd))


def _grow_pipes(*endpoints: Endpoint) -> None:
    for endpoint in endpoints:
        if endpoint.kind == PIPE:
            grow_pipe(endpoint.fd)
