"""Listen mode: addresses, ports, messages, the port file, unix paths, and the errors of binding.

What a listener does with a connection is in test_end_of_data; hosts with other addresses than
loopback's are in test_namespaces.
"""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, PYNC, pync, run_pync, running, stop
from tests.sockets import connected, receive_all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Running


def test_one_port_serves_both_families_with_the_same_number() -> None:
    with pync("-l", "0") as listener:
        lines = [listener.wait_for(r"^Listening on (\S+) (\d+)$") for _ in range(2)]
        assert {line[1] for line in lines} == {"0.0.0.0", "::"}
        assert lines[0][2] == lines[1][2]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_clients_of_either_family_are_served(host: str) -> None:
    with pync("-l", "0") as listener:
        with socket.create_connection((host, listener.port()), PATIENCE) as peer:
            peer.sendall(b"hello")
            peer.shutdown(socket.SHUT_WR)
            assert listener.finish() == (0, b"hello")


@pytest.mark.parametrize(("option", "host"), [("-4", "0.0.0.0"), ("-6", "::")])
def test_one_family_can_be_asked_for(option: str, host: str) -> None:
    with pync("-l", option, "0") as listener:
        assert listener.wait_for(r"^Listening on (\S+) \d+$")[1] == host
        stop(listener)
        assert listener.code() == 143
        assert len(listener.messages) == 1


SPELLINGS = [
    ["-l", "-p", "0"],
    ["-lp", "0"],
    ["-lvp", "0"],
    ["-l", "127.0.0.1", "0"],
    ["-l", "-s", "127.0.0.1", "0"],
    ["-l", "127.0.0.1:0"],
    ["0", "-l"],
    ["-l", "127.0.0.1", "-p", "0"],
    ["-l", "-N", "0"],
]


@pytest.mark.parametrize("words", SPELLINGS, ids=" ".join)
def test_the_ways_that_tutorials_write_it_all_listen(words: list[str]) -> None:
    with pync(*words) as listener, connected(listener) as peer:
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        assert listener.finish() == (0, b"hello")


def test_the_peer_is_announced_by_its_numbers() -> None:
    with pync("-l", "-v", "127.0.0.1", "0") as listener, connected(listener) as peer:
        assert listener.wait_for(r"^Connection received on 127\.0\.0\.1 (\d+)$")[1] == str(peer.getsockname()[1])


def test_without_verbose_a_listener_on_a_given_port_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    with pync("-l", "--port-file", str(tmp_path / "port"), "127.0.0.1", port) as listener:
        wait_for_file(listener, tmp_path / "port")
        with socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as peer:
            peer.shutdown(socket.SHUT_WR)
            assert listener.finish() == (0, b"")
    assert listener.messages == []


def wait_for_file(process: Running, path: Path) -> str:
    from tests.running import eventually

    eventually(lambda: path.exists() or process.process.poll() is not None, f"the file {path}")
    return path.read_text()


def test_the_port_file_holds_the_bound_port_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "port"
    with pync("-l", "--port-file", str(path), "0", stdin=None) as listener:
        port = int(wait_for_file(listener, path))
        assert [entry.name for entry in tmp_path.iterdir()] == ["port"]
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            peer.sendall(b"x")
            peer.shutdown(socket.SHUT_WR)
            assert listener.finish() == (0, b"x")


