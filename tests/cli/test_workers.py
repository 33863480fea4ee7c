"""--workers with the installed command: who serves, who replaces whom, signals, counts, the end of all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import PATIENCE, eventually, pync, run_pync, stop
from tests.sockets import receive_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Running

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system has no SO_REUSEPORT")


@contextlib.contextmanager
def crew(count: int, *words: str) -> Iterator[tuple[Running, int]]:
    with pync("-l", "-k", "--workers", str(count), *words, "127.0.0.1", "0") as listener:
        yield listener, int(listener.wait_for(r"Listening on \S+ (\d+)(?:$|\")")[1])


def workers(listener: Running) -> list[int]:
    """The processes that the listener has started."""
    pid = listener.process.pid
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except FileNotFoundError:
        return pytest.skip("this system does not tell whose children processes are")


def wait_for_workers(listener: Running, count: int) -> list[int]:
    eventually(lambda: len(workers(listener)) == count, f"{count} workers")
    return workers(listener)


def is_running(pid: int) -> bool:
    """Whether the process is there, and no zombie that its new parent has still to bury."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), PATIENCE)


def ask(port: int, data: bytes = b"x", host: str = "127.0.0.1") -> None:
    """One connection, echoed and ended."""
    with connect(port, host) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == data


def report(listener: Running) -> dict[str, Any]:
    """The next line of JSON that it prints."""
    listener.wait_for(r'"event": "listener"')
    counts: dict[str, Any] = json.loads(listener.messages[-1])["listener"]
    return counts


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def until_everybody_serves(listener: Running, port: int, stack: contextlib.ExitStack) -> list[socket.socket]:
    """Connections, so many that each of the two workers has some of them."""
    pids = wait_for_workers(listener, 2)
    with connect(port), connect(port):
        ask(port)  # both have begun, or will have: from here on a new descriptor is a client
    idle = {pid: descriptors(pid) for pid in pids}
    socks = []
    for _ in range(60):
        socks.append(stack.enter_context(connect(port)))
        socks[-1].sendall(b"x")
        assert socks[-1].recv(1) == b"x"
    assert all(descriptors(pid) >= idle[pid] + 5 for pid in pids), "one of them has next to nothing to do"
    return socks


def test_every_worker_gets_work() -> None:
    with crew(2, "--echo") as (listener, port), contextlib.ExitStack() as stack:
        assert len(until_everybody_serves(listener, port, stack)) == 60


def test_both_families_share_a_port_that_is_told_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "port"
    with pync("-l", "-k", "--workers", "2", "--echo", "--port-file", str(path), "0") as listener:
        lines = [listener.wait_for(r"^Listening on (\S+) (\d+)$") for _ in range(2)]
        assert {line[1] for line in lines} == {"0.0.0.0", "::"}
        port = int(eventually(lambda: path.exists() and path.read_text(encoding="ascii"), "the port file"))
        assert {int(line[2]) for line in lines} == {port}
        for _ in range(10):
            ask(port)
            ask(port, host="::1")
        stop(listener)
        assert listener.code() == 143
    assert len(listener.messages) == 2  # announced once, not by each


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_all_of_them_with_their_clients(number: int, code: int) -> None:
    with crew(2, "--echo") as (listener, port), contextlib.ExitStack() as stack:
        pids = wait_for_workers(listener, 2)
        socks = [stack.enter_context(connect(port)) for _ in range(10)]
        for sock in socks:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        stop(listener, number)
        assert [receive_all(sock) for sock in socks] == [b""] * 10
        assert listener.code() == code
        assert not any(is_running(pid) for pid in pids)
        with pytest.raises(ConnectionRefusedError):
            connect(port)
    assert len(listener.messages) == 1


def test_a_worker_that_was_killed_is_replaced_and_those_who_wait_for_it_are_served() -> None:
    with crew(2, "--echo") as (listener, port), contextlib.ExitStack() as stack:
        before = wait_for_workers(listener, 2)
        os.kill(before[0], signal.SIGKILL)
        listener.wait_for(r"^pync: worker \d was ended by signal 9: starting another$")
        socks = [stack.enter_context(connect(port)) for _ in range(20)]  # half of them at its socket
        for number, sock in enumerate(socks):
            sock.sendall(b"%02d" % number)
        for number, sock in enumerate(socks):
            assert sock.recv(2) == b"%02d" % number
        after = wait_for_workers(listener, 2)
        assert before[1] in after
        assert before[0] not in after


def test_the_other_workers_clients_do_not_notice_that_one_died() -> None:
    with crew(2, "--echo") as (listener, port), contextlib.ExitStack() as stack:
        socks = until_everybody_serves(listener, port, stack)
        os.kill(workers(listener)[0], signal.SIGKILL)
        listener.wait_for("was ended by signal 9")
        answers = [answer(sock) for sock in socks]
        assert set(answers) == {b"", b"still here"}


