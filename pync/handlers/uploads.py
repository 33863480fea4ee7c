"""Files that clients send (--http-upload): below the directory that is served, under the names that are served.

A file is written under a hidden name in its folder and gets its own name when it is whole, so that nobody ever reads
half of one, and nothing is left of one that was cancelled.
"""

from __future__ import annotations

import errno
import os

from pync.wire.http.pages import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pync.handlers.site import Site

#: Without --max-upload this share of the file system stays free.
KEPT_FREE = 0.05
#: Bytes written until it is looked again how much is free: others write too.
LOOK_AGAIN = 16 << 20
CONFLICT, TOO_LARGE, BROKEN, FULL = 409, 413, 500, 507
STATUSES = {
    **dict.fromkeys((errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ENOTDIR), CONFLICT),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), 403),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL, errno.ENOENT), 404),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), 503),
}
#: Errors of link(2) where the file system has no hard links.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Store:
    """Takes files into the folders of a site: of `most` bytes, or as large as leaves KEPT_FREE."""

    def __init__(self, site: Site, *, overwrite: bool, most: int | None) -> None:
        self._site = site
        self.overwrite = overwrite
        self._most = most
        #: What a file that is too large is answered with.
        self.too_much = FULL if most is None else TOO_LARGE

    def begin(self, names: Sequence[bytes], length: int | None) -> Upload:
        """A file at the path of these names; `length` in bytes, None where it is not known.

        Raises:
            Refusal: it may not be there, or there is no room for it.
        """
        *folders, name = names
        folder = self._site.open_folder(folders, name)
        try:
            if not self.overwrite and _is_there(folder, name):
                raise Refusal(CONFLICT)
            if length is not None and length > self.room(folder):
                raise Refusal(self.too_much)
            return Upload(self, folder, name)
        except OSError as error:
            os.close(folder)
            raise _refusal(error) from None
        except BaseException:
            os.close(folder)
            raise

    def room(self, folder: int, size: int = 0) -> int:
        """The bytes that a file in this folder may get now, behind the `size` that it has."""
        if self._most is not None:
            return self._most - size
        disk = os.fstatvfs(folder)
        return max(0, disk.f_bavail * disk.f_frsize - int(disk.f_blocks * disk.f_frsize * KEPT_FREE))


class Upload:
    """One file on its way; it owns the descriptors of the file and of its folder."""

    def __init__(self, store: Store, folder: int, name: bytes) -> None:
        self._store = store
        self._folder = folder
        self._name = name
        self._size = 0
        self._allowed = 0
        self._draft = b".pync-upload-" + os.urandom(8).hex().encode("ascii")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._draft, flags, 0o666, dir_fd=folder)

    def write(self, data: bytes) -> None:
        """Put this behind what has come.

        Raises:
            Refusal: it is too much, or cannot be written.
        """
        try:
            self._check_room(len(data))
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise _refusal(error) from None
        self._size += len(data)

    def finish(self) -> None:
        """Give it its name.

        Raises:
            Refusal: another has it by now, or it cannot be given.
        """
        try:
            if self._store.overwrite:
                os.rename(self._draft, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            else:
                self._take_name()
        except OSError as error:
            raise _refusal(error) from None
        finally:
            self.drop()

    def drop(self) -> None:
        """Leave nothing under the hidden name."""
        if self._fd < 0:
            return
        _remove(self._folder, self._draft)
        os.close(self._fd)
        os.close(self._folder)
        self._fd = self._folder = -1

    def _take_name(self) -> None:
        """Link it, which fails where the name is taken; without links, take the name with an empty file first."""
        try:
            os.link(self._draft, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.close(os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=self._folder))
            os.rename(self._draft, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def _check_room(self, more: int) -> None:
        if self._size + more <= self._allowed:
            return
        left = self._store.room(self._folder, self._size)
        if more > left:
            raise Refusal(self._store.too_much)
        self._allowed = self._size + min(left, max(more, LOOK_AGAIN))


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _remove(folder: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:  # it has another name by now, or its folder is gone
        return


def _refusal(error: OSError) -> Refusal:
    return Refusal(STATUSES.get(error.errno or 0, BROKEN))
