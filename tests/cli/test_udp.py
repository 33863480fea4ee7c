"""Datagram mode, with the installed command: boundaries, peers, silence, refusals.

The peer is a plain socket of the test. Real netcats as peers are in test_interop; answers from the
right one of several addresses in test_namespaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, plain_pync, pync, run_pync, stop, unused_port
from tests.sockets import port_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.running import Running


@pytest.fixture
def client_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


# --- the client


def test_a_read_is_a_datagram_and_the_answer_is_printed(udp_server: socket.socket) -> None:
    with pync("-u", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"question")
        data, peer = udp_server.recvfrom(100)
        assert data == b"question"
        udp_server.sendto(b"answer", peer)
        assert client.finish() == (0, b"answer")


def test_silence_after_our_input_ends_the_session_after_a_second(udp_server: socket.socket) -> None:
    with pync("-u", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.close()
        started = time.monotonic()
        assert client.code() == 0
        assert time.monotonic() - started >= 0.8


@pytest.mark.slow
def test_each_datagram_puts_the_end_off(udp_server: socket.socket) -> None:
    with pync("-u", "-q", "600ms", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"x")
        client.stdin.close()
        _, peer = udp_server.recvfrom(100)
        started = time.monotonic()
        while time.monotonic() - started < 1.5:
            udp_server.sendto(b"y", peer)
            assert client.read(1) == b"y"
        assert client.finish() == (0, b"")


@pytest.mark.parametrize("options", [["-q", "0"], ["-q", "100ms"], ["-w", "100ms"]], ids=" ".join)
def test_the_patience_with_silence_can_be_set(options: list[str], udp_server: socket.socket) -> None:
    with pync("-u", *options, "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"x")
        assert client.finish() == (0, b"")
    assert udp_server.recv(10) == b"x"


def test_a_negative_quit_after_waits_for_ever(udp_server: socket.socket) -> None:
    with pync("-u", "-q", "-1", "127.0.0.1", port_of(udp_server), stdin=subprocess.DEVNULL) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.process.wait(1.5)


def test_an_empty_datagram_is_data_and_not_the_end(udp_server: socket.socket) -> None:
    with pync("-u", "-W", "3", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"x")
        _, peer = udp_server.recvfrom(100)
        for data in (b"", b"one", b""):
            udp_server.sendto(data, peer)
        assert client.read(4) == b"one"
        assert client.code() == 0  # three packets, two of them empty


def test_an_empty_input_sends_nothing_and_says_so(udp_server: socket.socket) -> None:
    code, _, messages = run_pync("-u", "-v", "-q", "0", "127.0.0.1", port_of(udp_server))
    assert code == 0
    assert "nothing was sent: our input was empty" in messages
    udp_server.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp_server.recv(1)


def test_the_largest_datagram_goes_both_ways(udp_server: socket.socket, tmp_path: Path) -> None:
    data = bytes(range(256)) * 256
    (tmp_path / "input").write_bytes(data[:65507])
    with open(tmp_path / "input", "rb") as file, pync("-u", "127.0.0.1", port_of(udp_server), stdin=file) as client:
        received, peer = udp_server.recvfrom(1 << 17)
        assert received == data[:65507]
        udp_server.sendto(received, peer)
        assert client.finish() == (0, data[:65507])


def test_input_longer_than_a_datagram_is_cut_and_complete(udp_server: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(bytes(200_000))
    with open(tmp_path / "input", "rb") as file, pync("-u", "127.0.0.1", port_of(udp_server), stdin=file) as client:
        sizes = [len(udp_server.recv(1 << 17)) for _ in range(4)]
        assert sizes == [65507, 65507, 65507, 200_000 - 3 * 65507]
        assert client.finish() == (0, b"")


def test_datagram_size_cuts_smaller(udp_server: socket.socket) -> None:
    with pync("-u", "--datagram-size", "100", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(bytes(250))
        assert [len(udp_server.recv(1000)) for _ in range(3)] == [100, 100, 50]
        assert client.finish() == (0, b"")


def test_a_datagram_that_is_too_long_is_reported_and_the_next_is_sent(udp_server: socket.socket) -> None:
    words = ["-u", "--lines", "--datagram-size", "100k", "127.0.0.1", port_of(udp_server)]
    with pync(*words) as client:
        client.stdin.write(b"x" * 70_000 + b"\nshort\n")
        assert udp_server.recv(1000) == b"short\n"
        assert client.finish() == (1, b"")
    where = f"127.0.0.1 port {port_of(udp_server)} (udp)"
    assert client.messages == [f"pync: send to {where}: datagram of 70001 bytes: Message too long"]


def test_lines_are_datagrams_however_they_were_written(udp_server: socket.socket) -> None:
    with pync("-u", "--lines", "127.0.0.1", port_of(udp_server)) as client:
        for piece in (b"on", b"e\ntwo\n\nth", b"ree\nlast"):
            client.stdin.write(piece)
        client.stdin.close()
        lines = [udp_server.recv(100) for _ in range(5)]
        assert lines == [b"one\n", b"two\n", b"\n", b"three\n", b"last"]


def test_crlf_works_on_datagrams_too(udp_server: socket.socket) -> None:
    with pync("-u", "-C", "--lines", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"one\ntwo\r\n")
        assert [udp_server.recv(100) for _ in range(2)] == [b"one\r\n", b"two\r\n"]


def test_interval_pauses_between_datagrams(udp_server: socket.socket) -> None:
    with pync("-u", "-i", "200ms", "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"one\ntwo\n")
        assert udp_server.recv(100) == b"one\n"
        started = time.monotonic()
        assert udp_server.recv(100) == b"two\n"
        assert time.monotonic() - started >= 0.15


def test_a_rate_never_cuts_a_datagram(udp_server: socket.socket) -> None:
    with pync("-u", "--rate", "2k", "127.0.0.1", port_of(udp_server)) as client:
        started = time.monotonic()
        for _ in range(3):
            client.stdin.write(bytes(1400))
            assert len(udp_server.recv(10_000)) == 1400
        assert time.monotonic() - started >= 0.9


def test_a_refusal_is_reported_survived_and_fails_if_nothing_is_ever_heard() -> None:
    port = unused_port(socket.SOCK_DGRAM)
    code, _, messages = run_pync("-u", "127.0.0.1", str(port), stdin=b"anybody there?")
    assert (code, messages) == (1, [f"pync: send to 127.0.0.1 port {port} (udp): Connection refused"])


def test_a_server_that_starts_later_is_still_reached() -> None:
    port = unused_port(socket.SOCK_DGRAM)
    with pync("-u", "127.0.0.1", str(port)) as client:
        client.stdin.write(b"too early")
        client.wait_for("Connection refused")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind(("127.0.0.1", port))
            late.settimeout(PATIENCE)
            client.stdin.write(b"in time")
            data, peer = late.recvfrom(100)
            assert data == b"in time"
            late.sendto(b"heard", peer)
            assert client.finish() == (0, b"heard")


def test_a_broadcast_needs_to_be_allowed() -> None:
    code, _, messages = run_pync("-u", "127.255.255.255", "9", stdin=b"x")
    assert code == 1
    text = "connect to 127.255.255.255 port 9 (udp) failed: Permission denied (a broadcast address needs -b)"
    assert messages == [f"pync: {text}"]


def test_a_broadcast_that_is_allowed_is_sent_and_answered(udp_server: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 0))
        listener.settimeout(PATIENCE)
        with pync("-u", "-b", "127.255.255.255", port_of(listener)) as client:
            client.stdin.write(b"everybody")
            data, peer = listener.recvfrom(100)
            assert data == b"everybody"
            listener.sendto(b"me", peer)
            assert client.finish() == (0, b"me")


def test_source_address_and_port_are_used(udp_server: socket.socket) -> None:
    port = unused_port(socket.SOCK_DGRAM)
    with pync("-u", "-s", "127.0.0.2", "-p", str(port), "127.0.0.1", port_of(udp_server)) as client:
        client.stdin.write(b"x")
        assert udp_server.recvfrom(10) == (b"x", ("127.0.0.2", port))


def test_only_one_port_makes_sense() -> None:
    code, _, messages = run_pync("-u", "127.0.0.1", "20-30")
    assert (code, messages) == (2, ["pync: -u/--udp takes one port, unless it is to be probed with -z"])


# --- the listener


def test_a_listener_hears_everyone_and_answers_the_latest() -> None:
    with pync("-l", "-u", "-v", "127.0.0.1", "0") as listener:
        address = ("127.0.0.1", listener.port())
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
        ):
            for sock, word in ((first, b"one"), (second, b"two"), (first, b"six")):
                sock.settimeout(PATIENCE)
                sock.sendto(word, address)
                assert listener.read(3) == word
                listener.stdin.write(b"to " + word)
                assert sock.recv(100) == b"to " + word
            names = {f"Connection received on 127.0.0.1 {sock.getsockname()[1]}" for sock in (first, second)}
            listener.process.terminate()
            assert listener.code() == 143
            announced = [line for line in listener.messages if "received on" in line]
            assert set(announced) == names
            assert len(announced) == 2


def test_one_port_serves_both_families() -> None:
    with pync("-l", "-u", "0") as listener:
        port = listener.port()
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.sendto(b"ping", (host, port))
                assert listener.read(4) == b"ping"
                listener.stdin.write(b"pong")
                data, sender = sock.recvfrom(100)
                assert (data, sender[:2]) == (b"pong", (host, port))


def test_answers_leave_from_the_address_that_was_asked() -> None:
    with pync("-l", "-u", "-4", "0") as listener:
        port = listener.port()
        for host in ("127.0.0.1", "127.0.0.9", "127.1.2.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.connect((host, port))  # the kernel throws away what another address sends
                sock.send(b"ping")
                assert listener.read(4) == b"ping"
                listener.stdin.write(b"pong")
                assert sock.recv(100) == b"pong"


def test_with_lines_each_datagram_is_a_line_of_the_output_and_no_byte_more_anywhere_else(tmp_path: Path) -> None:
    log = tmp_path / "log"
    datagrams = [b"one", b"two\n", b"", b"three\nfour", b"five"]
    with pync("-v", "-u", "-l", "-k", "-w1", "--lines", "-o", str(log), "127.0.0.1", "0") as listener:
        port = listener.port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for data in datagrams:
                sender.sendto(data, ("127.0.0.1", port))
        assert listener.read(24) == b"one\ntwo\nthree\nfour\nfive\n"
        assert listener.code() == 3
    assert log.read_bytes() == b"".join(datagrams)
    assert any("received 21 bytes" in line for line in listener.messages)


def test_input_waits_for_the_first_peer() -> None:
    with pync("-l", "-u", "127.0.0.1", "0") as listener:
        listener.stdin.write(b"greeting")
        listener.stdin.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.sendto(b"hello", ("127.0.0.1", listener.port()))
            assert sock.recv(100) == b"greeting"
        assert listener.finish() == (0, b"hello")


def test_a_listener_with_nothing_to_say_stays() -> None:
    with pync("-l", "-u", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        address = ("127.0.0.1", listener.port())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"one", address)
            assert listener.read(3) == b"one"
            with pytest.raises(subprocess.TimeoutExpired):
                listener.process.wait(1.5)
            sock.sendto(b"two", address)
            assert listener.read(3) == b"two"


@pytest.mark.parametrize("stdin", ["empty", "closed"])
def test_a_listener_with_nothing_to_say_leaves_after_the_silence_it_was_told(stdin: str) -> None:
    closing = partial(os.close, 0) if stdin == "closed" else None
    given = None if stdin == "closed" else subprocess.DEVNULL
    with pync("-l", "-u", "-q", "300ms", "127.0.0.1", "0", stdin=given, preexec_fn=closing) as listener:
        port = listener.port()
        with pytest.raises(subprocess.TimeoutExpired):
            listener.process.wait(0.6)  # no silence counts before the first datagram
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"one", ("127.0.0.1", port))
            assert listener.finish() == (0, b"one")


def test_recv_limit_counts_packets() -> None:
    with pync("-l", "-u", "-W", "2", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        address = ("127.0.0.1", listener.port())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"one", address)
            sock.sendto(b"two", address)
        assert listener.finish() == (0, b"onetwo")


@pytest.mark.parametrize("program", [pync, plain_pync], ids=["normal", "plain"])
def test_what_one_end_sends_slowly_the_other_end_prints_whole(
    program: Callable[..., AbstractContextManager[Running]],
) -> None:
    """Nothing is lost between two pyncs as long as the receiver's buffer is not overrun."""
    block = hashlib.sha256(b"seed").digest() * 32
    with program("-l", "-u", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        with program("-u", "127.0.0.1", str(listener.port())) as client:
            for _ in range(200):
                client.stdin.write(block)
                assert listener.read(len(block)) == block
            assert client.finish() == (0, b"")


# --- unix datagrams


def test_unix_datagrams_go_both_ways(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-u", "-v", "-U", path) as listener:
        listener.wait_for(r"^Bound on ")
        with pync("-u", "-U", path) as client:
            for word in (b"one", b"three"):
                client.stdin.write(word)
                assert listener.read(len(word)) == word
                listener.stdin.write(word.upper())
                assert client.read(len(word)) == word.upper()
            assert client.finish() == (0, b"")
        listener.process.terminate()
        assert listener.code() == 143
    assert not (tmp_path / "socket").exists()


def test_a_unix_datagram_client_can_have_a_path_of_its_own(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "server"))
        sock.settimeout(PATIENCE)
        with pync("-u", "-U", "-s", str(tmp_path / "mine"), str(tmp_path / "server")) as client:
            client.stdin.write(b"x")
            assert sock.recvfrom(10) == (b"x", str(tmp_path / "mine"))
            sock.sendto(b"y", str(tmp_path / "mine"))
            assert client.finish() == (0, b"y")
    assert not (tmp_path / "mine").exists()


def test_a_slow_unix_receiver_loses_nothing(tmp_path: Path) -> None:
    """A full unix queue makes the sender wait; it is not a loss, and not an error."""
    (tmp_path / "input").write_bytes(b"".join(b"%07d\n" % number for number in range(5000)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "server"))
        sock.settimeout(PATIENCE)
        with open(tmp_path / "input", "rb") as file:
            with pync("-u", "-U", "--lines", str(tmp_path / "server"), stdin=file) as client:
                for number in range(5000):
                    assert sock.recv(100) == b"%07d\n" % number
                assert client.finish() == (0, b"")


def test_an_answer_to_a_slow_unix_peer_waits_without_spinning(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-u", "-v", "-U", path) as listener:
        listener.wait_for(r"^Bound on ")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(tmp_path / "peer"))
            sock.settimeout(PATIENCE)
            sock.sendto(b"x", path)
            assert listener.read(1) == b"x"
            writer = threading.Thread(target=lambda: [listener.stdin.write(bytes(50_000)) for _ in range(100)])
            writer.start()
            received = 0
            while received < 100 * 50_000:
                received += len(sock.recv(1 << 17))
            writer.join()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize("mode", [[], ["--discard"], ["-e", "/bin/cat"]], ids=["output", "service", "program"])
def test_datagrams_that_came_too_fast_are_counted_and_said(mode: list[str]) -> None:
    with pync("-u", "-l", "-I", "4k", "-v", "--json", *mode, "127.0.0.1", "0") as listener:
        address = "127.0.0.1", json.loads(listener.wait_for('"bound"').string)["port"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"first", address)
            listener.wait_for("Connection received")
            stop(listener, signal.SIGSTOP)
            os.waitid(os.P_PID, listener.process.pid, os.WSTOPPED)
            for _ in range(100):
                sender.sendto(bytes(1000), address)
        stop(listener, signal.SIGTERM)
        stop(listener, signal.SIGCONT)
        assert listener.code() == 143
        told = [json.loads(line) for line in listener.messages]
        (warning,) = [each for each in told if "dropped" in each]
        assert warning["text"] == f"{warning['dropped']} datagrams were dropped because we were too slow"
        assert 50 < told[-1]["summary"]["dropped"] == warning["dropped"] < 100


def test_borders_are_kept_where_they_matter_though_datagrams_came_in_one_call() -> None:
    with pync("-u", "-l", "--recv-only", "-W", "3", "127.0.0.1", "0") as listener:
        port = listener.port()
        code, _, messages = run_pync(
            "-u", "-q", "0", "--datagram-size", "3", "127.0.0.1", str(port), stdin=b"0123456789"
        )
        assert (code, messages) == (0, [])
        assert listener.finish() == (0, b"012345678")
