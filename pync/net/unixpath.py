"""The life of a unix socket's path: a stale one is replaced, a live one left alone, ours removed.

Both ends use it: a listener for the path it serves, a client for the path it answers to (-s). What is
said over the socket is no business of this file.
"""

from __future__ import annotations

import errno
import os
import socket
import stat


class BoundPath:
    """The path that a socket of ours is bound to, once it is.

    Whoever will have to `remove` it makes it first and binds through it then: a signal may arrive
    between any two steps, and must find the path in the keeping of somebody.
    """

    def __init__(self) -> None:
        self._path = ""
        self._identity: tuple[int, int] | None = None

    def bind(self, sock: socket.socket, path: str) -> None:
        """Bind the socket, in place of a stale one.

        Raises:
            OSError: it cannot be bound; EADDRINUSE where somebody serves it, or a file is there.
        """
        remove_stale(path)
        before = _identity(path)
        self._path = path
        try:
            sock.bind(path)
        finally:
            after = _identity(path)
            self._identity = None if after == before else after

    def remove(self) -> None:
        """Remove the path, unless it has become somebody else's."""
        if self._identity is not None and _identity(self._path) == self._identity:
            os.unlink(self._path)
        self._identity = None


def remove_stale(path: str) -> None:
    """Remove a socket that nobody serves; whatever else is there stays, and bind says so.

    Asked with a datagram socket, which is no connection: a listener for streams answers EPROTOTYPE and does
    not take us for the client it waits for.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
