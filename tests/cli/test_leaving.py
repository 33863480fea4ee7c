"""How pync leaves a connection: by a FIN once all has arrived, by a reset where the peer has only a part.

Black box. The slow peer is a socket of the test; whether other netcats notice a reset is asked of themselves.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pync.engine.parting import GRACE, STALLED
from tests.running import PATIENCE, eventually, peer, pync, running, stop, unused_port, wait_listening
from tests.sockets import accepted, connected, port_of, receive_all, reset, until_reset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: More than the buffers of both ends hold, where the peer has a small one.
MUCH = 500_000
SMALL_BUFFER = 1 << 16


@pytest.fixture
def narrow() -> Iterator[socket.socket]:
    """A listening socket whose connections take little at once."""
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def send_for_ever(sock: socket.socket) -> None:
    """In a thread: what an endless peer sends, until the connection is over."""

    def send() -> None:
        try:
            while True:
                sock.send(bytes(1000))
        except OSError:
            return

    threading.Thread(target=send, daemon=True).start()


def file_of(path: Path, size: int) -> str:
    path.write_bytes(bytes(size))
    return str(path)


# --- leaving while the peer still sends


@pytest.mark.parametrize("how", [["--send-only"], ["-q", "0"], ["-W", "1"]])
def test_all_arrives_at_a_slow_peer_that_sends_without_end(
    how: list[str], narrow: socket.socket, tmp_path: Path
) -> None:
    with open(file_of(tmp_path / "file", MUCH), "rb") as file:
        with pync(*how, "127.0.0.1", port_of(narrow), stdin=file) as client, accepted(narrow) as sock:
            if how[0] != "-W":
                send_for_ever(sock)
            else:
                eventually(lambda: file.tell() == MUCH, "that all was read")
                sock.send(b"enough")
            left = MUCH
            while left:
                left -= len(sock.recv(1 << 12))
            assert sock.recv(1) == b""
            assert client.code() == 0


def test_a_peer_that_takes_nothing_costs_5_s_and_is_told_with_the_bytes(narrow: socket.socket, tmp_path: Path) -> None:
    with (
        open(file_of(tmp_path / "file", MUCH), "rb") as file,
        pync("--send-only", "127.0.0.1", port_of(narrow), stdin=file) as client,
        accepted(narrow),
    ):
        assert client.code() == 1
    assert client.messages[0].startswith(f"pync: connection with 127.0.0.1 port {port_of(narrow)} lost: ")
    assert client.messages[0].endswith(" bytes not delivered: nothing acknowledged for 5 s")


def test_the_total_time_bounds_the_wait_for_a_slow_peer(narrow: socket.socket, tmp_path: Path) -> None:
    with (
        open(file_of(tmp_path / "file", MUCH), "rb") as file,
        pync("--send-only", "--total-timeout", "500ms", "127.0.0.1", port_of(narrow), stdin=file) as client,
        accepted(narrow),
    ):
        assert client.code(timeout=STALLED) == 3
    assert client.messages[0].endswith("not done within the total timeout: timed out")


def test_a_peer_that_resets_before_all_has_arrived_is_told_with_the_bytes(
    narrow: socket.socket, tmp_path: Path
) -> None:
    with open(file_of(tmp_path / "file", MUCH), "rb") as file:
        with pync("--send-only", "127.0.0.1", port_of(narrow), stdin=file) as client, accepted(narrow) as sock:
            eventually(lambda: file.tell() == MUCH, "that all was read")
            reset(sock)
            assert client.code() == 1
    assert client.messages[0].endswith(" bytes not delivered: Connection reset by peer")


# --- leaving in the middle


@pytest.mark.parametrize(
    ("options", "signals", "code"),
    [
        ([], [signal.SIGINT], 130),
        ([], [signal.SIGTERM], 143),
        ([], [signal.SIGHUP], 129),
        (["-w", "300ms"], [], 3),
        (["--idle-timeout", "300ms"], [], 3),
        (["--total-timeout", "300ms"], [], 3),
    ],
)
def test_a_sender_that_is_cut_off_delivers_what_it_read_and_resets(
    options: list[str], signals: list[int], code: int, server: socket.socket
) -> None:
    with pync(*options, "127.0.0.1", port_of(server)) as client, accepted(server) as sock:
        client.stdin.write(b"half of it")
        assert sock.recv(4) == b"half"
        for number in signals:
            stop(client, number)
        assert until_reset(sock) == b" of it"
        assert client.code() == code


def test_what_was_read_arrives_before_the_reset_at_a_slow_peer(narrow: socket.socket) -> None:
    with pync("--json", "127.0.0.1", port_of(narrow)) as client, accepted(narrow) as sock:
        client.stdin.write(bytes(MUCH))  # returns when all but the last pipe of it was read
        stop(client, signal.SIGTERM)
        arrived = len(until_reset(sock))
        assert client.code() == 143
    assert f'"sent":{arrived},' in client.messages[-1].replace(" ", "")


def test_where_our_input_has_ended_a_signal_leads_to_a_fin(server: socket.socket, tmp_path: Path) -> None:
    with open(file_of(tmp_path / "file", 100), "rb") as file:
        with pync("--no-shutdown", "127.0.0.1", port_of(server), stdin=file) as client, accepted(server) as sock:
            assert sock.recv(200) == bytes(100)
            stop(client, signal.SIGTERM)
            assert receive_all(sock) == b""
            assert client.code() == 143


def test_an_input_that_cannot_be_read_to_its_end_resets(server: socket.socket) -> None:
    with open("/proc/self/mem", "rb") as file:
        with pync("127.0.0.1", port_of(server), stdin=file) as client, accepted(server) as sock:
            assert until_reset(sock) == b""
            assert client.code() == 1
            assert "read from standard input" in client.messages[0]


# --- the clients of a server


def test_the_clients_of_a_server_that_is_ended_get_what_it_read_and_a_reset() -> None:
    with pync("-l", "-k", "127.0.0.1", "0") as listener, connected(listener) as sock:
        sock.sendall(b"!")
        assert listener.read(1) == b"!"  # it is let in, and will get all that is read from now on
        listener.stdin.write(b"half of it")
        assert sock.recv(4) == b"half"
        stop(listener, signal.SIGTERM)
        assert until_reset(sock) == b" of it"
        assert listener.code() == 143


@pytest.mark.parametrize("way", [[], ["--idle-timeout", "30"]], ids=["direct", "piped"])
@pytest.mark.parametrize("many", [[], ["-k"]], ids=["one", "many"])
def test_the_client_of_a_program_that_is_ended_gets_what_it_said_and_a_reset(many: list[str], way: list[str]) -> None:
    with (
        pync("-l", *many, *way, "-c", "echo said; exec sleep 600", "127.0.0.1", "0") as listener,
        connected(listener) as sock,
    ):
        assert sock.recv(2) == b"sa"
        stop(listener, signal.SIGTERM)
        assert until_reset(sock) == b"id\n"
        assert listener.code() == 143


def test_a_slow_client_that_goes_on_sending_gets_the_whole_answer(tmp_path: Path) -> None:
    """Longer than the second that a peer once had to notice our end."""
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    with (
        pync("-l", "-k", "--http-root", str(tmp_path), "127.0.0.1", "0") as listener,
        socket.socket() as sock,
    ):
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.connect(("127.0.0.1", listener.port()))
        sock.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = sock.recv(1000)
        send_for_ever(sock)
        began = time.monotonic()
        while piece := sock.recv(1 << 14):
            answer += piece
            if len(answer) < 1_000_000:
                time.sleep(0.03)  # the slow client
        assert time.monotonic() - began > GRACE
        assert len(answer.partition(b"\r\n\r\n")[2]) == 3_000_000


# --- who notices


#: A receiver, and what it exits with and says of a reset. socat ends with 0 whatever happens.
RECEIVERS = {
    "pync": (["-l", "127.0.0.1", "PORT"], 1, "lost: Connection reset by peer"),
    "ncat": (["-l", "--recv-only", "127.0.0.1", "PORT"], 1, ""),
    "socat": (["-d", "-u", "TCP-LISTEN:PORT,bind=127.0.0.1", "-"], 0, "Connection reset by peer"),
}


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_learns_that_its_sender_was_cut_off(name: str) -> None:
    words, code, says = RECEIVERS[name]
    port = str(unused_port())
    words = [word.replace("PORT", port) for word in words]
    with pync(*words) if name == "pync" else running(peer(name), *words) as receiver:
        wait_listening(int(port))
        with pync("127.0.0.1", port) as sender:
            sender.stdin.write(b"half of it")
            assert receiver.read(10) == b"half of it"
            stop(sender, signal.SIGINT)
            assert sender.code() == 130
        assert receiver.code() == code
        assert says in "\n".join(receiver.messages)
