"""Reading along an HTTP/1 dialogue: what counts as a whole request, and as its answer, wherever the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.http.dialogue import Dialogue

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HEADED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
EMPTY = b"HTTP/1.1 %b\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
CONNECT = b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"

#: What is sent, what is received: requests that are whole, answers that are complete, and whether that is all.
DIALOGUES = {
    "a length": (GET, OK, 1, 1, True),
    "HTTP/1.0": (b"GET / HTTP/1.0\n\n", CLOSING, 1, 1, True),
    "an end by the connection's": (GET, b"HTTP/1.1 200 OK\r\n\r\nhello", 1, 0, False),
    "HEAD": (HEAD, HEADED, 1, 1, True),
    "half a body": (GET, OK[:-1], 1, 0, False),
    "chunks": (GET, CHUNKED, 1, 1, True),
    "half of the chunks": (GET, CHUNKED[:-2], 1, 0, False),
    "204": (GET, EMPTY % b"204 No Content", 1, 1, True),
    "304": (GET, EMPTY % b"304 Not Modified", 1, 1, True),
    "1xx before the answer": (GET, EMPTY % b"100 Continue" + EMPTY % b"103 Early Hints" + OK, 1, 1, True),
    "1xx alone": (GET, EMPTY % b"100 Continue", 1, 0, False),
    "three in a row": (GET + HEAD + GET, CHUNKED + HEADED + OK, 3, 3, True),
    "two of three answers": (GET + HEAD + GET, CHUNKED + HEADED, 3, 2, False),
    "the last answer of a closing server": (GET + GET, CLOSING, 2, 1, True),
    "a body that looks like requests": (POST % (len(GET) * 2, GET * 2) + GET, OK + OK, 2, 2, True),
    "a body in chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n", OK, 1, 1, True
    ),
    "a request without its end": (GET[:-2], b"", 0, 0, False),
    "a body without its end": (POST % (9, b"GET / HT"), b"", 0, 0, False),
    "a whole request before one without its end": (GET + GET[:-2], OK, 1, 1, True),
    "something else after a request": (GET + b"\0\0\r\n\r\n", OK, 1, 1, True),
    "a request that only some servers take": (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", OK, 1, 1, True),
    "a tunnel": (CONNECT, EMPTY % b"200 Connected" + OK, 1, 0, False),
    "an upgrade": (UPGRADE, EMPTY % b"101 Switching Protocols" + b"\x81\x02hi", 1, 0, False),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALOGUES)
@given(cuts=st.lists(st.integers(0, 400), max_size=4))
def test_requests_and_answers_are_paired_wherever_they_are_cut(name: str, cuts: list[int]) -> None:
    sent, received, requests, answers, complete = DIALOGUES[name]
    dialogue = Dialogue()
    for data, show in ((sent, dialogue.sent), (received, dialogue.received)):
        places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for start, end in pairwise(places):
            if start < end:
                show(data[start:end])
    assert (dialogue.requests, dialogue.answers, dialogue.complete) == (requests, answers, complete)
    assert not dialogue.foreign


@pytest.mark.parametrize("banner", [b"220 mail.example ESMTP\r\n", b"\0\1\2\r\n\r\n"])
def test_a_peer_that_speaks_something_else_is_foreign(banner: bytes) -> None:
    dialogue = Dialogue()
    dialogue.sent(GET)
    dialogue.received(banner)
    assert dialogue.foreign
    dialogue.received(b"more")
    assert not dialogue.complete


def test_what_comes_before_any_request_is_no_answer() -> None:
    dialogue = Dialogue()
    dialogue.received(OK)
    assert (dialogue.answers, dialogue.foreign) == (0, False)
