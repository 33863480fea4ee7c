"""A sweep in two processes says what one process says, and leaves none behind.

Run in interpreters of their own: the tests' own process has threads, beside which pync does not fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pync.probe import forked_sweep
from tests.running import PATIENCE, eventually, pync, stop, unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The command, with a second process for so many ports or more, whatever the machine.
PROGRAM = """
import os, sys
from pync.probe import forked_sweep
forked_sweep.WORTHWHILE = int(sys.argv[1])
forked_sweep._processors = lambda: 2
forks = []
real_fork = os.fork
os.fork = lambda: forks.append(1) or real_fork()
from pync import run
code = run(sys.argv[2:])
sys.exit(code if len(forks) == (sys.argv[1] == "2") else 99)
"""


def probe(worthwhile: int, *words: str) -> tuple[int, list[object]]:
    command = [sys.executable, "-c", PROGRAM, str(worthwhile), "-z", "--json", *words]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.stderr == b""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_two_processes_say_what_one_says(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as one, socket.create_server((host, 0), family=family) as two:
        ports = [str(sock.getsockname()[1]) for sock in (one, two)] + [str(unused_port()) for _ in range(9)]
        words = [host, ",".join(dict.fromkeys(ports))]
        alone, both = probe(1 << 20, *words), probe(2, *words)
    assert both == alone
    assert both[0] == 0


@pytest.mark.alone
def test_a_whole_range_finds_what_is_open_in_its_order() -> None:
    """That nothing else is found shows on a host of its own, in cli/test_probe_namespaces."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        wanted = {sock.getsockname()[1] for sock in (one, two)}
        with pync("-z", "127.0.0.1", "1-65535") as scan:
            assert scan.finish() == (0, b"")
            found = [int(line.split()[3]) for line in scan.messages]
    assert found == sorted(found)
    assert wanted <= set(found)


def children_of(pid: int) -> list[str]:
    """The children of a process; there is a moment before each shows."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return children.read().split()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port of 127.0.0.9 that does not answer: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.9", 0), backlog=0))
        port = int(server.getsockname()[1])
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.9", port))
        yield port


@pytest.mark.parametrize("attempt", range(8))
def test_the_second_process_ends_with_the_first(silent: int, attempt: int) -> None:
    """However soon after its birth: a signal may arrive between any two steps."""
    ports = ",".join(str(each) for each in [*range(1, 5000), silent])
    with pync("-z", "-w", "60", "127.0.0.9", ports) as scan:
        (child,) = eventually(lambda: children_of(scan.process.pid), "the second process")
        stop(scan)
        assert scan.code() == 143
        eventually(lambda: not os.path.exists(f"/proc/{child}"), "the end of the second process")


def test_a_second_process_that_is_killed_is_a_clear_error_and_not_a_short_list() -> None:
    program = PROGRAM.replace("real_fork = os.fork", "import signal\nreal_fork = os.fork").replace(
        "os.fork = lambda: forks.append(1) or real_fork()",
        "os.fork = lambda: forks.append(1) or real_fork() or os.kill(os.getpid(), signal.SIGKILL)",
    )
    command = [sys.executable, "-c", program, "2", "-z", "127.0.0.1", "1,2,3"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"pync: the second process of the scan did not come to its end\n"


def test_beside_threads_and_for_a_few_ports_there_is_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked_sweep, "_processors", lambda: 2)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    many = list(range(forked_sweep.WORTHWHILE))
    assert forked_sweep.pays_off(many)
    assert not forked_sweep.pays_off(many[1:])
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not forked_sweep.pays_off(many)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(forked_sweep, "_processors", lambda: 1)
    assert not forked_sweep.pays_off(many)
