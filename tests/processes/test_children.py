"""Processes that we start: what they are given, and that each is ended and reaped, whatever happens."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pync.processes import children as children_module
from pync.processes.children import Child, Children
from pync.processes.program import Program
from tests.net.addresses import descriptors, no_descriptor_left
from tests.running import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a program sees of itself, as JSON.
INTROSPECTION = """
import json, os, resource, signal, sys
print(json.dumps({
    "descriptors": sorted(name for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)),
    "leader": os.getpid() == os.getpgrp() == os.getsid(0),
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "status": open("/proc/self/status").read(),
    "limit": resource.getrlimit(resource.RLIMIT_NOFILE),
    "environment": dict(os.environ),
    "blocking": os.get_blocking(0),
}))
"""


@pytest.fixture
def children() -> Iterator[Children]:
    found = Children()
    yield found
    found.close()


def shell(line: str) -> Program:
    return Program("/bin/sh", ["sh", "-c", line])


def python(code: str) -> Program:
    return Program(sys.executable, [sys.executable, "-I", "-c", code])


def wait(child: Child) -> int:
    eventually(child.exited, "the end of the child")
    assert child.status is not None
    return child.status


def read(children: Children, program: Program, environment: dict[str, str] | None = None) -> bytes:
    """What a program says before it ends."""
    reading, writing = os.pipe()
    with open(reading, "rb") as output, open(os.devnull, "rb") as nothing:
        try:
            child = children.spawn(program, nothing.fileno(), writing, environment or {})
        finally:
            os.close(writing)
        said = output.read()
    wait(child)
    return said


def spawn(children: Children, line: str) -> Child:
    with open(os.devnull, "r+b") as nothing:
        return children.spawn(shell(line), nothing.fileno(), nothing.fileno(), {})


def spawn_ready(children: Children, line: str) -> tuple[Child, list[int]]:
    """Start it; the numbers it prints in its first line, which it prints when it is ready."""
    reading, writing = os.pipe()
    with open(reading, "rb") as output, open(os.devnull, "rb") as nothing:
        try:
            child = children.spawn(shell(line), nothing.fileno(), writing, {})
        finally:
            os.close(writing)
        return child, [int(word) for word in output.readline().split()]


def alive(pid: int) -> bool:
    """Whether a process runs: a zombie of somebody else's does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def introspection(children: Children, environment: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(children, python(INTROSPECTION), environment))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")


# --- what it is given


@needs_proc
def test_it_has_three_descriptors_even_where_our_parent_left_more_open() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.set_inheritable(writing, True)
    children = Children()
    try:
        with socket.socket():
            assert introspection(children)["descriptors"] == ["0", "1", "2"]
    finally:
        children.close()
        os.close(reading)
        os.close(writing)


@needs_proc
def test_no_signal_is_blocked_or_ignored_that_python_ignores(children: Children) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        seen = introspection(children)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert seen["mask"] == []
    # Python itself ignores SIGPIPE and SIGXFSZ again as it starts: ask a program that does not.
    status = read(children, Program("/bin/cat", ["cat", "/proc/self/status"])).decode()
    ignored = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn"))
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


@needs_proc
def test_it_leads_a_session_of_its_own(children: Children) -> None:
    assert introspection(children)["leader"]


@needs_proc
def test_it_gets_the_limit_of_descriptors_that_we_were_started_with() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = (soft - 1, hard)
    children = Children(lower)
    try:
        assert tuple(introspection(children)["limit"]) == lower
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    finally:
        children.close()


def test_streams_may_have_numbers_beyond_the_limit_that_it_gets() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    children = Children((32, hard))
    reading, writing = os.pipe()
    high = fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, 64)
    try:
        child = children.spawn(shell("echo here"), reading, high, {})
        os.close(high)
        os.close(writing)
        assert os.read(reading, 100) == b"here\n"
        assert wait(child) == 0
    finally:
        os.close(reading)
        children.close()


@needs_proc
def test_its_own_values_stand_in_the_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNC_REMOTE_ADDR", "forged")
    monkeypatch.setenv("OTHER", "kept")
    children = Children()
    try:
        seen = introspection(children, {"PYNC_REMOTE_ADDR": ""})["environment"]
    finally:
        children.close()
    assert (seen["PYNC_REMOTE_ADDR"], seen["OTHER"]) == ("", "kept")


