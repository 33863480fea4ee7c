"""Happy Eyeballs: the staggered race over all addresses of a host (RFC 8305).

A race opens sockets through the opener it is given, and tells who won and why the others lost; the loop waits.
Where the addresses come from, and how a socket is prepared, is not decided here.
"""

from __future__ import annotations

import errno
import socket

from pync.errors import NETWORK, TIMEOUT, Fault, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.loop import Reactor, TimerHandle
    from pync.net.resolve import Address

    Dialed = tuple[socket.socket, Address]
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


class _Attempt:
    __slots__ = ("address", "sock", "timer")

    def __init__(self, address: Address, sock: socket.socket) -> None:
        self.address = address
        self.sock = sock
        self.timer: TimerHandle | None = None


class Race:
    """The first address that answers, and the `failures` of those tried before (RFC 8305, section 5).

    An attempt starts 250 ms after the one before, or at once when that one failed; each has `limit` seconds. Losers
    are closed. The loop calls `on_done` once, with the winner, a DialFault where none answered, or the fault that
    the opener raised.
    """

    def __init__(
        self,
        loop: Reactor,
        addresses: list[Address],
        open_socket: Opener,
        limit: float | None,
        host: str,
        on_done: Callable[[Dialed | Fault], object],
    ) -> None:
        self._loop = loop
        self._waiting = list(addresses)
        self._open = open_socket
        self._limit = limit
        self._host = host
        self._on_done = on_done
        self._running: list[_Attempt] = []
        self.failures: list[Failure] = []
        self._next: TimerHandle | None = loop.call_at(loop.time(), self._go_on)

    def _go_on(self) -> None:
        """Start the next attempt; where none is left and none under way, nobody has won."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        try:
            started = self._start_next()
        except Fault as fault:
            self.cancel()
            self._on_done(fault)
            return
        if self._waiting:
            self._next = self._loop.call_at(started + ATTEMPT_DELAY, self._go_on)
        elif not self._running:
            self._on_done(DialFault(self._host, self.failures))

    def _start_next(self) -> float:
        """Start an attempt, the first of those waiting that does not fail at once; when that was."""
        started = self._loop.time()
        while self._waiting:
            address = self._waiting.pop(0)
            started = self._loop.time()
            try:
                self._start(address)
                break
            except OSError as error:
                self.failures.append((address, error))
        return started

    def _start(self, address: Address) -> None:
        """Raises: OSError where it fails at once."""
        now = self._loop.time()
        sock = self._open(address)
        try:
            code = sock.connect_ex(address.sockaddr)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, _text(code))
            attempt = _Attempt(address, sock)
            self._loop.add_writer(sock.fileno(), self._answered, attempt)
        except BaseException:
            sock.close()
            raise
        self._running.append(attempt)
        if self._limit is not None:
            attempt.timer = self._loop.call_at(now + self._limit, self._fail, attempt, timed_out())

    def _answered(self, attempt: _Attempt) -> None:
        error = connect_error(attempt.sock)
        if error is not None:
            self._fail(attempt, error)
            return
        self._leave(attempt)
        self.cancel()
        self._on_done((attempt.sock, attempt.address))

    def _fail(self, attempt: _Attempt, error: OSError) -> None:
        self.failures.append((attempt.address, error))
        self._leave(attempt)
        attempt.sock.close()
        self._go_on()

    def _leave(self, attempt: _Attempt) -> None:
        self._running.remove(attempt)
        self._loop.remove_writer(attempt.sock.fileno())
        if attempt.timer is not None:
            attempt.timer.cancel()

    def cancel(self) -> None:
        """Close what is under way; `on_done` is not called any more."""
        if self._next is not None:
            self._next.cancel()
        for attempt in list(self._running):
            self._leave(attempt)
            attempt.sock.close()
        self._waiting.clear()


def connect_error(sock: socket.socket) -> OSError | None:
    """Why the connect of a socket that has become writable failed; None where it is connected."""
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
