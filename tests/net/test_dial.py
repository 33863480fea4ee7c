"""Connecting: plan, source address, limits, the public connect, and unix-domain sockets.

The race itself is in test_race, connecting over a network that drops packets in cli/test_namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import pync
from pync.errors import NETWORK, TIMEOUT, USAGE, Fault
from pync.net import dial
from pync.net import race as race_module
from pync.net.dial import Dial, DialUnix, dial_unix
from pync.net.loop import Loop
from pync.net.race import DialFault
from pync.net.unixpath import BoundPath
from pync.plan import Plan
from pync.serving.loops import loop_maker
from tests.net.addresses import descriptors, loopback_server, no_descriptor_left, race, refused, tcp
from tests.plans import planned
from tests.running import PATIENCE, eventually, unused_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pync.serving.loops import ServerLoop

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


def test_the_public_connect_says_that_a_link_local_address_needs_a_zone() -> None:
    with pytest.raises(OSError, match="'fe80::1' is a link-local address"):
        pync.connect("fe80::1", 1)


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


@contextlib.contextmanager
def full_backlog(path: str) -> Iterator[socket.socket]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(unix_server(path, backlog=0))
        for _ in range(FULL_AFTER):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            if waiting.connect_ex(path) == errno.EAGAIN:
                break
        else:
            pytest.fail("the backlog was never full")
        yield server


needs_linux_backlog = pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="elsewhere a full backlog refuses")


@needs_linux_backlog
@pytest.mark.parametrize("limit", [0.05, 1e-7])
def test_a_unix_socket_whose_backlog_is_full_is_a_timeout(path: str, limit: float) -> None:
    with full_backlog(path), no_descriptor_left(), pytest.raises(DialFault, match="timed out") as caught:
        dial_unix(path, planned(connect_timeout=limit), BoundPath())
    assert caught.value.code == TIMEOUT


@pytest.mark.parametrize("limit", [1e7, 1e20])
def test_the_limit_of_a_unix_socket_may_be_of_any_size(path: str, limit: float) -> None:
    with unix_server(path), dialed(path, planned(connect_timeout=limit)):
        pass


# --- on a loop that others use too


LOOPS = {"quick": Loop, "asyncio": loop_maker("asyncio")}


class Dialing:
    """A dial under way on a loop, and what it came to."""

    def __init__(self, loop: ServerLoop, begin: Callable[[ServerLoop, Callable[[Any], object]], Any]) -> None:
        self._loop = loop
        self._results: list[Any] = []
        self.dial = begin(loop, self._done)
        assert not self._results, "it called back before the loop ran"

    def _done(self, result: Any) -> None:
        self._results.append(result)
        self._loop.stop()

    def result(self) -> Any:
        """Run the loop until it calls back, once."""
        watchdog = self._loop.call_at(self._loop.time() + PATIENCE, self._loop.stop)
        self._loop.run()
        watchdog.cancel()
        (result,) = self._results
        return result


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[ServerLoop]:
    made = LOOPS[request.param]()
    yield made
    made.close()


class SlowNames:
    """A getaddrinfo that waits until it is told to answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sockaddr: Any) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()
        self.answered = threading.Event()

        def getaddrinfo(*args: Any) -> Any:
            self.asked.set()
            self.answer.wait(PATIENCE)
            self.answered.set()
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", sockaddr)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("words", [{}, {"source": "near.example"}])
def test_the_loop_goes_on_during_a_look_up(
    loop: ServerLoop, server4: socket.socket, monkeypatch: pytest.MonkeyPatch, words: dict[str, Any]
) -> None:
    names = SlowNames(monkeypatch, server4.getsockname())
    host = "127.0.0.1" if words else "host.example"
    if words:  # the source's name is looked up, to which we then cannot bind: its port is the server's
        names.answer.set()
    dialing = Dialing(loop, lambda loop, done: Dial(loop, host, server4.getsockname()[1], planned(**words), done))

    def go_on() -> None:
        assert names.asked.wait(PATIENCE)
        names.answer.set()

    loop.call_at(loop.time() + 0.01, go_on)
    result = dialing.result()
    if words:
        assert isinstance(result, Fault)
        assert "in use" in result.text
        return
    sock, address = result
    with sock:
        assert sock.getpeername() == server4.getsockname() == address.sockaddr


def test_a_look_up_that_is_given_up_leaves_nothing_behind(loop: ServerLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    names = SlowNames(monkeypatch, ("127.0.0.1", 9))
    before = descriptors()
    dialing = Dialing(loop, lambda loop, done: Dial(loop, "host.example", 9, planned(), done))
    loop.call_at(loop.time() + 0.01, loop.stop)
    loop.run()
    dialing.dial.cancel()
    names.answer.set()
    eventually(lambda: descriptors() == before, "the thread closes its end")


def test_a_look_up_that_takes_too_long_is_a_timeout(loop: ServerLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    names = SlowNames(monkeypatch, ("127.0.0.1", 9))
    plan = planned(connect_timeout=0.02)
    result = Dialing(loop, lambda loop, done: Dial(loop, "host.example", 9, plan, done)).result()
    names.answer.set()
    assert (result.code, result.text) == (TIMEOUT, 'getaddrinfo for host "host.example" port 9: timed out')


@pytest.mark.parametrize(
    ("host", "port", "words", "said"),
    [
        ("127.0.0.1", 70000, {}, "70000"),
        ("host.example", 9, {"nodns": True}, "host.example"),
        ("127.0.0.1", 9, {"source": "::1"}, "another family"),
        ("127.0.0.1", 9, {"source_port": "20-30"}, "one port"),
    ],
)
def test_what_cannot_be_dialed_is_a_fault_that_the_loop_tells(
    loop: ServerLoop, host: str, port: int, words: dict[str, Any], said: str
) -> None:
    with no_descriptor_left():
        result = Dialing(loop, lambda loop, done: Dial(loop, host, port, planned(**words), done)).result()
    assert isinstance(result, Fault)
    assert said in result.text
    assert result.code == USAGE


@needs_linux_backlog
def test_a_race_that_is_given_up_closes_its_sockets(loop: ServerLoop) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        host, port = listener.getsockname()
        with no_descriptor_left():
            dialing = Dialing(loop, lambda loop, done: Dial(loop, host, port, planned(), done))
            loop.call_at(loop.time() + 0.01, loop.stop)
            loop.run()
            dialing.dial.cancel()


@needs_linux_backlog
def test_a_full_backlog_is_tried_again_until_it_has_room(loop: ServerLoop, path: str) -> None:
    with full_backlog(path) as server:
        dialing = Dialing(loop, lambda loop, done: DialUnix(loop, path, planned(), BoundPath(), done))
        accepted: list[socket.socket] = []

        def make_room() -> None:
            accepted.append(server.accept()[0])

        loop.call_at(loop.time() + 0.02, make_room)
        sock, address = dialing.result()
        with sock, accepted[0]:
            assert address.host == sock.getpeername() == path
            assert not sock.getblocking()


@needs_linux_backlog
def test_a_unix_socket_that_is_given_up_is_closed(loop: ServerLoop, path: str) -> None:
    with full_backlog(path), no_descriptor_left():
        dialing = Dialing(loop, lambda loop, done: DialUnix(loop, path, planned(), BoundPath(), done))
        loop.call_at(loop.time() + 0.01, loop.stop)
        loop.run()
        dialing.dial.cancel()
