"""Connecting: plan, source address, limits, the public connect, and unix-domain sockets.

The race itself is in test_race, connecting over a network that drops packets in cli/test_namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import pync
from pync.errors import NETWORK, TIMEOUT, USAGE, Fault
from pync.net import dial
from pync.net import race as race_module
from pync.net.dial import dial_unix
from pync.net.race import DialFault, race
from pync.net.unixpath import BoundPath
from pync.plan import Plan
from tests.net.addresses import loopback_server, no_descriptor_left, refused, tcp
from tests.plans import planned
from tests.running import PATIENCE, unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Longer than any test may take: what waits for this has waited for the wrong thing.
NEVER = 3600.0
#: More than a full backlog of one holds.
FULL_AFTER = 16


# --- plan, source address, notes


def test_a_dialed_socket_does_not_block_and_is_not_inherited(server: socket.socket) -> None:
    host, port, *_ = server.getsockname()
    sock, address = dial.dial(host, port, planned())
    with sock:
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert (address.host, address.port) == (host, port)


def test_addresses_that_failed_before_another_answered_are_noted(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server4.getsockname()[1]
    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: both)
    notes: list[str] = []
    sock, _ = dial.dial("host.example", port, planned(), notes.append)
    sock.close()
    assert notes == [f"connect to host.example (::1) port {port} (tcp) failed: Connection refused"]


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({}, None),
        ({"timeout": 5.0}, 5.0),
        ({"timeout": 5.0, "connect_timeout": 2.0}, 2.0),
        ({"connect_timeout": 9.0}, 9.0),
        ({"connect_timeout": 9.0, "total_timeout": 3.0}, 3.0),
    ],
)
def test_the_connect_limit_is_w_unless_a_nearer_word_is_said(given: dict[str, Any], limit: float | None) -> None:
    assert planned(**given).limits.connect == limit


@pytest.mark.parametrize("words", [{"source": "127.0.0.1"}, {"source_port": "free"}, {"source": "::1"}])
def test_the_source_address_and_port_are_what_the_server_sees(words: dict[str, Any]) -> None:
    six = words.get("source") == "::1"
    host, family = ("::1", socket.AF_INET6) if six else ("127.0.0.1", socket.AF_INET)
    port = str(unused_port())
    words = {name: port if value == "free" else value for name, value in words.items()}
    with loopback_server(host, family) as listener:
        sock, _ = dial.dial(host, listener.getsockname()[1], planned(**words))
        with sock, listener.accept()[0] as connection:
            peer = connection.getpeername()
    assert peer[0] == words.get("source", host)
    assert str(peer[1]) == words.get("source_port", str(peer[1]))


def test_another_loopback_address_may_be_the_source(server4: socket.socket) -> None:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.2", 0))
    except OSError:
        pytest.skip("this system has only one loopback address")
    sock, _ = dial.dial("127.0.0.1", server4.getsockname()[1], planned(source="127.0.0.2"))
    with sock, server4.accept()[0] as connection:
        assert connection.getpeername()[0] == "127.0.0.2"


def test_a_source_port_serves_both_families_of_one_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        six = tcp(("::1", port, 0, 0))
        addresses = [six, tcp(("127.0.0.1", port))]
        open_socket = dial.opener(planned(source_port=str(unused_port())), addresses)
        with open_socket(six) as under_way:
            assert under_way.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1  # IPv4's is not claimed
            sock, _, _ = race(addresses[1:], open_socket, None, "host")
            sock.close()


def test_a_source_of_another_family_than_the_host_is_an_error() -> None:
    with no_descriptor_left(), pytest.raises(Fault, match=r"source address ::1 is of another family") as caught:
        dial.dial("127.0.0.1", 9, planned(source="::1"))
    assert caught.value.code == USAGE


def test_addresses_that_the_source_cannot_reach_are_left_out() -> None:
    addresses = [refused(), refused(socket.AF_INET6)]
    dial.opener(planned(source="::1"), addresses)
    assert [address.host for address in addresses] == ["::1"]


def test_a_source_port_in_use_is_an_error_that_names_it(server4: socket.socket) -> None:
    port = server4.getsockname()[1]
    with no_descriptor_left(), pytest.raises(Fault, match=rf"port {port}.*[Aa]ddress already in use") as caught:
        dial.dial("127.0.0.1", 9, planned(source="127.0.0.1", source_port=str(port)))
    assert caught.value.code == USAGE


def test_a_range_is_no_source_port() -> None:
    with pytest.raises(Fault, match=r"'20-30'.*one port") as caught:
        dial.dial("127.0.0.1", 9, planned(source_port="20-30"))
    assert caught.value.code == USAGE


def test_a_socket_never_joins_itself() -> None:
    port = unused_port()
    plan = planned(source="127.0.0.1", source_port=str(port))
    with no_descriptor_left(), pytest.raises(DialFault, match="Connection refused"):
        dial.dial("127.0.0.1", port, plan)


# --- the public connect


def test_the_public_connect_gives_a_blocking_socket(server: socket.socket) -> None:
    host, port, *_ = server.getsockname()
    with pync.connect(host, port, timeout=PATIENCE) as sock, server.accept()[0] as connection:
        assert sock.gettimeout() is None
        connection.sendall(b"hello")
        assert sock.recv(5) == b"hello"


def test_the_public_connect_binds_its_source(server4: socket.socket) -> None:
    port = unused_port()
    with (
        pync.connect("127.0.0.1", server4.getsockname()[1], source="127.0.0.1", source_port=port),
        server4.accept()[0] as connection,
    ):
        assert connection.getpeername() == ("127.0.0.1", port)


def test_the_public_connect_takes_the_name_of_a_service(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = {("test", "tcp"): server4.getsockname()[1]}
    monkeypatch.setattr(socket, "getservbyname", lambda name, protocol: services[name, protocol])
    pync.connect("127.0.0.1", "test").close()


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_public_connect_keeps_to_one_family(monkeypatch: pytest.MonkeyPatch, family: int, host: str) -> None:
    asked: list[int] = []
    real = socket.getaddrinfo

    def getaddrinfo(name: Any, port: Any, family: int, *rest: Any) -> Any:
        asked.append(family)
        return real(name, port, family, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with loopback_server(host, family) as listener:
        pync.connect(host, listener.getsockname()[1], family=family).close()
    assert asked == [family]


def test_the_public_connect_refuses_names_where_only_numbers_are_allowed() -> None:
    with pytest.raises(pync.Fault) as caught:
        pync.connect("host.example", 80, numeric=True)
    assert caught.value.code == USAGE


@pytest.mark.parametrize("port", [65536, 70000])
def test_the_public_connect_refuses_a_port_that_does_not_exist(port: int) -> None:
    with pytest.raises(pync.Fault, match=str(port)) as caught:
        pync.connect("127.0.0.1", port)
    assert caught.value.code == USAGE


def test_the_public_connect_raises_a_fault_that_names_the_refusal() -> None:
    address = refused()
    with no_descriptor_left(), pytest.raises(pync.Fault, match=rf"port {address.port}.*Connection refused") as caught:
        pync.connect("127.0.0.1", address.port)
    assert caught.value.code == NETWORK


@pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="only Linux drops what a full backlog cannot take")
def test_a_listener_whose_backlog_is_full_is_a_timeout() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with no_descriptor_left(), pytest.raises(pync.Fault, match="timed out") as caught:
            pync.connect(*listener.getsockname(), timeout=0.1)
    assert caught.value.code == TIMEOUT


# --- unix-domain sockets


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@contextlib.contextmanager
def unix_server(path: str, kind: int = socket.SOCK_STREAM, backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(path)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
        yield sock


@contextlib.contextmanager
def dialed(path: str, plan: Plan) -> Iterator[socket.socket]:
    """A connection to the path, and its own path removed at the end, as `serving.client` does."""
    own = BoundPath()
    sock, address = dial_unix(path, plan, own)
    assert address.host == path
    with sock:
        yield sock
    own.remove()


@pytest.mark.parametrize("limit", [None, 0.5, 5.0])
def test_a_unix_socket_is_dialed_and_does_not_block_afterwards(path: str, limit: float | None) -> None:
    with unix_server(path) as server:
        with dialed(path, planned(connect_timeout=limit)) as sock, server.accept()[0]:
            assert not sock.getblocking()
            assert not any(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16))


@pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="abstract names are Linux's")
def test_an_abstract_name_is_dialed() -> None:
    name = f"@pync-test-{os.getpid()}"
    with unix_server(f"\0{name[1:]}") as server, dialed(name, planned()), server.accept()[0]:
        pass


@pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="only Linux picks a name when asked for none")
def test_a_datagram_client_gets_an_address_for_the_answers(path: str) -> None:
    with unix_server(path, socket.SOCK_DGRAM) as server, dialed(path, planned(udp=True)) as sock:
        sock.send(b"question")
        data, sender = server.recvfrom(100)
        server.sendto(b"answer to " + data, sender)
        assert sock.recv(100) == b"answer to question"


KINDS = [(False, socket.SOCK_STREAM), (True, socket.SOCK_DGRAM)]


@pytest.mark.parametrize(("udp", "kind"), KINDS)
@pytest.mark.parametrize("stale", [False, True])
def test_the_source_of_a_unix_socket_is_a_path_that_is_gone_afterwards(
    path: str, udp: bool, kind: int, stale: bool
) -> None:
    source = f"{path}.source"
    if stale:
        with unix_server(source, kind):
            pass
    with unix_server(path, kind):
        with dialed(path, planned(udp=udp, source=source)) as sock:
            assert sock.getsockname() == source
        assert not os.path.lexists(source)


def test_a_source_path_that_somebody_serves_is_an_error_that_names_it(path: str) -> None:
    with unix_server(path), no_descriptor_left(), pytest.raises(Fault, match=path) as caught:
        dial_unix(path, planned(source=path), BoundPath())
    assert caught.value.code == USAGE
    assert os.path.exists(path)


def test_a_source_path_does_not_outlive_a_connect_that_fails(path: str) -> None:
    own = BoundPath()
    with no_descriptor_left(), pytest.raises(DialFault):
        dial_unix(path, planned(source=f"{path}.source"), own)
    own.remove()
    assert not os.path.lexists(f"{path}.source")


def test_a_path_where_nothing_is_is_an_error_that_names_it(path: str) -> None:
    with no_descriptor_left(), pytest.raises(DialFault) as caught:
        dial_unix(path, planned(), BoundPath())
    assert caught.value.text == f"connect to {path} failed: No such file or directory"
    assert caught.value.code == NETWORK


def test_a_path_that_nobody_serves_any_more_is_refused(path: str) -> None:
    with unix_server(path):
        pass
    with pytest.raises(DialFault, match="Connection refused"):
        dial_unix(path, planned(), BoundPath())


def test_a_path_that_is_too_long_is_an_error_that_says_so() -> None:
    with no_descriptor_left(), pytest.raises(DialFault, match="too long") as caught:
        dial_unix("/tmp/" + "x" * 200, planned(), BoundPath())
    assert caught.value.code == NETWORK


@pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="elsewhere a full backlog refuses")
def test_a_unix_socket_whose_backlog_is_full_is_a_timeout(path: str) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(unix_server(path, backlog=0))
        for _ in range(FULL_AFTER):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            if waiting.connect_ex(path) == errno.EAGAIN:
                break
        else:
            pytest.fail("the backlog was never full")
        with no_descriptor_left(), pytest.raises(DialFault, match="timed out") as caught:
            dial_unix(path, planned(connect_timeout=0.05), BoundPath())
    assert caught.value.code == TIMEOUT


@pytest.mark.parametrize("limit", [1e7, 1e20])
def test_the_limit_of_a_unix_socket_may_be_of_any_size(path: str, limit: float) -> None:
    with unix_server(path), dialed(path, planned(connect_timeout=limit)):
        pass


@pytest.mark.parametrize("limit", [1e-4, 1e-7])
@pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="elsewhere a full backlog refuses")
def test_a_tiny_limit_is_a_limit(path: str, limit: float) -> None:
    """SO_SNDTIMEO counts microseconds, and 0 means for ever: less than one must not become none."""
    set_to: list[bytes] = []

    class Recording(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            if args[1] == socket.SO_SNDTIMEO:
                set_to.append(args[2])
            super().setsockopt(*args)

    with unix_server(path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", Recording)
        with dialed(path, planned(connect_timeout=limit)):
            pass
    assert any(set_to[0])
