"""The directory behind --http: finds, opens and lists; nothing outside it is reachable.

A path is walked name by name, each one opened relative to the folder before it and never through a
link (openat(2), O_NOFOLLOW); links are read and walked here, so that they cannot lead out either, not
even while somebody exchanges them. Names that begin with a dot are not served and not listed: in
them people keep keys, passwords and repositories. Nothing but regular files and folders is opened.
"""

from __future__ import annotations

import errno
import mimetypes
import os
import stat
from functools import partial
from itertools import islice

from pync.errors import USAGE, Fault, reason
from pync.handlers.listings import FolderListing, Listings
from pync.wire.http.conditions import listing_date
from pync.wire.http.pages import Entry, Listing, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INDEX = b"index.html"
#: Links followed for one path, as many as Linux does (path_resolution(7)).
MOST_LINKS = 40
#: Names of one folder that a listing shows.
MOST_ENTRIES = 5_000
#: Content types remembered.
MOST_TYPES = 1000

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
#: O_NONBLOCK: should a pipe take the file's place in this moment, opening it does not wait for a writer.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _SAFE
#: On Linux a folder that may be entered but not read leads on to what is in it.
_FOLDER = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY) | _SAFE
_LISTED = os.O_RDONLY | os.O_DIRECTORY | _SAFE

NOT_FOUND, FORBIDDEN, BROKEN, BUSY = 404, 403, 500, 503
STATUSES = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL), NOT_FOUND),
    **dict.fromkeys((errno.EACCES, errno.EPERM), FORBIDDEN),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), BUSY),
}

