"""What a server with -l -k bears: many clients at once and one after another, few descriptors, greed, silence, signals.

Black box: the installed command with --echo, watched through /proc. Over IPv4, IPv6 and unix sockets wherever the
way matters. What services answer and who may connect is tested elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import selectors
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.running import PATIENCE, PYNC, Running, eventually, running, stop
from tests.sockets import receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the processes are watched through /proc")

WAYS = ("ipv4", "ipv6", "unix")
HOSTS = {"ipv4": "127.0.0.1", "ipv6": "::1"}
MEBIBYTE = 1 << 20
#: What is sent through and compared by its digest, and what is offered by a client that does not read.
BULK = 64 * MEBIBYTE
#: Seconds without progress after which such a client is taken to be held back.
STALLED = 0.5
#: What a service reads of a client at a time.
READ = 1 << 16


class Server(NamedTuple):
    """A pync that serves, and where."""

    process: Running
    family: int
    address: Any

    def connect(self) -> socket.socket:
        """A new connection; waits while the queue is full."""
        sock = socket.socket(self.family, socket.SOCK_STREAM)

        def connected() -> bool:
            try:
                sock.connect(self.address)
            except BlockingIOError:  # a unix socket does not wait for its queue where it has a time limit (unix(7))
                return False
            return True

        try:
            sock.settimeout(PATIENCE)
            eventually(connected, "room in the queue")
        except BaseException:
            sock.close()
            raise
        return sock

    # --- what /proc tells (proc(5))

    @property
    def proc(self) -> Path:
        return Path("/proc", str(self.process.process.pid))

    def holds(self) -> tuple[int, int, int]:
        """How many descriptors, threads and children it has now."""
        children = sum(len((task / "children").read_text().split()) for task in (self.proc / "task").iterdir())
        return len(list((self.proc / "fd").iterdir())), len(list((self.proc / "task").iterdir())), children

    def memory(self) -> int:
        """Its resident memory in bytes."""
        status = (self.proc / "status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024

    def cpu(self) -> float:
        """The seconds of processor time that it has taken so far."""
        fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(way: str, folder: Path, *options: str, before: tuple[str, ...] = ()) -> Iterator[Server]:
    """`pync -l -k` with these options; `before` are the words of a command that starts it."""
    path = str(folder / "socket")
    where = ("-v", "-U", path) if way == "unix" else (HOSTS[way], "0")
    with running(*before, PYNC, "-l", "-k", *options, *where) as process:
        if way == "unix":
            process.wait_for(f"^Listening on {re.escape(path)}$")
            yield Server(process, socket.AF_UNIX, path)
        else:
            family = socket.AF_INET6 if way == "ipv6" else socket.AF_INET
            yield Server(process, family, (HOSTS[way], process.port()))


def few_descriptors(count: int) -> tuple[str, ...]:
    """The words that start a command with this RLIMIT_NOFILE, soft and hard."""
    return ("/bin/sh", "-c", f'ulimit -n {count} && exec "$@"', "sh")


@pytest.fixture
def may_open() -> Iterator[Any]:
    """Lets this process have so many descriptors until the test is over."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def allow(count: int) -> None:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"{count} descriptors are needed, the hard limit here is {hard}")
        if soft != resource.RLIM_INFINITY and soft < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

    yield allow
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def echoes(sock: socket.socket, data: bytes = b"ping") -> bool:
    """Whether the same comes back; False where the connection is over."""
    try:
        sock.sendall(data)
        return sock.recv(len(data), socket.MSG_WAITALL) == data
    except (ConnectionResetError, BrokenPipeError):
        return False


