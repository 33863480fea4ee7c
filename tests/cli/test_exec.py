"""-e and -c with one connection, as a user sees them: the exit code, the messages, who is left when we go.

Many clients at once, and every way that a connection can end, are in handlers/test_program; programs over datagrams
in serving/test_udp_program.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.namespaces import two_hosts
from tests.processes.test_children import alive
from tests.running import PATIENCE, eventually, peer, pync, run_pync, stop
from tests.sockets import accepted, connected, port_of, receive_all, reset, until_reset

if TYPE_CHECKING:
    from pathlib import Path

LISTEN = ("-l", "127.0.0.1", "0")


def line_of(sock: socket.socket) -> bytes:
    with sock.makefile("rb", buffering=0) as file:
        return bytes(file.readline())


# --- the exit code


@pytest.mark.parametrize("between", [[], ["-w", "30"]], ids=["direct", "piped"])
@pytest.mark.parametrize(("line", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)])
def test_the_exit_code_of_a_listener_is_the_programs(line: str, code: int, between: list[str]) -> None:
    with pync(*LISTEN, *between, "-c", line) as listener:
        with connected(listener) as sock:
            assert (until_reset if code else receive_all)(sock) == b""  # a failure is told at both ends
        assert listener.code() == code


@pytest.mark.parametrize("between", [[], ["-w", "30"]], ids=["direct", "piped"])
def test_a_client_runs_a_program_too_and_ends_with_its_status(server: socket.socket, between: list[str]) -> None:
    with pync("127.0.0.1", port_of(server), *between, "-c", "echo hello; read x; echo $x; exit 5") as client:
        with accepted(server) as sock:
            assert line_of(sock) == b"hello\n"
            sock.sendall(b"answer\n")
            assert until_reset(sock) == b"answer\n"
        assert client.code() == 5


def test_a_lost_connection_is_a_failure_of_the_network() -> None:
    with pync(*LISTEN, "-c", "echo ready; exec sleep 600") as listener:
        with connected(listener) as sock:
            line_of(sock)
            reset(sock)
        assert listener.code() == 1
        pattern = r"pync: connection with 127\.0\.0\.1 port \d+ lost: Connection reset by peer"
        assert [line for line in listener.messages if re.fullmatch(pattern, line)]


@pytest.mark.parametrize("words", [["-l", "127.0.0.1", "0"], ["127.0.0.1", "9"]], ids=["listener", "client"])
def test_a_program_that_is_not_there_is_one_line_before_anything_is_opened(words: list[str]) -> None:
    assert run_pync(*words, "-e", "no-such-program") == (
        2,
        b"",
        ["pync: run no-such-program: No such file or directory"],
    )


def test_total_timeout_ends_the_program() -> None:
    with pync(*LISTEN, "--total-timeout", "1", "-c", "echo $$; exec sleep 600") as listener:
        with connected(listener) as sock:
            pid = int(line_of(sock))
            assert listener.code() == 3
            assert not alive(pid)


# --- what goes through


def test_standard_input_and_output_of_ours_are_left_alone() -> None:
    with pync(*LISTEN, "-e", "cat") as listener:
        with connected(listener) as sock:
            listener.stdin.write(b"not for the client")
            sock.sendall(b"for the client")
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b"for the client"
        assert listener.finish() == (0, b"")


def test_what_the_program_says_on_stderr_is_said_on_ours() -> None:
    with pync(*LISTEN, "-c", "echo complaint >&2") as listener:
        with connected(listener) as sock:
            assert receive_all(sock) == b""
        listener.wait_for("^complaint$")
        assert listener.code() == 0


def test_a_session_can_be_written_down(tmp_path: Path) -> None:
    with pync(*LISTEN, "-v", "-o", str(tmp_path / "log"), "-e", "cat") as listener:
        with connected(listener) as sock:
            sock.sendall(b"words")
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b"words"
        assert listener.code() == 0
        assert any("sent 5 bytes, received 5 bytes" in line for line in listener.messages)
    assert (tmp_path / "log").read_bytes() == b"wordswords"


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-lvU", path, "-c", "echo $PYNC_PROTO $NCAT_LOCAL_ADDR; cat; exit 3") as listener:
        listener.wait_for("^Listening on ")
        assert run_pync("-U", path, stdin=b"words") == (0, f"UNIX {path}\nwords".encode(), [])
        assert listener.code() == 3


def test_two_pyncs_each_with_a_program(tmp_path: Path) -> None:
    with pync(*LISTEN, "-c", f"cat > {tmp_path}/got") as listener:
        assert run_pync("127.0.0.1", str(listener.port()), "-c", "echo from a program")[0] == 0
        assert listener.code() == 0
    assert (tmp_path / "got").read_text() == "from a program\n"


@pytest.mark.parametrize("name", ["nc", "ncat"])
def test_a_real_client_gets_its_answer_after_its_end_of_data(name: str) -> None:
    with pync(*LISTEN, "-e", "sort") as listener:
        option = ["-N"] if name == "nc" else []
        words = [peer(name), *option, "127.0.0.1", str(listener.port())]
        done = subprocess.run(words, input=b"b\na\n", capture_output=True, timeout=PATIENCE, check=False)
        assert done.stdout == b"a\nb\n"
        assert listener.code() == 0


def test_with_k_each_of_many_clients_has_a_program_of_its_own_until_a_signal() -> None:
    with pync(*LISTEN, "-k", "-c", "echo $$; exec cat") as listener:
        port = listener.port()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(20)]
            pids = [int(line_of(client)) for client in clients]
            assert len(set(pids)) == 20
            reset(clients[0])
            eventually(lambda: not alive(pids[0]), "the end of the program whose client has gone")
            assert all(map(alive, pids[1:]))
            stop(listener)
            assert listener.code() == 143
            assert not any(map(alive, pids))


# --- who is left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("between", [[], ["-w", "30"]], ids=["direct", "piped"])
def test_a_signal_ends_the_program_and_what_it_started(number: int, between: list[str]) -> None:
    with pync(*LISTEN, *between, "-c", "sleep 600 & echo $$ $!; wait") as listener:
        with connected(listener) as sock:
            pids = [int(word) for word in line_of(sock).split()]
            assert all(map(alive, pids))
            stop(listener, number)
            assert listener.code() == 128 + number
            assert not any(map(alive, pids))


@pytest.mark.slow
def test_a_program_that_ignores_sigterm_does_not_outlive_us() -> None:
    with pync(*LISTEN, "-c", "trap '' TERM; echo $$; while :; do sleep 600; done") as listener:
        with connected(listener) as sock:
            pid = int(line_of(sock))
            stop(listener)
            assert listener.code() == 143
            assert not alive(pid)


@pytest.mark.slow
def test_a_signal_at_any_moment_leaves_nobody_behind(tmp_path: Path) -> None:
    """The program is started while signals arrive: whichever moment they hit, its file names nobody who is alive."""
    for number in range(10):
        note = tmp_path / f"pid{number}"
        with pync(*LISTEN, "-c", f"echo $$ > {note}; exec sleep 600") as listener:
            port = listener.port()
            with socket.create_connection(("127.0.0.1", port), PATIENCE):
                stop(listener)
                assert listener.code() == 143
        if note.exists() and (word := note.read_text().strip()):
            assert not alive(int(word))


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc here")
def test_descriptors_that_we_were_given_are_not_handed_on() -> None:
    reading, writing = os.pipe()
    try:
        with pync(*LISTEN, "-c", "echo $$; read x", pass_fds=(reading, writing)) as listener:
            with connected(listener) as sock:
                pid = int(line_of(sock))
                assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.slow
@pytest.mark.namespace
@pytest.mark.parametrize("between", [[], ["-w", "600"]], ids=["direct", "piped"])
def test_a_client_that_vanishes_takes_its_program_with_it(between: list[str]) -> None:
    words = ("-l", "7000", "-v", "--keepalive-times", "1,1,2", *between, "-c", "echo $$; exec sleep 600")
    with two_hosts() as (client, server), server.pync(*words[:1], server.ipv4, *words[1:]) as listener:
        listener.wait_for("^Listening on ")
        with client.running(sys.executable, "-c", SILENT, server.ipv4) as silent:
            pid = int(silent.stdout.readline())
            assert alive(pid)
            client.pull_cable()
            assert listener.code() == 3
            assert any(re.search("^pync: connection with .* lost: Connection timed out$", m) for m in listener.messages)
            assert not alive(pid)


#: Connects, shows the first line that comes, and is silent.
SILENT = """
import signal, socket, sys
sock = socket.create_connection((sys.argv[1], 7000))
print(sock.makefile().readline(), end="", flush=True)
signal.pause()
"""
