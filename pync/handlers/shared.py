"""One output and one input as the endpoints of many sessions.

The output takes a piece at a time, each whole, first come, first served; the input is copied, and each copy
waits for its own client, in bounded memory. Who the clients are, and who is dropped, is the hub's business.
"""

from __future__ import annotations

import selectors
from collections import deque

from pync.net import sockopts, wake
from pync.net.endpoint import LINES, Calling, SocketEndpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor
    from pync.net.move import Stage
    from pync.wire.lines import SharedLines, WholeLines
    from pync.wire.margin import Margin

#: Bytes of our input that may wait for a client; more only while it takes some of them.
MOST_WAITING = 1 << 22
#: A piece is an object of some 200 bytes, whatever it holds: smaller ones are joined up to this size.
JOINED = 1 << 9
#: Last words of clients that have left, and pieces before them, which may wait for our output.
MOST_PIECES = 64

SHARED = "shared"


class Output:
    """Our output: takes one piece after another, each whole, whoever sent it.

    `taps` see what is taken, in that order; what `lines` add, only the output gets. `on_failure` is called once, when
    the output fails. The `margin` is told whose the piece is.
    """

    def __init__(
        self,
        loop: Reactor,
        endpoint: Endpoint,
        taps: Sequence[Stage],
        on_failure: Callable[[OSError], object],
        lines: SharedLines | None = None,
        margin: Margin | None = None,
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._taps = taps
        self._lines = lines
        self._margin = margin
        self._on_failure = on_failure
        self._pieces: deque[memoryview] = deque()
        self._waiting: dict[Callable[[], object], None] = {}
        self._closed = False

    @property
    def unwritten(self) -> int:
        """Bytes that were taken and are not written yet."""
        return sum(len(piece) for piece in self._pieces)

    def take(self, data: bytes, writer: str = "", *, last: bool = False) -> bool:
        """Take a piece, which may be the writer's last; False where another piece is still on its way."""
        if self._pieces or self._closed:
            return False
        self._put(data, writer, last)
        return True

    def take_last(self, data: bytes, writer: str = "") -> bool:
        """Take what a client leaves behind, behind what is still on its way; False where that is too much already."""
        if self._closed:
            return True
        if len(self._pieces) >= MOST_PIECES:
            return not data  # whose line is open then, is ended before the next one's
        self._put(data, writer, last=True)
        return True

    def _put(self, data: bytes, writer: str, last: bool) -> None:
        if data:
            if self._margin is not None:
                self._margin.writer = writer
            for tap in self._taps:
                tap.feed(data)
        if self._lines is not None:
            data = self._lines.feed(data, writer) + (self._lines.end(writer) if last else b"")
        if data:
            self._pieces.append(memoryview(data))
            self._push()

    def wait(self, callback: Callable[[], object]) -> None:
        """Call this once, when there is room: first come, first served."""
        self._waiting[callback] = None

    def leave(self, callback: Callable[[], object]) -> None:
        """It does not wait any more."""
        self._waiting.pop(callback, None)

    def flush(self, seconds: float) -> None:
        """Write what was taken, waiting no longer than that."""
        deadline = self._loop.time() + seconds
        with wake.poll_selector() as selector:
            if self._pieces and self._endpoint.fd >= 0:
                selector.register(self._endpoint.fd, selectors.EVENT_WRITE)
            while self._pieces and not self._closed and (left := deadline - self._loop.time()) > 0:
                selector.select(left)
                self._push()

    def close(self) -> None:
        self._stop()
        self._endpoint.close()

    def _push(self) -> None:
        try:
            while self._pieces:
                count = self._endpoint.write(self._pieces[0])
                if count is None:
                    self._wait_for_room()
                    return
                self._pieces[0] = self._pieces[0][count:]
                if not self._pieces[0]:
                    self._pieces.popleft()
        except OSError as error:
            self._stop()
            self._on_failure(error)

    def _wait_for_room(self) -> None:
        self._endpoint.watch_write(self._loop, self._go_on)

    def _go_on(self) -> None:
        self._endpoint.watch_write(self._loop, None)
        self._push()
        while self._waiting and not self._pieces and not self._closed:
            callback = next(iter(self._waiting))
            del self._waiting[callback]
            callback()

    def _stop(self) -> None:
        if not self._closed:
            self._endpoint.watch_write(self._loop, None)
        self._closed = True
        self._pieces.clear()


class Lane(Calling):
    """The output as the session of one client, the `writer`, sees it.

    With `lines`, which cut the client's bytes, nothing else may cut what is written, no --rate either.
    """

    def __init__(self, output: Output, writer: str = "", lines: WholeLines | None = None) -> None:
        super().__init__()
        self._output = output
        self._writer = writer
        self._lines = lines
        self.kind = SHARED if lines is None else LINES

    def read_into(self, buffer: memoryview) -> int | None:
        raise NotImplementedError("an output is not read from")

    def write(self, data: memoryview | bytes) -> int | None:
        last = self._lines is not None and self._lines.ended
        if self._output.take(bytes(data), self._writer, last=last):
            return len(data)
        if self._callback is not None:
            self._output.wait(self._callback)
        return None

    def watch_write(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        if self._callback is not None:
            self._output.leave(self._callback)
        self._callback = callback
        if callback is not None:
            self._output.wait(callback)


class Copies(Calling):
    """Our input as one client's session sees it: what was read since the client came, until it is sent."""

    kind = SHARED

    def __init__(self, on_room: Callable[[], object]) -> None:
        super().__init__()
        self._pieces: deque[memoryview] = deque()
        self._on_room = on_room
        self.waiting = 0
        self.ended = False

    def put(self, data: bytes) -> None:
        self.waiting += len(data)
        if self._pieces and len(self._pieces[-1]) + len(data) <= JOINED:
            data = bytes(self._pieces.pop()) + data
        self._pieces.append(memoryview(data))
        self.ready()

    def end(self) -> None:
        self.ended = True
        self.ready()

    def read_into(self, buffer: memoryview) -> int | None:
        if not self._pieces:
            return 0 if self.ended else None
        piece = self._pieces.popleft()
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        if count < len(piece):
            self._pieces.appendleft(piece[count:])
        was_full = self.waiting >= MOST_WAITING
        self.waiting -= count
        if was_full and self.waiting < MOST_WAITING:
            self._on_room()
        return count

    def write(self, data: memoryview | bytes) -> int | None:
        raise NotImplementedError("an input is not written to")


class Broadcast(Calling):
    """All clients as our input sees them: takes what every one of them has room for."""

    kind = SHARED

    def __init__(self, has_room: Callable[[], bool], takers: Callable[[], Iterable[Copies]]) -> None:
        super().__init__()
        self._has_room = has_room
        self._takers = takers

    def read_into(self, buffer: memoryview) -> int | None:
        raise NotImplementedError("clients are read from one by one")

    def write(self, data: memoryview | bytes) -> int | None:
        if not self._has_room():
            return None
        piece = bytes(data)
        for copies in list(self._takers()):
            copies.put(piece)
        return len(piece)


class ClientEndpoint(SocketEndpoint):
    """A client's socket. When the client has ended its data, the system checks that it is still there:
    one that closed, and not only half-closed, could otherwise not be told from one that listens."""

    def read_into(self, buffer: memoryview) -> int | None:
        count = super().read_into(buffer)
        if count == 0:
            sockopts.check_presence(self.sock)
        return count
