"""What an open port says: its greeting or, if it is silent, its answer to the questions of `wire.probes`.

The first question uses the existing connection, and each further one a new connection. `probe.sweep` finds the open
ports; `wire.probes` decides what to ask next and when an answer is whole.
"""

from __future__ import annotations

import errno
import selectors
import time

from pync.wire.probes import TALK, is_whole, next_question, takes_questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.probe.finding import Finding
    from pync.probe.prober import Prober

#: Seconds of silence before the service is asked, and before a line that it has begun counts as whole.
SILENCE, LINE_TIME = 0.3, 1.0
#: The most bytes read of an answer: enough for the head of an HTTP response with its cookies.
BANNER_SIZE = 4096
GREETING = -1


class _Interview:
    """One open port: the question asked last, the answer so far, and the time until which it is awaited."""

    __slots__ = ("asked", "connecting", "finding", "said", "until")

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        self.asked = GREETING
        self.connecting = False
        self.said = b""
        self.until = time.monotonic() + SILENCE


class Interviews:
    """The interviews with the open ports of one host."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._of: dict[socket.socket, _Interview] = {}

    def __len__(self) -> int:
        return len(self._of)

    def begin(self, sock: socket.socket, finding: Finding) -> None:
        """Begin an interview on an established connection."""
        self._of[sock] = _Interview(finding)
        self._prober.watch(sock, selectors.EVENT_READ, None)

    def ready(self, sock: socket.socket) -> None:
        """A connection is established, or a piece of an answer has come."""
        interview = self._of.get(sock)
        if interview is None:  # a late event of a socket that was closed in the same round
            return
        if interview.connecting:
            self._ask(sock, interview)
            return
        try:
            piece = sock.recv(BANNER_SIZE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not interview.said:
            interview.until += LINE_TIME - SILENCE if interview.asked == GREETING else 0
        interview.said += piece
        if not piece or is_whole(interview.said) or len(interview.said) >= BANNER_SIZE:
            self._go_on(sock, interview, closed=not piece)

    def look_at_the_clock(self, now: float) -> None:
        """Ask the services that have been silent for SILENCE, and go on if an answer fails to come."""
        for sock, interview in list(self._of.items()):
            if interview.until > now:
                continue
            asks = interview.asked == GREETING and not interview.said and takes_questions(interview.finding.port)
            if asks:
                interview.asked = 0
                self._ask(sock, interview)
            else:
                self._go_on(sock, interview)

    def next_event(self) -> float:
        """When `look_at_the_clock` must be called next."""
        return min((interview.until for interview in self._of.values()), default=float("inf"))

    def drop_all(self) -> None:
        """Close every connection."""
        for sock in self._of:
            self._prober.forget(sock)
        self._of.clear()

    def _ask(self, sock: socket.socket, interview: _Interview) -> None:
        """Send the question, which fits the send buffer of a new connection."""
        question = TALK[interview.asked]
        interview.connecting = False
        interview.until = time.monotonic() + question.patience
        try:
            sock.send(question.data)
        except OSError:
            self._go_on(sock, interview, closed=True)
            return
        self._prober.watch(sock, selectors.EVENT_READ, None)

    def _go_on(self, sock: socket.socket, interview: _Interview, closed: bool = False) -> None:
        """The answer is whole, or will not come: ask the next question, or report."""
        del self._of[sock]
        self._prober.forget(sock)
        said, interview.said = interview.said, b""
        interview.finding.banner = said or interview.finding.banner
        greeted = interview.asked == GREETING and (said or closed)
        following = None if greeted else next_question(interview.asked, said)
        if following is None or not takes_questions(interview.finding.port):
            self._prober.report(interview.finding)
            return
        interview.asked = following
        self._connect(interview)

    def _connect(self, interview: _Interview) -> None:
        address = interview.finding.address
        interview.connecting = True
        interview.until = time.monotonic() + TALK[interview.asked].patience
        sock = self._prober.open_socket(address)
        self._of[sock] = interview
        code = sock.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            del self._of[sock]
            self._prober.forget(sock)
            self._prober.report(interview.finding)
            return
        self._prober.watch(sock, selectors.EVENT_WRITE, None)