def answer(sock: socket.socket) -> bytes:
    """What an echo says, or nothing where it is gone."""
    try:
        sock.sendall(b"still here")
        return sock.recv(100)
    except ConnectionError:
        return b""


def test_no_worker_survives_a_parent_that_was_killed() -> None:
    with crew(3, "--echo") as (listener, port):
        pids = wait_for_workers(listener, 3)
        ask(port)
        listener.process.kill()
        eventually(lambda: not any(is_running(pid) for pid in pids), "the workers have ended")
        with pytest.raises(ConnectionRefusedError):
            connect(port)


def test_the_counts_of_all_are_one_and_exact() -> None:
    with crew(3, "--echo", "--json") as (listener, port):
        wait_for_workers(listener, 3)
        for number in range(100):
            ask(port, b"x" * (number + 1))
        with connect(port) as sock:
            sock.sendall(b"here")
            assert sock.recv(4) == b"here"
            stop(listener, signal.SIGUSR1)
            counts = report(listener)
            assert counts["addresses"] == [f"127.0.0.1 {port}"]
            assert counts["connections"]["now"] == 1
            assert counts["connections"]["total"] == 101
            assert counts["sent"] == counts["received"] == 5050 + 4
        stop(listener)
        assert listener.code() == 143
        last = json.loads(listener.messages[-2])["listener"]
        assert (last["connections"]["now"], last["connections"]["total"]) == (0, 101)
        assert last["sent"] == last["received"] == 5054


def test_a_worker_that_was_asked_to_end_leaves_its_counts_and_is_replaced() -> None:
    with crew(2, "--echo", "-v") as (listener, port):
        for _ in range(20):
            ask(port)
        for pid in wait_for_workers(listener, 2):
            os.kill(pid, signal.SIGTERM)
            listener.wait_for(r"^pync: worker \d ended with 143: starting another$")
        wait_for_workers(listener, 2)
        ask(port)
        stop(listener)
        assert listener.code() == 143
    assert any(message.endswith("21 in all; refused: 0 by rule, 0 by limit") for message in listener.messages)
    assert any(message.startswith("sent 21 bytes, received 21 bytes in ") for message in listener.messages)


def test_a_worker_that_hangs_does_not_keep_the_counts_of_the_others_back() -> None:
    with crew(2, "--echo", "--json") as (listener, port):
        hanging = wait_for_workers(listener, 2)[0]
        for _ in range(10):
            ask(port)
        os.kill(hanging, signal.SIGSTOP)
        stop(listener, signal.SIGUSR1)
        assert report(listener)["addresses"] == [f"127.0.0.1 {port}"]
        os.kill(hanging, signal.SIGCONT)
        stop(listener)
        assert listener.code() == 143


def test_the_limit_of_clients_is_one_for_all() -> None:
    with crew(4, "--echo", "--max-conns", "2", "--json") as (listener, port), contextlib.ExitStack() as stack:
        wait_for_workers(listener, 2)  # one for each client is enough
        served = 0
        for _ in range(12):
            sock = stack.enter_context(connect(port))
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"x")
                served += len(sock.recv(1))
        assert 1 <= served <= 2
        stop(listener)
        assert listener.code() == 143
    counts = json.loads(listener.messages[-2])["listener"]
    assert counts["refused"]["limit"] == 12 - served


def test_the_total_time_ends_them_all() -> None:
    with crew(2, "--echo", "--total-timeout", "200ms") as (listener, _):
        pids = wait_for_workers(listener, 2)
        assert listener.code() == 3
        assert not any(is_running(pid) for pid in pids)
    assert listener.messages[-1] == "pync: not done within the total timeout: timed out"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-l", "-k", "--workers", "2", "0"], "--workers needs a service, -e or -c"),
        (["-l", "--workers", "2", "--echo", "0"], "--workers needs -k/--keep-open"),
        (["-l", "-k", "-U", "--workers", "2", "--echo", "/nowhere"], "--workers does not go with -U/--unix"),
        (["-l", "-k", "-u", "--workers", "2", "--echo", "0"], "--workers does not go with -u/--udp"),
    ],
)
def test_what_processes_cannot_share_is_a_usage_error(words: list[str], said: str) -> None:
    code, out, messages = run_pync(*words)
    assert (code, out, len(messages)) == (2, b"", 1)
    assert said in messages[0]


def test_a_port_in_use_is_an_error_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, messages = run_pync("-l", "-k", "--workers", "2", "--echo", "127.0.0.1", port)
        assert code == 2
        assert "Address already in use" in messages[0]
        assert len(messages) == 1
