"""Plain -l -k with the installed command: many clients, one output, one input.

The finer points, on a clock that a test can move, are in handlers/test_hub. Limits, and thousands of
clients, have a file of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import random
import shlex
import socket
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, PYNC, eventually, peer, plain_pync, pync, running, stop
from tests.sockets import receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from tests.running import Running


@contextlib.contextmanager
def keeping(
    *words: str, start: Callable[..., contextlib.AbstractContextManager[Running]] = pync, **popen: Any
) -> Iterator[tuple[Running, int]]:
    with start("-l", "-k", *words, "127.0.0.1", "0", **popen) as listener:
        yield listener, listener.port()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def receive(sock: socket.socket, expected: bytes) -> None:
    data = b""
    while len(data) < len(expected):
        piece = sock.recv(len(expected) - len(data))
        assert piece, f"ended after {data[-100:]!r}"
        data += piece
    assert data == expected


def resident(process: Running) -> int:
    """Bytes of memory that the process has used at most (proc(5))."""
    try:
        status = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii")
    except OSError:
        pytest.skip("this system has no /proc")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


class Hasher(threading.Thread):
    """Reads a socket to its end, in a thread."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self._sock = sock
        self._digest = hashlib.sha256()
        self.count = 0
        self.start()

    def run(self) -> None:
        while piece := self._sock.recv(1 << 16):
            self._digest.update(piece)
            self.count += len(piece)

    def hexdigest(self) -> str:
        self.join(PATIENCE)
        return self._digest.hexdigest()


STARTS = pytest.mark.parametrize("start", [pync, plain_pync], ids=["pync", "without Linux's calls"])


# --- clients to our output


@STARTS
def test_clients_are_served_at_the_same_time(start: Any) -> None:
    with keeping(start=start) as (listener, port), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(20)]
        for number, sock in reversed(list(enumerate(clients))):
            sock.sendall(b"%02d" % number)
            assert listener.read(2) == b"%02d" % number
        stop(listener)
        assert listener.code() == 143


@STARTS
def test_every_byte_of_every_client_reaches_the_output(start: Any) -> None:
    each = 1 << 20
    with keeping(start=start) as (listener, port):
        senders = [threading.Thread(target=send_letters, args=(port, b"%c" % (97 + n), each)) for n in range(8)]
        for sender in senders:
            sender.start()
        out = listener.read(8 * each)
        assert {letter: out.count(letter) for letter in range(97, 105)} == dict.fromkeys(range(97, 105), each)
        for sender in senders:
            sender.join(PATIENCE)


def send_letters(port: int, letter: bytes, count: int) -> None:
    with connect(port) as sock:
        sock.sendall(letter * count)
        sock.shutdown(socket.SHUT_WR)
        # No more is read: our input is still open, so the listener has not ended its side yet.


@pytest.mark.parametrize("words", [["--lines"], []], ids=["--lines", "a terminal"])
def test_halves_of_two_clients_lines_are_never_mixed(words: list[str]) -> None:
    read, given = pty.openpty() if not words else os.pipe()
    if not words:
        tty.setraw(given)
    with contextlib.closing(os.fdopen(read, "rb", buffering=0)) as output:
        with keeping(*words, stdout=given) as (_, port):
            os.close(given)
            with connect(port) as first, connect(port) as second:
                for sock in (first, second):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(200):
                    first.sendall(b"AAAAA")
                    second.sendall(b"bbbbb")
                    first.sendall(b"AAAAA\n")
                    second.sendall(b"bbbbb\n")
                first.sendall(b"last ")
                first.shutdown(socket.SHUT_WR)
                shown = b""
                last = b"last \n"  # whoever comes next begins a line of its own
                while len(shown) < 400 * 11 + len(last):
                    shown += output.read(1 << 16)
        lines = shown.replace(last, b"").splitlines()
        assert sorted(lines) == [b"A" * 10] * 200 + [b"b" * 10] * 200
        assert shown.count(b"last ") == 1


