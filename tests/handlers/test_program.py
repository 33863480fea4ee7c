"""Programs as the clients of a server: on asyncio's loop, as serving.server drives them, and many at once.

Each test has the far end of every connection in its hand. What the command does with one connection is in
cli/test_exec; how processes are started and ended, in processes/test_children.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pync.console import Console
from pync.handlers import program_client as client_module
from pync.handlers.program import ProgramClients, Programs
from pync.handlers.program_client import DirectClient
from pync.plan import Plan
from pync.processes import children as children_module
from pync.processes import lifetime as lifetime_module
from pync.processes.program import program_from
from tests.net.addresses import descriptors, no_descriptor_left
from tests.plans import planned
from tests.processes.test_children import alive
from tests.running import PATIENCE, eventually
from tests.sockets import receive_all, reset, until_reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.errors import Fault
    from pync.handlers.program_client import ProgramClient

#: Both ways to join a connection with its program; -w changes nothing else.
WAYS = [pytest.param({}, id="direct"), pytest.param({"idle_timeout": 600.0}, id="piped")]
each_way = pytest.mark.parametrize("way", WAYS)

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")


class Stage:
    """Programs on a loop that runs while the test waits for something."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plan: Plan) -> None:
        self.loop = loop
        self.messages = io.StringIO()
        program = program_from(plan.work)
        assert program is not None
        self.programs = Programs(program, plan, Console(None, None, self.messages))
        self.clients = ProgramClients(loop, self.programs)
        self.ended: list[tuple[ProgramClient, Fault | None]] = []
        self._clients: list[ProgramClient] = []
        self._far: list[socket.socket] = []

    def connect(self) -> tuple[ProgramClient, socket.socket]:
        """A client that is started, and the far end of its connection."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname(), PATIENCE)
            near, _ = server.accept()
        return self.start(near, far)

    def start(self, near: socket.socket, far: socket.socket) -> tuple[ProgramClient, socket.socket]:
        self._far.append(far)
        near.setblocking(False)
        client = self.clients.client(near, "client", lambda *end: self.ended.append(end))
        self._clients.append(client)
        client.start()
        return client, far

    def until(self, condition: Any, what: str) -> Any:
        """Run the loop until the condition holds."""

        async def wait() -> Any:
            deadline = self.loop.time() + PATIENCE
            while self.loop.time() < deadline:
                if value := condition():
                    return value
                await asyncio.sleep(0.002)
            return pytest.fail(f"never: {what}")

        return self.loop.run_until_complete(wait())

    def in_thread(self, function: Any, *args: Any) -> Any:
        """What a blocking function gives, while the loop runs."""
        return self.loop.run_until_complete(self.loop.run_in_executor(None, function, *args))

    def receive(self, far: socket.socket) -> bytes:
        data = self.in_thread(receive_all, far)
        assert isinstance(data, bytes)
        return data

    def line(self, far: socket.socket) -> bytes:
        with far.makefile("rb", buffering=0) as file:
            return bytes(self.in_thread(file.readline))

    def fault_of(self, client: ProgramClient) -> Fault | None:
        """How a client ended, once it has."""
        return self.until(lambda: [end for end in self.ended if end[0] is client], "the end of the client")[0][1]  # type: ignore[no-any-return]

    def close(self) -> None:
        """As a server ends: each client, then what they share."""
        for client in self._clients:
            client.close()
        self.clients.close()
        for far in self._far:
            far.close()


@contextlib.contextmanager
def stage(**plan: Any) -> Iterator[Stage]:
    loop = asyncio.new_event_loop()
    try:
        scene = Stage(loop, planned(**plan))
        try:
            yield scene
        finally:
            scene.close()
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def python(code: str) -> str:
    """The words of -e for a line of Python; no quotation mark may be in it."""
    return f"{sys.executable} -I -u -c '{code}'"


def send_all(far: socket.socket, data: bytes) -> None:
    far.sendall(data)
    far.shutdown(socket.SHUT_WR)


def flags_of(pid: int, fd: int) -> int:
    """The flags of a process's open file (proc(5), fdinfo)."""
    lines = Path(f"/proc/{pid}/fdinfo/{fd}").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("flags")).split()[1], 8)


