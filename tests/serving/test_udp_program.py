"""Programs over datagrams: one for each peer, boundaries kept, nobody remembered for ever.

The test has real sockets of the loopback in its hand.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pync.net.peers import MOST_WAITING
from tests.processes.test_children import alive
from tests.running import PATIENCE, Running, eventually, pync, stop

if TYPE_CHECKING:
    from collections.abc import Iterator


def program(*argv: str, **popen: Any) -> contextlib.AbstractContextManager[Running]:
    return pync("-u", *argv, **popen)


@contextlib.contextmanager
def listening(*argv: str, host: str = "127.0.0.1", **popen: Any) -> Iterator[tuple[Running, int]]:
    """A listener on port 0 and its port."""
    with program("-l", host, "0", *argv, **popen) as listener:
        yield listener, listener.port()


@contextlib.contextmanager
def peer_of(port: int, host: str = "127.0.0.1", source: str = "") -> Iterator[socket.socket]:
    """A client that hears only the address it asks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if source:
            sock.bind((source, 0))
        sock.settimeout(PATIENCE)
        sock.connect((host, port))
        yield sock


def ask(peer: socket.socket, data: bytes) -> bytes:
    peer.send(data)
    return peer.recv(1 << 17)


def silent(peer: socket.socket) -> bool:
    """Whether nothing has come; to be asked when an answer to a later question of somebody else's has."""
    peer.setblocking(False)
    try:
        peer.recv(1)
    except BlockingIOError:
        return True
    return False


# --- boundaries


def test_cat_gives_each_datagram_back_as_one() -> None:
    sizes = [1, 1000, 2, 1, 40000, 3]
    with listening("-e", "cat") as (_, port), peer_of(port) as peer:
        for size in sizes:
            peer.send(b"x" * size)
        assert [len(peer.recv(1 << 17)) for _ in sizes] == sizes


def test_a_shell_that_reads_lines_loses_none() -> None:
    with listening("-c", 'while read x; do echo "<$x>"; done') as (_, port), peer_of(port) as peer:
        for number in range(20):
            peer.send(b"line %d\n" % number)
        assert [peer.recv(100) for _ in range(20)] == [b"<line %d>\n" % number for number in range(20)]


def test_several_lines_of_one_datagram_are_several_lines_for_a_shell() -> None:
    with listening("-c", 'while read x; do echo "<$x>"; done') as (_, port), peer_of(port) as peer:
        peer.send(b"a\nb\n")
        assert [peer.recv(100), peer.recv(100)] == [b"<a>\n", b"<b>\n"]


def test_what_is_larger_than_a_datagram_leaves_in_several() -> None:
    with listening("-c", "read x; dd if=/dev/zero bs=100000 count=1 2>/dev/null") as (_, port), peer_of(port) as peer:
        peer.send(b"go\n")
        assert [len(peer.recv(1 << 17)), len(peer.recv(1 << 17))] == [65507, 100000 - 65507]


def test_the_size_of_datagrams_can_be_set() -> None:
    with listening("-c", "cat; exit", "--datagram-size", "2") as (_, port), peer_of(port) as peer:
        peer.send(b"abcde")
        assert [peer.recv(100) for _ in range(3)] == [b"ab", b"cd", b"e"]


def test_crlf_is_made_of_what_the_program_says() -> None:
    with listening("-e", "cat", "-C") as (_, port), peer_of(port) as peer:
        assert ask(peer, b"a\nb\n") == b"a\r\nb\r\n"


# --- one for each peer


def test_each_peer_has_a_program_of_its_own() -> None:
    with listening("-c", "while read x; do echo $$; done") as (_, port):
        with peer_of(port) as first, peer_of(port) as second:
            numbers = [ask(first, b"\n"), ask(second, b"\n"), ask(first, b"\n"), ask(second, b"\n")]
    assert numbers[0] == numbers[2] != numbers[1] == numbers[3]