def test_the_newline_that_ends_a_line_on_the_screen_is_in_no_log_and_no_digest(tmp_path: Path) -> None:
    log, dump = tmp_path / "log", tmp_path / "dump"
    read, given = pty.openpty()
    tty.setraw(given)
    with contextlib.closing(os.fdopen(read, "rb", buffering=0)) as screen:
        words = ["--hash", "sha256", "-o", str(log), "--hex-dump", str(dump)]
        with keeping(*words, stdin=subprocess.DEVNULL, stdout=given) as (listener, port):
            os.close(given)
            with connect(port) as sock:
                sock.sendall(b"0123456789")
            assert screen.read(11) == b"0123456789\n"
            stop(listener)
            assert listener.code() == 143
    assert log.read_bytes() == b"0123456789"
    assert len(dump.read_text().splitlines()) == 1
    assert listener.messages[-1] == f"{hashlib.sha256(b'0123456789').hexdigest()}  {log}"


def test_what_is_hashed_logged_and_dumped_is_what_comes_out(tmp_path: Path) -> None:
    log, dump = tmp_path / "log", tmp_path / "dump"
    words = ["--hash", "sha256", "-o", str(log), "--hex-dump", str(dump)]
    with keeping(*words, stdin=subprocess.DEVNULL) as (listener, port):
        senders = [threading.Thread(target=send_letters, args=(port, b"%c" % (97 + n), 100_000)) for n in range(4)]
        for sender in senders:
            sender.start()
        out = listener.read(400_000)
        stop(listener)
        assert listener.finish() == (143, b"")
        for sender in senders:
            sender.join(PATIENCE)
    assert log.read_bytes() == out
    assert listener.messages[-1] == f"{hashlib.sha256(out).hexdigest()}  {log}"
    letters = "".join(line.rstrip("\n")[-16:] for line in dump.read_text().splitlines() if line.strip())
    assert {letter: letters.count(letter) for letter in "abcd"}.keys() == set("abcd")


def test_a_log_that_cannot_be_written_is_one_clear_line() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with keeping("-o", "/dev/full") as (listener, port), connect(port) as sock:
        sock.sendall(b"x")
        assert listener.code() == 1
    assert listener.messages[1:] == ["pync: write /dev/full: No space left on device"]


def test_an_output_that_is_full_is_one_clear_line() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full, keeping(stdout=full) as (listener, port):
        with connect(port) as first, connect(port) as second:
            second.sendall(b"x")
            first.sendall(b"x")
            assert listener.code() == 1
    assert listener.messages[1:] == ["pync: write to standard output: No space left on device"]


@STARTS
@pytest.mark.parametrize("clients", [0, 2])
def test_when_the_reader_of_our_output_leaves_it_ends_quietly(start: Any, clients: int) -> None:
    with keeping(start=start) as (listener, port), contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(port)) for _ in range(clients)]
        for sock in socks:
            sock.sendall(b"x")
        assert listener.read(clients) == b"x" * clients
        listener.stdout.close()
        for sock in socks:
            assert sock.recv(1) == b""
        assert listener.code() == 0
    assert len(listener.messages) == 1


def test_a_clients_reset_is_told_and_touches_no_other() -> None:
    with keeping() as (listener, port), connect(port) as other:
        sock = connect(port)
        where = sock.getsockname()[1]
        sock.sendall(b"x")
        assert listener.read(1) == b"x"
        reset(sock)
        listener.wait_for(rf"^pync: connection with 127\.0\.0\.1 port {where} lost: Connection reset by peer$")
        other.sendall(b"still here")
        assert listener.read(10) == b"still here"
        listener.stdin.write(b"to you")
        receive(other, b"to you")


# --- our input to the clients


@STARTS
def test_our_input_is_copied_to_every_client_and_waits_for_the_first(start: Any) -> None:
    with keeping(start=start) as (listener, port), contextlib.ExitStack() as stack:
        listener.stdin.write(b"before anybody came\n")
        first = stack.enter_context(connect(port))
        receive(first, b"before anybody came\n")
        others = [stack.enter_context(connect(port)) for _ in range(5)]
        for number, sock in enumerate(others):
            sock.sendall(b"%d" % number)
        assert sorted(listener.read(5)) == list(b"01234")  # they are there
        listener.stdin.write(b"to all\n")
        for sock in (first, *others):
            receive(sock, b"to all\n")
        listener.stdin.close()
        for sock in (first, *others):
            assert sock.recv(1) == b""  # the end, for our input's
            sock.sendall(b"y")
        assert listener.read(6) == b"y" * 6  # they go on
        with connect(port) as late:
            late.sendall(b"z")
            assert listener.read(1) == b"z"
            late.shutdown(socket.SHUT_WR)
            assert late.recv(1) == b""