def children_of_ours() -> list[int]:
    """Every process whose parent we are, zombies too."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text("ascii").split()]
    return found


# --- ends, in both orders


@each_way
def test_a_program_answers_after_its_client_has_ended_its_data(way: dict[str, Any]) -> None:
    with stage(exec="sort", **way) as scene:
        client, far = scene.connect()
        far.sendall(b"b\nc\na\n")
        far.shutdown(socket.SHUT_WR)
        assert scene.receive(far) == b"a\nb\nc\n"
        assert scene.fault_of(client) is None
        assert client.code == 0


@each_way
def test_every_byte_comes_back_from_cat(way: dict[str, Any]) -> None:
    data = os.urandom(3 << 20)
    with stage(exec="cat", **way) as scene:
        client, far = scene.connect()
        sending = scene.loop.run_in_executor(None, send_all, far, data)
        assert scene.receive(far) == data
        scene.loop.run_until_complete(sending)
        assert scene.fault_of(client) is None


@each_way
def test_what_a_program_said_arrives_whole_before_its_end_does(way: dict[str, Any]) -> None:
    """It ends without having read what the client sent: that must not become a reset."""
    with stage(sh_exec="head -c 2000000 /dev/zero", **way) as scene:
        client, far = scene.connect()
        far.sendall(b"GET / HTTP/1.0\r\n\r\n" * 100)
        assert len(scene.receive(far)) == 2000000
        far.close()
        assert scene.fault_of(client) is None


def test_a_program_that_closes_its_output_first_reads_on(tmp_path: Path) -> None:
    got = tmp_path / "got"
    with stage(sh_exec=f"echo first; exec >&-; cat > {got}; exit 4", idle_timeout=600.0) as scene:
        client, far = scene.connect()
        assert scene.receive(far) == b"first\n"  # up to the end of its data
        far.sendall(b"second")
        far.shutdown(socket.SHUT_WR)
        assert scene.fault_of(client) is None
        assert client.code == 4
        assert got.read_bytes() == b"second"


def test_a_program_that_shuts_the_socket_for_writing_reads_on(tmp_path: Path) -> None:
    got = tmp_path / "got"
    code = f"""
