"""What each direction's bytes pass through: log files, hex dumps, digests, CRLF, telnet refusals.

The codecs are tested in wire/; here is what they are given, in which order, and the way back to the
peer that the refusals take. How stages and movers go together is tested with `net.move`.
"""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.engine.flow import Flow
from pync.engine.stages import LogFile, Raw, Refusal, Tapped, Taps, refusal, upward
from pync.errors import NETWORK, USAGE, Fault
from pync.net.endpoint import PIPE, PipeEndpoint, SocketEndpoint
from pync.net.move import CHUNK
from tests.engine.test_flow import JumpingLoop, read
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pync.net.move import Stage

IAC, DO, WILL, WONT, DONT = 255, 253, 251, 252, 254


def through(stages: list[Stage], *pieces: bytes) -> bytes:
    """What comes out of the stages for these pieces and the end."""
    out = b""
    for data in (*pieces, None):
        passing = data or b""
        for stage in stages:
            passing = stage.feed(passing) if passing else passing
            if data is None:
                passing += stage.end()
        out += passing
    return out


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


# --- log files


def test_a_log_file_begins_anew_unless_it_is_to_be_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for append, expected in ((False, b"one"), (True, b"onetwo"), (False, b"three")):
        log = LogFile(str(path), append)
        log.write(expected.removeprefix(b"one") if append else expected)
        log.close()
        assert path.read_bytes() == expected


def test_every_byte_is_in_the_log_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(str(path), append=False)
    log.write(b"so far")
    assert path.read_bytes() == b"so far"
    log.close()


def test_a_log_file_that_takes_little_at_a_time_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
    log = LogFile(str(tmp_path / "log"), append=False)
    log.write(b"0123456789")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789"


def test_a_log_file_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "no" / "log"
    with pytest.raises(Fault) as caught:
        LogFile(str(path), append=False)
    assert (caught.value.text, caught.value.code) == (f"open {path}: No such file or directory", NETWORK)


def test_a_log_file_that_takes_no_more_is_an_error_that_names_it() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    log = LogFile("/dev/full", append=False)
    with pytest.raises(Fault, match="write /dev/full: No space left on device"):
        log.write(b"data")
    log.close()


def test_a_pipe_waits_for_its_reader_and_then_for_room(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool, open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        log = LogFile(path, append=False)
        os.set_blocking(reader.fileno(), True)
        read = pool.submit(reader.read)
        log.write(bytes(1 << 18))  # more than it holds
        log.close()
        assert read.result() == bytes(1 << 18)


def test_a_log_file_is_not_inherited_by_children(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), append=False)
    assert not os.get_inheritable(log._fd)
    log.close()


# --- taps


@given(st.lists(st.binary(max_size=50)))
def test_a_tap_sees_every_piece_and_changes_none(pieces: list[bytes]) -> None:
    seen: list[bytes] = []
    tapped = Tapped(Raw(), seen.append)
    assert b"".join(tapped.feed(piece) for piece in pieces) + tapped.end() == b"".join(pieces)
    assert seen == pieces


def test_without_options_there_is_nothing_to_pass_through() -> None:
    """An empty list is what keeps the zero-copy movers in use."""
    taps = Taps(planned())
    assert (taps.sent(), taps.received(), taps.digests()) == ([], [], [])
    assert upward(planned(), taps) == []
    taps.close()


def test_the_log_holds_both_directions_in_the_order_they_passed(tmp_path: Path) -> None:
    taps = Taps(planned(output=str(tmp_path / "log")))
    (sent,), (received,) = taps.sent(), taps.received()
    for stage, data in ((sent, b"question\n"), (received, b"answer\n"), (sent, b"thanks\n")):
        assert stage.feed(data) == data
    taps.close()
    assert (tmp_path / "log").read_bytes() == b"question\nanswer\nthanks\n"


def test_the_hex_dump_tells_the_directions_apart(tmp_path: Path) -> None:
    taps = Taps(planned(hex_dump=str(tmp_path / "dump")))
    (sent,), (received,) = taps.sent(), taps.received()
    sent.feed(b"question")
    received.feed(b"answer")
    sent.feed(b"?")
    taps.close()
    lines = (tmp_path / "dump").read_text().splitlines()
    assert [line[:10] for line in lines] == ["> 00000000", "< 00000000", "> 00000008"]