@STARTS
@pytest.mark.parametrize("kind", ["file", "/dev/null", "terminal"])
def test_an_input_that_no_epoll_takes_is_no_problem(start: Any, kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a file" * 100_000)
    with contextlib.ExitStack() as stack:
        if kind == "terminal":
            ours, given = pty.openpty()
            stack.callback(os.close, ours)
            stack.callback(os.close, given)
            tty.setraw(given)
        else:
            path = str(tmp_path / "file") if kind == "file" else os.devnull
            given = stack.enter_context(open(path, "rb")).fileno()
        listener, port = stack.enter_context(keeping(start=start, stdin=given))
        first = stack.enter_context(connect(port))
        first.sendall(b"1")
        assert listener.read(1) == b"1"
        if kind == "terminal":
            os.write(ours, b"typed\n")
        expected = {"file": b"a file" * 100_000, "/dev/null": b"", "terminal": b"typed\n"}[kind]
        receive(first, expected)
        with connect(port) as second:
            second.sendall(b"2")
            assert listener.read(1) == b"2"
            second.shutdown(socket.SHUT_WR)
            assert second.recv(1) == b""
        stop(listener)
        assert listener.code() == 143
        assert len(listener.messages) == 1


def test_one_client_who_never_reads_is_dropped_and_the_others_get_all_64_mib() -> None:
    data = random.Random(64).randbytes(1 << 20)
    whole = hashlib.sha256()
    with keeping() as (listener, port), connect(port) as listening, connect(port) as deaf:
        where = deaf.getsockname()[1]
        for sock in (listening, deaf):
            sock.sendall(b"x")
        assert listener.read(2) == b"xx"
        hasher = Hasher(listening)
        for _ in range(64):
            write_all(listener, data)
            whole.update(data)
        listener.wait_for(rf"^pync: 127\.0\.0\.1 port {where}: takes nothing for 1 s: dropped, \d+ bytes unsent$")
        listener.stdin.close()
        assert hasher.hexdigest() == whole.hexdigest()
        assert resident(listener) < 80 << 20


def write_all(process: Running, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[process.stdin.write(rest) or 0 :]


def write_all_and_end(process: Running, data: bytes) -> None:
    write_all(process, data)
    process.stdin.close()


def test_a_slow_client_gets_everything_too() -> None:
    data = random.Random(1).randbytes(12 << 20)
    with keeping() as (listener, port), connect(port) as quick, connect(port) as slow:
        for sock in (quick, slow):
            sock.sendall(b"x")
        assert listener.read(2) == b"xx"
        hasher = Hasher(quick)
        writer = threading.Thread(target=write_all_and_end, args=(listener, data))
        writer.start()
        received = b""
        while len(received) < len(data):
            received += slow.recv(1 << 15)
            hasher.join(0.001)  # the quick one is far ahead, up to the bound
        assert slow.recv(1) == b""
        writer.join(PATIENCE)
        assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
        assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_client_that_half_closed_at_once_still_gets_what_is_copied() -> None:
    with keeping() as (listener, port), connect(port) as sock:
        listener.stdin.write(b"first")
        receive(sock, b"first")
        sock.sendall(b"x")
        sock.shutdown(socket.SHUT_WR)
        assert listener.read(1) == b"x"
        for _ in range(3):
            listener.stdin.write(b"news\n")
            receive(sock, b"news\n")
        listener.stdin.close()
        assert sock.recv(1) == b""


def test_the_answer_survives_a_client_who_still_talks_when_it_is_left() -> None:
    """-W ends the client's session with data unread: that must not take away what we sent."""
    with keeping("-W", "1") as (listener, port), connect(port) as sock:
        listener.stdin.write(b"answer")
        eventually(lambda: sock.recv(6, socket.MSG_PEEK) == b"answer", "the answer is there")
        for _ in range(20):
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"x" * 10_000)
        assert receive_all(sock) == b"answer"


# --- clients that have ended, while our input stays open


def descriptors(process: Running) -> int:
    return len(os.listdir(f"/proc/{process.process.pid}/fd"))


@STARTS
def test_with_a_silent_input_clients_that_have_sent_are_let_go(start: Any) -> None:
    with keeping(start=start) as (listener, port):
        for _ in range(40):
            with connect(port) as sock:
                sock.sendall(b"x")
                sock.shutdown(socket.SHUT_WR)
                assert listener.read(1) == b"x"
                assert sock.recv(1) == b""
        eventually(lambda: descriptors(listener) < 20, "all of them are gone")  # it has some ten of its own


def test_nc_sends_twice_to_a_listener_that_serves_one_at_a_time() -> None:
    with keeping("--max-conns", "1") as (listener, port):
        for _ in range(2):
            with running(peer("nc.openbsd"), "-N", "127.0.0.1", str(port)) as client:
                client.stdin.write(b"hi")
                assert client.finish() == (0, b"")
            assert listener.read(2) == b"hi"


def test_a_client_that_is_let_go_has_all_it_sent_written_before() -> None:
    with keeping() as (listener, port), connect(port) as sock:
        sock.sendall(b"x" * 200_000)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):  # the pipe of our output is full
            sock.recv(1)
        sock.settimeout(PATIENCE)
        assert listener.read(200_000) == b"x" * 200_000
        assert sock.recv(1) == b""