import pathlib, socket, sys
s = socket.socket(fileno=0)
s.shutdown(socket.SHUT_WR)
data = b"".join(iter(lambda: s.recv(100), b""))
pathlib.Path({str(got)!r}).write_bytes(data)
sys.exit(4)
"""
    (tmp_path / "program.py").write_text(code)
    with stage(exec=f"{sys.executable} -I {tmp_path}/program.py") as scene:
        client, far = scene.connect()
        assert scene.receive(far) == b""
        far.sendall(b"second")
        far.shutdown(socket.SHUT_WR)
        assert scene.fault_of(client) is None
        assert client.code == 4
        assert got.read_bytes() == b"second"


def test_a_program_that_reads_no_more_still_speaks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with stage(sh_exec=f"exec <&-; echo ready; cat {tmp_path}/go; echo done", idle_timeout=600.0) as scene:
        client, far = scene.connect()
        assert scene.line(far) == b"ready\n"
        far.sendall(b"x" * 100000)
        (tmp_path / "go").write_bytes(b"")
        assert scene.receive(far) == b"done\n"
        far.close()
        assert scene.fault_of(client) is None


@each_way
def test_the_connection_ends_with_the_program_whatever_it_left_behind(way: dict[str, Any]) -> None:
    with stage(sh_exec="sleep 600 & echo $!", **way) as scene:
        client, far = scene.connect()
        left = int(scene.receive(far))
        far.close()
        assert scene.fault_of(client) is None
        scene.until(lambda: not alive(left), "the end of what it left behind")


@each_way
def test_what_ignores_sigterm_in_the_background_is_killed(way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime_module, "GRACE", 0.2)
    with stage(sh_exec='(trap "" TERM; echo ready; sleep 600; sleep 600) & read x; echo $!', **way) as scene:
        _, far = scene.connect()
        assert scene.line(far) == b"ready\n"
        far.sendall(b"go\n")
        left = int(scene.receive(far))
        scene.until(lambda: not alive(left), "the end of what it left behind")


# --- the client goes


@each_way
@pytest.mark.parametrize("program", ["echo $$; sleep 600", "echo $$; cat; sleep 600", "echo $$; read x; sleep 600"])
def test_a_reset_ends_the_program(way: dict[str, Any], program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FAREWELL", 0.1)
    with stage(sh_exec=program, **way) as scene:
        client, far = scene.connect()
        pid = int(scene.line(far))
        assert alive(pid)
        reset(far)
        scene.fault_of(client)
        assert not alive(pid)


@each_way
def test_a_reset_is_told_with_its_client(way: dict[str, Any]) -> None:
    with stage(sh_exec="echo ready; exec sleep 600", **way) as scene:
        client, far = scene.connect()
        scene.line(far)
        reset(far)
        fault = scene.fault_of(client)
        assert fault is not None
        assert fault.text == "connection with client lost: Connection reset by peer"


@each_way
def test_a_reset_after_the_end_of_data_ends_the_program_too(way: dict[str, Any]) -> None:
    with stage(sh_exec="cat; echo $$; exec sleep 600", **way) as scene:
        client, far = scene.connect()
        far.shutdown(socket.SHUT_WR)
        pid = int(scene.line(far))
        assert alive(pid)
        reset(far)
        scene.fault_of(client)
        assert not alive(pid)


@each_way
def test_a_program_that_does_not_read_is_ended_by_a_reset(way: dict[str, Any]) -> None:
    with stage(sh_exec="echo $$; exec sleep 600", **way) as scene:
        client, far = scene.connect()
        pid = int(scene.line(far))
        far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                far.send(b"x" * 65536)
        reset(far)
        scene.fault_of(client)
        assert not alive(pid)


@each_way
def test_a_program_that_ignores_sigterm_is_killed(way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime_module, "GRACE", 0.2)
    with stage(sh_exec='trap "" TERM; echo $$; while :; do sleep 600; done', **way) as scene:
        client, far = scene.connect()
        pid = int(scene.line(far))
        reset(far)
        scene.fault_of(client)
        assert not alive(pid)
        assert client.code == 128 + 9


@each_way
def test_an_end_of_data_is_no_reason_to_end_the_program(way: dict[str, Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with stage(sh_exec=f"cat; echo heard; cat {tmp_path}/go; echo finished", **way) as scene:
        client, far = scene.connect()
        far.shutdown(socket.SHUT_WR)
        assert scene.line(far) == b"heard\n"
        (tmp_path / "go").write_bytes(b"")
        assert scene.receive(far) == b"finished\n"
        assert scene.fault_of(client) is None


def test_a_program_whose_connection_has_ended_both_ways_may_finish_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "FAREWELL", 0.3)
    code = """
