"""Who said what: --stamp, --prefix, --output-dir with the installed command, over TCP, UDP and unix sockets."""

from __future__ import annotations

import re
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, pync, run_pync, stop
from tests.sockets import reset

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"


def connect(port: int) -> tuple[socket.socket, bytes]:
    """A client, and what it is called."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return sock, b"127.0.0.1:%d" % sock.getsockname()[1]


def test_each_line_of_the_output_and_the_log_begins_with_time_and_client(tmp_path: Path) -> None:
    log, dump = tmp_path / "log", tmp_path / "dump"
    words = ["--stamp", "-o", str(log), "--hex-dump", str(dump), "--hash", "sha256"]
    with pync("-l", "-k", *words, "127.0.0.1", "0") as listener:
        port = listener.port()
        (first, one), (second, two) = connect(port), connect(port)
        with first, second:
            first.sendall(b"begun ")
            second.sendall(b"whole\nrest")
            shown = listener.stdout.readline()
            first.sendall(b"and ended\n")
            shown += listener.stdout.readline()
            listener.stdin.write(b"to all\n")
            assert first.recv(100) == b"to all\n"
            reset(second)
        shown += listener.stdout.readline()
        stop(listener)
        shown += listener.finish()[1]
    lines = [(two, b"whole"), (one, b"begun and ended"), (two, b"rest")]
    assert re.fullmatch(b"".join(MOMENT + b" %s %s\n" % line for line in lines), shown), shown
    lines.insert(2, (b"-", b"to all"))
    assert re.fullmatch(b"".join(MOMENT + b" %s %s\n" % line for line in lines), log.read_bytes())
    dumped = dump.read_bytes().splitlines()
    assert all(re.match(MOMENT + rb" (-|127\.0\.0\.1:\d+) [<>] ", line) for line in dumped)
    assert f"- > {0:08x}" in dump.read_text()


@pytest.mark.parametrize("way", ["tcp", "reset", "udp", "unix"])
def test_a_single_listener_has_the_client_before_each_line(way: str, tmp_path: Path) -> None:
    unix = way == "unix"
    options = {"udp": ["-u", "-w1"], "unix": ["-U"]}.get(way, [])
    where = [str(tmp_path / "path")] if unix else ["127.0.0.1", "0"]
    kind = socket.SOCK_DGRAM if way == "udp" else socket.SOCK_STREAM
    with (
        pync("-v", "-l", "--prefix", *options, *where, stdin=subprocess.DEVNULL) as listener,
        socket.socket(socket.AF_UNIX if unix else socket.AF_INET, kind) as client,
    ):
        address = where[0] if unix else ("127.0.0.1", listener.port())
        if unix:
            listener.wait_for("Listening")
        client.connect(address)
        name = b"client-1" if unix else b"127.0.0.1:%d" % client.getsockname()[1]
        client.sendall(b"one\ntwo")
        assert listener.stdout.readline() == name + b" one\n"
        assert listener.read(len(name) + 4) == name + b" two"
        if way == "reset":
            reset(client)
        client.close()
        assert listener.finish() == ({"udp": 3, "reset": 1}.get(way, 0), b"\n")
    assert any("received 7 bytes" in line for line in listener.messages)


def test_each_client_has_a_file_with_its_bytes_and_nothing_else(tmp_path: Path) -> None:
    with pync("-l", "-k", "--output-dir", str(tmp_path), "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        port = listener.port()
        clients = [connect(port) for _ in range(20)]
        for number, (sock, _) in enumerate(clients):
            sock.sendall(b"%02d" % number * 5000)
        silent, _ = connect(port)
        silent.close()
        for sock, _ in clients:
            sock.sendall(b"end")
            sock.close()
        expected = {
            name.decode().replace(":", "-"): b"%02d" % number * 5000 + b"end"
            for number, (_, name) in enumerate(clients)
        }
        eventually(lambda: {path.name: path.read_bytes() for path in tmp_path.iterdir()} == expected, "all files whole")
        stop(listener)
        assert listener.finish() == (143, b"")


def test_datagrams_go_to_the_file_of_their_sender(tmp_path: Path) -> None:
    words = ["--output-dir", str(tmp_path), "--lines", "-w1", "127.0.0.1", "0"]
    with pync("-u", "-l", *words, stdin=subprocess.DEVNULL) as listener:
        address = ("127.0.0.1", listener.port())
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for turn in (b"first", b"second"):
            for sock in senders:
                sock.sendto(turn, address)
        names = [f"127.0.0.1-{sock.getsockname()[1]}" for sock in senders]
        for sock in senders:
            sock.close()
        assert listener.finish() == (3, b"")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(names, b"first\nsecond\n")


def test_a_directory_that_is_not_there_is_told_before_anything_is_bound(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    for words in (["-l"], ["-l", "-k"], ["-u", "-l"]):
        code, _, said = run_pync(*words, "--output-dir", path, "127.0.0.1", "0")
        assert (code, said) == (1, [f"pync: open {path}: No such file or directory"])
