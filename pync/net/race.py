"""Happy Eyeballs: the staggered race over all addresses of a host (RFC 8305).

A race opens sockets through the opener it is given, waits, and knows who won and why the others lost.
Where the addresses come from, and how a socket is prepared, is not decided here.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time

from pync.errors import NETWORK, TIMEOUT, Fault, reason
from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.resolve import Address

    Opener = Callable[[Address], socket.socket]
    Failure = tuple[Address, OSError]

#: Seconds between two attempts: "Connection Attempt Delay", RFC 8305, section 8.
ATTEMPT_DELAY = 0.25


class DialFault(Fault):
    """No address could be connected to. `failures` holds each address with its own error."""

    def __init__(self, host: str, failures: list[Failure]) -> None:
        timed_out = any(error.errno == errno.ETIMEDOUT for _, error in failures)
        text = "\n".join(describe_failure(host, *failure) for failure in failures)
        super().__init__(text, TIMEOUT if timed_out else NETWORK)
        self.failures = failures


def describe_failure(host: str, address: Address, error: OSError) -> str:
    """The sentence for one address, in the words of nc(1)."""
    if address.family == socket.AF_UNIX:
        return f"connect to {address.host} failed: {reason(error)}"
    shown = host if host == address.host else f"{host} ({address.host})"
    return f"connect to {shown} port {address.port} ({address.protocol}) failed: {reason(error)}"


def race(
    addresses: list[Address], open_socket: Opener, limit: float | None, host: str
) -> tuple[socket.socket, Address, list[Failure]]:
    """The first address that answers, and the failures of those tried before (RFC 8305, section 5).

    An attempt starts 250 ms after the one before, or at once when that one failed. Losers are closed.

    Raises:
        DialFault: none answered.
    """
    contest = _Race(addresses, open_socket, limit)
    try:
        winner = contest.run()
    finally:
        contest.close_losers()
    if winner is None:
        raise DialFault(host, contest.failures)
    return *winner, contest.failures


class _Attempt:
    __slots__ = ("address", "deadline", "sock")

    def __init__(self, address: Address, sock: socket.socket, deadline: float) -> None:
        self.address = address
        self.sock = sock
        self.deadline = deadline


class _Race:
    def __init__(self, addresses: list[Address], open_socket: Opener, limit: float | None) -> None:
        self._waiting = list(addresses)
        self._open = open_socket
        self._limit = float("inf") if limit is None else limit
        self._selector = wake.poll_selector()
        if (watched := wake.descriptor()) >= 0:
            self._selector.register(watched, selectors.EVENT_READ)
        self._running: list[_Attempt] = []
        self._next_start = time.monotonic()
        self.failures: list[Failure] = []

    def run(self) -> tuple[socket.socket, Address] | None:
        while self._waiting or self._running:
            if self._waiting and time.monotonic() >= self._next_start:
                self._start(self._waiting.pop(0))
            winner = self._wait()
            if winner is not None:
                return winner.sock, winner.address
        return None

    def _start(self, address: Address) -> None:
        now = time.monotonic()
        try:
            sock = self._open(address)
        except OSError as error:
            self.failures.append((address, error))
            return
        attempt = _Attempt(address, sock, now + self._limit)
        self._running.append(attempt)
        self._selector.register(sock, selectors.EVENT_WRITE, attempt)
        code = sock.connect_ex(address.sockaddr)
        if code in (0, errno.EINPROGRESS):
            self._next_start = now + ATTEMPT_DELAY
        else:
            self._fail(attempt, OSError(code, _text(code)))

    def _wait(self) -> _Attempt | None:
        if not self._running:
            return None
        ready = {id(key.data) for key, _ in self._selector.select(self._patience())}
        wake.look()
        for attempt in list(self._running):
            if id(attempt) in ready:
                error = outcome(attempt.sock)
                if error is None:
                    self._running.remove(attempt)
                    return attempt
                self._fail(attempt, error)
            elif time.monotonic() >= attempt.deadline:
                self._fail(attempt, timed_out())
        return None

    def _patience(self) -> float:
        """Seconds until an attempt runs out of time or the next one is due."""
        until = min(attempt.deadline for attempt in self._running)
        if self._waiting:
            until = min(until, self._next_start)
        return max(0.0, min(until - time.monotonic(), wake.LONGEST_WAIT))

    def _fail(self, attempt: _Attempt, error: OSError) -> None:
        self.failures.append((attempt.address, error))
        self._running.remove(attempt)
        self._drop(attempt)
        self._next_start = time.monotonic()

    def _drop(self, attempt: _Attempt) -> None:
        self._selector.unregister(attempt.sock)
        attempt.sock.close()

    def close_losers(self) -> None:
        for attempt in self._running:
            self._drop(attempt)
        self._selector.close()


def outcome(sock: socket.socket) -> OSError | None:
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return OSError(code, _text(code))
    try:
        itself = sock.getpeername() == sock.getsockname() and sock.type == socket.SOCK_STREAM
    except OSError as error:  # reset between the handshake and this line
        return error
    # TCP's simultaneous open can join a socket to itself on an ephemeral port (RFC 9293, 3.5).
    return OSError(errno.ECONNREFUSED, _text(errno.ECONNREFUSED)) if itself else None


def timed_out() -> OSError:
    return OSError(errno.ETIMEDOUT, _text(errno.ETIMEDOUT))


def _text(code: int) -> str:
    from os import strerror

    return strerror(code)