def test_a_client_that_has_sent_nothing_is_kept_to_listen() -> None:
    with keeping() as (listener, port), connect(port) as sock:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(PATIENCE)
        listener.stdin.write(b"news")
        receive(sock, b"news")


def test_an_input_that_has_something_at_once_reaches_a_client_that_ends_at_once() -> None:
    with keeping() as (listener, port):
        listener.stdin.write(b"answer")
        with connect(port) as sock:
            sock.sendall(b"question")
            sock.shutdown(socket.SHUT_WR)
            receive(sock, b"answer")


def test_quit_after_ends_a_kept_client_after_that_silence() -> None:
    with keeping("-q", "200ms") as (_, port), connect(port) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


LOOKING = """
import sys
import pync.handlers.kept as kept
from pync.__main__ import main
kept.LOOK = 0.05
sys.exit(main())
"""


@pytest.mark.parametrize("way", ["a reset", "a close of a unix-domain socket"])
def test_a_kept_client_that_is_gone_frees_its_place(way: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    where = ["127.0.0.1", "0"] if way == "a reset" else ["-U", path]
    with running(sys.executable, "-c", LOOKING, "-v", "-l", "-k", "--max-conns", "1", *where) as listener:
        listened = listener.wait_for(r"(?:Listening|Bound) on \S+ ?(\d*)$")
        family, address = (
            (socket.AF_INET, ("127.0.0.1", int(listened[1]))) if way == "a reset" else (socket.AF_UNIX, path)
        )
        for _ in range(2):
            sock = socket.socket(family)
            sock.connect(address)
            listener.wait_for("^Connection received")
            sock.shutdown(socket.SHUT_WR)
            reset(sock)
            listener.wait_for("has left")


# --- options and ends


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_everybody(number: str) -> None:
    import signal

    codes = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
    with keeping() as (listener, port), connect(port) as first, connect(port) as second:
        for sock in (first, second):
            sock.sendall(b"x")
        assert listener.read(2) == b"xx"
        stop(listener, getattr(signal, number))
        assert [receive_all(sock) for sock in (first, second)] == [b"", b""]
        assert listener.finish() == (codes[number], b"")


def test_an_idle_client_is_timed_out_and_the_listener_goes_on() -> None:
    with keeping("-w", "50ms") as (listener, port):
        for _ in range(2):
            with connect(port) as sock:
                assert sock.recv(1) == b""
            listener.wait_for(r"no data for 0\.05 s: timed out$")


def test_the_total_time_ends_it() -> None:
    with keeping("--total-timeout", "100ms") as (listener, port), connect(port) as sock:
        assert receive_all(sock) == b""
        assert listener.code() == 3


def test_newlines_telnet_and_one_way_traffic() -> None:
    with keeping("-C", "-t") as (listener, port), connect(port) as sock:
        sock.sendall(b"\xff\xfd\x01text")
        receive(sock, b"\xff\xfc\x01")
        assert listener.read(4) == b"text"
        listener.stdin.write(b"line\n")
        receive(sock, b"line\r\n")
    with keeping("--recv-only") as (listener, port), connect(port) as sock:
        listener.stdin.write(b"unheard")
        sock.sendall(b"heard")
        assert listener.read(5) == b"heard"
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == b""
    with keeping("--send-only") as (listener, port), connect(port) as sock:
        sock.sendall(b"unseen")
        listener.stdin.write(b"told")
        listener.stdin.close()
        assert receive_all(sock) == b"told"
        stop(listener)
        assert listener.finish() == (143, b"")


def test_a_rate_bounds_what_is_sent_to_all() -> None:
    with keeping("--rate", "1M") as (listener, port), connect(port) as first, connect(port) as second:
        for sock in (first, second):
            sock.sendall(b"x")
        assert listener.read(2) == b"xx"
        hashers = [Hasher(first), Hasher(second)]
        data = random.Random(2).randbytes(1 << 19)
        writer = threading.Thread(target=write_all_and_end, args=(listener, data))
        writer.start()
        digests = {hasher.hexdigest() for hasher in hashers}
        writer.join(PATIENCE)
        assert digests == {hashlib.sha256(data).hexdigest()}


def test_real_netcats_are_its_clients() -> None:
    with keeping() as (listener, port):
        with running(peer("nc.openbsd"), "127.0.0.1", str(port)) as first:
            with running(peer("ncat"), "127.0.0.1", str(port)) as second:
                first.stdin.write(b"one\n")
                assert listener.read(4) == b"one\n"
                second.stdin.write(b"two\n")
                assert listener.read(4) == b"two\n"
                listener.stdin.write(b"to both\n")
                assert first.read(8) == second.read(8) == b"to both\n"


def test_two_pyncs_talk_through_a_third_ones_unix_path(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with pync("-v", "-l", "-k", "-U", path) as listener:
        listener.wait_for("Listening on ")
        with pync("-U", path) as first, pync("-U", path) as second:
            first.stdin.write(b"one")
            assert listener.read(3) == b"one"
            second.stdin.write(b"two")
            assert listener.read(3) == b"two"
            listener.stdin.write(b"all")
            assert first.read(3) == second.read(3) == b"all"
        stop(listener)
        assert listener.code() == 143
    assert not os.path.exists(path)


def test_no_client_leaves_a_descriptor_behind() -> None:
    with keeping() as (listener, port):
        folder = f"/proc/{listener.process.pid}/fd"
        if not os.path.isdir(folder):
            pytest.skip("this system has no /proc")
        with connect(port) as first:
            first.sendall(b"!")
            assert listener.read(1) == b"!"  # everything is open by now
        before = len(os.listdir(folder)) - 1
        for number in range(200):
            sock = connect(port)
            sock.sendall(b"x")
            assert listener.read(1) == b"x"
            if number % 2:
                reset(sock)
            else:
                sock.close()
        listener.stdin.close()  # whoever has only half-closed, for all the listener knows, is let go
        eventually(lambda: len(os.listdir(folder)) <= before, "every descriptor is closed")


def test_clients_that_have_left_give_way_when_descriptors_have_run_out() -> None:
    """Our input is a pipe that says nothing: whether they still listen would be known only after a minute."""
    words = shlex.join([PYNC, "-l", "-k", "-v", "127.0.0.1", "0"])
    with running("sh", "-c", f"ulimit -n 40; exec {words}") as listener:
        port = listener.port()
        for _ in range(60):
            connect(port).close()
        with connect(port) as late:
            late.sendall(b"let me in")
            assert listener.read(9) == b"let me in"
        listener.wait_for("Too many open files: clients wait until others have left")
