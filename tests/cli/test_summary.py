"""The closing summary in words (-v) and as a line of JSON (--json), and digests (--hash) that both ends agree on.

The keys themselves are tested in meter/test_summary.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import signal
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import PATIENCE, Running, peer, pync, run_pync, stop, unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = 300 << 20
WORDS = r"sent \d+ bytes, received \d+ bytes in \d+\.\d\d s \(.*B/s\)"


def summary(lines: list[str]) -> dict[str, Any]:
    """The one summary among the messages; it is the last of them, and there are none in words."""
    (found,) = [said["summary"] for said in map(json.loads, lines) if said["event"] == "summary"]
    assert list(json.loads(lines[-1])) == ["event", "summary"]
    assert isinstance(found, dict)
    return found


def port_of(listener: Running) -> int:
    return int(listener.wait_for(r'"port": (\d+), "text": "Listening')[1])


def digests(lines: list[str]) -> dict[str, str]:
    """What --hash says in words: direction → digest."""
    return {match[1]: match[2] for line in lines if (match := re.fullmatch(r"sha256 (sent|received) (\w+)", line))}


def accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(PATIENCE)
    return connection


@pytest.fixture
def answered(server: socket.socket) -> Iterator[Running]:
    """A client with --json that has sent 4 bytes and got 6, and is still there."""
    with pync("-v", "--json", "127.0.0.1", str(server.getsockname()[1])) as client:
        client.stdin.write(b"ping")
        with accept(server) as connection:
            assert connection.recv(4, socket.MSG_WAITALL) == b"ping"
            connection.sendall(b"answer")
            assert client.read(6) == b"answer"
            yield client


# --- as JSON


def test_both_ends_sum_up_in_one_line_instead_of_words() -> None:
    with pync("-l", "-d", "-v", "--json", "127.0.0.1", "0") as listener:
        port = port_of(listener)
        code, heard, messages = run_pync("-v", "--json", "localhost", "-4", str(port), stdin=b"hello")
        assert (code, heard) == (0, b"")
        assert listener.finish() == (0, b"hello")
    said = summary(messages)
    assert said.pop("seconds") >= 0
    assert said.pop("rate") > 0
    assert said == {
        "peer": {"name": f"localhost (127.0.0.1) port {port}", "address": "127.0.0.1", "port": port},
        "connections": 1,
        "sent": 5,
        "received": 0,
        "dropped": 0,
        "hash": None,
        "error": None,
        "exit": 0,
    }
    heard_of = summary(listener.messages)
    assert (heard_of["sent"], heard_of["received"], heard_of["exit"]) == (0, 5, 0)
    assert heard_of["peer"]["address"] == "127.0.0.1"
    assert heard_of["peer"]["name"] == f"127.0.0.1 port {heard_of['peer']['port']}"


def test_without_verbosity_the_line_is_all_that_is_said(server: socket.socket) -> None:
    with pync("--json", "127.0.0.1", str(server.getsockname()[1])) as client:
        accept(server).close()
        assert client.finish() == (0, b"")
    assert len(client.messages) == 1
    assert summary(client.messages)["exit"] == 0


def test_a_socket_with_a_path_has_no_port(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-d", "-v", "--json", "-U", path) as listener:
        listener.wait_for("Listening")
        said = summary(run_pync("--json", "-U", path, stdin=b"hello")[2])
        assert listener.finish() == (0, b"hello")
    assert said["peer"] == {"name": path, "address": path, "port": None}
    assert summary(listener.messages)["peer"] == {"name": f"client of {path}", "address": None, "port": None}


def test_datagrams_are_summed_up_too(udp_server: socket.socket) -> None:
    port = udp_server.getsockname()[1]
    said = summary(run_pync("-u", "-q", "0", "--json", "127.0.0.1", str(port), stdin=b"hello")[2])
    assert (said["peer"]["name"], said["sent"], said["exit"]) == (f"127.0.0.1 port {port} (udp)", 5, 0)


def test_a_refused_datagram_is_in_the_summary_with_the_exit_code() -> None:
    port = unused_port(socket.SOCK_DGRAM)
    code, _, messages = run_pync("-u", "-q", "500ms", "--json", "127.0.0.1", str(port), stdin=b"hello")
    said = summary(messages)
    assert (code, said["exit"]) == (1, 1)
    assert said["error"] == f"send to 127.0.0.1 port {port} (udp): Connection refused"


def test_a_connection_that_never_was_is_summed_up_with_its_error() -> None:
    port = unused_port()
    code, _, messages = run_pync("--json", "127.0.0.1", str(port))
    said = summary(messages)
    assert (code, said["exit"], said["connections"], said["peer"]) == (1, 1, 0, None)
    assert json.loads(messages[0]) == {"event": "error", "text": said["error"]}
    assert "Connection refused" in said["error"]


def test_several_ports_add_up(server: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(PATIENCE)
        ports = [str(sock.getsockname()[1]) for sock in (server, other)]
        with pync("--json", "127.0.0.1", *ports) as client:
            for sock, answer in ((server, b"one"), (other, b"three")):
                with accept(sock) as connection:
                    connection.sendall(answer)
                    client.stdin.close()
            assert client.finish() == (0, b"onethree")
    said = summary(client.messages)
    assert (said["connections"], said["received"], str(said["peer"]["port"])) == (2, 8, ports[1])


def test_a_signal_is_an_exit_code_in_the_summary(answered: Running) -> None:
    stop(answered, signal.SIGTERM)
    assert answered.code() == 143
    said = summary(answered.messages)
    assert (said["sent"], said["exit"], said["error"]) == (4, 143, None)


def test_ctrl_c_is_one_too(answered: Running) -> None:
    stop(answered, signal.SIGINT)
    assert answered.code() == 130
    assert summary(answered.messages)["exit"] == 130


def test_a_reset_is_told_with_what_was_moved_before(server: socket.socket) -> None:
    with pync("--json", "127.0.0.1", str(server.getsockname()[1])) as client:
        with accept(server) as connection:
            client.stdin.write(b"ping")
            assert connection.recv(4, socket.MSG_WAITALL) == b"ping"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert client.code() == 1
    said = summary(client.messages)
    assert (said["sent"], said["exit"]) == (4, 1)
    assert said["error"].endswith("lost: Connection reset by peer")


def test_silence_is_told_with_exit_code_3(server: socket.socket) -> None:
    with pync("--json", "--idle-timeout", "50ms", "127.0.0.1", str(server.getsockname()[1])) as client:
        with accept(server):
            assert client.code() == 3
    said = summary(client.messages)
    assert (said["exit"], said["error"][-9:]) == (3, "timed out")


@pytest.mark.parametrize(
    "words", [["--json", "--hash", "none", "127.0.0.1", "1"], ["--json", "127.0.0.1"], ["--json", "-l", "-z", "1"]],
    ids=" ".join,
)  # fmt: skip
def test_a_command_line_that_makes_no_sense_has_no_summary(words: list[str]) -> None:
    code, _, messages = run_pync(*words)
    assert code == 2
    assert {json.loads(line)["event"] for line in messages} <= {"error"}


def test_probing_has_its_objects_on_stdout_and_no_summary(server: socket.socket) -> None:
    code, output, messages = run_pync("-z", "--json", "127.0.0.1", str(server.getsockname()[1]))
    assert (code, messages) == (0, [])
    assert json.loads(output)["state"] == "open"


# --- in words


def test_without_json_the_words_are_as_ever(server: socket.socket) -> None:
    with pync("-v", "127.0.0.1", str(server.getsockname()[1])) as client:
        accept(server).close()
        assert client.finish() == (0, b"")
    assert re.fullmatch(WORDS, client.messages[-1])


# --- digests


def test_the_two_ends_agree_about_what_went_each_way() -> None:
    there, back = random.Random(1).randbytes(3 << 20), random.Random(2).randbytes(2 << 20)
    with pync("-l", "-v", "--hash", "sha256", "127.0.0.1", "0") as listener:
        port = listener.port()
        with pync("--hash", "sha256", "127.0.0.1", str(port)) as client:
            client.stdin.write(there[:1000])
            listener.stdin.write(back[:1000])
            client.stdin.write(there[1000:])
            client.stdin.close()
            assert listener.read(len(there)) == there
            rest = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=listener.stdin)
            listener.stdin.close()
            rest.communicate(back[1000:], timeout=PATIENCE)
            code, heard = client.finish()
        assert (code, heard) == (0, back)
        assert listener.finish() == (0, b"")
    expected = {"sent": hashlib.sha256(there).hexdigest(), "received": hashlib.sha256(back).hexdigest()}
    assert digests(client.messages) == expected
    assert digests(listener.messages) == {"sent": expected["received"], "received": expected["sent"]}


@pytest.mark.slow
def test_a_large_file_has_the_digest_of_sha256sum(tmp_path: Path) -> None:
    source = tmp_path / "big"
    pattern = random.Random(3).randbytes(1 << 20)
    with open(source, "wb") as file:
        for number in range(BIG >> 20):
            file.write(number.to_bytes(8, "big") + pattern[8:])
    told = subprocess.run([peer("sha256sum"), str(source)], capture_output=True, check=True, timeout=PATIENCE)
    expected = told.stdout.decode().split()[0]
    with (
        open(source, "rb") as given,
        open(tmp_path / "copy", "wb") as taken,
        pync("-l", "-d", "-v", "--json", "--hash", "sha256", "127.0.0.1", "0", stdout=taken) as receiver,
        pync("--json", "--hash", "sha256", "127.0.0.1", str(port_of(receiver)), stdin=given) as sender,
    ):
        assert sender.finish() == (0, b"")
        assert receiver.finish() == (0, b"")
    assert summary(sender.messages)["hash"] == {"name": "sha256", "sent": expected, "received": None}
    assert summary(receiver.messages)["hash"] == {"name": "sha256", "sent": None, "received": expected}
    assert (summary(sender.messages)["sent"], summary(receiver.messages)["received"]) == (BIG, BIG)
    assert digests(sender.messages) == {}
