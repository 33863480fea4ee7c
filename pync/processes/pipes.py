"""The pipes between us and a program: its standard input and output, and our ends of them.

Its ends wait, as programs expect; ours never do. Nothing is read or written here.
"""

from __future__ import annotations

import os
import socket

from pync.net.endpoint import PIPE, NothingEndpoint, PipeEndpoint


class OwnPipe(PipeEndpoint):
    """Our end of a pipe, closed once, whoever comes first."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        super().__init__(fd, PIPE)
        self.ended = False  # nothing more is to come from whoever has the other end
        self._closed = False

    def read_into(self, buffer: memoryview) -> int | None:
        """What is there is still read when the program has exited; whoever holds its output is not waited for."""
        count = super().read_into(buffer)
        return 0 if count is None and self.ended else count

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            super().close()


class ProgramPipes:
    """`stdin` and `stdout` are what the program is given, `to_program` and `from_program` our ends.

    A `silent` input has nothing to say, from the start.

    Raises:
        OSError: there are no descriptors left; none is left open.
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
        """The program has them now: its end is seen only when nobody else holds them."""
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        """Close our ends."""
        self.from_program.close()
        self.to_program.close()


class PacketPipes:
    """The same for datagrams: every write of the program is a message, its input stays a stream of bytes.

    A socket that kept boundaries on the way in as well would break `read` of the shell, which takes a byte
    at a time and would lose the rest. Who writes one datagram only when the last one was `taken` gives
    programs that read more the same boundaries.

    Raises:
        OSError: there are no descriptors left; none is left open.
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
        """The program has them now."""
        if self._stdin_open:
            self._stdin_open = False
            os.close(self.stdin)
        self._theirs.close()

    def close(self) -> None:
        """Close our ends."""
        self.to_program.close()
        self.answers.close()


def _message_pair() -> tuple[socket.socket, socket.socket]:
    """Connected sockets that keep boundaries; SOCK_SEQPACKET tells of the end too, but not every system has it."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
