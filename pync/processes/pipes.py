"""The pipes between us and a program: its standard input and output, and our ends of them.

The ends of the program block, as programs expect; ours do not. Flows read and write them.
"""

from __future__ import annotations

import os
import socket

from pync.net.endpoint import PIPE, NothingEndpoint, PipeEndpoint


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


class ProgramPipes:
    """`stdin` and `stdout` are the ends of the program, `to_program` and `from_program` ours.

    A `silent` input is at its end from the start.

    Raises:
        OSError: the process has too many descriptors open; the pipes made so far are closed again.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self._theirs: list[int] = []
        ours, self.stdout = os.pipe()
        self._theirs.append(self.stdout)
        self.from_program = OwnPipe(ours)
        self.to_program: OwnPipe | NothingEndpoint = NothingEndpoint()
        try:
            if silent:
                self.stdin = os.open(os.devnull, os.O_RDONLY)
            else:
                self.stdin, ours = os.pipe()
                self.to_program = OwnPipe(ours)
        except BaseException:
            self.close()
            self.close_theirs()
            raise
        self._theirs.append(self.stdin)

    def close_theirs(self) -> None:
        """Close the ends that the program has inherited. While we hold them, we cannot see the end of its output."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """Close our ends."""
        self.from_program.close()
        self.to_program.close()


class PacketPipes:
    """The pipes for datagrams: every write of the program is a message; its input is a stream of bytes.

    The input keeps no boundaries, because `read` of the shell takes a byte at a time and would lose the rest of a
    message. Programs that read more still see the boundaries if each datagram is written only once the last one
    was `taken`.

    Raises:
        OSError: the process has too many descriptors open; the pipes made so far are closed again.
    """

    def __init__(self) -> None:
        self.stdin, ours = os.pipe()
        self._stdin_open = True
        self.to_program = OwnPipe(ours)
        try:
            self.answers, self._theirs = _message_pair()
        except BaseException:
            self.to_program.close()
            os.close(self.stdin)
            raise
        self.answers.setblocking(False)
        self.stdout = self._theirs.fileno()

    def taken(self) -> bool:
        """Whether the program has read all that was written to it."""
        import fcntl
        import termios

        unread = fcntl.ioctl(self.to_program.fd, termios.FIONREAD, bytes(4))
        return not any(unread)

    def close_theirs(self) -> None:
        """Close the ends that the program has inherited."""
        if self._stdin_open:
            self._stdin_open = False
            os.close(self.stdin)
        self._theirs.close()

    def close(self) -> None:
        """Close our ends."""
        self.to_program.close()
        self.answers.close()


def _message_pair() -> tuple[socket.socket, socket.socket]:
    """Connected sockets that keep boundaries. SOCK_SEQPACKET also reports the end, but not every system has it."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