def test_a_draft_that_an_earlier_run_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container an earlier run may well have had the same process id."""
    script = f'touch "{tmp_path}/port.$$.tmp"; exec {PYNC} -l 127.0.0.1 0 --port-file {tmp_path}/port'
    with running("sh", "-c", script) as listener:
        port = listener.port()
        assert (tmp_path / "port").read_text() == f"{port}\n"


def test_a_port_file_that_cannot_be_written_is_an_error() -> None:
    code, _, messages = run_pync("-l", "--port-file", "/nonexistent/port", "127.0.0.1", "0")
    assert code == 1
    assert messages == ["pync: write /nonexistent/port: No such file or directory"]


@pytest.mark.parametrize("options", [["-l"], ["-l", "-u"]], ids=["tcp", "udp"])
def test_an_address_in_use_is_a_clear_error_with_exit_code_2(options: list[str]) -> None:
    with pync(*options, "-4", "0") as first:
        port = first.port()
        code, _, messages = run_pync(*options, str(port))
        protocol = "udp" if "-u" in options else "tcp"
        assert code == 2
        assert messages == [
            f"pync: listen on 0.0.0.0 port {port} ({protocol}): Address already in use (pid {first.process.pid}, pync)"
        ]


def test_a_listener_can_be_restarted_at_once() -> None:
    port = "0"
    for _ in range(3):
        with pync("-l", "-v", "127.0.0.1", port) as listener:
            port = str(listener.port())
            with socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as peer:
                listener.stdin.close()
                peer.sendall(b"x")
                peer.shutdown(socket.SHUT_WR)
                assert listener.finish() == (0, b"x")  # our side closed last: TIME_WAIT is ours


def test_a_second_client_of_a_plain_listener_is_refused() -> None:
    with pync("-l", "-v", "127.0.0.1", "0") as listener:
        port = listener.port()
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            listener.wait_for("Connection received")
            with pytest.raises(ConnectionError):
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()


def test_keep_open_serves_one_client_after_another() -> None:
    with pync("-l", "-k", "127.0.0.1", "0") as listener:
        port = listener.port()
        for word in (b"one", b"two", b"three"):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
                peer.sendall(word)
                peer.shutdown(socket.SHUT_WR)
                assert listener.read(len(word)) == word
        stop(listener)
        assert listener.code() == 143


def test_a_lost_client_does_not_end_a_listener_that_keeps_open() -> None:
    from tests.sockets import reset

    with pync("-l", "-k", "127.0.0.1", "0") as listener:
        port = listener.port()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            peer.sendall(b"x")
            assert listener.read(1) == b"x"
            reset(peer)
        listener.wait_for("Connection reset by peer")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            peer.sendall(b"y")
            assert listener.read(1) == b"y"


# --- unix sockets


def wait_for_socket(listener: Running) -> None:
    listener.wait_for(r"^Listening on ")


def unix_connection(path: Path | str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(str(path))
    return sock


def test_a_unix_path_is_served_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with pync("-l", "-v", "-U", str(path)) as listener:
        wait_for_socket(listener)
        assert listener.messages == [f"Bound on {path}", f"Listening on {path}"]
        assert stat.S_ISSOCK(path.lstat().st_mode)
        with unix_connection(path) as peer:
            peer.sendall(b"hello")
            peer.shutdown(socket.SHUT_WR)
            assert listener.finish() == (0, b"hello")
    assert not path.exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_unix_path_is_removed_when_a_signal_ends_the_listener(name: str, tmp_path: Path) -> None:
    import signal

    path = tmp_path / "socket"
    with pync("-l", "-v", "-U", str(path)) as listener:
        wait_for_socket(listener)
        stop(listener, getattr(signal, name))
        assert listener.code() in (129, 130, 143)
    assert not path.exists()


def test_a_hang_up_that_nohup_ignores_is_ignored(tmp_path: Path) -> None:
    """And so does an interrupt, in what a script has put into the background (POSIX shells)."""
    import signal

    words = shlex.join([PYNC, "-l", "-v", "-k", "--echo", "127.0.0.1", "0"])
    with running("sh", "-c", f"trap '' HUP INT; exec {words}") as listener:
        port = listener.port()
        for number in (signal.SIGHUP, signal.SIGINT):
            stop(listener, number)
        assert run_pync("127.0.0.1", str(port), stdin=b"still there") == (0, b"still there", [])
        stop(listener)
        assert listener.code() == 143


def test_a_stale_unix_path_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pync("-l", "-v", "-U", str(path)) as listener:
        wait_for_socket(listener)
        with unix_connection(path) as peer:
            peer.shutdown(socket.SHUT_WR)
            assert listener.finish() == (0, b"")


@pytest.mark.parametrize("options", [[], ["-u"]], ids=["stream", "datagram"])
def test_a_unix_path_in_use_is_an_error_and_stays(options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    kind = socket.SOCK_DGRAM if options else socket.SOCK_STREAM
    with socket.socket(socket.AF_UNIX, kind) as alive:
        alive.bind(str(path))
        if not options:
            alive.listen()
        code, _, (message,) = run_pync("-l", "-U", *options, str(path))
        assert (code, message.partition(" (")[0]) == (2, f"pync: listen on {path}: Address already in use")
        assert f"(pid {os.getpid()}, " in message
        assert path.exists()


def test_a_listener_that_waits_is_not_disturbed_by_another_for_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-v", "-U", path, stdin=subprocess.DEVNULL) as first:
        first.wait_for("Listening")
        assert run_pync("-l", "-U", path)[0] == 2
        assert run_pync("-U", path, stdin=b"for the first") == (0, b"", [])
        assert first.finish() == (0, b"for the first")


def test_a_file_that_is_no_socket_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    code, _, messages = run_pync("-l", "-U", str(path))
    assert (code, messages) == (2, [f"pync: listen on {path}: Address already in use"])
    assert path.read_text() == "data"


def test_a_path_that_is_too_long_is_a_clear_error(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 120))
    for words in (["-l", "-U", path], ["-U", path]):
        code, _, messages = run_pync(*words)
        assert code == 1
        assert len(messages) == 1
        assert "AF_UNIX path too long" in messages[0]


def test_an_abstract_name_needs_no_file() -> None:
    name = f"@pync-test-{os.getpid()}"
    with pync("-l", "-v", "-U", name) as listener:
        assert listener.wait_for(r"^Listening on (.*)$")[1] == name
        with unix_connection(f"\0{name[1:]}") as peer:
            listener.stdin.write(b"hi")
            listener.stdin.close()
            assert receive_all(peer) == b"hi"


def test_two_pyncs_talk_over_a_unix_path(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-v", "--unixsock", path) as listener:
        wait_for_socket(listener)
        with pync("-U", path) as client:
            client.stdin.write(b"ping")
            assert listener.read(4) == b"ping"
            listener.stdin.write(b"pong")
            assert client.read(4) == b"pong"
            assert client.process.poll() is None
            client.stdin.close()
            assert listener.finish() == (0, b"")
            assert client.finish() == (0, b"")
