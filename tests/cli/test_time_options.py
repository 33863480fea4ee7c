"""The options that know the time: -w --connect-timeout --idle-timeout -i --delay --rate.

Times are measured where they are the behaviour asked for; every bound is one-sided (a pause lasts
at least so long), so that a busy machine cannot make a test fail.
"""

from __future__ import annotations

import resource
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pync.wire.pacing import STEP
from tests.running import PATIENCE, pync, run_pync
from tests.sockets import accepted, port_of, receive_all

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("option", ["-w", "--idle-timeout"])
def test_silence_ends_a_session_with_exit_code_3(option: str, server: socket.socket) -> None:
    with pync(option, "300ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"then nothing")
        started = time.monotonic()
        assert client.code() == 3
        assert time.monotonic() - started >= 0.25
        assert client.messages == [f"pync: 127.0.0.1 port {port_of(server)}: no data for 0.3 s: timed out"]
        assert client.stdout.read() == b"then nothing"


def test_data_of_either_direction_keeps_a_session_alive(server: socket.socket) -> None:
    with pync("-w", "600ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        started = time.monotonic()
        while time.monotonic() - started < 1.5:
            client.stdin.write(b"x")
            assert peer.recv(1) == b"x"
            peer.sendall(b"y")
            assert client.read(1) == b"y"
        client.stdin.close()
        peer.close()
        assert client.finish() == (0, b"")


def test_a_slow_reader_of_our_output_is_not_silence_of_the_peer(server: socket.socket) -> None:
    size = 4 << 20
    with pync("-w", "300ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.close()
        peer.settimeout(1.0)  # sends what fits, then nothing moves for longer than -w allows
        data = memoryview(bytes(size))
        try:
            while data:
                data = data[peer.send(data) :]
        except TimeoutError:
            pass
        assert client.process.poll() is None
        sent = size - len(data)
        peer.close()
        code, received = client.finish()
        assert (code, len(received)) == (0, sent)


def test_idle_time_counts_in_a_listener_only_once_somebody_came() -> None:
    with pync("-l", "-w", "200ms", "127.0.0.1", "0") as listener:
        port = listener.port()
        with pytest.raises(Exception, match="timed out"):
            listener.process.wait(0.6)
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            assert listener.code() == 3


def test_total_timeout_ends_a_listener_that_nobody_calls() -> None:
    code, _, messages = run_pync("-l", "--total-timeout", "200ms", "127.0.0.1", "0")
    assert code == 3
    assert messages[-1] == "pync: no connection in time: timed out"


def test_connect_timeout_does_not_limit_the_session(server: socket.socket) -> None:
    with pync("--connect-timeout", "200ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        with pytest.raises(Exception, match="timed out"):
            client.process.wait(0.6)
        peer.close()
        assert client.finish() == (0, b"")


def test_interval_pauses_between_lines(server: socket.socket) -> None:
    with pync("-i", "200ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"one\ntwo\nthree\n")
        client.stdin.close()
        times = []
        for line in (b"one\n", b"two\n", b"three\n"):
            assert peer.recv(100) == line
            times.append(time.monotonic())
        assert times[2] - times[0] >= 0.35
        assert receive_all(peer) == b""


def test_interval_is_not_silence(server: socket.socket) -> None:
    with pync("-i", "500ms", "-w", "200ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"one\ntwo\n")
        assert peer.recv(100) == b"one\n"
        assert peer.recv(100) == b"two\n"


def test_interval_pauses_between_ports(server: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as second:
        second.settimeout(PATIENCE)
        ports = f"{port_of(server)},{port_of(second)}"
        with pync("-i", "300ms", "127.0.0.1", ports) as client:
            client.stdin.close()
            with accepted(server):
                started = time.monotonic()
            with accepted(second):
                assert time.monotonic() - started >= 0.25
            assert client.finish() == (0, b"")


def test_delay_pauses_between_reads(server: socket.socket) -> None:
    with pync("--delay", "200ms", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"one")
        assert peer.recv(100) == b"one"
        started = time.monotonic()
        client.stdin.write(b"two")
        assert peer.recv(100) == b"two"
        assert time.monotonic() - started >= 0.15


@pytest.mark.parametrize("upward", [True, False], ids=["sending", "receiving"])
def test_a_rate_is_kept_to_and_takes_little_processor_time(server: socket.socket, tmp_path: Path, upward: bool) -> None:
    data = bytes(2 << 20)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data if upward else b"")
    before = cpu_of_children()
    with source.open("rb") as stdin, target.open("wb") as stdout:
        with pync("--rate", "1M", "127.0.0.1", port_of(server), stdin=stdin, stdout=stdout) as client:
            with accepted(server) as peer:
                started = time.monotonic()
                peer.sendall(b"" if upward else data)
                peer.shutdown(socket.SHUT_WR)
                assert len(receive_all(peer)) + (0 if upward else len(data)) == len(data)
            assert client.code() == 0
            assert time.monotonic() - started >= 1.8
    assert target.stat().st_size == (0 if upward else len(data))
    assert cpu_of_children() - before < 0.4  # of which starting takes 0.1 s


def test_input_that_trickles_leaves_in_steps_of_a_rate_too(server: socket.socket) -> None:
    with pync("--rate", "1M", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        pieces: list[bytes] = []
        reader = threading.Thread(target=lambda: pieces.extend(iter(lambda: peer.recv(1 << 16), b"")))
        reader.start()
        started = time.monotonic()
        while (passed := time.monotonic() - started) < 0.6:
            client.stdin.write(b"x" * 100)
            time.sleep(0.001)  # a trickle is the subject
        client.stdin.close()
        reader.join(PATIENCE)
        assert 0 < len(pieces) <= 4 * passed / STEP  # it looks again after each read: a step may be a few
        peer.close()
        assert client.finish() == (0, b"")


def cpu_of_children() -> float:
    """Seconds of processor time that our children have used which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
