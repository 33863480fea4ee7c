"""--json: every line on stderr is an object, in every mode, and the last of them says what the run came to.

The objects of -z and --ports on stdout are tested with these, the keys of the summary in tests/test_outcome.
"""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pync.outcome import EVENTS
from tests.running import PATIENCE, pync, run_pync, stop, unused_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Running


def events(lines: list[str]) -> list[dict[str, Any]]:
    """All of stderr; fails where a line is no object with an event."""
    found = [json.loads(line) for line in lines]
    assert {each["event"] for each in found} <= set(EVENTS)
    return found


def kinds(lines: list[str]) -> list[str]:
    return [each["event"] for each in events(lines)]


def port_of(listener: Running) -> int:
    listener.wait_for(r'"event": "(listening|bound)"')
    return int(json.loads(listener.messages[-1])["port"])


def summary(lines: list[str]) -> dict[str, Any]:
    *_, last = events(lines)
    assert last["event"] == "summary"
    assert isinstance(last["summary"], dict)
    return last["summary"]


def talk(port: int, kind: int = socket.SOCK_STREAM) -> bytes:
    """Send four bytes, and hear what comes back: until the end, or one datagram."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"ping")
        if kind == socket.SOCK_DGRAM:
            return sock.recv(100)
        sock.shutdown(socket.SHUT_WR)
        heard = b""
        while data := sock.recv(100):
            heard += data
        return heard


#: Listeners that answer with what they got: their words, and whether the bytes come by our hands.
ECHOES = {
    "a service once": (["--echo"], True),
    "a service": (["-k", "--echo"], True),
    "workers": (["-k", "--echo", "--workers", "2"], True),
    "a program once": (["-e", "cat"], False),
    "programs": (["-k", "-e", "cat"], False),
    "a program behind pipes": (["-c", "cat", "-w", "20"], True),
    "programs behind pipes": (["-k", "-c", "cat", "--hash", "md5"], True),
    "programs of workers": (["-k", "-e", "cat", "--workers", "2"], False),
    "a service over datagrams": (["-u", "--echo"], True),
    "programs over datagrams": (["-u", "-e", "cat"], True),
}


@pytest.mark.parametrize(("words", "seen"), ECHOES.values(), ids=ECHOES.keys())
def test_a_listener_that_answers_writes_objects_only_and_a_summary_at_the_end(words: list[str], seen: bool) -> None:
    datagrams = "-u" in words
    with pync("-l", "-v", "--json", *words, "127.0.0.1", "0") as listener:
        port = port_of(listener)
        assert talk(port, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) == b"ping"
        if "-k" in words or datagrams:
            listener.wait_for(r'"event": "(closed|connected)"')
            stop(listener)
        code = listener.code()
    said = summary(listener.messages)
    assert said["exit"] == code
    assert said["connections"] == (0 if words == ["-u", "--echo"] else 1)
    assert (said["sent"], said["received"]) == ((4, 4) if seen else (None, None))
    assert (said["rate"] is None) == (not seen)
    assert kinds(listener.messages)[-2] == "listener"


def test_a_plain_listener_and_its_client_write_objects_only() -> None:
    with pync("-l", "-v", "--json", "--progress", "--hash", "md5", "127.0.0.1", "0") as listener:
        with pync("-v", "--json", "127.0.0.1", str(port_of(listener))) as client:
            client.stdin.write(b"ping")
            assert listener.read(4) == b"ping"
            listener.stdin.close()
            assert client.finish() == (0, b"")
        assert listener.finish() == (0, b"")
    assert kinds(client.messages) == ["connected", "closed", "summary"]
    assert kinds(listener.messages) == ["listening", "connected", "progress", "closed", "listener", "summary"]
    said = summary(listener.messages)
    assert (said["sent"], said["received"], said["hash"]["sent"]) == (0, 4, None)


def test_many_clients_of_a_plain_listener_are_summed_up_with_their_digest() -> None:
    with pync("-l", "-k", "--json", "-v", "--hash", "md5", "--deny", "127.0.0.2", "127.0.0.1", "0") as listener:
        port = port_of(listener)
        with socket.create_connection(("127.0.0.1", port), PATIENCE, ("127.0.0.2", 0)) as denied:
            assert denied.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"ping")
            assert listener.read(4) == b"ping"
            stop(listener, signal.SIGUSR1)
            listener.wait_for('"listener"')
            stop(listener)
            assert listener.code() == 143
    assert kinds(listener.messages) == ["listening", "refused", "connected", "listener", "listener", "summary"]
    refused = events(listener.messages)[1]
    assert (refused["address"], refused["by"]) == ("127.0.0.2", "rule")
    said = summary(listener.messages)
    assert (said["connections"], said["received"], said["exit"]) == (1, 4, 143)
    assert said["hash"] == {"name": "md5", "sent": None, "received": "df911f0151f9ef021d410b4be5060972"}


def test_datagrams_are_told_as_objects_by_both_ends() -> None:
    with pync("-u", "-l", "-v", "--json", "127.0.0.1", "0") as listener:
        with pync("-u", "-v", "--json", "127.0.0.1", str(port_of(listener))) as client:
            client.stdin.write(b"ping")
            assert listener.read(4) == b"ping"
            listener.stdin.write(b"pong")
            assert client.read(4) == b"pong"
            assert client.finish() == (0, b"")
        stop(listener)
        assert listener.code() == 143
    assert kinds(client.messages) == ["connected", "closed", "summary"]
    assert kinds(listener.messages) == ["bound", "connected", "closed", "listener", "summary"]
    assert summary(client.messages)["received"] == 4


@pytest.mark.parametrize(
    ("words", "seen"), [(["-e", "cat"], False), (["-c", "cat", "-w20"], True), (["-u", "-c", "printf x"], True)],
    ids=["its own socket", "pipes", "datagrams"],
)  # fmt: skip
def test_a_program_that_is_connected_is_summed_up(words: list[str], seen: bool) -> None:
    kind = socket.SOCK_DGRAM if "-u" in words else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        port = server.getsockname()[1]
        with pync("--json", *words, "127.0.0.1", str(port)) as client:
            if kind == socket.SOCK_STREAM:
                server.accept()[0].close()
            code = client.code()
    said = summary(client.messages)
    assert (said["exit"], said["connections"], said["received"]) == (code, 1, 0 if seen else None)
    assert said["peer"]["port"] == port


REFUSED = {
    "connect": [],
    "a program": ["-e", "cat"],
    "datagrams": ["-u"],
    "several attempts": ["--retry", "1", "-v"],
    "a patient one": ["--wait", "100ms"],
}


@pytest.mark.parametrize("words", REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_an_object_and_has_a_summary(words: list[str]) -> None:
    port = unused_port(socket.SOCK_DGRAM if "-u" in words else socket.SOCK_STREAM)
    code, _, lines = run_pync(*words, "--json", "127.0.0.1", str(port), stdin=b"x")
    assert "error" in kinds(lines)
    said = summary(lines)
    assert (said["exit"], bool(said["error"])) == (code, True)


PROBES = {
    "open and refused": ["-z", "-v", "127.0.0.1"],
    "with patience": ["-z", "--wait", "100ms", "127.0.0.1"],
    "who holds a port": ["--ports"],
}


@pytest.mark.parametrize("words", PROBES.values(), ids=PROBES.keys())
def test_what_looks_at_ports_writes_objects_only(words: list[str]) -> None:
    code, _, lines = run_pync(*words, "--json", str(unused_port()))
    assert code in (1, 3)
    assert "summary" not in kinds(lines)


MISTAKES = {
    "an unknown option": ["--nosuch"],
    "no host": [],
    "a bad port": ["127.0.0.1", "nosuchport"],
    "a bad value": ["--rate", "x", "127.0.0.1", "1"],
    "a name": ["nosuch.invalid", "1"],
    "two that do not go together": ["-l", "-z", "1"],
    "no such digest": ["--hash", "none", "127.0.0.1", "1"],
    "no such program": ["-e", "/nosuch", "127.0.0.1", "1"],
    "no such folder": ["-l", "-k", "--http-root", "/nosuch", "1"],
    "not our address": ["-l", "192.0.2.1", "1"],
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_as_an_object(words: list[str]) -> None:
    code, _, lines = run_pync(*words, "--json")
    assert code in (1, 2)
    assert "error" in kinds(lines)


def test_an_address_in_use_is_told_as_an_object(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for words in ([], ["-k"], ["--echo"], ["-k", "--echo", "--workers", "2"]):
            code, _, lines = run_pync("-l", "--json", *words, "127.0.0.1", str(server.getsockname()[1]))
            assert (code, kinds(lines)[-2:]) == (2, ["error", "summary"])
