"""Who is in the way of a bind: processes by name, users where processes cannot be seen, never an error."""

from __future__ import annotations

import os
import pwd
import socket
import sys
from typing import Any

import pytest

from pync.ports import collect, owners, records
from pync.ports.holder import in_use_by
from pync.ports.records import Owner, Socket
from tests.ports.crowd import empty_crowd, has_ipv6, port_of
from tests.running import pync

if not sys.platform.startswith("linux"):
    pytest.skip("looks into the sockets of Linux", allow_module_level=True)


def test_the_process_that_listens_is_named() -> None:
    with pync("-l", "127.0.0.1", "0") as listener:
        expected = f"pid {listener.process.pid}, pync"
        port = listener.port()
        assert [in_use_by("tcp", address, port) for address in ("127.0.0.1", "0.0.0.0", "")] == [expected] * 3
        assert in_use_by("udp", "127.0.0.1", port) == ""


def test_an_address_that_is_free_is_held_by_nobody() -> None:
    with empty_crowd() as crowd:
        port = port_of(crowd.listen(socket.AF_INET, "127.0.0.1", 1))
        assert in_use_by("tcp", "127.0.0.2", port) == ""
        assert in_use_by("tcp", "::1", port) == ""


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback")
def test_a_dual_stack_listener_is_in_the_way_of_ipv4_too() -> None:
    with empty_crowd() as crowd:
        dual = port_of(crowd.listen(socket.AF_INET6, "::", 1, dual=True))
        only6 = port_of(crowd.listen(socket.AF_INET6, "::", 1))
        assert in_use_by("tcp", "0.0.0.0", dual).startswith(f"pid {os.getpid()}")
        assert in_use_by("tcp", "0.0.0.0", only6) == ""
        assert in_use_by("tcp", "::1", only6).startswith(f"pid {os.getpid()}")


def test_sockets_that_are_only_bound_or_connected_are_in_the_way_too() -> None:
    with empty_crowd() as crowd:
        datagrams = crowd.bind(socket.AF_INET, "127.0.0.1")
        assert in_use_by("udp", "127.0.0.1", port_of(datagrams)).startswith(f"pid {os.getpid()}")
        server = crowd.listen(socket.AF_INET, "127.0.0.1", 1)
        crowd.connect(server, "127.0.0.1", "established")
        port = port_of(server)
        server.close()
        assert in_use_by("tcp", "127.0.0.1", port).startswith(f"pid {os.getpid()}")


def test_the_path_of_a_unix_socket_has_a_holder() -> None:
    with empty_crowd() as crowd:
        path = str(crowd.directory / "socket")
        crowd.bind_unix(socket.SOCK_STREAM, path, 1)
        assert in_use_by("unix", path).startswith(f"pid {os.getpid()}")
        assert in_use_by("unix", path + "x") == ""


def pretend(monkeypatch: pytest.MonkeyPatch, *entries: Socket) -> None:
    monkeypatch.setattr(collect, "read", lambda *_: list(entries))
    monkeypatch.setattr(owners, "processes", lambda _: {})
    monkeypatch.setattr(owners, "identify", lambda pids: {pid: Owner(pid, "server") for pid in pids})


def held(**more: Any) -> Socket:
    return Socket(records.TCP, "0.0.0.0", 80, records.LISTENING, **more)


def test_where_the_process_cannot_be_seen_its_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, held(uid=0, inode=5))
    assert in_use_by("tcp", "127.0.0.1", 80) == f"a process of {pwd.getpwuid(0).pw_name}"


def test_where_not_even_the_user_is_told_it_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, held())
    assert in_use_by("tcp", "127.0.0.1", 80) == "a process of another user"


def test_many_processes_are_named_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, held(pids=(5, 4, 3, 2, 1)))
    assert in_use_by("tcp", "", 80) == "pid 1, server; pid 2, server; pid 3, server; and 2 more"


@pytest.mark.parametrize("error", [OSError(), RuntimeError(), ValueError()])
def test_a_look_that_fails_says_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> list[Socket]:
        raise error

    monkeypatch.setattr(collect, "read", fail)
    assert in_use_by("tcp", "0.0.0.0", 80) == ""
