"""Which descriptors are ready: epoll(7) where there is one, poll or select elsewhere, behind two methods.

`watch` says what to wait for, `wait` waits. What happens then is the loop's business.
"""

from __future__ import annotations

import select
import selectors

from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Poller(Protocol):
        """Level-triggered; events are the bits READ and WRITE, or others for errors and hang-ups."""

        def watch(self, fd: int, before: int, events: int) -> None:
            """Wait for these events of a descriptor, no longer for those `before`; 0 stands for none.

            Raises:
                OSError: the descriptor is closed.
            """

        def wait(self, seconds: float | None) -> Sequence[tuple[int, int]]:
            """(descriptor, events) of those that are ready, at least one unless the time is over."""

        def close(self) -> None: ...


#: EPOLLIN and EPOLLOUT, which are poll's POLLIN and POLLOUT too.
READ, WRITE = 1, 4


class EpollPoller:
    """One system call for each wait, whatever the number of descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, int] = {}  # what epoll refuses because it never waits: files and some devices

    def watch(self, fd: int, before: int, events: int) -> None:
        if fd in self._ready:
            self._ready[fd] = events
            if not events:
                del self._ready[fd]
        elif not before:
            self._register(fd, events)
        elif events & ~before:
            self._epoll.modify(fd, events)
        else:
            self._forget(fd, events)

    def _register(self, fd: int, events: int) -> None:
        try:
            self._epoll.register(fd, events)
        except PermissionError:
            self._ready[fd] = events

    def _forget(self, fd: int, events: int) -> None:
        try:
            if events:
                self._epoll.modify(fd, events)
            else:
                self._epoll.unregister(fd)
        except OSError:  # it was closed before: then epoll has forgotten it already
            return

    def wait(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        if self._ready:
            return [*self._epoll.poll(0), *self._ready.items()]
        return self._epoll.poll(seconds)

    def close(self) -> None:
        self._epoll.close()


class SelectorPoller:
    """The same by poll(2) or select(2)."""

    def __init__(self) -> None:
        self._selector = wake.poll_selector()

    def watch(self, fd: int, before: int, events: int) -> None:
        wanted = (selectors.EVENT_READ if events & READ else 0) | (selectors.EVENT_WRITE if events & WRITE else 0)
        if not before:
            self._selector.register(fd, wanted)
        elif events:
            self._selector.modify(fd, wanted)
        else:
            self._selector.unregister(fd)

    def wait(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        found = self._selector.select(seconds)
        return [
            (key.fd, (READ if events & selectors.EVENT_READ else 0) | (WRITE if events & selectors.EVENT_WRITE else 0))
            for key, events in found
        ]

    def close(self) -> None:
        self._selector.close()


def poller() -> Poller:
    """The quickest that this system has."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()
