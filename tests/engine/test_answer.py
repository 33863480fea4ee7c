"""When our FIN is due that waits for an answer, on a clock that the test moves; and what makes it wait."""

from __future__ import annotations

import pytest

from pync.engine.answer import PATIENCE, QUIET, Answer
from pync.engine.stages import LONGEST_LINE, FirstBytes, begins_request
from tests.engine.test_flow import JumpingLoop
from tests.wire.http.test_dialogue import GET, OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.net.move import Stage


class Scene:
    def __init__(self, sent: bytes = GET) -> None:
        self.loop = JumpingLoop()
        self.ends: list[float] = []
        self.answer = Answer(self.loop, lambda: self.ends.append(self.loop.now))
        self.answer.sent.feed(sent)

    def after(self, seconds: float) -> list[float]:
        self.loop.advance(seconds)
        return self.ends


def test_our_end_comes_when_the_answer_is_complete_and_all_is_quiet() -> None:
    scene = Scene()
    scene.answer.half_close()
    assert scene.after(10) == []
    scene.answer.received.feed(OK[:-1])
    assert scene.after(10) == []
    scene.answer.received.feed(OK[-1:])
    assert scene.after(QUIET * 0.8) == []
    scene.answer.received.feed(b"more")
    assert scene.after(QUIET * 0.8) == []
    assert len(scene.after(QUIET)) == 1
    assert scene.loop.empty


def test_our_input_may_end_after_the_answer() -> None:
    scene = Scene()
    scene.answer.received.feed(OK)
    scene.loop.advance(1)
    scene.answer.half_close()
    assert len(scene.ends) == 1


@pytest.mark.parametrize(("sent", "received"), [(GET[:-2], b""), (GET, b"220 no web server\r\n\r\n")])
def test_without_a_request_or_a_web_server_our_end_comes_at_once(sent: bytes, received: bytes) -> None:
    scene = Scene(sent)
    scene.answer.half_close()
    if received:
        assert scene.ends == []
        scene.answer.received.feed(received)
    assert len(scene.ends) == 1


def test_a_peer_that_waits_for_our_end_gets_it_at_last() -> None:
    scene = Scene()
    scene.answer.half_close()
    assert scene.after(PATIENCE - 1) == []
    assert len(scene.after(2)) == 1


LINES = [
    (b"GET / HTTP/1.1\r\n", True), (b"GET / HTTP/1.0\n", True), (b"M-SEARCH * HTTP/1.1\r\nx", True),
    (b"GET /\r\n", False), (b"GET / HTTP/2.0\r\n", False), (b"get / HTTP/1.1\r\n", False), (b"\n", False),
    (b"GET / x HTTP/1.1\r\n", False), (b"", None), (b"GET", None), (b"GET /" + b"x" * 999, None), (b"Get", False),
    (b"G\0T", False), (b"A" * 40, False), (b"GET /" + b"x" * LONGEST_LINE + b" HTTP/1.1\r\n", False),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False), (b"SSH-2.0-OpenSSH_9.2\r\n", False), (b"EHLO x\r\n", False),
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), LINES, ids=[repr(data[:20]) for data, _ in LINES])
def test_only_the_first_line_of_a_request_begins_one(data: bytes, expected: bool | None) -> None:
    assert begins_request(data) is expected


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_the_first_bytes_are_looked_at_and_then_no_others(step: int) -> None:
    found: list[bytes] = []
    stages: list[Stage] = []
    stages.append(FirstBytes(stages, found.append))
    looked = 0
    while stages:
        stages[0].feed(GET[looked : looked + step])
        looked += step
    assert found == [GET[:looked]]
    assert looked >= GET.index(b"\n")
