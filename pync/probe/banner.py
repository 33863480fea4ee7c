"""What an open port says: its greeting, or its answer to the questions of `wire.probes` where it is silent.

The first question goes over the connection that is there, each further one over a fresh one. What is
asked next, and when an answer is whole, is decided in `wire.probes`; which ports are open by `probe.sweep`.
"""

from __future__ import annotations

import errno
import selectors
import time

from pync.wire.probes import TALK, is_whole, next_question, takes_questions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from pync.probe.outcome import Outcome
    from pync.probe.prober import Prober

#: Seconds of silence until the service is asked, and until the line that it has begun counts as whole.
SILENCE, LINE_TIME = 0.3, 1.0
#: More of an answer than this is not read: it holds the head of an HTTP response, cookies and all.
BANNER_SIZE = 4096
GREETING = -1


class _Interview:
    """One open port: which question it has been asked, what it says to it, until when that is waited for."""

    __slots__ = ("asked", "connecting", "outcome", "said", "until")

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked = GREETING
        self.connecting = False
        self.said = b""
        self.until = time.monotonic() + SILENCE


class Interviews:
    """The open ports of one host that are listened to."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._of: dict[socket.socket, _Interview] = {}

    def __len__(self) -> int:
        return len(self._of)

    def begin(self, sock: socket.socket, outcome: Outcome) -> None:
        """Listen on a connection that stands."""
        self._of[sock] = _Interview(outcome)
        self._prober.watch(sock, selectors.EVENT_READ, None)

    def ready(self, sock: socket.socket) -> None:
        """A connection stands, or a piece of an answer has come."""
        interview = self._of.get(sock)
        if interview is None:  # an event of the round in which it was closed
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
        """Ask those that have been silent for long enough, and go on where an answer does not come."""
        for sock, interview in list(self._of.items()):
            if interview.until > now:
                continue
            asks = interview.asked == GREETING and not interview.said and takes_questions(interview.outcome.port)
            if asks:
                interview.asked = 0
                self._ask(sock, interview)
            else:
                self._go_on(sock, interview)

    def next_event(self) -> float:
        """When the next of them is due."""
        return min((interview.until for interview in self._of.values()), default=float("inf"))

    def drop_all(self) -> None:
        """Close every connection."""
        for sock in self._of:
            self._prober.forget(sock)
        self._of.clear()

    def _ask(self, sock: socket.socket, interview: _Interview) -> None:
        """Send the question; the send buffer of a fresh connection takes it whole."""
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
        """The answer is whole, or will not come: ask anew what is left to ask, or report."""
        del self._of[sock]
        self._prober.forget(sock)
        said, interview.said = interview.said, b""
        interview.outcome.banner = said or interview.outcome.banner
        greeted = interview.asked == GREETING and (said or closed)
        following = None if greeted else next_question(interview.asked, said)
        if following is None or not takes_questions(interview.outcome.port):
            self._prober.report(interview.outcome)
            return
        interview.asked = following
        self._connect(interview)

    def _connect(self, interview: _Interview) -> None:
        address = interview.outcome.address
        interview.connecting = True
        interview.until = time.monotonic() + TALK[interview.asked].patience
        sock = self._prober.open_socket(address)
        self._of[sock] = interview
        code = sock.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            del self._of[sock]
            self._prober.forget(sock)
            self._prober.report(interview.outcome)
            return
        self._prober.watch(sock, selectors.EVENT_WRITE, None)
