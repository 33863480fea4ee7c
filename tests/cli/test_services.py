"""The built-in services, with the installed command: over TCP, UDP and unix sockets, both families.

The clients are plain sockets, as somebody writes them in Python. What is said to which bytes is in
wire/test_services, HTTP in a file of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, peer, pync, run_pync, running, stop
from tests.sockets import receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running import Running

HOSTS = ["127.0.0.1", "::1"]


@contextlib.contextmanager
def serving(*words: str, host: str = "127.0.0.1") -> Iterator[tuple[Running, int]]:
    """A listener on a port of its own, without -k unless the words say so."""
    with pync("-l", *words, host, "0") as listener:
        yield listener, listener.port()


@contextlib.contextmanager
def connect(port: int, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection((host, port), PATIENCE) as sock:
        yield sock


def receive(sock: socket.socket, expected: bytes) -> None:
    """What comes next must be this; it may come in pieces."""
    data = b""
    while len(data) < len(expected):
        piece = sock.recv(len(expected) - len(data))
        if not piece:
            break
        data += piece
    assert data == expected


def all_at_once(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """Say it, end, and read until the other side has ended too."""

    def say() -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    with connect(port, host) as sock:
        writer = threading.Thread(target=say)
        writer.start()
        answer = receive_all(sock)
        writer.join(PATIENCE)
    return answer


# --- hello


@pytest.mark.parametrize("host", HOSTS)
def test_the_tutorials_client_has_its_conversation(host: str) -> None:
    with serving("--hello", host=host) as (listener, port):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
            client.settimeout(PATIENCE)
            client.connect((host, port))
            assert client.recv(1024).decode() == "Welcome!"
            for name in ("Michael", "Tracy", "Sarah"):
                client.send(name.encode())
                assert client.recv(1024).decode() == f"Hello, {name}!"
            client.send(b"exit")
            assert client.recv(1024) == b""
        assert listener.code() == 0


def test_several_clients_each_have_their_own_conversation_at_once() -> None:
    with serving("-k", "--hello") as (_, port), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(20)]
        for client in clients:
            receive(client, b"Welcome!")
        for index, client in enumerate(clients):
            client.sendall(b"Client %d and" % index)
        for index, client in enumerate(clients):
            client.sendall(b" %d\n" % index)
        for index, client in enumerate(clients):
            receive(client, b"Hello, Client %d and %d!\n" % (index, index))
        clients[7].sendall(b"exit\n")
        assert clients[7].recv(10) == b""
        clients[8].sendall("Jürgen\r\n".encode())
        receive(clients[8], "Hello, Jürgen!\r\n".encode())


def test_with_v_a_line_says_who_comes_and_who_goes() -> None:
    with serving("-v", "-k", "--hello") as (listener, port):
        with connect(port) as client:
            where = client.getsockname()[1]
            listener.wait_for(rf"^Connection received on 127\.0\.0\.1 {where}$")
            client.sendall(b"Michael\n")
            receive(client, b"Welcome!Hello, Michael!\n")
        listener.wait_for(rf"^127\.0\.0\.1 port {where} has left")


def test_a_name_that_is_the_last_word_is_greeted() -> None:
    with serving("--hello") as (listener, port):
        assert all_at_once(port, b"Michael") == b"Welcome!Hello, Michael!"
        assert listener.code() == 0


def test_a_line_that_is_too_long_is_told_so_and_closed() -> None:
    with serving("-k", "--hello") as (_, port):
        with connect(port) as client:
            client.sendall(b"x" * (1 << 16) + b"y" * 100_000)
            assert receive_all(client) == b"Welcome!Error: a message of more than 65536 bytes\n"
        assert all_at_once(port, b"x" * (1 << 16) + b"\n") == b"Welcome!Hello, " + b"x" * (1 << 16) + b"!\n"


def test_bytes_that_are_no_text_are_a_name_too() -> None:
    with serving("--hello") as (_, port):
        assert all_at_once(port, b"\xff\x00\x1b[31m\n") == b"Welcome!Hello, \xff\x00\x1b[31m!\n"


def test_a_client_who_never_reads_keeps_nobody_else_waiting() -> None:
    with serving("-k", "--hello") as (_, port), connect(port) as deaf:
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.send(b"\n" * (1 << 16))
        assert all_at_once(port, b"Michael\n") == b"Welcome!Hello, Michael!\n"


def test_a_message_alone_behind_answers_that_were_not_read_yet_is_answered_after_them() -> None:
    with serving("-O", "4096", "--hello") as (_, port), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"\n" * 4000 + b"Michael")
        time.sleep(0.3)  # the silence is over before there is room for all answers
        receive(slow, b"Welcome!" + b"Hello, !\n" * 4000 + b"Hello, Michael!")


def test_a_client_who_breaks_off_changes_nothing_for_the_next() -> None:
    with serving("-k", "--hello") as (_, port):
        for _ in range(3):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            client.sendall(b"Mich")
            reset(client)
        assert all_at_once(port, b"Michael\n") == b"Welcome!Hello, Michael!\n"


# --- the others over TCP


@pytest.mark.parametrize("host", HOSTS)
def test_echo_returns_every_byte_to_a_client_who_ends_first(host: str) -> None:
    data = random.Random(1).randbytes(3_000_000)
    with serving("--echo", host=host) as (listener, port):
        assert all_at_once(port, data, host) == data
        assert listener.code() == 0


def test_echo_serves_a_real_netcat() -> None:
    with serving("--echo") as (listener, port):
        with running(peer("nc.openbsd"), "-N", "127.0.0.1", str(port)) as client:
            client.stdin.write(b"over and out\n")
            assert client.finish() == (0, b"over and out\n")
        assert listener.code() == 0


def test_discard_answers_nothing_and_ends_with_its_client() -> None:
    with serving("--discard") as (listener, port):
        assert all_at_once(port, bytes(1_000_000)) == b""
        assert listener.code() == 0


def test_chargen_fills_lines_until_its_client_has_enough() -> None:
    ring = bytes(range(32, 127)) * 2
    with serving("--chargen") as (listener, port):
        with connect(port) as client:
            stream = b""
            while len(stream) < 1_000_000:
                stream += client.recv(1 << 16)
        lines = stream.split(b"\r\n")[:-1]
        assert all(line == ring[number % 95 : number % 95 + 72] for number, line in enumerate(lines))
        assert listener.code() == 0  # its client's leaving is how it ends


def test_chargen_goes_on_for_a_client_who_has_nothing_to_say() -> None:
    with serving("-k", "--chargen") as (_, port), connect(port) as client:
        client.shutdown(socket.SHUT_WR)
        for _ in range(10):
            assert client.recv(1 << 16)


def test_upper_returns_capitals_wherever_the_text_is_cut() -> None:
    with serving("--upper") as (listener, port):
        with connect(port) as client:
            client.sendall(b"gr\xc3")
            receive(client, b"GR")
            client.sendall(b"\xbc\xc3\x9fe\n")
            receive(client, "ÜSSE\n".encode())
            client.sendall(b"\xff")
            receive(client, b"\xff")
        assert listener.code() == 0


def test_daytime_tells_a_line_that_is_now_and_closes() -> None:
    with serving("--daytime") as (listener, port):
        with connect(port) as client:
            line = receive_all(client).decode()
        assert re.fullmatch(r"\w+day, \w+ \d+, \d{4} \d\d:\d\d:\d\d-UTC\r\n", line)
        assert listener.code() == 0


def test_time_tells_the_seconds_since_1900_and_closes() -> None:
    before = int(time.time()) + 2208988800
    with serving("--time") as (listener, port):
        with connect(port) as client:
            told = receive_all(client)
        assert len(told) == 4
        assert before <= int.from_bytes(told, "big") <= int(time.time()) + 2208988800
        assert listener.code() == 0


def test_without_k_the_second_client_is_refused() -> None:
    with serving("--echo") as (listener, port):
        with connect(port) as client:
            client.sendall(b"x")
            receive(client, b"x")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), PATIENCE)
            client.sendall(b"y")
            receive(client, b"y")
        assert listener.code() == 0


@pytest.mark.parametrize("service", ["--echo", "--hello"])
def test_a_unix_socket_has_services_too(service: str, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with pync("-v", "-l", "-U", service, path) as listener:
        listener.wait_for("Listening on ")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(path)
            client.sendall(b"Michael\n")
            client.shutdown(socket.SHUT_WR)
            answer = receive_all(client)
        assert answer == {"--echo": b"Michael\n", "--hello": b"Welcome!Hello, Michael!\n"}[service]
        assert listener.code() == 0
    assert not os.path.exists(path)


# --- UDP


@contextlib.contextmanager
def udp_client(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, port))
        sock.settimeout(PATIENCE)
        yield sock


def ask(sock: socket.socket, data: bytes, host: str, port: int) -> bytes:
    """The answer, which must come from the address that was asked."""
    sock.sendto(data, (host, port))
    answer, address = sock.recvfrom(1 << 17)
    assert address[:2] == (host, port)
    return answer


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("service", "query", "pattern"),
    [
        ("echo", b"\x00\xff", rb"\x00\xff"),
        ("hello", b"Michael", rb"Hello, Michael!"),
        ("upper", b"text\n", rb"TEXT\n"),
        ("chargen", b"", rb"[ -~\r\n]{1,512}"),
        ("daytime", b"", rb"\w+day, .*-UTC\r\n"),
        ("time", b"", rb"(?s)...."),
    ],
)
def test_every_datagram_is_answered_until_the_service_is_stopped(
    service: str, query: bytes, pattern: bytes, host: str
) -> None:
    with (
        serving("-u", f"--{service}", host=host) as (listener, port),
        udp_client(host) as first,
        udp_client(host) as second,
    ):
        for sock in (first, second, first):
            assert re.fullmatch(pattern, ask(sock, query, host, port))
        stop(listener)
        assert listener.code() == 143


def test_a_listener_on_every_address_answers_from_the_one_that_was_asked() -> None:
    with pync("-l", "-u", "--echo", "0") as listener, udp_client("127.0.0.1") as sock, udp_client("::1") as sock6:
        port = listener.port()
        assert ask(sock, b"1", "127.0.0.1", port) == b"1"
        if os.path.isdir("/proc/net"):  # elsewhere 127.0.0.2 is no address before it is made one
            assert ask(sock, b"2", "127.0.0.2", port) == b"2"
        assert ask(sock6, b"6", "::1", port) == b"6"


def test_discarded_datagrams_are_counted_and_w_ends_it() -> None:
    with serving("-v", "-u", "--discard", "-W", "3") as (listener, port), udp_client() as sock:
        for size in (0, 1, 65507):
            sock.sendto(bytes(size), ("127.0.0.1", port))
        assert listener.code() == 0
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    assert "datagrams: 3 received, 0 sent; refused: 0 by rule" in listener.messages
    assert any(message.startswith("sent 0 bytes, received 65508 bytes in ") for message in listener.messages)


def test_ctrl_c_ends_it_with_its_counts() -> None:
    with serving("-v", "-u", "--echo") as (listener, port), udp_client() as sock:
        assert ask(sock, b"x", "127.0.0.1", port) == b"x"
        stop(listener, signal.SIGINT)
        assert listener.code() == 130
    assert "datagrams: 1 received, 1 sent; refused: 0 by rule" in listener.messages


def test_json_has_the_counts_too() -> None:
    with serving("--json", "-u", "--hello", "-W", "1") as (listener, port), udp_client() as sock:
        assert ask(sock, b"x", "127.0.0.1", port) == b"Hello, x!"
        assert listener.code() == 0
    counts = json.loads(listener.messages[-2])["listener"]
    assert (counts["sent"], counts["received"], counts["datagrams"]) == (9, 1, {"received": 1, "sent": 1})


def test_whom_the_rules_deny_is_not_answered() -> None:
    with serving("-v", "-u", "--echo", "--deny", "127.0.0.3") as (listener, port):
        with udp_client("127.0.0.3") as denied, udp_client() as sock:
            denied.sendto(b"x", ("127.0.0.1", port))
            assert ask(sock, b"y", "127.0.0.1", port) == b"y"
            denied.setblocking(False)
            with pytest.raises(BlockingIOError):
                denied.recv(1)
            listener.wait_for(r"^Connection from 127\.0\.0\.3 \d+ refused by rule$")


def test_silence_and_the_total_time_end_it_with_code_3() -> None:
    with serving("-u", "--echo", "-w", "50ms") as (listener, port), udp_client() as sock:
        assert ask(sock, b"x", "127.0.0.1", port) == b"x"
        assert listener.code() == 3
    assert listener.messages[-1] == "pync: listener: no data for 0.05 s: timed out"
    with serving("-u", "--echo", "--total-timeout", "50ms") as (listener, _):
        assert listener.code() == 3


def test_a_real_netcat_asks_over_udp() -> None:
    with serving("-u", "--hello") as (_, port):
        with running(peer("nc.openbsd"), "-u", "-w1", "127.0.0.1", str(port)) as client:
            client.stdin.write(b"Michael\n")
            assert client.read(16) == b"Hello, Michael!\n"


def test_pync_asks_pync_and_leaves_after_one_answer() -> None:
    with serving("-u", "--upper") as (_, port):
        with pync("-u", "-W", "1", "127.0.0.1", str(port)) as client:
            client.stdin.write(b"text")
            assert client.finish() == (0, b"TEXT")


@pytest.mark.parametrize("service", ["echo", "chargen"])
def test_two_services_that_a_forged_datagram_sets_on_each_other_stay_quiet(service: str) -> None:
    """Both on the same number, as services are: 127.0.0.2 seems to ask 127.0.0.1."""
    if os.geteuid():
        pytest.skip("forging a sender takes root")
    with serving("-u", f"--{service}") as (_, port), udp_client() as sock:
        with pync("-v", "-l", "-u", f"--{service}", "127.0.0.2", str(port)) as twin:
            twin.wait_for("Bound on")
            forge("127.0.0.2", port, "127.0.0.1", port)
            assert ask(sock, b"x" * 100, "127.0.0.1", port)
            assert ask(sock, b"x" * 100, "127.0.0.2", port)  # not a word from the first before this
            stop(twin)
            twin.code()
    assert "datagrams: 1 received, 1 sent; refused: 0 by rule" in twin.messages


def forge(source: str, source_port: int, destination: str, port: int) -> None:
    """Send a UDP datagram that seems to come from somewhere else (raw(7), RFC 768)."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("forging a sender takes the right to raw sockets")
    with raw:
        raw.bind((source, 0))
        header = b"".join(number.to_bytes(2, "big") for number in (source_port, port, 9, 0))
        raw.sendto(header + b"x", (destination, 0))


def test_a_unix_datagram_is_answered_to_the_path_of_its_sender(tmp_path: Path) -> None:
    path, own = str(tmp_path / "server"), str(tmp_path / "client")
    with pync("-v", "-l", "-u", "-U", "--hello", path) as listener:
        listener.wait_for("Bound on ")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(own)
            sock.settimeout(PATIENCE)
            sock.sendto(b"Michael", path)
            assert sock.recvfrom(100) == (b"Hello, Michael!", path)
        stop(listener)
        assert listener.code() == 143
    assert eventually(lambda: not os.path.exists(path), "the path is removed")


def test_a_number_of_reads_means_nothing_to_a_service_over_tcp() -> None:
    code, _, messages = run_pync("-l", "--echo", "-W", "1", "127.0.0.1", "0")
    assert (code, messages) == (2, ["pync: -W/--recv-limit with a service needs -u/--udp"])
