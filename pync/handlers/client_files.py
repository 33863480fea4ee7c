"""A directory with a file for each client (--output-dir): names that harm nothing, and bounds on what clients cost.

Files are made when a client's first byte comes, and never over another. Who the clients are, and when they have
left, is not known here.
"""

from __future__ import annotations

import errno
import os
import string
import time
from collections import OrderedDict

from pync.errors import Fault, reason
from pync.net.endpoint import Calling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Files open at the same time; the client that was silent longest loses its descriptor until it goes on.
MOST_OPEN = 64
#: Clients whose file is remembered; one that is forgotten while it is silent (UDP) gets a new file.
MOST_KNOWN = 4096
#: Files in the directory, so that clients cannot take all the inodes of a file system.
MOST_FILES = 100_000
#: Seconds between two counts of a directory that is full, in case somebody has made room.
RECOUNT = 10.0
#: Bytes of a name, which leaves room for a number behind it (NAME_MAX is 255).
LONGEST_NAME = 200
HARMLESS = frozenset(string.ascii_letters + string.digits + ".-%")


class ClientFiles:
    """The files of the clients, in the directory `path`.

    Raises:
        Fault: there is no such directory.
    """

    def __init__(self, path: str, most: int = MOST_FILES) -> None:
        self.path = path
        self._most = most
        self._names: OrderedDict[str, str] = OrderedDict()
        self._open: OrderedDict[str, int] = OrderedDict()
        self._number = 1
        try:
            self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Fault(f"open {path}: {reason(error)}") from None
        self._count()

    def write(self, client: str, data: memoryview | bytes) -> int:
        """Put bytes behind what this client has written before; returns how many.

        Raises:
            OSError: they cannot be written, or there are too many files.
        """
        fd = self._open.get(client)
        if fd is None:
            fd = self._reach(client)
        self._open.move_to_end(client)
        return os.write(fd, data)

    def of(self, who: Callable[[], str]) -> FileOf:
        """The file of the client that `who` names, as an output."""
        return FileOf(self, who)

    def forget(self, client: str) -> None:
        """The client has left: should it come again, it gets a new file."""
        self._let_go(client)
        self._names.pop(client, None)

    def close(self) -> None:
        for client in list(self._open):
            self._let_go(client)
        os.close(self._directory)

    # --- descriptors

    def _reach(self, client: str) -> int:
        while len(self._open) >= MOST_OPEN:
            self._let_go(next(iter(self._open)))
        while True:
            try:
                fd = self._reopen(client) if client in self._names else self._make(client)
                break
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                    raise
                self._let_go(next(iter(self._open)))
        self._open[client] = fd
        return fd

    def _let_go(self, client: str) -> None:
        fd = self._open.pop(client, None)
        if fd is not None:
            os.close(fd)

    def _reopen(self, client: str) -> int:
        self._names.move_to_end(client)
        # No wait for the reader of a FIFO, and no link: something else may stand under that name by now.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self._names[client], flags, 0o666, dir_fd=self._directory)

    # --- names

    def _make(self, client: str) -> int:
        self._check_room()
        stem = file_name(client)
        name = stem
        while True:
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = os.open(name, flags, 0o666, dir_fd=self._directory)
                break
            except FileExistsError:
                self._number += 1  # never smaller: what is taken is tried once, however many there are
                name = f"{stem}.{self._number}"
        self._files += 1
        while len(self._names) >= MOST_KNOWN:
            self.forget(next(iter(self._names)))
        self._names[client] = name
        return fd

    def _check_room(self) -> None:
        if self._files >= self._most and time.monotonic() - self._counted >= RECOUNT:
            self._count()
        if self._files >= self._most:
            raise OSError(errno.EDQUOT, f"{self._files} files are enough: move some away")

    def _count(self) -> None:
        self._counted = time.monotonic()
        self._files = len(os.listdir(self._directory))


class FileOf(Calling):
    """The file of the client that is at hand, as an output: it takes everything at once."""

    kind = "file of a client"

    def __init__(self, files: ClientFiles, who: Callable[[], str]) -> None:
        super().__init__()
        self._files = files
        self._who = who

    def read_into(self, buffer: memoryview) -> int | None:
        raise NotImplementedError("an output is not read from")

    def write(self, data: memoryview | bytes) -> int | None:
        try:
            return self._files.write(self._who(), data)
        except OSError as error:
            raise OSError(error.errno, f"{self._files.path}: {reason(error)}") from None

    def close(self) -> None:
        self._files.forget(self._who())


def file_name(client: str) -> str:
    """`127.0.0.1:53412` as `127.0.0.1-53412`: no colon, no slash, nothing hidden, whatever the client is called."""
    host, colon, port = client.rpartition(":")
    text = f"{host.strip('[]')}-{port}" if colon else client
    name = "".join(letter if letter in HARMLESS else "_" for letter in text)[:LONGEST_NAME]
    return f"_{name[1:]}" if not name or name.startswith((".", "-")) else name
