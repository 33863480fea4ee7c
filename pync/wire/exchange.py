"""A handshake that vanishes: it is fed what arrives, says what to send, and gives back what it did not use.

An exchange owns its buffer and bounds it. Its steps are a generator that reads from top to bottom like the
RFC it follows: `yield from exactly(4)` waits until four bytes are there, however the network cut them.
Which protocol is spoken is the business of the file that holds the steps; sockets and clocks are above.
"""

from __future__ import annotations

from pync.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeAlias, TypeVar

    T = TypeVar("T")
    #: What a step gives back once all its bytes are there; each yield waits for more of them.
    Step: TypeAlias = Generator[None, None, T]

#: The most that a peer may send before a step is satisfied.
LONGEST = 1 << 14


class Exchange:
    """Runs `steps` over the bytes of one fresh connection.

    Attributes:
        done: whether the last step is over; nothing more may be fed then.
        result: what the steps returned, such as the address that the other side asks for.
        rest: the bytes behind the end, once it is done; they belong to whatever comes next.
    """

    def __init__(self, steps: Callable[[Exchange], Step[object]]) -> None:
        self._unread = bytearray()
        self._unsent = bytearray()
        self._steps = steps(self)
        self.done = False
        self.result: object = None

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; returns what is to be sent now. `feed(b"")` begins.

        Raises:
            Fault: the other side breaks the protocol, or never comes to an end.
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
        """The other side has ended its data before the exchange was done.

        Raises:
            Fault: always; this is never right.
        """
        raise Fault(f"the peer ended in the middle of the handshake, after {len(self._unread)} unread bytes")

    @property
    def rest(self) -> bytes:
        return bytes(self._unread) if self.done else b""

    # --- for the steps

    def send(self, data: bytes) -> None:
        """Send this with the next answer of `feed`."""
        self._unsent += data

    def peek(self, count: int) -> Step[bytes]:
        """The next `count` bytes, left where they are."""
        while len(self._unread) < count:
            yield
        return bytes(self._unread[:count])

    def exactly(self, count: int) -> Step[bytes]:
        """The next `count` bytes."""
        data = yield from self.peek(count)
        del self._unread[:count]
        return data

    def until(self, mark: bytes, most: int) -> Step[bytes]:
        """What stands before `mark`, which is taken too; both together may be at most `most` bytes.

        Raises:
            Fault: the mark does not come in time.
        """
        while (end := self._unread.find(mark, 0, most)) < 0:
            if len(self._unread) >= most:
                raise Fault(f"no end of a line within {most} bytes")
            yield
        data = bytes(self._unread[:end])
        del self._unread[: end + len(mark)]
        return data