def test_the_answer_leaves_from_the_address_that_was_asked_and_the_program_knows_it() -> None:
    line = "read x; env | grep -E '^PYNC_' | sort"
    with listening("-c", line, host="0.0.0.0") as (_, port), peer_of(port, "127.0.0.9", "127.0.0.3") as peer:
        with peer_of(port) as early:  # which may come before the system was asked for the address
            ask(early, b"\n")
        peer.send(b"\n")
        told = dict(line.split("=", 1) for line in peer.recv(4096).decode().splitlines())
        assert told == {
            "PYNC_REMOTE_ADDR": "127.0.0.3", "PYNC_REMOTE_PORT": str(peer.getsockname()[1]),
            "PYNC_LOCAL_ADDR": "127.0.0.9", "PYNC_LOCAL_PORT": str(port), "PYNC_PROTO": "UDP",
        }  # fmt: skip


def test_a_program_has_its_three_descriptors_only() -> None:
    with listening("-c", "while read x; do echo $$; done") as (_, port), peer_of(port) as peer, peer_of(port) as other:
        for each in (peer, other):
            pid = int(ask(each, b"\n"))
            assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]


def test_when_a_program_has_ended_the_next_datagram_starts_another() -> None:
    with listening("-c", "read x; echo $$") as (listener, port), peer_of(port) as peer:
        first = ask(peer, b"\n")
        eventually(lambda: not alive(int(first)), "the end of the first program")
        assert eventually(lambda: ask_quickly(peer), "an answer of the second program") != first
        assert listener.process.poll() is None


def ask_quickly(peer: socket.socket) -> bytes:
    """A question that may fall between the end of a program and the moment that we know of it."""
    peer.send(b"\n")
    peer.settimeout(0.2)
    try:
        return peer.recv(100)
    except TimeoutError:
        return b""


def test_silence_is_the_end_of_data_for_the_program() -> None:
    with listening("-e", "sort", "-w", "300ms") as (_, port), peer_of(port) as peer:
        peer.send(b"b\n")
        peer.send(b"a\n")
        assert peer.recv(100) == b"a\nb\n"


def test_more_peers_than_the_limit_are_not_heard_until_one_has_gone() -> None:
    line = "while read x; do [ $x = bye ] && exit; echo $x; done"
    with listening("-k", "--max-conns", "1", "-v", "-c", line) as (listener, port):
        with peer_of(port) as first, peer_of(port) as second:
            assert ask(first, b"a\n") == b"a\n"
            second.send(b"b\n")
            assert "1 at once is the limit" in listener.wait_for("not heard").string
            assert ask(first, b"c\n") == b"c\n"
            assert silent(second)
            first.send(b"bye\n")
            second.settimeout(0.2)
            assert eventually(lambda: answer_to(second, b"d\n"), "a place for the second") == b"d\n"


def answer_to(peer: socket.socket, data: bytes) -> bytes:
    peer.send(data)
    try:
        return peer.recv(100)
    except TimeoutError:
        return b""


def test_who_is_not_admitted_starts_no_program() -> None:
    with listening("-v", "--deny", "127.0.0.3", "-e", "cat", host="0.0.0.0") as (listener, port):
        with peer_of(port, source="127.0.0.3") as unwanted, peer_of(port, source="127.0.0.4") as other:
            unwanted.send(b"x")
            assert ask(other, b"y") == b"y"
            assert silent(unwanted)
            listener.wait_for(r"^Connection from 127\.0\.0\.3 \d+ refused by rule$")


def test_a_program_that_does_not_read_costs_bounded_memory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    line = f"echo ready; cat {tmp_path}/go; wc -c"
    with listening("-c", line, "-w", "1", "-I", "4k") as (_, port), peer_of(port) as peer:
        assert ask(peer, b"x" * 100) == b"ready\n"
        for _ in range(3000):
            peer.send(b"x" * 100)
        (tmp_path / "go").write_bytes(b"")
        assert 100 < int(peer.recv(100)) <= (MOST_WAITING + 1) * 100 + 8192  # and what the system holds


