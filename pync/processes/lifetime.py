"""One child on the loop: reports its exit, and ends its group.

`processes.children` starts and signals children. A handler decides what the end of a child means for its connection.
"""

from __future__ import annotations

from pync.processes.children import GRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle
    from pync.processes.children import Child, Children

#: Seconds between two checks if there is no descriptor to wait for: a child without pidfd, the rest of a group.
LOOK = 0.05


class Lifetime:
    """Follows a child from its start until its group is gone. `on_exit` is called once, when the child has exited."""

    def __init__(self, loop: Reactor, children: Children, child: Child, on_exit: Callable[[], object]) -> None:
        self._loop = loop
        self._children = children
        self._child = child
        self._on_exit: Callable[[], object] | None = on_exit
        self._watched = child.fd
        self._timer: TimerHandle | None = None
        self._kill_at: float | None = None
        if self._watched >= 0:
            loop.add_reader(self._watched, self._look)
        else:
            self._timer = loop.call_at(loop.time() + LOOK, self._look)

    @property
    def code(self) -> int:
        """The exit code as a shell gives it: 128 plus the number of a signal."""
        status = self._child.status or 0
        return 128 - status if status < 0 else status

    @property
    def exited(self) -> bool:
        return self._child.status is not None

    def end(self) -> None:
        """Send SIGTERM to the group now, and SIGKILL after GRACE seconds."""
        if self._kill_at is None and not self.exited:
            self._child.terminate()
            self._kill_at = self._loop.time() + GRACE
            if self._timer is None:
                self._timer = self._loop.call_at(self._kill_at, self._look)

    def disown(self) -> None:
        """End the group without calling `on_exit`."""
        self._on_exit = None
        self.end()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        exited = self._child.exited()
        if exited and self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._watched = -1
        self._go_on(exited)
        if exited and self._on_exit is not None:
            on_exit, self._on_exit = self._on_exit, None
            on_exit()

    def _go_on(self, exited: bool) -> None:
        """Check again later, until the whole group is gone or has been killed."""
        now = self._loop.time()
        if exited and self._child.over():
            self._children.forget(self._child)
            return
        if exited and self._kill_at is None:
            self._kill_at = now + GRACE
        if self._kill_at is not None and self._kill_at <= now:
            self._child.kill()
            if exited:
                self._children.forget(self._child)
                return
        if exited or self._watched < 0:
            self._timer = self._loop.call_at(now + LOOK, self._look)
        elif self._kill_at is not None and self._kill_at > now:
            self._timer = self._loop.call_at(self._kill_at, self._look)
