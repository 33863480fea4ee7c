"""Who holds a socket: processes by inode from /proc, their names and users from psutil.

psutil's own table of connections names one process of a socket that several have inherited, and no inode;
so the descriptors are read here. What may not be read, or has gone meanwhile, is left out and no error.
"""

from __future__ import annotations

import os

from pync.ports.records import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def processes(inodes: set[int]) -> dict[int, list[int]]:
    """The processes that hold each of these sockets, as far as we may see; Linux (proc(5), /proc/PID/fd)."""
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
    """What the descriptors of a process point to; nothing where we may not look."""
    try:
        directory = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in os.listdir(directory):
            try:
                yield os.readlink(name, dir_fd=directory)
            except OSError:  # closed since
                continue
    except OSError:  # the process has ended
        return
    finally:
        os.close(directory)


def identify(pids: Iterable[int]) -> dict[int, Owner]:
    """Program and user of each process; of one that has ended only the number is left."""
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
    """The name of a user, or the number where there is none."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)
