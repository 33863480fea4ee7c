"""One child on the loop: tells when it has exited, and sees to it that its group ends.

What a child is and how it is signalled is `processes.children`'s; what its end means for a connection, its
client's.
"""

from __future__ import annotations

from pync.processes.children import GRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle
    from pync.processes.children import Child, Children

#: Seconds between two looks at what has no descriptor to wait for: a child without pidfd, the rest of a group.
LOOK = 0.05


class Lifetime:
    """From the start of a child until nobody is left of its group. `on_exit` is called once, when it has exited."""

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
        """The exit status as a shell tells it: 128 and more for a signal."""
        status = self._child.status or 0
        return 128 - status if status < 0 else status

    @property
    def exited(self) -> bool:
        return self._child.status is not None

    def end(self) -> None:
        """SIGTERM for the group now, SIGKILL in a while."""
        if self._kill_at is None and not self.exited:
            self._child.terminate()
            self._kill_at = self._loop.time() + GRACE
            if self._timer is None:
                self._timer = self._loop.call_at(self._kill_at, self._look)

    def disown(self) -> None:
        """End it; nobody wants to hear of it any more."""
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
        """Until all of the group is gone, or was killed."""
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
