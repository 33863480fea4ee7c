"""One face for both ends of a stream: socket, pipe, tty, file, device.

An endpoint reads and writes without ever blocking the process, waits on a loop until that is worth trying
again, says what it is, and can half-close.
O_NONBLOCK is never set on the descriptors 0 to 2: it belongs to the open file, which the shell and
its other children share. Who reads from whom is decided elsewhere.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import stat

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pync.net.loop import Reactor

    class Endpoint(Protocol):
        """`read_into` and `write` give the number of bytes, or None where waiting is needed.

        0 read is the end of data, but for datagrams, which have none. `waiting` is the number of bytes that
        were read from below and not yet from here. `fd` is what the kernel may join, -1 where there is no one
        descriptor.

        `watch_read` has the callback called each time that reading may be worth trying, until it is given None;
        `watch_write` the same for writing. Neither calls back at once.
        """

        kind: str
        waiting: int

        @property
        def fd(self) -> int: ...
        def watch_read(self, loop: Reactor, callback: Callable[[], object] | None) -> None: ...
        def watch_write(self, loop: Reactor, callback: Callable[[], object] | None) -> None: ...
        def read_into(self, buffer: memoryview) -> int | None: ...
        def write(self, data: memoryview | bytes) -> int | None: ...
        def half_close(self) -> None: ...
        def close(self) -> None: ...


SOCKET, PIPE, TTY, FILE, DATAGRAM, NOTHING = "socket", "pipe", "tty", "file", "datagram", "nothing"
#: A sink that takes whole lines, any number of them in one write.
LINES = "lines"

#: How much of a file is looked at before it is sent.
PEEK = 1 << 12
#: What a pipe is grown to for bulk data: the most an unprivileged user may ask for (pipe(7)).
LARGE_PIPE = 1 << 20


class Descriptor:
    """The base of an endpoint that is worth trying when its descriptor is ready."""

    fd = -1
    waiting = 0

    def watch_read(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        if callback is None:
            loop.remove_reader(self.fd)
        else:
            loop.add_reader(self.fd, callback)

    def watch_write(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        if callback is None:
            loop.remove_writer(self.fd)
        else:
            loop.add_writer(self.fd, callback)


class SocketEndpoint(Descriptor):
    """A connected stream socket. MSG_DONTWAIT does where O_NONBLOCK may not be set."""

    kind = SOCKET

    def __init__(self, sock: socket.socket, flags: int = 0) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self._flags = flags

    def read_into(self, buffer: memoryview) -> int | None:
        try:
            return self.sock.recv_into(buffer, 0, self._flags)
        except BlockingIOError:
            return None

    def write(self, data: memoryview | bytes) -> int | None:
        try:
            return self.sock.send(data, self._flags)
        except BlockingIOError:
            return None

    def half_close(self) -> None:
        """Send our FIN; that the peer is gone already is no news."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE):
                raise

    def close(self) -> None:
        self.sock.close()


class FileEndpoint(Descriptor):
    """A regular file or a device such as /dev/null: always ready, never waits."""

    def __init__(self, fd: int, kind: str = FILE) -> None:
        self.fd = fd
        self.kind = kind

    def read_into(self, buffer: memoryview) -> int | None:
        return os.readv(self.fd, [buffer])

    def write(self, data: memoryview | bytes) -> int | None:
        return os.write(self.fd, data)

    def half_close(self) -> None:
        """A file has one direction only."""

    def close(self) -> None:
        """Descriptors 0 to 2 stay open: they are not ours."""


class PipeEndpoint(Descriptor):
    """A pipe or a terminal through an open file of our own, which may be non-blocking."""

    def __init__(self, fd: int, kind: str) -> None:
        self.fd = fd
        self.kind = kind

    def read_into(self, buffer: memoryview) -> int | None:
        try:
            return os.readv(self.fd, [buffer])
        except BlockingIOError:
            return None

    def write(self, data: memoryview | bytes) -> int | None:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return None

    def half_close(self) -> None:
        """A pipe has one direction only."""

    def close(self) -> None:
        os.close(self.fd)


