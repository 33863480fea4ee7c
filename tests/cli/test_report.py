"""What a listener says about itself: on SIGUSR1, at its end with -v, and as JSON.

The counting itself is tested in serving/test_tally and serving/test_server, several processes in
test_workers.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import PATIENCE, eventually, pync, stop
from tests.sockets import receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Running

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")


@contextlib.contextmanager
def listening(*words: str) -> Iterator[tuple[Running, int]]:
    with pync("-l", "-k", *words, "127.0.0.1", "0") as listener:
        yield listener, port_of(listener)


def port_of(listener: Running) -> int:
    """The number that a listener on port 0 has got, said in words or in an object."""
    return int(listener.wait_for(r"(?:Listening|Bound) on \S+ (\d+)(?:$|\")")[1])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def asked(listener: Running) -> dict[str, Any]:
    """What it says of itself now, with --json."""
    stop(listener, signal.SIGUSR1)
    listener.wait_for(r'"event": "listener"')
    counts: dict[str, Any] = json.loads(listener.messages[-1])["listener"]
    return counts


def test_the_report_says_ports_clients_bytes_and_time() -> None:
    with listening("--echo") as (listener, port), connect(port) as sock:
        sock.sendall(b"12345")
        assert sock.recv(5) == b"12345"
        stop(listener, signal.SIGUSR1)
        assert listener.wait_for("^listening on ")[0]
        assert listener.messages[-1] == f"listening on 127.0.0.1 {port}"
        listener.wait_for(r"^connections: 1 now, 1 at most, 1 in all; refused: 0 by rule, 0 by limit$")
        listener.wait_for(r"^sent 5 bytes, received 5 bytes in \d+\.\d\d s \(.*B/s\)$")
        sock.sendall(b"goes on")
        assert sock.recv(7) == b"goes on"


def test_the_json_has_the_documented_shape_on_one_line() -> None:
    with pync("-l", "-k", "--discard", "--json", "0") as listener:
        ports = [int(listener.wait_for(r"Listening on \S+ (\d+)\"")[1]) for _ in range(2)]
        with connect(ports[0]) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == b""
        stop(listener, signal.SIGUSR1)
        listener.wait_for(r"listener")
        said = json.loads(listener.messages[-1])
        counts = said["listener"]
        assert list(said) == ["event", "listener"]
        seconds = counts.pop("seconds")
        assert counts == {
            "addresses": [f"0.0.0.0 {ports[0]}", f":: {ports[1]}"],
            "connections": {"now": 0, "peak": 1, "total": 1},
            "refused": {"rule": 0, "limit": 0},
            "sent": 0,
            "received": 0,
        }
        assert 0 <= seconds < PATIENCE


def test_after_a_thousand_clients_of_every_kind_the_numbers_are_exact() -> None:
    with listening("--echo", "--json", "--max-conns", "100") as (listener, port):
        with connect(port) as first, connect(port) as second:
            for sock in (first, second):
                sock.sendall(b"here")
                assert sock.recv(4) == b"here"
            size = 8
            for number in range(1000):
                with connect(port) as sock:
                    sock.sendall(b"x" * (number % 10 + 1))
                    if number % 3:
                        sock.shutdown(socket.SHUT_WR)
                        assert receive_all(sock) == b"x" * (number % 10 + 1)
                    else:
                        assert sock.recv(1) == b"x"  # and leaves the rest: the listener is reset
                size += number % 10 + 1
            counts = asked(listener)
            assert counts["connections"]["total"] == 1002
        counts = eventually(lambda: (now := asked(listener))["connections"]["now"] == 0 and now, "all have left")
        assert 3 <= counts["connections"].pop("peak") < 50
        assert counts["connections"] == {"now": 0, "total": 1002}
        assert counts["refused"] == {"rule": 0, "limit": 0}
        assert counts["received"] == counts["sent"] == size


def test_who_was_turned_away_is_counted_by_its_reason() -> None:
    with listening("--echo", "--json", "--max-conns", "1", "--deny", "127.0.0.2") as (listener, port):
        with connect(port) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            for _ in range(3):
                with connect(port) as surplus:
                    assert receive_all(surplus) == b""
            with socket.create_connection(("127.0.0.1", port), PATIENCE, ("127.0.0.2", 0)) as denied:
                assert receive_all(denied) == b""
            counts = asked(listener)
        assert counts["refused"] == {"rule": 1, "limit": 3}
        assert counts["connections"] == {"now": 1, "peak": 1, "total": 1}


def test_plain_clients_are_counted_while_they_are_there() -> None:
    with listening("--json") as (listener, port), connect(port) as first, connect(port) as second:
        first.sendall(b"123")
        second.sendall(b"45")
        assert sorted(listener.read(5)) == sorted(b"12345")
        listener.stdin.write(b"to both")
        assert (first.recv(7), second.recv(7)) == (b"to both", b"to both")
        counts = asked(listener)
        assert counts["connections"] == {"now": 2, "peak": 2, "total": 2}
        assert (counts["received"], counts["sent"]) == (5, 14)
        reset(second)
        counts = eventually(lambda: (now := asked(listener))["connections"]["now"] == 1 and now, "it has left")
        assert (counts["received"], counts["sent"]) == (5, 14)
        assert counts["connections"]["peak"] == 2


@pytest.mark.parametrize("words", [["--echo"], []], ids=["a service", "plain"])
@pytest.mark.parametrize("way", ["-v", "--json", "silent"])
def test_the_end_tells_the_counts_where_they_were_asked_for(words: list[str], way: str) -> None:
    with listening(*words, *([way] if way != "silent" else [])) as (listener, port):
        with connect(port) as sock:
            sock.sendall(b"x")
            assert (sock.recv(1) if words else listener.read(1)) == b"x"
            stop(listener)
            assert listener.code() == 143
        sent = len(words)
    said = [message for message in listener.messages if "istening on" not in message]
    if way == "-v":
        assert said[-2] == "connections: 0 now, 1 at most, 1 in all; refused: 0 by rule, 0 by limit"
        assert re.fullmatch(rf"sent {sent} bytes, received 1 bytes in .*", said[-1])
    elif way == "--json":
        assert [json.loads(line)["event"] for line in said] == ["listener", "summary"]
        counts = json.loads(said[0])["listener"]
        assert counts["connections"] == {"now": 0, "peak": 1, "total": 1}
        assert (counts["sent"], counts["received"]) == (sent, 1)
    else:
        assert said == []


def test_asking_often_disturbs_nobody() -> None:
    data = bytes(range(256)) * 4096
    with listening("--echo") as (listener, port), connect(port) as sock:
        sock.sendall(b"!")
        assert sock.recv(1) == b"!"
        for offset in range(0, len(data), 1 << 16):
            sock.sendall(data[offset : offset + (1 << 16)])
            stop(listener, signal.SIGUSR1)
            got = b""
            while len(got) < 1 << 16:
                got += sock.recv(1 << 16)
            assert got == data[offset : offset + (1 << 16)]
        stop(listener)
        assert listener.code() == 143


EVERY_LISTENER = {
    "plain": [],
    "many": ["-k"],
    "a service": ["--echo"],
    "a program": ["-e", "cat"],
    "workers": ["-k", "--echo", "--workers", "2"],
    "datagrams": ["-u"],
    "a service over datagrams": ["-u", "--echo"],
    "programs over datagrams": ["-u", "-e", "cat"],
}


@pytest.mark.parametrize("words", EVERY_LISTENER.values(), ids=EVERY_LISTENER.keys())
def test_whoever_has_read_where_it_listens_may_ask_at_once(words: list[str]) -> None:
    with pync("-l", *words, "127.0.0.1", "0") as listener:
        port = listener.port()
        stop(listener, signal.SIGUSR1)
        listener.wait_for(rf"^listening on 127\.0\.0\.1 {port}$")
        stop(listener)
        assert listener.code() == 143


def test_a_single_connection_is_reported_while_it_lasts_and_at_its_end() -> None:
    with pync("-l", "-v", "127.0.0.1", "0") as listener, connect(listener.port()) as sock:
        sock.sendall(b"12345")
        assert listener.read(5) == b"12345"
        stop(listener, signal.SIGUSR1)
        listener.wait_for("^connections: 1 now, 1 at most, 1 in all")
        listener.wait_for(r"^sent 0 bytes, received 5 bytes in ")
        sock.shutdown(socket.SHUT_WR)
        assert listener.finish() == (0, b"")
    assert listener.messages[-1] == "connections: 0 now, 1 at most, 1 in all; refused: 0 by rule, 0 by limit"


def test_the_peers_of_a_datagram_listener_are_its_connections() -> None:
    with pync("-l", "-u", "--json", "127.0.0.1", "0") as listener:
        address = ("127.0.0.1", port_of(listener))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
        ):
            one.sendto(b"1", address)
            two.sendto(b"22", address)
            assert listener.read(3) in (b"122", b"221")
        counts = asked(listener)
        assert (counts["connections"]["total"], counts["received"]) == (2, 3)
