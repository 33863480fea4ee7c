"""Processes that we start: each in a session of its own, each ended and reaped, none outliving us.

`Children` registers a `Child` before a signal can be handled, so that `Children.close` ends all of them.
The handlers connect a child with a client and decide when it ends.
"""

from __future__ import annotations

import os
import signal
import time

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pync.processes.program import Program

#: Seconds from SIGTERM to SIGKILL.
GRACE = 2.0
#: Seconds to wait for killed processes. They are limited, because a process may hang in the kernel.
KILLED = 1.0
#: Seconds between two looks while `close` waits.
LOOK = 0.02
#: Signals that Python ignores but a program must not (signal(7)), and SIGCHLD, which our parent may have ignored.
DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
#: The status of a child that has been reaped elsewhere in this process.
UNKNOWN = 255
OPEN_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


class Child:
    """A running program, which leads its process group.

    Attributes:
        fd: becomes readable when the program has exited (pidfd_open(2)); -1 on systems without it.
        status: the exit status, negative for a signal; None while the program runs.
    """

    __slots__ = ("_gone", "_told", "fd", "pid", "status")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = _pidfd(pid)
        self.status: int | None = None
        self._told = False
        self._gone = False

    def exited(self) -> bool:
        """Whether the program has exited. Then it is reaped, and the rest of its group is asked to end."""
        if self.status is not None:
            return True
        try:
            if hasattr(os, "waitid"):  # macOS before Python 3.13 lacks it
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    return False
                self.terminate()  # before reaping, because after it the number may belong to another process
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                return False
            self.status = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            self.status = UNKNOWN
        self.terminate()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        return True

    def over(self) -> bool:
        """Whether the program has exited and its group has no member left that we may signal."""
        return self.exited() and not self._signal(0)

    def terminate(self) -> None:
        """Ask the whole group to end (SIGTERM), once."""
        if not self._told:
            self._told = True
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a stopped process handles SIGTERM only once it continues

    def kill(self) -> None:
        """Kill the whole group (SIGKILL)."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        """Signal the group; returns whether it has a member. Until then no other group can get its number."""
        if self._gone:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            self._gone = self.status is not None
            return False
        return True


class Children:
    """All running programs, and the settings with which each is started.

    `limit` is the RLIMIT_NOFILE that we were started with, if ours has been raised since (getrlimit(2)).
    """

    def __init__(self, limit: tuple[int, int] | None = None) -> None:
        self._known: dict[Child, None] = {}
        self._environment = dict(os.environ)
        # Python opens all descriptors close-on-exec, but those inherited from our parent may lack the flag.
        self._inherited = list(_inheritable())
        self._limit = limit or _descriptor_limit()
        self._restore_sigchld = _heed_sigchld()

    def spawn(self, program: Program, stdin: int, stdout: int, environment: dict[str, str]) -> Child:
        """Start the program with these two descriptors and our stderr; all others are closed in it.

        Raises:
            OSError: the program cannot be started; nothing is left behind.
        """
        # A signal between the start and the registration would leave an unknown process behind.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, wake.ENDS)
        try:
            child = Child(self._start(program, stdin, stdout, {**self._environment, **environment}))
            self._known[child] = None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return child

    def _start(self, program: Program, stdin: int, stdout: int, environment: dict[str, str]) -> int:
        """Start the program with its limit of descriptors; returns its process number."""
        closed = [(os.POSIX_SPAWN_CLOSE, fd) for fd in self._inherited]
        actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), *closed]
        ours, (soft, hard) = _descriptor_limit(), self._limit
        if ours == self._limit:
            return _spawn(program, environment, actions)
        # posix_spawn(3) gives the child our present limit, and refuses descriptors beyond that.
        _set_descriptor_limit((max(soft, 1 + max(stdin, stdout, *self._inherited)), hard))
        try:
            return _spawn(program, environment, actions)
        finally:
            _set_descriptor_limit(ours)

    def forget(self, child: Child) -> None:
        """Remove a child that is over."""
        self._known.pop(child, None)

    def close(self) -> None:
        """End all running children at the same time, and wait until they are gone, at most GRACE + KILLED seconds."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, wake.ENDS)
        try:
            for child in self._known:
                child.terminate()
            self._wait(GRACE, self._any_left)
            for child in self._known:
                child.kill()
            self._wait(KILLED, self._any_left)  # processes that a child left behind take a moment to die, too
            self._known.clear()
            self._restore_sigchld()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _wait(self, seconds: float, any_left: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while any_left() and time.monotonic() < deadline:
            time.sleep(LOOK)

    def _any_runs(self) -> bool:
        return bool([child for child in self._known if not child.exited()])

    def _any_left(self) -> bool:
        """Whether a child runs, or another member of its group."""
        groups = {child.pid for child in list(self._known) if not child.over()}
        if not groups or self._any_runs():
            return bool(groups)
        living = _living_groups()
        return living is None or not living.isdisjoint(groups)


def _spawn(program: Program, environment: dict[str, str], actions: list[Any]) -> int:
    """Start the program in a session of its own, so that no terminal can stop it and its group can be ended as one.

    posix_spawn is about as quick as subprocess, needs no import, and can empty the signal mask. That is necessary,
    because the program would inherit our present mask and block SIGTERM for ever.
    """
    start: dict[str, Any] = {"file_actions": actions, "setsigmask": (), "setsigdef": DEFAULTED}
    try:
        return os.posix_spawn(program.path, program.words, environment, setsid=True, **start)
    except NotImplementedError:  # a C library without POSIX_SPAWN_SETSID
        return os.posix_spawn(program.path, program.words, environment, setpgroup=0, **start)


def _living_groups() -> set[int] | None:
    """The groups with a member that is no zombie; None on systems without such a /proc (proc(5)).

    Zombies do not count, because process 1 reaps orphans, and in some containers that takes long.
    """
    try:
        names = os.listdir("/proc")
    except OSError:
        return None
    found = [_group(name) for name in names if name.isdigit()]
    return {group for group in found if group} if found else None


def _group(pid: str) -> int:
    """The process group of a process; 0 if it is a zombie or has gone meanwhile."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, _, group = file.read().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return 0
    return 0 if state in b"ZX" else int(group)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _inheritable() -> Iterable[int]:
    for path in OPEN_DESCRIPTORS:
        try:
            names = os.listdir(path)
        except OSError:
            continue
        return [int(name) for name in names if int(name) > 2 and _is_inheritable(int(name))]
    return range(3, 256)


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # the descriptor through which the listing was read
        return False


def _descriptor_limit() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)


def _set_descriptor_limit(limit: tuple[int, int]) -> None:
    """Set our RLIMIT_NOFILE. Programs get the original one, because select(2) and close loops need a small limit."""
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    except (ValueError, OSError):
        return


def _heed_sigchld() -> Callable[[], object]:
    """Stop ignoring SIGCHLD, which would leave no status to collect (wait(2)); returns the undo function."""
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN:
        return lambda: None
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    except ValueError:  # called through the library in another thread
        return lambda: None
    return lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
