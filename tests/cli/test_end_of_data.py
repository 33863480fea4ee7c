"""The table "End of data", row by row, with the installed command.

The peer is a plain socket of the test, so that each FIN and each reset is under its control. Real
netcats as peers are in test_interop, terminals in test_terminal.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import subprocess
import sys
import threading
from functools import partial
from typing import IO, TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, pync, run_pync, running, stop
from tests.sockets import accepted, connected, port_of, receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running import Running


# --- our input ends


def test_our_eof_half_closes_and_the_answer_is_still_read(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"question")
        client.stdin.close()
        assert receive_all(peer) == b"question"  # the FIN has come, and we can still answer
        peer.sendall(b"answer")
        peer.close()
        assert client.finish() == (0, b"answer")


def test_our_eof_does_not_end_the_session_before_the_peers_does(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.close()
        assert receive_all(peer) == b""
        for _ in range(3):
            peer.sendall(b"more")
            assert client.read(4) == b"more"
        assert client.process.poll() is None
        peer.close()
        assert client.finish() == (0, b"")


def test_no_shutdown_keeps_our_fin_back_until_the_peers_eof(server: socket.socket) -> None:
    with pync("--no-shutdown", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"question")
        client.stdin.close()
        assert peer.recv(8) == b"question"
        assert not select.select([peer], [], [], 0.3)[0]
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == b""
        assert client.finish() == (0, b"")


def test_quit_after_leaves_a_peer_that_never_ends(server: socket.socket) -> None:
    with pync("-q", "200ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"question")
        client.stdin.close()
        assert receive_all(peer) == b"question"
        assert client.finish() == (0, b"")


def test_a_negative_quit_after_waits_for_the_peer(server: socket.socket) -> None:
    with pync("-q", "-1", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.close()
        assert receive_all(peer) == b""
        peer.sendall(b"late")
        peer.close()
        assert client.finish() == (0, b"late")


def test_send_only_leaves_when_all_is_sent_and_prints_nothing(server: socket.socket) -> None:
    with pync("--send-only", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"unwanted")
        client.stdin.write(b"data")
        assert client.finish() == (0, b"")
        assert receive_all(peer) == b"data"


def test_recv_only_reads_no_input_and_ends_with_the_peer(server: socket.socket) -> None:
    with pync("--recv-only", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"ignored")
        peer.sendall(b"data")
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == b""
        assert client.read(9) == b"data"
        assert client.code() == 0


def test_no_stdin_holds_our_fin_and_ends_with_the_peer(server: socket.socket) -> None:
    with pync("-d", "127.0.0.1", port_of(server), stdin=subprocess.DEVNULL) as client, accepted(server) as peer:
        assert not select.select([peer], [], [], 0.3)[0]
        peer.sendall(b"data")
        peer.shutdown(socket.SHUT_WR)
        assert client.finish() == (0, b"data")


def test_recv_limit_leaves_after_so_many_reads(server: socket.socket) -> None:
    with pync("-W", "2", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        for word in (b"one", b"two"):
            peer.sendall(word)
            assert client.read(3) == word
        assert client.code() == 0


# --- the peer's data ends


def test_the_peers_eof_ends_the_session_when_our_input_has_ended(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server), stdin=subprocess.DEVNULL) as client, accepted(server) as peer:
        peer.sendall(b"x" * 4097)
        peer.close()
        assert client.finish() == (0, b"x" * 4097)


def test_the_peers_eof_ends_the_session_when_our_input_is_a_terminal(server: socket.socket) -> None:
    primary, secondary = pty.openpty()
    try:
        with pync("127.0.0.1", port_of(server), stdin=secondary, start_new_session=True) as client:
            with accepted(server) as peer:
                peer.sendall(b"bye")
            assert client.finish() == (0, b"bye")
    finally:
        os.close(primary)
        os.close(secondary)


def test_after_the_peers_eof_a_pipe_is_sent_to_its_end(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.shutdown(socket.SHUT_WR)
        for _ in range(3):
            client.stdin.write(b"x" * 100_000)
        client.stdin.close()
        assert receive_all(peer) == b"x" * 300_000
        assert client.finish() == (0, b"")


def held(process: Running, opened: str) -> bool:
    """Whether some descriptor of the process is this open file (proc(5))."""
    fds = f"/proc/{process.process.pid}/fd"
    for fd in os.listdir(fds):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(f"{fds}/{fd}") == opened:
                return True
    return False


@pytest.mark.parametrize("kind", ["pipe", "file", "socket"])
@pytest.mark.parametrize("listens", [False, True], ids=["connecting", "listening"])
def test_after_the_peers_eof_our_output_is_let_go(
    kind: str, listens: bool, server: socket.socket, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(writable(kind, tmp_path))
        opened = os.readlink(f"/proc/self/fd/{output.fileno()}")
        words = ["-l", "127.0.0.1", "0"] if listens else ["127.0.0.1", port_of(server)]
        process = stack.enter_context(pync(*words, stdout=output))
        peer = stack.enter_context(connected(process) if listens else accepted(server))
        assert held(process, opened)
        peer.sendall(b"all of it")
        peer.shutdown(socket.SHUT_WR)
        eventually(lambda: not held(process, opened), "the output is let go")
        assert os.readlink(f"/proc/{process.process.pid}/fd/1") == os.devnull
        process.stdin.write(b"still sending")
        assert peer.recv(13) == b"still sending"
        process.stdin.close()
        assert process.code() == 0


@contextlib.contextmanager
def writable(kind: str, directory: Path) -> Iterator[IO[bytes] | socket.socket]:
    """Something to write to, with a reader where it takes one."""
    if kind == "file":
        with (directory / "out").open("wb") as file:
            yield file
    elif kind == "socket":
        ours, given = socket.socketpair()
        with ours, given:
            yield given
    else:
        ends = os.pipe()
        with open(ends[0], "rb"), open(ends[1], "wb") as pipe:
            yield pipe


def test_a_program_that_reads_our_output_sees_its_end_while_our_input_is_silent(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"all of it")
        peer.shutdown(socket.SHUT_WR)
        assert client.stdout.read() == b"all of it"
        assert client.process.poll() is None


def test_a_terminal_stays_our_output_after_the_peers_eof(server: socket.socket) -> None:
    primary, secondary = pty.openpty()
    name = os.ttyname(secondary)
    with open(primary, "rb", buffering=0) as screen, pync("127.0.0.1", port_of(server), stdout=secondary) as client:
        os.close(secondary)
        with accepted(server) as peer:
            peer.sendall(b"bye")
            peer.shutdown(socket.SHUT_WR)
            assert screen.read(3) == b"bye"
            client.stdin.write(b"on")
            assert peer.recv(2) == b"on"
            assert held(client, name)


def test_between_several_ports_our_output_stays_open(server: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as second:
        second.settimeout(PATIENCE)
        with pync("-d", "127.0.0.1", port_of(server), port_of(second)) as client:
            for sock, word in ((server, b"one"), (second, b"two")):
                with accepted(sock) as peer:
                    peer.sendall(word)
            assert client.finish() == (0, b"onetwo")


def test_after_the_peers_eof_a_silent_pipe_is_left_with_quit_after(server: socket.socket) -> None:
    with pync("-q", "200ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.shutdown(socket.SHUT_WR)
        assert client.code() == 0


def test_what_the_peer_no_longer_takes_is_a_failure(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client:
        with accepted(server):
            pass
        with contextlib.suppress(BrokenPipeError):
            while client.process.poll() is None:
                client.stdin.write(b"x" * 4096)
        assert client.code() == 1
        assert client.messages == [f"pync: connection with 127.0.0.1 port {port_of(server)} lost: Broken pipe"]


def test_a_reset_before_the_end_gives_exit_code_1(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"half")
        assert client.read(4) == b"half"
        reset(peer)
        assert client.code() == 1
        expected = f"pync: connection with 127.0.0.1 port {port_of(server)} lost: Connection reset by peer"
        assert client.messages == [expected]


def test_a_reset_of_a_listeners_client_gives_exit_code_1() -> None:
    with pync("-l", "127.0.0.1", "0") as listener, connected(listener) as peer:
        peer.sendall(b"half")
        assert listener.read(4) == b"half"
        reset(peer)
        assert listener.code() == 1
        assert "Connection reset by peer" in listener.messages[-1]


def test_a_reset_after_the_peers_fin_is_no_failure(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"all of it")
        peer.shutdown(socket.SHUT_WR)
        assert client.read(9) == b"all of it"
        client.stdin.close()
        assert receive_all(peer) == b""
        reset(peer)
        assert client.code() == 0


# --- a listener with nothing to say


def test_a_listener_with_empty_input_holds_its_fin_until_the_peers_eof() -> None:
    with pync("-l", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener, connected(listener) as peer:
        assert not select.select([peer], [], [], 0.3)[0]
        peer.sendall(b"data")
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == b""
        assert listener.finish() == (0, b"data")


def test_a_listener_with_closed_input_holds_its_fin_too() -> None:
    def close_stdin() -> None:
        os.close(0)

    with (
        pync("-l", "127.0.0.1", "0", stdin=None, preexec_fn=close_stdin) as listener,
        connected(listener) as peer,
    ):
        assert not select.select([peer], [], [], 0.3)[0]
        peer.sendall(b"data")
        peer.shutdown(socket.SHUT_WR)
        assert listener.finish() == (0, b"data")


INPUTS = pytest.mark.parametrize("stdin", [subprocess.DEVNULL, "closed", "unreadable"])


@contextlib.contextmanager
def without_input(stdin: int | str, *words: str) -> Iterator[Running]:
    """A pync whose input is empty, closed, or open for writing only."""
    with open(os.devnull, "wb") as unreadable:
        given = {"closed": None, "unreadable": unreadable}.get(str(stdin), stdin)
        closing = partial(os.close, 0) if stdin == "closed" else None
        with pync(*words, stdin=given, preexec_fn=closing) as process:
            yield process


@INPUTS
def test_an_explicit_shutdown_ends_a_listeners_side_at_once(stdin: int | str) -> None:
    with without_input(stdin, "-N", "-l", "127.0.0.1", "0") as listener, connected(listener) as peer:
        assert peer.recv(1) == b""
        peer.sendall(b"data")
        peer.shutdown(socket.SHUT_WR)
        assert listener.finish() == (0, b"data")


@INPUTS
def test_an_explicit_quit_after_ends_a_listener_with_nothing_to_say(stdin: int | str) -> None:
    with without_input(stdin, "-q", "100ms", "-l", "127.0.0.1", "0") as listener, connected(listener) as peer:
        assert peer.recv(1) == b""
        assert listener.code() == 0


@pytest.mark.parametrize("words", ["-l -q -1", "-l -q 100ms -d", "-l -q 100ms --recv-only", "-l -k -q 100ms"])
def test_what_asks_for_no_early_end_gets_none(words: str) -> None:
    """A negative TIME is none; without an input, and for clients that still send, -q has nothing to count from."""
    with pync(*words.split(), "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener, connected(listener) as peer:
        assert not select.select([peer], [], [], 0.5)[0]
        peer.sendall(b"data")
        assert listener.read(4) == b"data"


def test_with_an_explicit_shutdown_every_client_gets_our_end_at_once() -> None:
    with pync("-N", "-l", "-k", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        port = listener.port()
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
                assert peer.recv(1) == b""
                peer.sendall(b"data")
                assert listener.read(4) == b"data"


SOON = """
import sys
import pync.handlers.stdio as stdio
from pync.__main__ import main
stdio.WAITING = 0.05
sys.exit(main())
"""


def test_two_that_wait_for_each_others_end_say_so() -> None:
    """With -v, after 10 s of silence: here a moment."""
    start = partial(running, sys.executable, "-c", SOON, "-v", stdin=subprocess.DEVNULL)
    with start("-l", "127.0.0.1", "0") as listener:
        with start("-d", "127.0.0.1", str(listener.port())) as client:
            for process in (listener, client):
                process.wait_for(r"^Waiting for .* to end; ours is held back: we have nothing to send \(-N sends it")


def test_what_waits_for_an_answer_says_so(server: socket.socket) -> None:
    with running(sys.executable, "-c", SOON, "-v", "127.0.0.1", port_of(server)) as client, accepted(server):
        client.stdin.write(b"GET / HTTP/1.0\r\n\r\n")
        client.stdin.close()
        client.wait_for(r"^Waiting for the answer to an HTTP request; our end is held back \(-N sends it at once\)$")


def test_a_listener_that_had_something_to_say_half_closes_after_it() -> None:
    with pync("-l", "127.0.0.1", "0") as listener, connected(listener) as peer:
        listener.stdin.write(b"hello")
        listener.stdin.close()
        assert receive_all(peer) == b"hello"
        peer.sendall(b"and you")
        peer.shutdown(socket.SHUT_WR)
        assert listener.finish() == (0, b"and you")


# --- odd standard streams


def cpu_seconds(process: Running) -> float:
    with open(f"/proc/{process.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_waiting_with_closed_input_does_not_spin(server: socket.socket) -> None:
    def close_stdin() -> None:
        os.close(0)

    with (
        pync("127.0.0.1", port_of(server), stdin=None, preexec_fn=close_stdin) as client,
        accepted(server) as peer,
    ):
        peer.sendall(b"x")
        assert client.read(1) == b"x"
        before = cpu_seconds(client)
        assert not select.select([peer], [], [], 1.0)[0]
        assert cpu_seconds(client) - before < 0.2
        peer.close()
        assert client.finish() == (0, b"")


def test_input_that_is_open_for_writing_only_counts_as_none(server: socket.socket) -> None:
    with open(os.devnull, "wb") as unreadable:
        with pync("127.0.0.1", port_of(server), stdin=unreadable) as client, accepted(server) as peer:
            peer.sendall(b"x")
            peer.close()
            assert client.finish() == (0, b"x")


def close_stdout() -> None:
    os.close(1)


@pytest.mark.parametrize("words", ["-v -l", "-v -l -k", "-v -u -l", "-v"])
def test_a_closed_output_is_an_error_before_anything_is_opened(words: str, server: socket.socket) -> None:
    where = ["127.0.0.1", "0" if "-l" in words else port_of(server)]
    with pync(*words.split(), *where, stdout=None, preexec_fn=close_stdout) as process:
        assert process.code() == 1
        assert process.messages == ["pync: standard output is closed: there is nowhere to write to"]


def test_sending_only_needs_no_output(server: socket.socket) -> None:
    with pync("--send-only", "127.0.0.1", port_of(server), stdout=None, preexec_fn=close_stdout) as client:
        with accepted(server) as peer:
            client.stdin.write(b"data")
            client.stdin.close()
            assert receive_all(peer) == b"data"
        assert client.code() == 0


def test_a_full_disk_is_a_clear_error(server: socket.socket) -> None:
    with open("/dev/full", "wb") as full:
        with pync("127.0.0.1", port_of(server), stdout=full) as client, accepted(server) as peer:
            peer.sendall(b"x")
            assert client.code() == 1
            assert client.messages == ["pync: write to standard output: No space left on device"]


def test_a_reader_that_leaves_ends_the_session_quietly(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"one line\n")
        assert client.read(9) == b"one line\n"
        client.stdout.close()
        with contextlib.suppress(ConnectionError):
            while True:
                peer.sendall(b"more\n" * 1000)
        assert client.code() == 0
        assert client.messages == []


def test_a_reader_that_leaves_is_noticed_while_nothing_flows(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"x")
        assert client.read(1) == b"x"
        client.stdout.close()
        assert client.code() == 0
        assert client.messages == []


# --- signals


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals_close_cleanly_where_all_is_said(name: str, code: int, server: socket.socket) -> None:
    import signal

    with pync("-d", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"x")
        assert client.read(1) == b"x"
        stop(client, getattr(signal, name))
        assert receive_all(peer) == b""
        assert client.code() == code
        assert client.messages == []


# --- what the others get wrong


def test_4097_bytes_of_a_producer_that_exits_at_once_arrive(server: socket.socket) -> None:
    command = subprocess.Popen(["head", "-c", "4097", "/dev/zero"], stdout=subprocess.PIPE)
    assert command.stdout is not None
    command.wait(PATIENCE)
    with pync("127.0.0.1", port_of(server), stdin=command.stdout) as client, accepted(server) as peer:
        command.stdout.close()
        assert receive_all(peer) == bytes(4097)
        peer.close()
        assert client.code() == 0


def test_a_big_pipe_to_a_listener_with_no_input_is_not_truncated() -> None:
    size = 64 << 20
    with pync("-l", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        port = str(listener.port())
        with subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE) as producer:
            with pync("127.0.0.1", port, stdin=producer.stdout) as client:
                code, data = listener.finish()
                assert (code, len(data)) == (0, size)
                assert client.finish() == (0, b"")


def peak_memory(process: Running) -> int:
    """The most memory that the process ever had, in bytes (proc(5), VmHWM)."""
    with open(f"/proc/{process.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


@pytest.mark.slow
def test_a_slow_reader_of_a_gibibyte_costs_no_memory() -> None:
    import hashlib

    size = 1 << 30
    block = os.urandom(1 << 20)
    sent, got = hashlib.sha256(), hashlib.sha256()
    with pync("-l", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        with pync("127.0.0.1", str(listener.port())) as client:

            def produce() -> None:
                for _ in range(size >> 20):
                    sent.update(block)
                    rest = memoryview(block)
                    while rest:
                        rest = rest[client.stdin.write(rest) :]

            producer = threading.Thread(target=produce)
            producer.start()
            left = size
            while left:  # hashing makes this the slow end
                piece = listener.stdout.read(1 << 16)
                assert piece
                got.update(piece)
                left -= len(piece)
            producer.join()
            peaks = peak_memory(client), peak_memory(listener)
            client.stdin.close()
            assert listener.finish() == (0, b"")
            assert client.finish() == (0, b"")
    assert got.hexdigest() == sent.hexdigest()
    assert max(peaks) < 64 << 20


def fill(fd: int) -> int:
    """Write until the other side takes no more for a while: the number of bytes."""
    os.set_blocking(fd, False)
    count = 0
    while select.select([], [fd], [], 0.3)[1]:
        count += os.write(fd, b"x" * 65536)
    os.set_blocking(fd, True)
    return count


def test_a_peer_that_pauses_stops_the_producer_and_loses_nothing(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        count = fill(client.stdin.fileno())
        assert peak_memory(client) < 64 << 20
        before = cpu_seconds(client)
        assert not select.select([], [client.stdin], [], 0.5)[1]
        assert cpu_seconds(client) - before < 0.2
        client.stdin.close()
        assert len(receive_all(peer)) == count
        peer.close()
        assert client.finish() == (0, b"")


def test_output_that_nobody_reads_does_not_hold_up_what_we_send(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        count = fill(peer.fileno())
        client.stdin.write(b"still here")
        assert peer.recv(10) == b"still here"
        peer.close()
        client.stdin.close()
        code, data = client.finish()
        assert (code, len(data)) == (0, count)


def test_a_peer_that_half_closes_first_gets_the_rest(server: socket.socket) -> None:
    size = 8 << 20
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.shutdown(socket.SHUT_WR)
        writer = threading.Thread(target=lambda: (client.stdin.write(bytes(size)), client.stdin.close()))
        writer.start()
        assert len(receive_all(peer)) == size
        writer.join()
        assert client.finish() == (0, b"")


def test_leaving_does_not_destroy_what_the_peer_has_not_read_yet(server: socket.socket) -> None:
    with pync("-q", "100ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"the whole question")
        client.stdin.close()
        peer.sendall(b"x" * 1_000_000)  # more than our output takes: unread data at close would mean a reset
        assert client.code() == 0
        assert receive_all(peer) == b"the whole question"


def test_standard_descriptors_are_never_set_non_blocking(server: socket.socket) -> None:
    import fcntl

    primary, secondary = pty.openpty()
    read_end, write_end = os.pipe()
    try:
        with (
            pync("127.0.0.1", port_of(server), stdin=secondary, stdout=write_end) as client,
            accepted(server) as peer,
        ):
            peer.sendall(b"x")
            assert os.read(read_end, 1) == b"x"
            for fd in (secondary, write_end):
                assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
            peer.close()
            assert client.code() == 0
    finally:
        for fd in (primary, secondary, read_end, write_end):
            os.close(fd)


def test_a_session_that_waits_leaves_when_told_by_total_timeout(server: socket.socket) -> None:
    with pync("--total-timeout", "300ms", "127.0.0.1", port_of(server)) as client, accepted(server):
        assert client.code() == 3
        where = f"127.0.0.1 port {port_of(server)}"
        assert client.messages == [f"pync: {where}: not done within the total timeout: timed out"]


def test_an_empty_transfer_is_whole(server: socket.socket) -> None:
    done: list[tuple[int, bytes, list[str]]] = []
    runner = threading.Thread(target=lambda: done.append(run_pync("127.0.0.1", port_of(server))))
    runner.start()
    with accepted(server) as peer:
        assert receive_all(peer) == b""
    runner.join(PATIENCE)
    eventually(lambda: done, "the end of the client")
    assert done == [(0, b"", [])]
