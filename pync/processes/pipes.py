"""The pipes between us and a program: its standard input and output, and our ends of them.

The ends of the program block, as programs expect; ours do not. Flows read and write them.
"""

from __future__ import annotations

import os
import socket

from pync.net.endpoint import PIPE, NothingEndpoint, PipeEndpoint, SocketEndpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle

#: Seconds until the next look at a pipe that does not tell by itself when it is empty; doubled up to the second one.
SOON, LATER = 0.001, 0.05
#: Answers that are still read of a program that has exited, while others keep its output open.
LAST_ANSWERS = 1024
#: Larger than any message that a program can write at once (net.core.wmem_max, socket(7)).
LARGEST_MESSAGE = 1 << 20


class OwnPipe(PipeEndpoint):
    """Our end of a pipe. A second `close` does nothing."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        super().__init__(fd, PIPE)
        self.ended = False  # the program has exited; holders of the other end are not waited for
        self._closed = False

    def read_into(self, buffer: memoryview) -> int | None:
        """After the exit of the program, also report the end while another process still holds the other end."""
        count = super().read_into(buffer)
        return 0 if count is None and self.ended else count

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            super().close()


class PacketInput(OwnPipe):
    """Takes the next datagram when the program has read the one before, so that a read of it has one at most.

    A pipe does not tell when it is empty: it is asked, more and more rarely while it is not.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._timer: TimerHandle | None = None
        self._patience = SOON

    def write(self, data: memoryview | bytes) -> int | None:
        return super().write(data) if self._taken() else None

    def watch_write(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._patience = None, SOON
        if callback is not None:
            self._timer = loop.call_at(loop.time() + SOON, self._look, loop, callback)

    def _look(self, loop: Reactor, callback: Callable[[], object]) -> None:
        taken = self._taken()
        self._patience = SOON if taken else min(2 * self._patience, LATER)
        self._timer = loop.call_at(loop.time() + self._patience, self._look, loop, callback)
        if taken:
            callback()

    def _taken(self) -> bool:
        import fcntl
        import termios

        return not any(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)))


class PacketOutput(SocketEndpoint):
    """Each read is what the program wrote at once. An empty message is none."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.ended = False  # the program has exited
        self._last = LAST_ANSWERS

    def read_into(self, buffer: memoryview) -> int | None:
        """What is there is still read when the program has exited; others that hold its output get no end of turns."""
        count: int | None = 0
        while self._last > 0:
            self._last -= self.ended
            count = super().read_into(buffer)
            if count != 0 or self._at_end():
                break
            if not self.ended:
                return None  # the loop has the next turn
        return 0 if count is None and self.ended else count

    def _at_end(self) -> bool:
        """Whether nothing read was the end, and not an empty message."""
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False


class ProgramPipes:
    """`stdin` and `stdout` are the ends of the program, `to_program` and `from_program` ours.

    A `silent` input is at its end from the start.

    Raises:
        OSError: the process has too many descriptors open; the pipes made so far are closed again.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self._theirs: list[int] = []
        self.to_program: OwnPipe | NothingEndpoint = NothingEndpoint()
        self.from_program = self._open_output()
        self._theirs.append(self.stdout)
        try:
            if silent:
                self.stdin = os.open(os.devnull, os.O_RDONLY)
            else:
                self.to_program = self._open_input()
        except BaseException:
            self.close()
            self.close_theirs()
            raise
        self._theirs.append(self.stdin)

    def _open_output(self) -> OwnPipe | PacketOutput:
        ours, self.stdout = os.pipe()
        return OwnPipe(ours)

    def _open_input(self) -> OwnPipe:
        self.stdin, ours = os.pipe()
        return OwnPipe(ours)

    def close_theirs(self) -> None:
        """Close the ends that the program has inherited. While we hold them, we cannot see the end of its output."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """Close our ends."""
        self.from_program.close()
        self.to_program.close()


class PacketPipes(ProgramPipes):
    """The pipes for datagrams: every write of the program is a message; its input is a stream of bytes.

    The input keeps no boundaries, because `read` of the shell takes a byte at a time and would lose the rest of a
    message. Programs that read more still see the boundaries, see PacketInput.
    """

    def _open_output(self) -> PacketOutput:
        ours, theirs = _message_pair()
        ours.setblocking(False)
        self.stdout = theirs.detach()
        return PacketOutput(ours)

    def _open_input(self) -> PacketInput:
        self.stdin, ours = os.pipe()
        return PacketInput(ours)


def _message_pair() -> tuple[socket.socket, socket.socket]:
    """Connected sockets that keep boundaries. SOCK_SEQPACKET also reports the end, but not every system has it."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