def is_over(sock: socket.socket) -> bool:
    """Wait for what comes next: whether that is the end."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


# --- --max-conns


@pytest.mark.parametrize("way", WAYS)
def test_a_client_above_the_limit_is_closed_at_once_and_the_others_notice_nothing(way: str, tmp_path: Path) -> None:
    with serving(way, tmp_path, "--echo", "-v", "--max-conns", "2") as server:
        with server.connect() as one, server.connect() as two:
            assert echoes(one)
            assert echoes(two)
            for _ in range(20):
                with server.connect() as surplus:
                    assert is_over(surplus)
                server.process.wait_for("refused.*limit")
                assert echoes(one)
                assert echoes(two)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_place_that_becomes_free_is_taken_again(way: str, leave: Any, tmp_path: Path) -> None:
    with serving(way, tmp_path, "--echo", "--max-conns", "2") as server:
        with server.connect() as stays:
            assert echoes(stays)
            for _ in range(10):
                leaves = eventually(lambda: served(server), "a free place")
                with server.connect() as surplus:
                    assert is_over(surplus)
                leave(leaves)
            assert echoes(stays)


def served(server: Server) -> socket.socket | None:
    """A new client, if there is a place for it."""
    sock = server.connect()
    if echoes(sock):
        return sock
    sock.close()
    return None


def test_the_limit_holds_for_a_plain_listener_too(tmp_path: Path) -> None:
    with serving("ipv4", tmp_path, "-v", "--max-conns", "1") as server:
        with server.connect() as one:
            server.process.wait_for("Connection received on")
            with server.connect() as surplus:
                assert is_over(surplus)
            one.sendall(b"hello")
            assert server.process.read(5) == b"hello"


# --- few descriptors


@pytest.mark.parametrize("way", WAYS)
def test_more_clients_than_descriptors_are_all_served_in_the_end_without_a_busy_loop(
    way: str, tmp_path: Path, may_open: Any
) -> None:
    may_open(700)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(way, tmp_path, "--echo", before=few_descriptors(64)))
        selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(500):
            sock = stack.enter_context(server.connect())
            sock.sendall(b"%4d" % number)
            selector.register(sock, selectors.EVENT_READ, b"%4d" % number)
        full = answered(selector, 1)
        assert_idle(server)
        while len(selector.get_map()):
            for sock, data in full:
                assert sock.recv(100) == data
                selector.unregister(sock)
                sock.close()  # makes room for the next one
            full = answered(selector, 1) if len(selector.get_map()) else []
        with server.connect() as last:
            assert echoes(last)
        assert server.process.process.poll() is None


def answered(selector: selectors.BaseSelector, least: int) -> list[tuple[socket.socket, bytes]]:
    """The clients whose answer is there, at least so many."""
    ready: Any = eventually(lambda: (found := selector.select(1.0)) and len(found) >= least and found, "answers")
    return [(key.fileobj, key.data) for key, _ in ready]


def assert_idle(server: Server) -> None:
    """For a second of the clock the server takes hardly any processor time, though clients are waiting."""
    eventually(lambda: len(list((server.proc / "fd").iterdir())) >= 60, "all descriptors in use")
    began = server.cpu()
    time.sleep(1.0)
    assert server.cpu() - began < 0.3


# --- many, one after another and at once


@pytest.mark.slow
@pytest.mark.parametrize(("way", "count"), [("ipv4", 10_000), ("ipv6", 1000), ("unix", 1000)])
def test_connections_one_after_another_leave_no_descriptor_thread_or_child(
    way: str, count: int, tmp_path: Path
) -> None:
    with serving(way, tmp_path, "--echo") as server:
        with server.connect() as sock:
            assert echoes(sock)
            before = server.holds()
        for number in range(count - 1):
            data = b"%d" % number
            with server.connect() as sock:
                assert echoes(sock, data)
        with server.connect() as sock:
            assert echoes(sock)
            eventually(lambda: server.holds() == before, f"what it held at first, {before}")


@pytest.mark.parametrize("way", WAYS)
def test_clients_that_break_off_leave_nothing_behind_and_disturb_nobody(way: str, tmp_path: Path) -> None:
    with serving(way, tmp_path, "--echo") as server:
        with server.connect() as sock:
            assert echoes(sock)
            before = server.holds()
            for number in range(300):
                broken = server.connect()
                if number % 3:  # some have said something, some are not even accepted yet
                    broken.sendall(bytes(100_000 if number % 3 == 1 else 1))
                reset(broken)
                assert echoes(sock, b"%d" % number)
            eventually(lambda: server.holds() == before, f"what it held at first, {before}")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_five_thousand_clients_at_once_each_get_their_own_bytes(way: str, tmp_path: Path, may_open: Any) -> None:
    count = 5000
    may_open(count + 100)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(way, tmp_path, "--echo"))
        clients = [stack.enter_context(server.connect()) for _ in range(count)]
        for turn in (b"first", b"then again"):
            texts = [b"%s %d\n" % (turn, number) * 100 for number in range(count)]
            for sock, text in zip(clients, texts, strict=True):
                sock.sendall(text)
            for sock, text in zip(clients, texts, strict=True):
                assert sock.recv(len(text), socket.MSG_WAITALL) == text
        assert server.holds()[0] > count
        for sock in clients:
            sock.shutdown(socket.SHUT_WR)
        for sock in clients:
            assert sock.recv(1) == b""
        eventually(lambda: server.holds()[0] < 100, "the descriptors closed")


# --- bulk, half-close, greed


@pytest.mark.parametrize("way", WAYS)
def test_under_half_close_everything_comes_back(way: str, tmp_path: Path) -> None:
    piece = os.urandom(MEBIBYTE + 13)  # of no even length, so that pieces out of order are noticed
    sent, received = hashlib.sha256(), hashlib.sha256()

    def send() -> None:
        left = BULK
        while left:
            part = piece[:left]
            sent.update(part)
            sock.sendall(part)
            left -= len(part)
        sock.shutdown(socket.SHUT_WR)

    with serving(way, tmp_path, "--echo") as server, server.connect() as sock:
        sender = threading.Thread(target=send)
        sender.start()
        count = 0
        while data := sock.recv(1 << 18):
            received.update(data)
            count += len(data)
        sender.join(PATIENCE)
        assert not sender.is_alive()
    assert (count, received.digest()) == (BULK, sent.digest())


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_never_reads_does_not_grow_memory_and_holds_up_nobody(way: str, tmp_path: Path) -> None:
    with serving(way, tmp_path, "--echo") as server, server.connect() as other, server.connect() as greedy:
        assert echoes(other)
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        greedy.setblocking(False)
        before = server.memory()
        offered, piece = 0, bytes(MEBIBYTE)
        while offered < BULK and writable(greedy):
            offered += greedy.send(piece)
            assert echoes(other, b"%d" % offered)
        assert offered > READ  # it was read from, until its answers found no room
        assert server.memory() - before < 16 * MEBIBYTE
        began = server.cpu()
        for number in range(100):
            assert echoes(other, b"%d" % number)
        assert server.cpu() - began < 1.0
        assert server.memory() - before < 16 * MEBIBYTE


def writable(sock: socket.socket) -> bool:
    """Whether more can be sent; False where nothing moves for a while."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        return bool(selector.select(STALLED))