import os, socket, time
sock = socket.socket(fileno=0)
sock.sendall(str(os.getpid()).encode())
sock.shutdown(socket.SHUT_WR)
time.sleep(600)
"""
    with stage(exec=python(code)) as scene:
        client, far = scene.connect()
        pid = int(scene.receive(far))
        far.close()
        assert scene.fault_of(client) is None
        assert not alive(pid)


def test_a_unix_client_that_is_gone_has_its_data_read_before_the_program_must_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "FAREWELL", 0.5)
    with stage(sh_exec=f"cat > {tmp_path}/got; exec sleep 600") as scene:
        near, far = socket.socketpair()
        client, _ = scene.start(near, far)
        far.sendall(b"all of it")
        far.close()
        assert scene.fault_of(client) is None
        assert (tmp_path / "got").read_bytes() == b"all of it"


@each_way
def test_the_system_checks_that_a_silent_client_is_still_there(way: dict[str, Any]) -> None:
    with stage(exec="cat", **way) as scene:
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname(), PATIENCE)
            near, _ = server.accept()
        scene.start(near, far)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_times_of_the_users_own_are_left_alone() -> None:
    with stage(exec="cat", keepalive_times=(7.0,)) as scene:
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname(), PATIENCE)
            near, _ = server.accept()
        scene.start(near, far)
        assert not near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)  # the dialer and the listener set it


# --- what the program has


@needs_proc
@each_way
def test_a_program_has_no_descriptor_but_its_three_and_they_wait(way: dict[str, Any]) -> None:
    with stage(sh_exec="echo $$; read x", **way) as scene:
        for _ in range(3):
            _, far = scene.connect()
            pid = int(scene.line(far))
            assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
            assert not any(flags_of(pid, fd) & os.O_NONBLOCK for fd in (0, 1))


@needs_proc
def test_without_a_reason_to_look_at_the_bytes_the_program_has_the_socket_itself() -> None:
    with stage(sh_exec="echo $$; read x") as scene:
        client, far = scene.connect()
        pid = int(scene.line(far))
        assert isinstance(client, DirectClient)
        assert os.readlink(f"/proc/{pid}/fd/0") == os.readlink(f"/proc/{pid}/fd/1")
        assert os.readlink(f"/proc/{pid}/fd/0").startswith("socket:")


@pytest.mark.parametrize(
    "option",
    [
        {"crlf": True}, {"telnet": True}, {"rate": 1}, {"delay": 0.0}, {"interval": 0.0}, {"quit_after": 0.0},
        {"send_only": True}, {"recv_only": True}, {"recv_limit": 1}, {"timeout": 1.0}, {"idle_timeout": 0.0},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_touches_the_bytes_puts_us_between(option: dict[str, Any]) -> None:
    with stage(exec="cat", **option) as scene:
        client, _ = scene.connect()
        assert not isinstance(client, DirectClient)


def test_the_environment_tells_who_is_connected_and_nothing_else_of_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCAT_REMOTE_ADDR", "forged")
    with stage(sh_exec="env | grep -E '^(PYNC|NCAT)_'") as scene:
        _, far = scene.connect()
        told = dict(line.split("=", 1) for line in scene.receive(far).decode().splitlines())
        (host, port), (peer_host, peer_port) = far.getsockname(), far.getpeername()
    expected = {
        "REMOTE_ADDR": host, "REMOTE_PORT": str(port), "LOCAL_ADDR": peer_host, "LOCAL_PORT": str(peer_port),
        "PROTO": "TCP",
    }  # fmt: skip
    assert told == {prefix + name: value for prefix in ("PYNC_", "NCAT_") for name, value in expected.items()}


def test_crlf_is_made_of_what_the_program_says_and_counted() -> None:
    with stage(sh_exec="cat", crlf=True) as scene:
        client, far = scene.connect()
        far.sendall(b"a\nb\r\n")
        far.shutdown(socket.SHUT_WR)
        assert scene.receive(far) == b"a\r\nb\r\n"
        assert scene.fault_of(client) is None
        assert (client.received, client.sent) == (5, 6)


def test_with_send_only_the_program_hears_nothing() -> None:
    with stage(sh_exec="wc -c", send_only=True) as scene:
        client, far = scene.connect()
        far.sendall(b"12345")
        assert scene.receive(far).strip() == b"0"
        far.close()
        assert scene.fault_of(client) is None


def test_with_recv_only_the_client_hears_nothing_and_the_program_may_finish(tmp_path: Path) -> None:
    with stage(sh_exec=f"echo told; cat > {tmp_path}/got; exit 3", recv_only=True) as scene:
        client, far = scene.connect()
        far.sendall(b"12345")
        far.shutdown(socket.SHUT_WR)
        assert scene.receive(far) == b""
        assert scene.fault_of(client) is None
        assert (client.code, client.sent) == (3, 0)
        assert (tmp_path / "got").read_bytes() == b"12345"


def test_after_so_many_reads_the_program_gets_its_end_of_data_and_still_answers() -> None:
    with stage(sh_exec="cat; echo end", recv_limit=1) as scene:
        client, far = scene.connect()
        far.sendall(b"one\n")
        assert scene.receive(far) == b"one\nend\n"
        far.close()
        assert scene.fault_of(client) is None


def test_an_idle_client_is_ended_with_its_program() -> None:
    with stage(sh_exec="echo $$; exec sleep 600", idle_timeout=0.2) as scene:
        client, far = scene.connect()
        pid = int(scene.line(far))
        fault = scene.fault_of(client)
        assert until_reset(far) == b""
        assert fault is not None
        assert fault.text == "client: no data for 0.2 s: timed out"
        assert not alive(pid)


# --- many


@needs_proc
@each_way
def test_two_hundred_at_once_each_with_its_own_answer_and_nothing_left(way: dict[str, Any]) -> None:
    with no_descriptor_left():
        with stage(sh_exec="read x; echo $x; cat >/dev/null", **way) as scene:
            before = len(descriptors())
            pairs = [scene.connect() for _ in range(200)]
            for number, (_, far) in enumerate(pairs):
                far.sendall(b"%d\n" % number)
            assert [int(scene.line(far)) for _, far in pairs] == list(range(200))
            assert len(children_of_ours()) == 200
            for _, far in pairs:
                far.close()
            scene.until(lambda: len(scene.ended) == 200, "the end of all")
            assert [fault for _, fault in scene.ended] == [None] * 200
            assert children_of_ours() == []
            assert len(descriptors()) <= before + 1  # what watches the connections


@needs_proc
@each_way
def test_closing_the_server_ends_all_of_two_hundred_together(way: dict[str, Any]) -> None:
    with no_descriptor_left():
        with stage(sh_exec="echo ready; exec sleep 600", **way) as scene:
            pairs = [scene.connect() for _ in range(200)]
            assert {scene.line(far) for _, far in pairs} == {b"ready\n"}
            began = time.monotonic()
            for client, _ in pairs:
                client.close()
            scene.clients.close()
            assert time.monotonic() - began < children_module.GRACE
            assert children_of_ours() == []
            assert {until_reset(far) for _, far in pairs} == {b""}
            assert scene.ended == []


def test_a_program_that_cannot_be_started_costs_one_client_and_no_other(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho ready; cat\n")
    program.chmod(0o755)
    with stage(exec=str(program)) as scene:
        _, far = scene.connect()
        assert scene.line(far) == b"ready\n"
        program.unlink()
        second, other = scene.connect()
        fault = scene.fault_of(second)
        assert fault is not None
        assert fault.text == f"run {program}: No such file or directory"
        assert until_reset(other) == b""
        far.sendall(b"still here\n")
        assert scene.line(far) == b"still here\n"
        assert [client for client, _ in scene.ended] == [second]


@each_way
def test_no_room_for_another_process_costs_one_client_and_leaves_no_descriptor(
    way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **named: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with stage(exec="cat", **way) as scene:
        scene.connect()
        monkeypatch.setattr(os, "posix_spawn", refuse)
        before = descriptors()
        client, far = scene.connect()
        fault = scene.fault_of(client)
        assert fault is not None
        assert fault.text == "run cat: Resource temporarily unavailable"
        far.close()
        assert descriptors() == before


def test_a_client_that_is_gone_before_its_program_starts_is_a_client_less() -> None:
    with stage(exec="cat") as scene:
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname(), PATIENCE)
            near, _ = server.accept()
        reset(far)
        eventually(lambda: near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "the reset")
        client, _ = scene.start(near, far)
        fault = scene.fault_of(client)
        assert fault is not None
        assert fault.text.startswith("connection with client lost: ")
        assert children_of_ours() == []


@each_way
def test_without_epoll_and_pidfd_it_all_ends_as_well(way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with stage(sh_exec="echo $$; exec sleep 600", **way) as scene:
        monkeypatch.delattr("select.epoll", raising=False)
        monkeypatch.delattr("os.pidfd_open", raising=False)
        monkeypatch.setattr("pync.processes.hangup.LOOK", 0.02)
        client, far = scene.connect()
        pid = int(scene.line(far))
        reset(far)
        assert scene.fault_of(client) is not None
        assert not alive(pid)