class PatientEndpoint(Descriptor):
    """A pipe or a terminal that cannot be opened anew: ask poll before each call.

    A write of at most PIPE_BUF bytes to a pipe that is ready does not block (pipe(7)). A terminal
    makes no such promise: one that is stopped (Ctrl-S) may hold us up until it goes on.
    """

    def __init__(self, fd: int, kind: str) -> None:
        self.fd = fd
        self.kind = kind

    def read_into(self, buffer: memoryview) -> int | None:
        if not _ready(self.fd, selectors.EVENT_READ):
            return None
        return os.readv(self.fd, [buffer])

    def write(self, data: memoryview | bytes) -> int | None:
        if not _ready(self.fd, selectors.EVENT_WRITE):
            return None
        return os.write(self.fd, data[: select.PIPE_BUF])

    def half_close(self) -> None:
        """A pipe has one direction only."""

    def close(self) -> None:
        """Descriptors 0 to 2 stay open: they are not ours."""


def _ready(fd: int, event: int) -> bool:
    """Whether reading or writing would not block right now."""
    with wake.poll_selector() as selector:
        selector.register(fd, event)
        return bool(selector.select(0))


class Calling:
    """The base of an endpoint without a descriptor, which says itself when it is worth trying again."""

    fd = -1
    waiting = 0

    def __init__(self) -> None:
        self._callback: Callable[[], object] | None = None

    def watch_read(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        self._callback = callback

    def watch_write(self, loop: Reactor, callback: Callable[[], object] | None) -> None:
        self._callback = callback

    def ready(self) -> None:
        """There is something to read, or room to write, or the end."""
        if self._callback is not None:
            self._callback()

    def half_close(self) -> None:
        """There is no other direction."""

    def close(self) -> None:
        """There is nothing to close."""


class NothingEndpoint(Calling):
    """Takes and forgets: where output goes that nobody wants."""

    kind = NOTHING

    def read_into(self, buffer: memoryview) -> int | None:
        return 0

    def write(self, data: memoryview | bytes) -> int | None:
        return len(data)


def local_endpoint(fd: int, *, writing: bool) -> Endpoint:
    """The endpoint for a descriptor that the process was started with.

    Raises:
        OSError: the descriptor is closed.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        return SocketEndpoint(socket.socket(fileno=os.dup(fd)), socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode):
        return _private(fd, PIPE, writing)
    if stat.S_ISCHR(mode) and os.isatty(fd):
        return _private(fd, TTY, writing)
    if stat.S_ISCHR(mode) and _waits(fd):
        return PatientEndpoint(fd, FILE)
    return FileEndpoint(fd)


def _private(fd: int, kind: str, writing: bool) -> PipeEndpoint | PatientEndpoint:
    """Linux opens a pipe or a terminal anew through /proc, with flags of its own (proc(5))."""
    flags = (os.O_WRONLY if writing else os.O_RDONLY) | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return PipeEndpoint(os.open(f"/proc/self/fd/{fd}", flags), kind)
    except OSError:
        return PatientEndpoint(fd, kind)


def _waits(fd: int) -> bool:
    """Whether reading a character device can block; epoll refuses those that never do (epoll_ctl(2))."""
    if not hasattr(select, "epoll"):
        return False
    with select.epoll() as probe:
        try:
            probe.register(fd, 0)
        except PermissionError:
            return False
    return True


def peek(file: Endpoint) -> bytes:
    """What a file has at its place, without moving that; b"" where there is nothing or it cannot be told."""
    try:
        return os.pread(file.fd, PEEK, os.lseek(file.fd, 0, os.SEEK_CUR))
    except OSError:
        return b""


def in_background(fd: int) -> bool:
    """Whether reading this terminal would stop us with SIGTTIN (termios(3), "job control")."""
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False


def grow_pipe(fd: int) -> None:
    """Give a pipe room for bulk data; where it may not grow it stays as it is."""
    import fcntl

    name = getattr(fcntl, "F_SETPIPE_SZ", None)
    if name is None:
        return
    try:
        fcntl.fcntl(fd, name, LARGE_PIPE)
    except OSError:
        return
