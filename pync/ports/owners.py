"""The owners of a socket: processes by inode from /proc, their names and users from psutil.

The descriptors are read here, because psutil's table of connections has no inodes and names only one process of a
socket that several have inherited. A process that we may not read, or that has ended, is left out.
"""

from __future__ import annotations

import os

from pync.ports.records import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def processes(inodes: set[int]) -> dict[int, list[int]]:
    """Inode → the processes that hold the socket, as far as we may read them; Linux (proc(5), /proc/PID/fd)."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, list[int]] = {}
    if not wanted:
        return found
    for pid in _pids():
        for link in set(_links(pid)):
            if link in wanted:
                found.setdefault(wanted[link], []).append(pid)
    return found


def _pids() -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    except OSError:
        return []


def _links(pid: int) -> Iterator[str]:
    """The targets of the descriptors of a process; none if we may not read them."""
    try:
        directory = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in os.listdir(directory):
            try:
                yield os.readlink(name, dir_fd=directory)
            except OSError:  # closed meanwhile
                continue
    except OSError:  # the process has ended
        return
    finally:
        os.close(directory)


def identify(pids: Iterable[int]) -> dict[int, Owner]:
    """Process → its program and user, which are None if it has ended."""
    return {pid: _identify(pid) for pid in set(pids)}


def _identify(pid: int) -> Owner:
    import psutil

    owner = Owner(pid)
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            owner.program = process.name()
            owner.user = process.username()
    except (psutil.Error, OSError):
        return owner
    return owner


def user_name(uid: int) -> str:
    """The name of a user, or the number if the user has no name."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)
