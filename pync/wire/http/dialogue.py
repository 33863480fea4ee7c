"""Reading along an HTTP/1 dialogue: how many requests were sent whole, and how many of them are answered.

For a client that only relays the bytes and must not end its side too early. h11 knows the framing (HEAD, 1xx, 204,
chunks, pipelining); here requests are paired with answers. The bytes pass unchanged.
"""

from __future__ import annotations

from collections import deque

import h11

#: The most of a request's or an answer's head: servers take 8 to 64 KiB.
LONGEST_HEAD = 1 << 16
STATUS_LINE = b"HTTP/"


class Dialogue:
    """Reads what is `sent` and `received`; `requests` counts those sent whole, `answers` those received whole."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers = 0
        self.foreign = False  # the answer is not HTTP
        self._asked: deque[bytes] = deque()  # methods of the unanswered requests
        self._ours: h11.Connection | None = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._theirs: h11.Connection | None = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._answering = False
        self._last_answer = False  # the peer sends no further answer on this connection
        self._begun = b""

    @property
    def complete(self) -> bool:
        """Whether every request is answered, or no further answer will come."""
        return self._last_answer or self.answers >= self.requests > 0

    def sent(self, data: bytes) -> None:
        """These are the next bytes of the requests."""
        if self._ours is None:
            return
        try:
            self._ours.receive_data(data)
            while self._next_request(self._ours):
                pass
        except h11.RemoteProtocolError:  # h11 refuses the request; the server may accept it
            self._ours = None
            if not self._asked and not self.requests:
                self._asked.append(b"GET")
                self.requests = 1

    def _next_request(self, ours: h11.Connection) -> bool:
        event = ours.next_event()
        if isinstance(event, h11.Request):
            self._asked.append(event.method)
        elif isinstance(event, h11.EndOfMessage):
            self.requests += 1
            return self._expect_another(ours)
        return event is not h11.NEED_DATA and event is not h11.PAUSED

    def _expect_another(self, ours: h11.Connection) -> bool:
        """Prepare h11, which plays the server, for the next request; False if none can follow."""
        if ours.their_state is not h11.DONE:  # CONNECT or an upgrade: the bytes that follow are not HTTP
            self._ours = None
            return False
        ours.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        ours.send(h11.EndOfMessage())
        if ours.our_state is not h11.DONE:  # the client asked to close the connection
            self._ours = None
            return False
        ours.start_next_cycle()
        return True

    def received(self, data: bytes) -> None:
        """These are the next bytes of the answers."""
        if self._theirs is None or not (self._answering or self._asked):
            return
        self._begun = (self._begun + data[: len(STATUS_LINE)])[: len(STATUS_LINE)]
        if not STATUS_LINE.startswith(self._begun):
            self.foreign = True
            self._theirs = None
            return
        try:
            self._theirs.receive_data(data)
            while self._theirs is not None and self._next_answer(self._theirs):
                pass
        except h11.RemoteProtocolError:  # the answer then ends with the connection
            self._theirs = None

    def _next_answer(self, theirs: h11.Connection) -> bool:
        if not self._answering:
            if not self._asked:
                return False
            self._ask(theirs, self._asked.popleft())
        event = theirs.next_event()
        if isinstance(event, h11.EndOfMessage):
            self.answers += 1
            self._answering = False
            return self._another_answer(theirs)
        return event is not h11.NEED_DATA and event is not h11.PAUSED

    def _ask(self, theirs: h11.Connection, method: bytes) -> None:
        """Tell h11, which plays the client, the method of the request that is answered next."""
        theirs.send(h11.Request(method=method, target="/", headers=[("Host", "-")]))
        theirs.send(h11.EndOfMessage())
        self._answering = True

    def _another_answer(self, theirs: h11.Connection) -> bool:
        if theirs.their_state is not h11.DONE:
            self._last_answer = True
            self._theirs = None
            return False
        theirs.start_next_cycle()
        return True
