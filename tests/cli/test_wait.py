"""--wait, --until-closed and --retry, the installed command against listeners that come and go.

Every moment is one that the command itself tells of with -v: a listener is opened when the first refusal was
said. The clockwork (pauses, limits, causes) is tested in probe/test_patience.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pync.net.resolve import service_name
from tests.running import PATIENCE, pync, run_pync, stop
from tests.sockets import accepted, port_of, receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def coming() -> Iterator[socket.socket]:
    """A port that refuses until the test calls listen()."""
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.bind(("127.0.0.1", 0))
        yield sock


@contextmanager
def another() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.bind(("127.0.0.1", 0))
        yield sock


def success(port: str) -> str:
    return f"Connection to 127.0.0.1 {port} port [tcp/{service_name(int(port), 'tcp')}] succeeded!"


def refusal(port: str) -> str:
    return f"pync: connect to 127.0.0.1 port {port} (tcp) failed: Connection refused"


@contextmanager
def counted(sock: socket.socket) -> Iterator[list[float]]:
    """Accepts until the block is left; the moments at which somebody came."""
    moments: list[float] = []

    def serve() -> None:
        while True:
            connection, _ = sock.accept()
            with connection:
                if connection.recv(4) == b"over":
                    return
            moments.append(time.monotonic())

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve)
        yield moments
        with socket.create_connection(sock.getsockname(), PATIENCE) as last:
            last.sendall(b"over")
        served.result(PATIENCE)


# --- --wait with -z


def test_a_port_that_opens_while_we_wait_gives_exit_code_0_and_its_line(
    coming: socket.socket, server: socket.socket
) -> None:
    late, early = port_of(coming), port_of(server)
    with pync("-z", "--wait", "1m", "127.0.0.1", late, early) as waiting:
        waiting.wait_for(f" {early} port .* succeeded!$")  # said when the port before it was known: it refused
        coming.listen()
        assert waiting.finish() == (0, b"")
        assert waiting.messages == [success(early), success(late)]


def test_a_port_that_is_open_already_is_not_waited_for(server: socket.socket) -> None:
    assert run_pync("-z", "--wait", "1h", "127.0.0.1", port_of(server)) == (0, b"", [success(port_of(server))])


def test_a_port_that_stays_closed_gives_exit_code_3_and_the_last_cause(coming: socket.socket) -> None:
    started = time.monotonic()
    code, output, lines = run_pync("-z", "--wait", "300ms", "127.0.0.1", port_of(coming))
    assert time.monotonic() - started >= 0.3
    assert (code, output) == (3, b"")
    assert lines == [refusal(port_of(coming)), "pync: no answer after 0.3 s: timed out"]


def test_all_of_several_targets_are_waited_for(server: socket.socket, coming: socket.socket) -> None:
    first, second = port_of(server), port_of(coming)
    with pync("-z", "--wait", "1m", f"127.0.0.1:{first}", f"127.0.0.1:{second}") as waiting:
        waiting.wait_for(f" {first} port .* succeeded!$")
        assert waiting.process.poll() is None
        coming.listen()
        assert waiting.finish() == (0, b"")
        assert waiting.messages == [success(first), success(second)]


def test_one_of_several_targets_that_stays_closed_gives_exit_code_3(
    server: socket.socket, coming: socket.socket
) -> None:
    first, second = port_of(server), port_of(coming)
    code, _, lines = run_pync("-z", "--wait", "300ms", f"127.0.0.1:{second}", f"127.0.0.1:{first}")
    assert (code, lines) == (3, [success(first), refusal(second), "pync: no answer after 0.3 s: timed out"])


def test_all_ports_of_a_list_are_waited_for(server: socket.socket, coming: socket.socket) -> None:
    with another() as later:
        ports = [port_of(server), port_of(coming), port_of(later)]
        with pync("-z", "--wait", "1m", "127.0.0.1", ",".join(ports)) as waiting:
            for listener, port in ((server, ports[0]), (coming, ports[1]), (later, ports[2])):
                listener.listen()
                waiting.wait_for(f" {port} port .* succeeded!$")
            assert waiting.finish() == (0, b"")


def test_a_udp_port_that_never_answers_gives_exit_code_3(udp_server: socket.socket) -> None:
    port = port_of(udp_server)
    code, _, lines = run_pync("-zu", "--wait", "300ms", "127.0.0.1", port)
    assert code == 3
    assert lines[0] == f"pync: connect to 127.0.0.1 port {port} (udp): no answer (open or filtered)"
    assert all("succeeded" not in line for line in lines)


@pytest.mark.parametrize("words", [["-U", "{0}"], ["{0}"], ["unix:{0}", "127.0.0.1:{1}"]], ids=" ".join)
def test_a_path_that_appears_while_we_wait_gives_exit_code_0(
    words: list[str], server: socket.socket, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")
    argv = [word.format(path, port_of(server)) for word in words]
    with pync("-zv", "--wait", "1m", *argv) as waiting, socket.socket(socket.AF_UNIX) as coming:
        waiting.wait_for("No such file or directory; waiting$")
        coming.bind(path)
        waiting.wait_for("Connection refused; waiting$")
        coming.listen()
        assert waiting.finish() == (0, b"")
        assert f"Connection to {path} succeeded!" in waiting.messages


def test_the_end_of_the_listener_at_a_path_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        code, _, lines = run_pync("--until-closed", "--wait", "300ms", "-U", path)
        assert (code, lines) == (3, [f"pync: {path}: still open", "pync: still open after 0.3 s: timed out"])
        with pync("--until-closed", "--wait", "1m", "-U", path) as waiting:
            server.accept()[0].close()
            server.close()
            assert waiting.finish() == (0, b"")


# --- --wait with a session


@pytest.mark.parametrize("option", [["--wait", "1m"], ["--retry", "9"]], ids=" ".join)
def test_a_session_over_a_path_starts_when_its_listener_does(option: list[str], tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-v", *option, "-U", path) as waiting, socket.socket(socket.AF_UNIX) as coming:
        coming.settimeout(PATIENCE)
        waiting.stdin.write(b"written before")
        waiting.stdin.close()
        waiting.wait_for("No such file or directory; (waiting|trying again in 1 s)$")
        coming.bind(path)
        coming.listen()
        with accepted(coming) as connection:
            assert receive_all(connection) == b"written before"
        assert waiting.finish() == (0, b"")


def test_a_session_starts_when_the_listener_does_and_input_that_was_written_before_is_delivered_whole(
    coming: socket.socket,
) -> None:
    data = os.urandom(40_000)
    with pync("-v", "--wait", "1m", "127.0.0.1", port_of(coming)) as waiting:
        waiting.stdin.write(data)
        waiting.stdin.close()
        waiting.wait_for("Connection refused; waiting$")
        coming.listen()
        with accepted(coming) as connection:
            connection.sendall(b"answer")
            assert receive_all(connection) == data
        assert waiting.finish() == (0, b"answer")
        waiting_lines = [line for line in waiting.messages if line.endswith("; waiting")]
        assert waiting_lines == [f"{refusal(port_of(coming))}; waiting"]  # the same cause is told once


def test_input_is_not_touched_before_the_session_stands(coming: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"all of it")
    with open(tmp_path / "input", "rb", buffering=0) as ours:
        # The child's descriptor 0 is a duplicate of ours: they share the offset (open(2)).
        with pync("-v", "--wait", "1m", "127.0.0.1", port_of(coming), stdin=ours) as waiting:
            waiting.wait_for("Connection refused; waiting$")
            assert os.lseek(ours.fileno(), 0, os.SEEK_CUR) == 0
            coming.listen()
            with accepted(coming) as connection:
                assert receive_all(connection) == b"all of it"
            assert waiting.finish() == (0, b"")


def test_a_session_that_never_starts_gives_exit_code_3_and_the_last_cause(
    coming: socket.socket, tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(b"not to be read")
    port = port_of(coming)
    with open(tmp_path / "input", "rb", buffering=0) as ours:
        started = time.monotonic()
        with pync("--wait", "300ms", "127.0.0.1", port, stdin=ours) as waiting:
            assert waiting.finish() == (3, b"")
            assert time.monotonic() - started >= 0.3
            assert waiting.messages == [refusal(port), "pync: no answer within 0.3 s: timed out"]
        assert ours.read() == b"not to be read"


@pytest.mark.parametrize("option", ["--wait", "--retry"])
def test_a_session_that_broke_is_not_begun_anew(option: str, server: socket.socket) -> None:
    with pync(option, "9", "127.0.0.1", port_of(server)) as client:
        client.stdin.write(b"x")
        with accepted(server) as connection:
            assert connection.recv(1) == b"x"
            connection.sendall(b"y")
            assert client.read(1) == b"y"
            reset(connection)
        assert client.code() == 1
        assert len(client.messages) == 1
        assert "reset" in client.messages[0]
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept()


@pytest.mark.parametrize("option", [["--wait", "1h"], ["--retry", "99"]], ids=" ".join)
@pytest.mark.parametrize("port", ["no-such-service", "65536", "80-"])
def test_a_bad_port_is_not_tried_again(option: list[str], port: str) -> None:
    code, _, lines = run_pync(*option, "127.0.0.1", port)
    assert code == 2
    assert len(lines) == 1


def test_a_bad_service_is_not_waited_for_with_z() -> None:
    assert run_pync("-z", "--wait", "1h", "127.0.0.1", "no-such-service")[0] == 2


SIGNALS = pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)


@SIGNALS
@pytest.mark.parametrize("option", [["--wait", "1h"], ["--retry", "99"]], ids=" ".join)
def test_a_signal_ends_the_wait_for_a_session_at_once(
    option: list[str], number: signal.Signals, code: int, coming: socket.socket
) -> None:
    with pync("-v", *option, "127.0.0.1", port_of(coming)) as waiting:
        waiting.wait_for("; (waiting|trying again in 1 s)$")
        stop(waiting, number)
        assert waiting.code() == code
        assert len(waiting.messages) == 1


@SIGNALS
def test_a_signal_ends_the_wait_for_a_port_at_once(
    number: signal.Signals, code: int, coming: socket.socket, server: socket.socket
) -> None:
    with pync("-z", "--wait", "1h", "127.0.0.1", port_of(coming), port_of(server)) as waiting:
        waiting.wait_for("succeeded!$")
        stop(waiting, number)
        assert waiting.code() == code
        assert len(waiting.messages) == 1


# --- --until-closed


@pytest.mark.parametrize("option", [[], ["-z"]], ids=["without -z", "with -z"])
def test_the_end_of_a_listener_is_waited_for(option: list[str], server: socket.socket) -> None:
    with pync(*option, "--until-closed", "--wait", "1m", "127.0.0.1", port_of(server)) as waiting:
        server.accept()[0].close()  # asked once, at least
        assert waiting.process.poll() is None
        server.close()
        assert waiting.finish() == (0, b"")
        assert waiting.messages == []


def test_a_port_that_is_closed_already_is_not_waited_for(coming: socket.socket) -> None:
    assert run_pync("--until-closed", "--wait", "1h", "127.0.0.1", port_of(coming)) == (0, b"", [])


def test_a_listener_that_stays_gives_exit_code_3(server: socket.socket) -> None:
    port = port_of(server)
    with counted(server) as moments:
        started = time.monotonic()
        code, output, lines = run_pync("-z", "--until-closed", "--wait", "400ms", "127.0.0.1", port)
        assert time.monotonic() - started >= 0.4
    assert (code, output) == (3, b"")
    assert lines == [f"pync: 127.0.0.1 port {port}: still open", "pync: still open after 0.4 s: timed out"]
    assert len(moments) >= 3


# --- --retry


def test_a_connection_is_tried_again_after_a_second(coming: socket.socket) -> None:
    started = time.monotonic()
    with pync("-v", "--retry", "3", "127.0.0.1", port_of(coming)) as client:
        client.stdin.write(b"written before")
        client.stdin.close()
        client.wait_for(f"^{re.escape(refusal(port_of(coming)))}; trying again in 1 s$")
        coming.listen()
        with accepted(coming) as connection:
            assert time.monotonic() - started >= 1.0
            assert receive_all(connection) == b"written before"
        assert client.finish() == (0, b"")


def test_when_no_attempt_is_left_the_last_refusal_is_told(coming: socket.socket) -> None:
    started = time.monotonic()
    code, _, lines = run_pync("-v", "--retry", "1", "127.0.0.1", port_of(coming))
    assert time.monotonic() - started >= 1.0
    assert code == 1
    assert lines == [f"{refusal(port_of(coming))}; trying again in 1 s", refusal(port_of(coming))]


def test_retrying_is_silent_without_verbosity(coming: socket.socket) -> None:
    assert run_pync("--retry", "1", "127.0.0.1", port_of(coming)) == (1, b"", [refusal(port_of(coming))])