# --- idle timeout


@pytest.mark.parametrize("way", WAYS)
def test_the_idle_timeout_closes_who_is_silent_and_nobody_else(way: str, tmp_path: Path) -> None:
    with serving(way, tmp_path, "--echo", "-v", "--idle-timeout", "1s") as server:
        with server.connect() as silent, server.connect() as talking, selectors.DefaultSelector() as selector:
            began = time.monotonic()
            assert echoes(silent)
            selector.register(silent, selectors.EVENT_READ)
            while not selector.select(0.05):
                assert time.monotonic() - began < PATIENCE
                assert echoes(talking)
            assert is_over(silent)
            assert time.monotonic() - began >= 0.9
            assert echoes(talking)
            server.process.wait_for("timed out|idle|timeout")
        with server.connect() as later:
            assert echoes(later)


# --- signals


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_server_with_its_clients_and_the_counts_are_printed(
    way: str, number: int, code: int, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(way, tmp_path, "--echo", "-v"))
        with server.connect() as gone:
            assert echoes(gone, b"gone")
        clients = [stack.enter_context(server.connect()) for _ in range(50)]
        for sock in clients:
            assert echoes(sock)
        stop(server.process, number)
        for sock in clients:
            assert is_over(sock)
        assert server.process.code() == code
        assert server.process.stdout.read() == b""
    said = "\n".join(server.process.messages)
    assert "51" in said
    assert re.search(r"sent 204 bytes, received 204 bytes", said), said
    assert "Traceback" not in said
    assert not Path(tmp_path, "socket").exists()


def test_a_signal_ends_a_server_whose_client_does_not_read(tmp_path: Path) -> None:
    with serving("ipv4", tmp_path, "--echo") as server, server.connect() as greedy:
        greedy.setblocking(False)
        while writable(greedy):
            greedy.send(bytes(MEBIBYTE))
        stop(server.process)
        assert server.process.code() == 143


def test_nobody_is_let_in_any_more_once_a_server_has_ended(tmp_path: Path) -> None:
    with serving("ipv4", tmp_path, "--echo") as server, server.connect() as sock:
        assert echoes(sock)
        stop(server.process, signal.SIGINT)
        assert receive_all(sock) == b""
        assert server.process.code() == 130
        with pytest.raises(ConnectionRefusedError):
            server.connect()
