"""A handshake that vanishes: it takes what arrives, says what to send, and gives back what it did not use.

An exchange owns its buffer and bounds it. Its steps are a generator that reads from top to bottom like the
RFC it follows: `yield from exactly(4)` waits until four bytes are there, however the network cut them.
Each protocol has its steps in a file of its own; sockets and clocks belong to the floors above.
"""

from __future__ import annotations

from pync.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeAlias, TypeVar

    T = TypeVar("T")
    #: A step returns its value once it has all its bytes; each yield waits for more of them.
    Step: TypeAlias = Generator[None, None, T]

#: The most bytes that a peer may send before a step has what it needs.
LONGEST = 1 << 14


class Exchange:
    """Runs `steps` over the bytes of one fresh connection.

    Attributes:
        done: whether the last step is over. Call `feed` no more then.
        result: what the steps returned, such as the address that the peer asks for.
        rest: once done, the bytes behind the end of the handshake; the session must read them first.
    """

    def __init__(self, steps: Callable[[Exchange], Step[object]]) -> None:
        self._unread = bytearray()
        self._unsent = bytearray()
        self._steps = steps(self)
        self.done = False
        self.result: object = None

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived and return what to send now. `feed(b"")` begins the exchange.

        Raises:
            Fault: the peer breaks the protocol, or its handshake is longer than LONGEST.
        """
        self._unread += data
        try:
            next(self._steps)
        except StopIteration as end:
            self.done, self.result = True, end.value
        if not self.done and len(self._unread) >= LONGEST:
            raise Fault(f"no end of the handshake within {LONGEST} bytes")
        reply = bytes(self._unsent)
        self._unsent.clear()
        return reply

    def end(self) -> None:
        """The peer has ended its data before the exchange was done.

        Raises:
            Fault: always, because a handshake must be complete.
        """
        raise Fault(f"the peer ended in the middle of the handshake, after {len(self._unread)} unread bytes")

    @property
    def rest(self) -> bytes:
        return bytes(self._unread) if self.done else b""

    # --- for the steps

    def send(self, data: bytes) -> None:
        """Add bytes to what the current `feed` returns."""
        self._unsent += data

    def peek(self, count: int) -> Step[bytes]:
        """The next `count` bytes, which stay unread."""
        while len(self._unread) < count:
            yield
        return bytes(self._unread[:count])

    def exactly(self, count: int) -> Step[bytes]:
        """The next `count` bytes."""
        data = yield from self.peek(count)
        del self._unread[:count]
        return data

    def until(self, mark: bytes, most: int) -> Step[bytes]:
        """The bytes before `mark`; the mark itself is read too. Together they may be at most `most` bytes.

        Raises:
            Fault: the mark is not among the first `most` bytes.
        """
        while (end := self._unread.find(mark, 0, most)) < 0:
            if len(self._unread) >= most:
                raise Fault(f"no end of a line within {most} bytes")
            yield
        data = bytes(self._unread[:end])
        del self._unread[: end + len(mark)]
        return data