def test_files_are_appended_to_when_asked_for(tmp_path: Path) -> None:
    log, dump = tmp_path / "log", tmp_path / "dump"
    for _ in range(2):
        taps = Taps(planned(output=str(log), hex_dump=str(dump), append_output=True))
        through(taps.sent(), b"data")
        taps.close()
    assert log.read_bytes() == b"datadata"
    assert len(dump.read_text().splitlines()) == 2


@given(st.lists(st.binary(max_size=50)), st.lists(st.binary(max_size=50)))
def test_each_direction_has_a_digest_of_its_own(sent: list[bytes], received: list[bytes]) -> None:
    taps = Taps(planned(hash="sha256"))
    through(taps.sent(), *sent)
    through(taps.received(), *received)
    assert [(way, digest.hexdigest(), digest.size) for way, digest, _ in taps.digests()] == [
        ("sent", hashlib.sha256(b"".join(sent)).hexdigest(), len(b"".join(sent))),
        ("received", hashlib.sha256(b"".join(received)).hexdigest(), len(b"".join(received))),
    ]
    taps.close()


def test_closing_gives_back_every_file(tmp_path: Path) -> None:
    before = open_descriptors()
    taps = Taps(planned(output=str(tmp_path / "log"), hex_dump=str(tmp_path / "dump")))
    taps.close()
    taps.close()
    assert open_descriptors() == before


