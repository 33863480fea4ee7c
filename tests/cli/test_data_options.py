"""The options that look at the bytes or change them: -C -t -o --hex-dump --append-output --hash.

Black box, over TCP; the same options over UDP are in test_udp. The codecs have their own tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.running import pync, run_pync
from tests.sockets import accepted, connected, port_of, receive_all

if TYPE_CHECKING:
    from pathlib import Path


def test_crlf_turns_newlines_into_crlf_and_leaves_crlf_alone(server: socket.socket) -> None:
    with pync("-C", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        for piece in (b"a\nb\r", b"\nc\r\n", b"d\r", b"e\n"):
            client.stdin.write(piece)
        client.stdin.close()
        assert receive_all(peer) == b"a\r\nb\r\nc\r\nd\re\r\n"
        peer.sendall(b"untouched\n")
        peer.close()
        assert client.finish() == (0, b"untouched\n")


def test_telnet_options_are_refused_and_never_reach_the_output(server: socket.socket) -> None:
    with pync("-t", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"lo\xff\xfd\x18gin\xff\xfb\x01: \xff\xff\xff\xf9")
        assert client.read(8) == b"login: \xff"
        assert peer.recv(6) == b"\xff\xfc\x18\xff\xfe\x01"
        client.stdin.write(b"me\n")
        client.stdin.close()
        assert receive_all(peer) == b"me\n"
        peer.close()
        assert client.finish() == (0, b"")


@pytest.mark.slow
def test_telnet_questions_that_nobody_reads_the_answers_of_cost_no_memory(server: socket.socket) -> None:
    with pync("-t", "-d", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.settimeout(1)
        asked = 0
        try:
            while asked < 256 << 20:
                asked += peer.send(b"\xff\xfd\x18" * 20_000)
        except TimeoutError:
            pass
        assert asked < 256 << 20  # it stopped listening instead of piling up answers
        with open(f"/proc/{client.process.pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        assert peak < 64 << 10
        peer.settimeout(30)
        drain = threading.Thread(target=receive_all, args=(peer,))
        drain.start()
        peer.shutdown(1)
        assert client.finish() == (0, b"")
        drain.join()


def test_output_logs_both_directions_as_they_passed(server: socket.socket, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pync("-o", str(log), "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"question\n")
        assert peer.recv(9) == b"question\n"
        peer.sendall(b"answer\n")
        assert client.read(7) == b"answer\n"
        peer.close()
        assert client.finish() == (0, b"")
    assert log.read_bytes() == b"question\nanswer\n"


def test_hex_dump_shows_direction_offset_and_text(server: socket.socket, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pync("--hex-dump", str(log), "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"GET / HTTP/1.0\r\n\r\n")
        assert peer.recv(18)
        peer.sendall(b"HTTP")
        assert client.read(4) == b"HTTP"
        peer.close()
        assert client.finish() == (0, b"")
    assert log.read_text().splitlines() == [
        "> 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 30 0d 0a  |GET / HTTP/1.0..|",
        "> 00000010  0d 0a                                             |..|",
        "< 00000000  48 54 54 50                                       |HTTP|",
    ]


def test_a_log_is_begun_anew_unless_told_to_append(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for options, expected in (([], b"one"), ([], b"one"), (["--append-output"], b"oneone")):
        with pync("-l", "-o", str(log), *options, "127.0.0.1", "0") as listener, connected(listener) as peer:
            peer.sendall(b"one")
            peer.shutdown(1)
            assert listener.finish() == (0, b"one")
        assert log.read_bytes() == expected


def test_a_log_that_cannot_be_opened_is_an_error_before_anything_is_sent(server: socket.socket) -> None:
    code, _, messages = run_pync("-o", "/nonexistent/log", "127.0.0.1", port_of(server))
    assert (code, messages) == (1, ["pync: open /nonexistent/log: No such file or directory"])


@pytest.mark.parametrize("option", ["-o", "--hex-dump"])
@pytest.mark.parametrize(("limit", "expected"), [([], 1), (["--total-timeout", "0.2"], 3)])
def test_a_pipe_without_a_reader_holds_up_neither_limits_nor_us(
    server: socket.socket, tmp_path: Path, option: str, limit: list[str], expected: int
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    code, _, messages = run_pync(option, str(path), *limit, "127.0.0.1", port_of(server))
    assert (code, messages) == (expected, [f"pync: open {path}: no program reads from this FIFO"])


def test_a_pipe_may_get_its_reader_a_moment_later(server: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pync("-o", str(path), "127.0.0.1", port_of(server)) as client, path.open("rb") as reader:
        with accepted(server) as peer:
            peer.sendall(b"logged")
        assert client.finish() == (0, b"logged")
        assert reader.read() == b"logged"


@pytest.mark.parametrize(
    ("mode", "limit", "expected"),
    [([], [], 143), ([], ["--total-timeout", "1"], 3), (["-l"], [], 143), (["-l", "-k"], [], 143)],
    ids=["connects", "has a limit", "listens", "keeps open"],
)
def test_a_pipe_whose_reader_has_stopped_holds_up_neither_limits_nor_signals(
    tmp_path: Path, mode: list[str], limit: list[str], expected: int
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    stopped = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
            port = "0" if mode else port_of(server)
            user = stack.enter_context(
                pync("-o", str(path), *limit, *mode, "127.0.0.1", port, stdout=subprocess.DEVNULL)
            )
            peer = stack.enter_context(connected(user) if mode else accepted(server))
            peer.settimeout(0.5)
            with contextlib.suppress(OSError):  # the log takes no more, so neither does it
                while True:
                    peer.send(bytes(1 << 16))
            if not limit:
                user.process.terminate()
            assert user.code() == expected
    finally:
        os.close(stopped)


def test_a_log_on_a_full_disk_is_a_clear_error(server: socket.socket) -> None:
    with pync("-o", "/dev/full", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        peer.sendall(b"x")
        assert client.code() == 1
        assert client.messages == ["pync: write /dev/full: No space left on device"]


def test_the_digests_of_both_ends_agree_with_hashlib(tmp_path: Path) -> None:
    up, down = os.urandom(300_001), os.urandom(70_000)
    (tmp_path / "up").write_bytes(up)
    (tmp_path / "down").write_bytes(down)
    with open(tmp_path / "up", "rb") as up_file, open(tmp_path / "down", "rb") as down_file:
        with pync("-l", "--hash", "sha256", "127.0.0.1", "0", stdin=down_file) as listener:
            with pync("--hash", "sha256", "127.0.0.1", str(listener.port()), stdin=up_file) as client:
                assert client.finish() == (0, down)
                assert listener.finish() == (0, up)
    first, second = hashlib.sha256(up).hexdigest(), hashlib.sha256(down).hexdigest()
    assert client.messages[-2:] == [f"{first}  {tmp_path}/up", f"sha256 received {second}"]
    assert listener.messages[-2:] == [f"{second}  {tmp_path}/down", f"sha256 received {first}"]


def test_a_digest_of_unknown_name_is_a_usage_error() -> None:
    code, _, messages = run_pync("--hash", "sha257", "127.0.0.1", "1")
    assert (code, messages) == (2, ["pync: Invalid value for '--hash': no digest is called 'sha257'"])
