"""Who holds a socket: shared ones, processes that vanish while they are looked at, users without a name."""

from __future__ import annotations

import os
import socket
import sys

import psutil
import pytest

from pync.ports import owners
from tests.running import running

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc/PID/fd is Linux's")


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@linux
def test_all_processes_that_share_a_socket_are_found_each_once() -> None:
    with socket.socket() as sock, sock.dup():
        with running(sys.executable, "-c", "print('up', flush=True); input()", pass_fds=[sock.fileno()]) as child:
            assert child.stdout.readline() == b"up\n"
            assert set(owners.processes({inode(sock)})[inode(sock)]) == {os.getpid(), child.process.pid}
            child.finish()
        assert owners.processes({inode(sock)}) == {inode(sock): [os.getpid()]}


def test_without_sockets_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "listdir")
    assert owners.processes(set()) == {}


@linux
def test_descriptors_and_processes_that_vanish_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> str:
        raise FileNotFoundError

    with socket.socket() as sock:
        with monkeypatch.context() as patch:
            patch.setattr(os, "readlink", gone)
            assert owners.processes({inode(sock)}) == {}
        with monkeypatch.context() as patch:
            real = os.listdir
            patch.setattr(os, "listdir", lambda path: real(path) if path == "/proc" else gone())
            assert owners.processes({inode(sock)}) == {}
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", gone)
            assert owners.processes({inode(sock)}) == {}


def test_of_a_process_that_has_ended_the_number_is_left() -> None:
    with running(sys.executable, "-c", "") as child:
        child.finish()
    owner = owners.identify([child.process.pid])[child.process.pid]
    assert (owner.pid, owner.program, owner.user) == (child.process.pid, None, None)


@pytest.mark.parametrize("error", [psutil.AccessDenied(1), psutil.NoSuchProcess(1), psutil.ZombieProcess(1), OSError()])
def test_what_psutil_may_not_read_is_unknown(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(_: psutil.Process) -> str:
        raise error

    monkeypatch.setattr(psutil.Process, "username", refuse)
    owner = owners.identify([os.getpid()])[os.getpid()]
    assert owner.program is not None
    assert owner.user is None


def test_a_user_without_a_name_is_a_number() -> None:
    assert owners.user_name(3_999_999_999) == "3999999999"