def test_a_program_that_cannot_be_started_is_said_once_and_the_listener_goes_on(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\ncat\n")
    tool.chmod(0o755)
    with listening("-e", str(tool)) as (listener, port), peer_of(port) as peer:
        tool.rename(tmp_path / "away")
        peer.send(b"a")
        listener.wait_for(f"^pync: run {re.escape(str(tool))}: No such file or directory$")
        (tmp_path / "away").rename(tool)
        assert ask(peer, b"b") == b"b"
        assert len(listener.messages) == 2


def test_over_unix_datagrams_each_peer_has_its_program_too(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with program("-U", "-l", path, "-v", "-c", "while read x; do echo $PYNC_PROTO $PYNC_REMOTE_ADDR; done") as listener:
        listener.wait_for("^Bound on ")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind(str(tmp_path / "peer"))
            peer.settimeout(PATIENCE)
            peer.connect(path)
            assert ask(peer, b"\n") == f"UNIX {tmp_path}/peer\n".encode()


def test_a_unix_peer_that_reads_nothing_keeps_no_place(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    line = "read x; for i in 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/zero; done"
    with program("-U", "-l", path, "-v", "-c", line) as listener:
        listener.wait_for("^Bound on ")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind(str(tmp_path / "peer"))
            peer.sendto(b"\n", path)
            listener.wait_for("peer has left$")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_programs_with_us(number: int) -> None:
    with listening("-c", "sleep 600 & while read x; do echo $$ $!; done") as (listener, port):
        with peer_of(port) as first, peer_of(port) as second:
            pids = [int(word) for peer in (first, second) for word in ask(peer, b"\n").split()]
            assert all(map(alive, pids))
            stop(listener, number)
            assert listener.code() == 128 + number
            assert not any(map(alive, pids))


def test_total_timeout_ends_all_programs() -> None:
    with listening("-c", "while read x; do echo $$; done", "--total-timeout", "1") as (listener, port):
        with peer_of(port) as peer:
            pid = int(ask(peer, b"\n"))
            assert listener.code() == 3
            assert not alive(pid)


# --- a client's one conversation


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


def test_a_client_has_one_program_and_its_status(server: socket.socket) -> None:
    with program("127.0.0.1", str(server.getsockname()[1]), "-c", "echo hello; read x; echo $x; exit 5") as client:
        data, address = server.recvfrom(100)
        assert data == b"hello\n"
        server.sendto(b"there\n", address)
        assert server.recv(100) == b"there\n"
        assert client.code() == 5


def test_the_program_of_a_client_knows_whom_it_talks_to(server: socket.socket) -> None:
    host, port = server.getsockname()
    with program(
        host, str(port), "-c", "echo $PYNC_REMOTE_ADDR $PYNC_REMOTE_PORT $PYNC_LOCAL_PORT $NCAT_PROTO"
    ) as client:
        data, address = server.recvfrom(100)
        assert data.decode().split() == [host, str(port), str(address[1]), "UDP"]
        assert client.code() == 0


def test_with_w_silence_is_the_end_of_data_of_a_clients_program(server: socket.socket) -> None:
    with program("127.0.0.1", str(server.getsockname()[1]), "-w", "300ms", "-c", "echo hello; cat; echo bye") as client:
        _, address = server.recvfrom(100)
        server.sendto(b"words", address)
        assert [server.recv(100), server.recv(100)] == [b"words", b"bye\n"]
        assert client.code() == 0


def test_nobody_there_is_a_failure_although_the_program_is_content(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with program("127.0.0.1", str(port), "-w", "300ms", "-c", "echo hello; cat") as client:
        assert client.code() == 1
        assert any("Connection refused" in line for line in client.messages)


@pytest.mark.parametrize("option", [["--rate", "1k"], ["--send-only"], ["-i", "1"], ["--delay", "1"]])
def test_options_of_a_stream_are_refused_by_name(option: list[str]) -> None:
    with program("127.0.0.1", "9", "-e", "cat", *option) as client:
        assert client.code() == 2
        assert len(client.messages) == 1
        assert "does not go with a program over datagrams" in client.messages[0]
