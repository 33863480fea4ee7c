"""The life of a unix socket's path: a stale one is replaced, a live one left alone, ours removed.

Both ends use it: a listener for the path it serves, a client for the path it answers to (-s). Processes
that replace or remove paths of one directory at the same time take turns. What is said over the socket
does not belong here.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time

#: Seconds to wait for the turn. A turn takes a fraction of a millisecond: one that lasts longer is no turn of pync's.
TURN = 1.0


class BoundPath:
    """The path that a socket of ours is bound to, once it is.

    Create this before binding, so that a signal between bind and registration still finds the path to remove.
    """

    def __init__(self) -> None:
        self._path = ""
        self._identity: tuple[int, int, int] | None = None

    def bind(self, sock: socket.socket, path: str) -> None:
        """Bind the socket, in place of a stale one.

        Raises:
            OSError: it cannot be bound; EADDRINUSE where a process serves the path, or another file is there.
        """
        self._path = path
        try:
            self._bind(sock)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            with Turn(path):
                _remove_stale(path)
                self._bind(sock)

    def _bind(self, sock: socket.socket) -> None:
        try:
            sock.bind(self._path)
        finally:
            if sock.getsockname():  # bound, even if a signal has interrupted us
                self._identity = _identity(self._path)

    def remove(self) -> None:
        """Remove the path, unless it has become another socket's."""
        if self._identity is None:
            return
        with Turn(self._path):
            if _identity(self._path) == self._identity:
                os.unlink(self._path)
        self._identity = None


class Turn:
    """The lock of a path's directory (flock(2)), which leaves no file behind.

    Without it, two processes find one stale path, the first one binds, and the second one removes the
    fresh socket. Where a directory cannot be locked, or another program keeps it locked, we go on without.
    """

    def __init__(self, path: str) -> None:
        self._directory = os.path.dirname(path) or "."
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock()
        except OSError:
            return

    def _lock(self) -> None:
        import fcntl

        deadline = time.monotonic() + TURN
        while time.monotonic() < deadline:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.001)

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _remove_stale(path: str) -> None:
    """Remove a socket that no process serves; any other file stays, and bind says so.

    Asked with a datagram socket, which is no connection: a listener for streams answers EPROTOTYPE and does
    not take us for the client it waits for.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            if stat.S_ISSOCK(os.lstat(path).st_mode) and probe.connect_ex(path) == errno.ECONNREFUSED:
                os.unlink(path)
        except FileNotFoundError:
            return


def _identity(path: str) -> tuple[int, int, int] | None:
    """What no other file has: the number of one that is gone may be given to the next, but not its time."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
