"""Processes that we start: each in a session of its own, each ended and reaped, none outliving us.

A `Child` is known to its `Children` before a signal can be noticed, and `Children.close` leaves nobody
behind. Who is connected with a child, and when it is to end, is decided elsewhere.
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
#: Seconds that a killed process may take to be gone: one that hangs in the kernel is not waited for.
KILLED = 1.0
#: Seconds between two looks while `close` waits.
LOOK = 0.02
#: The signals whose handlers end us.
#: What Python ignores, and a program must not (signal(7)); and what our parent may have had ignored.
DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
#: The status of a child that somebody else has reaped.
UNKNOWN = 255
OPEN_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


class Child:
    """A running program, and the leader of its process group.

    `fd` is readable when it has exited (pidfd_open(2)); -1 where the system has nothing of the kind.
    `status` is its exit status, negative for a signal, or None while it runs.
    """

    __slots__ = ("_gone", "_told", "fd", "pid", "status")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = _pidfd(pid)
        self.status: int | None = None
        self._told = False
        self._gone = False

    def exited(self) -> bool:
        """Whether it has; then it is reaped, and what is left of its group has been told to end."""
        if self.status is not None:
            return True
        try:
            if hasattr(os, "waitid"):  # macOS before Python 3.13 lacks it
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    return False
                self.terminate()  # before it is reaped: until then its number is nobody else's
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
        """Whether it has exited and nobody is left of its group, or nobody that we may signal."""
        return self.exited() and not self._signal(0)

    def terminate(self) -> None:
        """Ask the whole group to end, once."""
        if not self._told:
            self._told = True
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # one that is stopped would not hear of it

    def kill(self) -> None:
        """End the whole group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        """Whether anybody was there to get it. A group keeps its number for as long as it has a member."""
        if self._gone:
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            self._gone = self.status is not None
            return False
        return True


class Children:
    """All programs that run, and what each of them is started with.

    `limit` is the RLIMIT_NOFILE that we were started with, if ours has been raised since (getrlimit(2)).
    """

    def __init__(self, limit: tuple[int, int] | None = None) -> None:
        self._known: dict[Child, None] = {}
        self._environment = dict(os.environ)
        # Everything that Python opens is close-on-exec; what our own parent left open may not be.
        self._inherited = list(_inheritable())
        self._limit = limit or _descriptor_limit()
        self._restore_sigchld = _heed_sigchld()

    def spawn(self, program: Program, stdin: int, stdout: int, environment: dict[str, str]) -> Child:
        """Start it with these two descriptors and our stderr; no other is open in it.

        Raises:
            OSError: it cannot be started; nothing is left behind.
        """
        # A signal between the start and the next step would leave a process that nobody knows of.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, wake.ENDS)
        try:
            child = Child(self._start(program, stdin, stdout, {**self._environment, **environment}))
            self._known[child] = None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return child

    def _start(self, program: Program, stdin: int, stdout: int, environment: dict[str, str]) -> int:
        """Start it with the limit that it shall have; its number."""
        closed = [(os.POSIX_SPAWN_CLOSE, fd) for fd in self._inherited]
        actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), *closed]
        ours, (soft, hard) = _descriptor_limit(), self._limit
        if ours == self._limit:
            return _spawn(program, environment, actions)
        # posix_spawn(3) gives its child the limit of the moment, and takes no descriptor beyond it.
        _set_descriptor_limit((max(soft, 1 + max(stdin, stdout, *self._inherited)), hard))
        try:
            return _spawn(program, environment, actions)
        finally:
            _set_descriptor_limit(ours)

    def forget(self, child: Child) -> None:
        """It is over."""
        self._known.pop(child, None)

    def close(self) -> None:
        """End all that still run, at the same time, and wait until they are gone: GRACE + KILLED seconds at most."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, wake.ENDS)
        try:
            for child in self._known:
                child.terminate()
            self._wait(GRACE, self._somebody_left)
            for child in self._known:
                child.kill()
            self._wait(KILLED, self._somebody_left)  # those that a child left behind take a moment to die too
            self._known.clear()
            self._restore_sigchld()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _wait(self, seconds: float, somebody: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while somebody() and time.monotonic() < deadline:
            time.sleep(LOOK)

    def _somebody_runs(self) -> bool:
        return bool([child for child in self._known if not child.exited()])

    def _somebody_left(self) -> bool:
        """Whether one runs, or somebody else of its group."""
        groups = {child.pid for child in list(self._known) if not child.over()}
        if not groups or self._somebody_runs():
            return bool(groups)
        living = _living_groups()
        return living is None or not living.isdisjoint(groups)


def _spawn(program: Program, environment: dict[str, str], actions: list[Any]) -> int:
    """A session of its own: no terminal to be stopped by, and a group that can be ended as one.

    posix_spawn and not subprocess: about as quick, no more to import, and it can empty the mask, which is
    ours at this moment and would block SIGTERM in the program for ever.
    """
    start: dict[str, Any] = {"file_actions": actions, "setsigmask": (), "setsigdef": DEFAULTED}
    try:
        return os.posix_spawn(program.path, program.words, environment, setsid=True, **start)
    except NotImplementedError:  # a C library without POSIX_SPAWN_SETSID
        return os.posix_spawn(program.path, program.words, environment, setpgroup=0, **start)


def _living_groups() -> set[int] | None:
    """The groups with a member that is no zombie; None where /proc does not tell (proc(5)).

    Orphans are reaped by process 1, which takes its time in some containers: they are not waited for.
    """
    try:
        names = os.listdir("/proc")
    except OSError:
        return None
    found = [_group(name) for name in names if name.isdigit()]
    return {group for group in found if group} if found else None


def _group(pid: str) -> int:
    """The process group; 0 of a zombie, and of one that is gone meanwhile."""
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
    except OSError:  # the one the listing itself was read through
        return False


def _descriptor_limit() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)


def _set_descriptor_limit(limit: tuple[int, int]) -> None:
    """A program gets the limit that we were started with: a large one is a trap for select(2) and for close loops."""
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    except (ValueError, OSError):
        return


def _heed_sigchld() -> Callable[[], object]:
    """Where our parent had SIGCHLD ignored, there would be no status to collect (wait(2)); gives the way back."""
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN:
        return lambda: None
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    except ValueError:  # a library call in another thread
        return lambda: None
    return lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