OCTETS = "application/octet-stream"
#: How browsers call what compresses; they are sent the file as it is.
COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
#: What `mimetypes` does not know in every version and on every system.
MORE_TYPES = {
    **dict.fromkeys((".cfg", ".conf", ".ini", ".log", ".md", ".rst", ".toml", ".yaml", ".yml"), "text/plain"),
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".avif": "image/avif",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


class SiteFile:
    """A regular file, open for reading; it owns the descriptor."""

    __slots__ = ("fd", "modified", "size", "tag", "type")

    def __init__(self, fd: int, status: os.stat_result, type: bytes) -> None:
        self.fd = fd
        self.size = status.st_size
        #: Whole seconds since 1970.
        self.modified = int(status.st_mtime)
        #: Strong (RFC 9110, 8.8.1): of two versions of a file not even size and both times are the same.
        self.tag = b'"%x-%x-%x"' % (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        self.type = type

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes, fewer only where the file ends.

        Raises:
            Refusal: the file cannot be read.
        """
        try:
            return os.pread(self.fd, count, offset)
        except OSError as error:
            raise _refusal(error) from None

    def close(self) -> None:
        os.close(self.fd)


class Site:
    """The files below one directory.

    Raises:
        Fault: code 2, `path` is no directory that can be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Fault(f"serve {path}: {reason(error)}", USAGE) from None
        #: How links may name the directory, when they name it from the top.
        self._names = {os.fsencode(name).rstrip(b"/") for name in (os.path.abspath(path), os.path.realpath(path))}
        self._types: dict[bytes, bytes] = {}
        self._listings = Listings()
        if not mimetypes.inited:
            mimetypes.init()  # it reads files: now, while there are descriptors

    def close(self) -> None:
        os.close(self._root)

    def find(self, names: Sequence[bytes], folder: bool) -> SiteFile | Listing | None:
        """What is at the path of these names; `folder`: the path ends with a slash.

        A folder is its index.html or else its listing, or None where the slash is missing.

        Raises:
            Refusal: nothing is there that may be had, or the system could not open it.
        """
        if not all(_is_served(name) for name in names):
            raise Refusal(NOT_FOUND)
        try:
            return self._find(names, folder)
        except OSError as error:
            raise _refusal(error) from None

    def open_folder(self, names: Sequence[bytes], name: bytes) -> int:
        """A descriptor of the folder at the path of these names, in which there may be something called `name`.

        Raises:
            Refusal: there is no such folder that may be had, or the name is one that is not served.
        """
        if not all(_is_served(part) for part in (*names, name)):
            raise Refusal(NOT_FOUND)
        try:
            with _Walk(self._root, self._names) as walk:
                if walk.go(names) is not None:
                    raise Refusal(NOT_FOUND)
                return os.open(b".", _LISTED, dir_fd=walk.folder)
        except OSError as error:
            raise _refusal(error) from None

    def _find(self, names: Sequence[bytes], folder: bool) -> SiteFile | Listing | None:
        if not folder:
            return self._file(names)
        try:
            index = self._file([*names, INDEX])
        except (Refusal, FileNotFoundError) as missing:
            if isinstance(missing, Refusal) and missing.status != NOT_FOUND:
                raise
            index = None
        return index or self._listing(names)

    def _file(self, names: Sequence[bytes]) -> SiteFile | None:
        """The file at a path; None where it is a folder."""
        with _Walk(self._root, self._names) as walk:
            name = walk.go(names)
            if name is None:
                return None
            fd = os.open(name, _FILE, dir_fd=walk.folder)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):  # exchanged since it was looked at
                raise Refusal(NOT_FOUND)
            return SiteFile(fd, status, self._type(names[-1]))
        except BaseException:
            os.close(fd)
            raise

    def _listing(self, names: Sequence[bytes]) -> Listing:
        with _Walk(self._root, self._names) as walk:
            if walk.go(names) is not None:
                raise Refusal(NOT_FOUND)
            fd = os.open(b".", _LISTED, dir_fd=walk.folder)
        try:
            state = os.fstat(fd)
            key = (*names, state.st_dev, state.st_ino, state.st_mtime_ns)
            return self._listings.find(key, lambda: self._read_names(fd, names))
        finally:
            os.close(fd)

    def _read_names(self, fd: int, path: Sequence[bytes]) -> FolderListing:
        with os.scandir(fd) as found:
            names = [os.fsencode(entry.name) for entry in islice(found, MOST_ENTRIES)]
            cut = next(found, None) is not None
        return FolderListing([name for name in names if _is_served(name)], cut, partial(self._look, path))

    def _look(self, path: Sequence[bytes], names: Sequence[bytes]) -> list[Entry]:
        """The lines of a listing for some names of the folder.

        Raises:
            Refusal: the folder is gone or cannot be opened any more.
        """
        try:
            with _Walk(self._root, self._names) as walk:
                if walk.go(path) is not None:
                    raise Refusal(NOT_FOUND)
                entries = [self._entry(path, name, walk.folder) for name in names]
        except OSError as error:
            raise _refusal(error) from None
        return [entry for entry in entries if entry is not None]

    def _entry(self, path: Sequence[bytes], name: bytes, folder: int) -> Entry | None:
        """A line, if the name can be had: a link only where it leads to something that can."""
        try:
            status = os.lstat(name, dir_fd=folder)
            if stat.S_ISLNK(status.st_mode):
                status = self._status([*path, name])
        except (OSError, Refusal):  # gone, or leads nowhere
            return None
        is_folder = stat.S_ISDIR(status.st_mode)
        if not (is_folder or stat.S_ISREG(status.st_mode)):
            return None
        return Entry(name, is_folder, status.st_size, listing_date(status.st_mtime))

    def _status(self, names: Sequence[bytes]) -> os.stat_result:
        """What a path leads to, through links."""
        with _Walk(self._root, self._names) as walk:
            name = walk.go(names)
            return os.fstat(walk.folder) if name is None else os.lstat(name, dir_fd=walk.folder)

    def _type(self, name: bytes) -> bytes:
        """The content type by the end of the name; what is not known is octets, which a browser stores."""
        suffix = name[name.rfind(b".") :].lower() if b"." in name else b""
        if suffix not in self._types:
            if len(self._types) >= MOST_TYPES:
                self._types.clear()
            self._types[suffix] = _content_type(suffix.decode("ascii", "replace"))
        return self._types[suffix]


class _Walk:
    """One path, name by name; holds the folders on the way open, for the ".." of links."""

    __slots__ = ("_held", "_links", "_names", "_root", "folder")

    def __init__(self, root: int, names: set[bytes]) -> None:
        self._root = root
        self._names = names
        self._held: list[int] = []
        self._links = 0
        #: Where the walk is: the descriptor of a folder, which is not to be closed.
        self.folder = root

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self._to_root()

    def go(self, names: Sequence[bytes]) -> bytes | None:
        """Walk on; returns the name, in `folder`, of the regular file where the path ends, None if at a folder.

        Raises:
            Refusal: it leads out, or to something that is neither.
            OSError: the system says no, mostly because there is nothing.
        """
        ahead = list(reversed(names))
        while ahead:
            name = ahead.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                self._up()
                continue
            if name.startswith(b"."):  # only a link can say so; what it leads to is hidden all the same
                raise Refusal(NOT_FOUND)
            mode = os.lstat(name, dir_fd=self.folder).st_mode
            if stat.S_ISREG(mode) and not ahead:
                return name
            if stat.S_ISLNK(mode):
                ahead += reversed(self._follow(name))
            elif stat.S_ISDIR(mode):
                self._down(name)
            else:
                raise Refusal(NOT_FOUND)
        return None

    def _follow(self, link: bytes) -> list[bytes]:
        """The names that a link stands for; one from the top must name the directory that is served."""
        self._links += 1
        target = os.readlink(link, dir_fd=self.folder)
        if self._links > MOST_LINKS:
            raise Refusal(NOT_FOUND)
        if target.startswith(b"/"):
            target = self._below(target)
            self._to_root()
        return target.split(b"/")

    def _below(self, target: bytes) -> bytes:
        for name in self._names:
            if target == name or target.startswith(name + b"/"):
                return target[len(name) :]
        raise Refusal(NOT_FOUND)

    def _down(self, name: bytes) -> None:
        self.folder = os.open(name, _FOLDER, dir_fd=self.folder)
        self._held.append(self.folder)

    def _up(self) -> None:
        if not self._held:
            raise Refusal(NOT_FOUND)
        os.close(self._held.pop())
        self.folder = self._held[-1] if self._held else self._root

    def _to_root(self) -> None:
        for fd in self._held:
            os.close(fd)
        self._held.clear()
        self.folder = self._root


def _is_served(name: bytes) -> bool:
    return name[:1] not in (b"", b".") and b"/" not in name and b"\0" not in name


def _content_type(suffix: str) -> bytes:
    kind, encoding = MORE_TYPES.get(suffix), None
    if kind is None and suffix[1:].isalnum():
        kind, encoding = mimetypes.guess_type(f"file{suffix}", strict=False)
    if encoding is not None:
        kind = COMPRESSED.get(encoding)
    kind = kind or OCTETS
    return f"{kind}; charset=utf-8".encode() if kind.startswith("text/") else kind.encode("ascii")


def _refusal(error: OSError) -> Refusal:
    return Refusal(STATUSES.get(error.errno or 0, BROKEN))
