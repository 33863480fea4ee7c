"""Who may connect, on loopback: --allow, --deny and their files, for TCP, UDP, services, programs and plain -l.

The clients come from the many addresses of 127.0.0.0/8 and from ::1. Other hosts, names and zones are in
test_access_namespaces; how rules are written in wire/test_rules, how they add up in net/test_admission.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, pync, run_pync
from tests.sockets import receive_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, TWO, THREE, SIX = SOURCES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1")


def other_end(source: str) -> str:
    """Where a client with this address finds the listener."""
    return "::1" if ":" in source else "127.0.0.1"


@contextlib.contextmanager
def client(source: str, port: int) -> Iterator[socket.socket]:
    """A connection from this address."""
    try:
        sock = socket.create_connection((other_end(source), port), PATIENCE, (source, 0))
    except OSError as error:
        if ":" not in source and source != ONE:
            pytest.skip(f"{source} is no address of this machine: {error}")
        raise
    with sock:
        yield sock


def is_served(source: str, port: int) -> bool:
    """Whether an echo comes back; a client that is turned away sees the end before a byte."""
    with client(source, port) as sock:
        try:
            sock.sendall(b"ping")
            sock.shutdown(socket.SHUT_WR)
            answer = receive_all(sock)
        except (ConnectionResetError, BrokenPipeError, OSError) as error:
            assert not isinstance(error, TimeoutError)
            return False
    assert answer in (b"", b"ping")
    return answer == b"ping"


@contextlib.contextmanager
def datagrams(source: str, port: int) -> Iterator[socket.socket]:
    """A UDP socket with this address that talks to the listener."""
    with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind((source, 0))
        sock.connect((other_end(source), port))
        yield sock


@pytest.mark.parametrize(
    ("rules", "served"),
    [
        (("--allow", "127.0.0.2"), {TWO}),
        (("--allow", "127.0.0.2,::1"), {TWO, SIX}),
        (("--allow", "127.0.0.0/8"), {ONE, TWO, THREE}),
        (("--allow", "127.0.0.2-127.0.0.9"), {TWO, THREE}),
        (("--allow", "127.0.0.1-2"), {ONE, TWO}),
        (("--allow", "127.*.*.3"), {THREE}),
        (("--allow", "::1/128"), {SIX}),
        (("--allow", "::ffff:127.0.0.2"), {TWO}),
        (("--allow", "::ffff:127.0.0.2/127"), {TWO, THREE}),
        (("--allow", "::/0"), {SIX}),
        (("--allow", "0.0.0.0/0"), {ONE, TWO, THREE}),
        (("--allow", "192.0.2.7"), set()),
        (("--deny", "127.0.0.2"), {ONE, THREE, SIX}),
        (("--deny", "::1"), {ONE, TWO, THREE}),
        (("--deny", "::/0"), {ONE, TWO, THREE}),
        (("--deny", "0.0.0.0/0"), {SIX}),
        (("--deny", "::ffff:127.0.0.0/104"), {SIX}),
        (("--allow", "127.0.0.0/8", "--deny", "127.0.0.2"), {ONE, THREE}),
        (("--allow", "127.0.0.2", "--deny", "127.0.0.0/8"), set()),
    ],
)
def test_the_rules_say_who_is_served(rules: tuple[str, ...], served: set[str]) -> None:
    with pync("-l", "-k", "--echo", *rules, "0") as listener:
        port = listener.port()
        assert {source for source in SOURCES if is_served(source, port)} == served


def test_the_rules_may_come_from_files_and_add_up(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("# friends\n127.0.0.2, ::1  # two of them\n")
    (tmp_path / "out").write_text("127.0.0.3\n")
    files = ("--allowfile", str(tmp_path / "in"), "--denyfile", str(tmp_path / "out"))
    with pync("-l", "-k", "--echo", *files, "--allow", "127.0.0.3,127.0.0.1", "0") as listener:
        port = listener.port()
        assert {source for source in SOURCES if is_served(source, port)} == {ONE, TWO, SIX}


def test_pync_is_turned_away_by_its_source_address() -> None:
    with pync("-l", "-k", "--echo", "--deny", "127.0.0.2", "0") as listener:
        port = str(listener.port())
        assert run_pync("-s", TWO, ONE, port, stdin=b"ping")[1] == b""
        assert run_pync("-s", THREE, ONE, port, stdin=b"ping") == (0, b"ping", [])


# --- what turning away looks like


@pytest.mark.parametrize(("option", "refused", "let_in"), [("--deny", TWO, ONE), ("--allow", SIX, TWO)])
def test_a_client_that_is_turned_away_is_closed_before_any_byte_and_noted(
    option: str, refused: str, let_in: str
) -> None:
    with pync("-l", "-k", "--hello", "-v", option, "127.0.0.2", "0") as listener:
        port = listener.port()
        with client(refused, port) as sock:
            here = sock.getsockname()[1]
            assert sock.recv(1) == b""
        listener.wait_for(rf"{refused} (port )?{here} .*refused.*rule")
        assert not any("received on" in line for line in listener.messages)
        with client(let_in, port) as sock:
            assert sock.recv(8) == b"Welcome!"


def test_without_verbosity_nothing_is_said_of_a_client_that_is_turned_away() -> None:
    with pync("-l", "-k", "--echo", "--deny", "127.0.0.2", "0") as listener:
        port = listener.port()
        assert not is_served(TWO, port)
        assert is_served(ONE, port)
        listener.process.terminate()
        assert listener.code() == 143
        assert len(listener.messages) == 2  # one line for each family's address


def test_the_others_notice_nothing_of_those_who_are_turned_away() -> None:
    with pync("-l", "-k", "--echo", "--max-conns", "1", "--deny", "127.0.0.2", "0") as listener:
        port = listener.port()
        with client(ONE, port) as sock:
            for number in range(200):
                with client(TWO, port) as other:
                    assert other.recv(1) == b""
                sock.sendall(b"%4d" % number)
                assert sock.recv(4, socket.MSG_WAITALL) == b"%4d" % number


# --- without -k


@pytest.mark.parametrize("listening", ["plain", "echo"])
def test_a_client_that_is_turned_away_does_not_use_up_the_one_connection(listening: str) -> None:
    service = {"plain": (), "echo": ("--echo",)}[listening]
    with pync("-l", *service, "--deny", "127.0.0.2,::1", "0", stdin=subprocess.DEVNULL) as listener:
        port = listener.port()
        for source in (TWO, SIX, TWO):
            with client(source, port) as sock:
                assert sock.recv(1) == b""
        with client(ONE, port) as sock:
            sock.sendall(b"ping")
            sock.shutdown(socket.SHUT_WR)
            answer = receive_all(sock)
        code, output = listener.finish()
    assert code == 0
    assert {"plain": output, "echo": answer}[listening] == b"ping"


@pytest.mark.parametrize("many", [(), ("-k",)])
def test_plain_listening_takes_no_byte_from_who_is_turned_away_and_sends_none(many: tuple[str, ...]) -> None:
    with pync("-l", *many, "--allow", "127.0.0.1", "0") as listener:
        port = listener.port()
        listener.stdin.write(b"hello from here")
        for _ in range(3):
            with client(TWO, port) as sock:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(b"nothing of this")
                    assert receive_all(sock) == b""
        with client(ONE, port) as sock:
            sock.sendall(b"hello from there")
            assert listener.read(16) == b"hello from there"


@pytest.mark.parametrize("option", ["--deny", "--denyfile"])
def test_rules_that_are_given_in_two_options_all_count(option: str, tmp_path: Path) -> None:
    rules = ["127.0.0.2", "127.0.0.3"]
    if option == "--denyfile":
        for number, rule in enumerate(rules):
            (tmp_path / str(number)).write_text(rule)
        rules = [str(tmp_path / str(number)) for number in range(len(rules))]
    with pync("-l", "-k", "--echo", option, rules[0], option, rules[1], "127.0.0.1", "0") as listener:
        port = listener.port()
        assert [is_served(f"127.0.0.{last}", port) for last in (1, 2, 3)] == [True, False, False]


def test_no_program_is_started_for_who_is_turned_away(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pync("-l", "-k", "-c", f"echo started >>'{log}'; cat", "--deny", "127.0.0.2", "127.0.0.1", "0") as listener:
        port = listener.port()
        assert not is_served(TWO, port)
        assert is_served(THREE, port)
        assert log.read_text() == "started\n"


# --- UDP


@pytest.mark.parametrize(
    ("rules", "refused", "served"),
    [
        (("--allow", "127.0.0.2"), ONE, TWO),
        (("--allow", "::/0"), ONE, SIX),
        (("--deny", "127.0.0.2,::/0"), TWO, ONE),
        (("--deny", "0.0.0.0/0"), THREE, SIX),
    ],
)
def test_a_datagram_from_who_is_turned_away_is_not_answered(rules: tuple[str, ...], refused: str, served: str) -> None:
    with pync("-l", "-u", "--echo", *rules, "0") as listener:
        port = listener.port()
        with datagrams(refused, port) as outside, datagrams(served, port) as inside:
            outside.send(b"let me in")
            for _ in range(2):  # the second answer is later than any to the outside could be
                inside.send(b"ping")
                assert inside.recv(100) == b"ping"
            outside.setblocking(False)
            with pytest.raises(BlockingIOError):
                outside.recv(100)


def test_a_plain_udp_listener_neither_shows_nor_answers_who_is_turned_away() -> None:
    with pync("-l", "-u", "-v", "--deny", "127.0.0.2", "127.0.0.1", "0") as listener:
        port = listener.port()
        with datagrams(TWO, port) as outside, datagrams(ONE, port) as inside:
            outside.send(b"let me in")
            inside.send(b"ping")
            assert listener.read(4) == b"ping"
            listener.wait_for("received on 127.0.0.1 ")
            # the latest sender that counts gets our input, whoever else has sent since
            outside.send(b"and now?")
            inside.send(b"pong")
            outside.send(b"and now?")
            assert listener.read(4) == b"pong"
            listener.stdin.write(b"hello")
            assert inside.recv(100) == b"hello"
            outside.setblocking(False)
            with pytest.raises(BlockingIOError):
                outside.recv(100)
        assert not any("received on 127.0.0.2" in line for line in listener.messages)


# --- mistakes


@pytest.mark.parametrize("mode", [("-l",), ("-l", "-k"), ("-l", "-k", "--echo"), ("-l", "-u"), ("-l", "-u", "--echo")])
def test_a_bad_rule_is_a_usage_error_before_anything_is_bound(mode: tuple[str, ...], tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    code, output, messages = run_pync(*mode, "--port-file", str(port_file), "--allow", "127.0.0.1,127.0.0.256", "0")
    assert (code, output) == (2, b"")
    assert len(messages) == 1
    assert messages[0].startswith("pync: --allow: '127.0.0.256' is no rule")
    assert not port_file.exists()


@pytest.mark.parametrize("option", ["--allowfile", "--denyfile"])
def test_a_bad_line_of_a_file_is_a_usage_error_that_names_file_and_line(option: str, tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text("127.0.0.1\n\n127.0.0.0/8, 127.0.0.0/33\n")
    code, _, messages = run_pync("-l", option, str(path), "0")
    assert code == 2
    assert len(messages) == 1
    assert messages[0].startswith(f"pync: {path} line 3: '127.0.0.0/33'")


def test_a_file_with_bytes_that_are_no_text_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_bytes(b"127.0.0.1\n\x80\x81\n")
    assert run_pync("-l", "--denyfile", str(path), "0") == (2, b"", [f"pync: {path} line 2: not UTF-8 text"])


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    assert run_pync("-l", "--allowfile", str(path), "0") == (1, b"", [f"pync: read {path}: No such file or directory"])


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_bytes(b"\x1b[2J\0\n")
    code, _, messages = run_pync("-l", "--allowfile", str(path), "0")
    assert code == 2
    assert len(messages) == 1
    assert messages[0].isprintable()


@pytest.mark.parametrize("name", ["localhost", "host.example"])
def test_a_name_is_refused_where_no_names_are_wanted(name: str) -> None:
    code, _, messages = run_pync("-l", "-n", "--allow", name, "0")
    assert code == 2
    assert len(messages) == 1
    assert "--allow" in messages[0]
    assert name in messages[0]


@pytest.mark.parametrize("option", ["--allow", "--deny", "--allowfile", "--denyfile"])
def test_rules_are_a_listeners_and_not_for_unix_sockets(option: str, tmp_path: Path) -> None:
    assert run_pync(option, "127.0.0.1", "127.0.0.1", "9")[0] == 2
    code, _, messages = run_pync("-l", "-U", option, "127.0.0.1", str(tmp_path / "socket"))
    assert code == 2
    assert "does not go with" in messages[0]


def test_localhost_is_all_addresses_that_the_system_calls_so() -> None:
    names = {address[4][0] for address in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    with pync("-l", "-k", "--echo", "--allow", "localhost", "0") as listener:
        port = listener.port()
        assert {source for source in SOURCES if is_served(source, port)} == names & set(SOURCES)


@pytest.mark.slow
def test_a_hundred_thousand_rules_do_not_keep_a_listener_from_serving(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text("".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32\n" for n in range(100_000)) + "127.0.0.2\n")
    with pync("-l", "-k", "--echo", "--denyfile", str(path), "0") as listener:
        port = listener.port()
        eventually(lambda: is_served(ONE, port), "a client that is served")
        assert not is_served(TWO, port)