def test_a_second_file_that_cannot_be_opened_gives_the_first_one_back(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(Fault, match="open "):
        Taps(planned(output=str(tmp_path / "log"), hex_dump=str(tmp_path / "no" / "dump")))
    assert open_descriptors() == before


def test_an_unknown_digest_is_an_error_before_any_file_is_opened(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"precious")
    before = open_descriptors()
    with pytest.raises(Fault, match="nosuch") as caught:
        Taps(planned(output=str(log), hash="nosuch"))
    assert caught.value.code == USAGE
    assert log.read_bytes() == b"precious"
    assert open_descriptors() == before


# --- upward


@given(st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"line"])))
def test_what_is_logged_and_digested_is_what_is_sent(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    log = tmp_path_factory.mktemp("taps") / "log"
    plan = planned(crlf=True, output=str(log), hash="md5")
    taps = Taps(plan)
    sent = through(upward(plan, taps), *pieces)
    taps.close()
    assert log.read_bytes() == sent
    way, digest, path = taps.digests()[0]
    assert (way, digest.hexdigest(), path) == ("sent", hashlib.md5(sent).hexdigest(), str(log))
    assert sent.count(b"\n") == sent.count(b"\r\n")


@pytest.mark.parametrize("given_", [{"lines": True}, {"interval": 1.0}])
def test_lines_that_become_datagrams_are_complete(given_: dict[str, Any]) -> None:
    plan = planned(udp=True, **given_)
    taps = Taps(plan)
    stages = upward(plan, taps)
    taps.close()
    out = b""
    for piece, expected in ((b"on", b""), (b"e\ntw", b"one\n"), (b"o", b"")):
        out = piece
        for stage in stages:
            out = stage.feed(out)
        assert out == expected
    assert through(stages) == b"two"


def test_a_stream_is_not_held_back_for_the_end_of_its_line() -> None:
    plan = planned(interval=1.0)
    taps = Taps(plan)
    assert upward(plan, taps) == []
    taps.close()


# --- telnet


class Narrow(SocketEndpoint):
    """A connection that takes two bytes at a time, as one with a full buffer may."""

    def write(self, data: memoryview | bytes) -> int | None:
        return super().write(data[:2])


class Telnet:
    """A session with -t: a peer, what our output shows, and our own input on the way up."""

    def __init__(self, endpoint: type[SocketEndpoint] = SocketEndpoint) -> None:
        self.loop = JumpingLoop()
        self.near, self.peer = socket.socketpair()
        for sock in (self.near, self.peer):
            sock.setblocking(False)
        self._pipes = [PipeEndpoint(fd, PIPE) for fd in (*os.pipe(), *os.pipe())]
        for end in self._pipes:
            os.set_blocking(end.fd, False)
        self._shown, output, into, self.typing = self._pipes
        connection = endpoint(self.near)
        stage = refusal(planned(telnet=True), connection, self.loop)
        assert stage is not None
        self.stage: Refusal = stage
        self.down = Flow(self.loop, connection, output, stages=[stage])
        self.up = Flow(self.loop, into, connection)
        stage.flows = [self.down, self.up]
        self.ended: list[Flow] = []
        self.down.start(self.ended.append)
        self.up.start(self.ended.append)
        self.loop.settle()

    def says(self, data: bytes) -> None:
        assert self.peer.send(data) == len(data)
        self.loop.settle()

    def hears(self) -> bytes:
        """Everything the peer can read, giving us the time to send more."""
        data = b""
        while True:
            try:
                piece = self.peer.recv(1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece
            self.loop.settle()

    def shown(self) -> bytes:
        return read(self._shown)

    def close(self) -> None:
        self.down.stop()
        self.up.stop()
        self.stage.close()
        assert self.loop.empty
        self.near.close()
        self.peer.close()
        for end in self._pipes:
            end.close()


@pytest.fixture
def telnet() -> Iterator[Telnet]:
    before = open_descriptors()
    session = Telnet()
    yield session
    session.close()
    assert open_descriptors() == before


def test_without_the_option_there_is_no_refusal() -> None:
    loop = JumpingLoop()
    with socket.socket() as sock:
        assert refusal(planned(), SocketEndpoint(sock), loop) is None


def test_every_request_is_refused_and_never_shown(telnet: Telnet) -> None:
    telnet.says(bytes((IAC, DO, 1, IAC, WILL, 3)) + b"login: ")
    assert telnet.shown() == b"login: "
    assert telnet.hears() == bytes((IAC, WONT, 1, IAC, DONT, 3))


def test_a_request_may_be_cut_anywhere(telnet: Telnet) -> None:
    for byte in b"a" + bytes((IAC, DO, 1)) + b"b":
        telnet.says(bytes([byte]))
    assert telnet.shown() == b"ab"
    assert telnet.hears() == bytes((IAC, WONT, 1))


REQUESTS = bytes((IAC, DO, 1)) * 20_000


def flood(telnet: Telnet) -> int:
    """Requests from a peer that never reads an answer, until it is held up itself: how many bytes."""
    sent = 0
    for _ in range(1000):
        telnet.loop.settle()
        try:
            sent += telnet.peer.send(REQUESTS[sent % 3 :])
        except BlockingIOError:
            return sent
    return pytest.fail("the peer was never held up")


def test_a_peer_that_asks_and_never_reads_is_held_up(telnet: Telnet) -> None:
    flood(telnet)
    telnet.loop.run_out()  # at rest: nothing spins while it does not read
    assert len(telnet.stage._unsent) <= CHUNK


def test_every_answer_comes_once_the_peer_reads(telnet: Telnet) -> None:
    sent = flood(telnet)
    whole = sent - sent % 3
    assert telnet.hears()[:whole] == bytes((IAC, WONT, 1)) * (whole // 3)
    telnet.says(REQUESTS[sent % 3 : 3] if sent % 3 else b"")
    telnet.says(b"data")
    assert telnet.shown() == b"data"


def test_no_answer_is_torn_apart_by_what_we_type() -> None:
    """Answers may stand between any two bytes of our data, but not data between two bytes of an answer."""
    telnet = Telnet(Narrow)
    telnet.typing.write(b"x" * 100)
    telnet.says(bytes((IAC, DO, 1, IAC, WILL, 3)) * 10)
    heard = telnet.hears()
    telnet.close()
    for answer in (bytes((IAC, WONT, 1)), bytes((IAC, DONT, 3))):
        assert heard.count(answer) == 10
        heard = heard.replace(answer, b"")
    assert heard == b"x" * 100


def test_answers_to_a_peer_that_is_gone_are_no_failure(telnet: Telnet) -> None:
    telnet.near.shutdown(socket.SHUT_WR)
    telnet.says(bytes((IAC, DO, 1)) + b"bye")
    assert telnet.shown() == b"bye"
    assert telnet.down.error is None


def test_the_end_of_data_ends_the_refusals_too(telnet: Telnet) -> None:
    telnet.says(bytes((IAC, DO, 1)) + b"bye")
    telnet.peer.shutdown(socket.SHUT_WR)
    telnet.loop.settle()
    assert telnet.ended == [telnet.down]
    assert telnet.shown() == b"bye"