# --- how it ends


@pytest.mark.parametrize(("line", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9)])
def test_its_status_is_kept(children: Children, line: str, status: int) -> None:
    assert wait(spawn(children, line)) == status


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfd here")
def test_its_descriptor_tells_of_its_end(children: Children) -> None:
    child = spawn(children, "exit 0")
    assert select.select([child.fd], [], [], PATIENCE)[0]
    assert child.exited()


def test_without_a_pidfd_its_end_is_found_by_looking(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    child = spawn(children, "exit 3")
    assert child.fd == -1
    assert wait(child) == 3


def test_without_waitid_its_end_is_found_too(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "waitid", raising=False)
    assert wait(spawn(children, "exit 3")) == 3


def test_what_it_leaves_behind_is_told_to_end(children: Children) -> None:
    child, (left,) = spawn_ready(children, "sleep 600 >/dev/null & echo $!")
    wait(child)
    eventually(lambda: not alive(left), "the end of what it left behind")


def test_a_program_that_cannot_run_is_an_error_and_leaves_nothing(children: Children, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no magic number")
    (tmp_path / "text").chmod(0o755)
    before = descriptors()
    with pytest.raises(OSError, match="Exec format error"), open(os.devnull, "rb") as nothing:
        children.spawn(Program(str(tmp_path / "text"), ["text"]), nothing.fileno(), nothing.fileno(), {})
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# --- nobody is left behind


def test_close_ends_all_at_once_those_that_ignore_sigterm_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children_module, "GRACE", 0.5)
    children = Children()
    found = [spawn_ready(children, "trap '' TERM; sleep 600 & echo $$ $!; wait") for _ in range(20)]
    began = time.monotonic()
    children.close()
    took = time.monotonic() - began
    assert not [pid for _, pids in found for pid in pids if alive(pid)]
    assert [child.status for child, _ in found] == [-signal.SIGKILL] * 20
    assert 0.5 <= took < 0.5 + children_module.KILLED + 2


def test_close_waits_no_longer_than_it_takes(children: Children) -> None:
    for _ in range(10):
        spawn_ready(children, "sleep 600 & echo $!; wait")
    began = time.monotonic()
    children.close()
    assert time.monotonic() - began < children_module.GRACE


def test_a_stopped_one_is_ended_too(children: Children) -> None:
    child, (pid,) = spawn_ready(children, "echo $$; kill -STOP $$; sleep 600")
    eventually(lambda: ") T" in Path(f"/proc/{pid}/stat").read_text("ascii"), "a stopped child")
    began = time.monotonic()
    children.close()
    assert child.status == -signal.SIGTERM
    assert time.monotonic() - began < children_module.GRACE


def test_a_signal_while_it_is_started_does_not_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler runs when the child is known, however early the signal comes."""
    started: list[int] = []

    def spawn_and_interrupt(*args: Any, **named: Any) -> int:
        started.append(posix_spawn(*args, **named))
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # what runs the tests may have other threads
        return started[0]

    posix_spawn = os.posix_spawn
    monkeypatch.setattr(os, "posix_spawn", spawn_and_interrupt)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    children = Children()
    try:
        with pytest.raises(KeyboardInterrupt):
            spawn(children, "sleep 600")
        assert alive(started[0])
    finally:
        signal.signal(signal.SIGINT, handler)
        children.close()
    assert not alive(started[0])


def test_where_sigchld_was_ignored_there_is_a_status_all_the_same() -> None:
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        children = Children()
        assert wait(spawn(children, "exit 5")) == 5
        children.close()
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, handler)


def test_one_that_somebody_else_has_reaped_has_an_end_too(children: Children) -> None:
    child = spawn(children, "exit 0")
    os.waitpid(child.pid, 0)
    assert wait(child) == children_module.UNKNOWN


def test_no_descriptor_is_left() -> None:
    with no_descriptor_left():
        children = Children()
        wait(spawn(children, "exit 0"))
        spawn(children, "sleep 600")
        children.close()
