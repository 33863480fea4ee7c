"""Probing UDP ports: a datagram is an answer, an ICMP error a refusal, silence is neither.

The services are sockets of the loopback that the test serves itself, in the moment in which they are asked.
What the questions are is tested in wire/test_probes, words and exit codes in probe/test_scan.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.net.resolve import Address
from pync.probe import udp_probe as udp_module
from pync.probe.finding import NO_ANSWER, OPEN, REFUSED, UNREACHABLE, Finding
from pync.probe.udp_probe import QUESTIONS, UdpSweep
from pync.wire.probes import ECHO
from tests.net.addresses import no_descriptor_left
from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def udp(host: str) -> Address:
    six = ":" in host
    return Address(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM, (host, 0, 0, 0) if six else (host, 0))


FOUR, OTHER_FOUR, SIX = udp("127.0.0.1"), udp("127.0.0.2"), udp("::1")


def plain(address: Address) -> socket.socket:
    sock = socket.socket(address.family, address.type)
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def bound(address: Address, port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(address.family, address.type) as sock:
        host, _, *rest = address.sockaddr
        try:
            sock.bind((host, port, *rest))
        except OSError as error:
            pytest.skip(f"{host} cannot be bound here: {error}")
        sock.setblocking(False)
        yield sock


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def heard(server: socket.socket) -> list[tuple[bytes, Any]]:
    """Every datagram that waits at the service, with its sender."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(server.recvfrom(1 << 16))
    return found


def answering(*servers: socket.socket, reply: bytes = b"here", silent: int = 0) -> Callable[[Address], socket.socket]:
    """Makes sockets behind whose every question the services have their turn; the first ones go unanswered."""
    turns = iter(range(1000))

    class Asking(socket.socket):
        def send(self, data: Any, flags: int = 0) -> int:
            sent = super().send(data, flags)
            if next(turns) >= silent:
                for server in servers:
                    for _, sender in heard(server):
                        server.sendto(reply, sender)
            return sent

    def open_socket(address: Address) -> socket.socket:
        sock = Asking(address.family, address.type)
        sock.setblocking(False)
        return sock

    return open_socket


def swept(
    addresses: list[Address],
    ports: list[int],
    open_socket: Callable[[Address], socket.socket] = plain,
    *,
    limit: float = PATIENCE,
    parallel: int = 10,
) -> list[Finding]:
    found: list[Finding] = []
    with no_descriptor_left():
        sweep = UdpSweep(addresses, open_socket, limit=limit, parallel=parallel, report=found.append)
        try:
            sweep.run(ports)
        finally:
            sweep.close()
    return found


def causes(finding: Finding) -> list[tuple[str, int | None]]:
    return [(address.host, error.errno) for address, error in finding.failures]


@pytest.fixture
def closed_port() -> int:
    """A port that nobody has; it may be taken by the probing socket itself, which must not matter."""
    with bound(FOUR) as sock, bound(OTHER_FOUR, port_of(sock)):
        return port_of(sock)


# --- the three answers


@pytest.mark.parametrize("address", [FOUR, SIX], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("reply", [b"here", b"", bytes(9000)], ids=["some", "empty", "large"])
def test_a_port_from_which_a_datagram_comes_is_open(address: Address, reply: bytes) -> None:
    with bound(address) as server:
        [finding] = swept([address], [port_of(server)], answering(server, reply=reply))
        assert (finding.port, finding.state) == (port_of(server), OPEN)
        assert (finding.address.host, finding.address.port) == (address.host, port_of(server))
        assert finding.failures == []


@pytest.mark.parametrize("address", [FOUR, SIX], ids=["IPv4", "IPv6"])
def test_a_port_that_nobody_has_is_refused_long_before_its_time_is_over(address: Address) -> None:
    with bound(address) as sock:
        port = port_of(sock)
    [finding] = swept([address], [port], limit=PATIENCE)
    assert (finding.state, causes(finding)) == (REFUSED, [(address.host, errno.ECONNREFUSED)])


def test_a_silent_port_is_asked_several_times_and_then_nothing_is_known_of_it() -> None:
    with bound(FOUR) as server:
        started = time.monotonic()
        [finding] = swept([FOUR], [port_of(server)], limit=0.09)
        assert PATIENCE > time.monotonic() - started >= 0.09
        questions = heard(server)
    assert (finding.state, finding.address.host, finding.failures) == (NO_ANSWER, "127.0.0.1", [])
    assert [data for data, _ in questions] == [b""] * QUESTIONS
    assert len({sender for _, sender in questions}) == 1


def test_an_answer_to_a_later_question_counts() -> None:
    with bound(FOUR) as server:
        [finding] = swept([FOUR], [port_of(server)], answering(server, silent=QUESTIONS - 1), limit=0.3)
    assert finding.state == OPEN


def test_a_question_is_asked_three_times() -> None:
    assert QUESTIONS == 3


def test_the_question_is_the_one_of_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with bound(FOUR) as server:
        monkeypatch.setattr(udp_module, "question", {port_of(server): ECHO}.__getitem__)
        swept([FOUR], [port_of(server)], limit=0.03)
        assert {data for data, _ in heard(server)} == {ECHO}


def test_a_datagram_from_elsewhere_is_no_answer() -> None:
    with bound(FOUR) as server, bound(FOUR) as stranger:

        class Asking(socket.socket):
            def send(self, data: Any, flags: int = 0) -> int:
                stranger.sendto(b"here", self.getsockname())
                return super().send(data, flags)

        def open_socket(address: Address) -> socket.socket:
            sock = Asking(address.family, address.type)
            sock.setblocking(False)
            return sock

        [finding] = swept([FOUR], [port_of(server)], open_socket, limit=0.05)
    assert finding.state == NO_ANSWER


def test_a_socket_that_would_ask_itself_is_no_open_port(closed_port: int) -> None:
    def from_the_port_itself(address: Address) -> socket.socket:
        sock = plain(address)
        sock.bind(("127.0.0.1", closed_port))
        return sock

    [finding] = swept([FOUR], [closed_port], from_the_port_itself, limit=0.05)
    assert (finding.state, causes(finding)) == (REFUSED, [("127.0.0.1", errno.ECONNREFUSED)])


# --- errors of the calls


def failing(method: str, code: int) -> Callable[[Address], socket.socket]:
    """An opener of sockets on which one call fails."""

    def fail(self: socket.socket, *args: Any) -> int:
        raise OSError(code, os.strerror(code))

    made = type("Failing", (socket.socket,), {method: fail})

    def open_socket(address: Address) -> socket.socket:
        sock: socket.socket = made(address.family, address.type)
        sock.setblocking(False)
        return sock

    return open_socket


@pytest.mark.parametrize("addresses", [[FOUR], [FOUR, SIX]], ids=["one address", "two addresses"])
@pytest.mark.parametrize("method", ["connect", "send", "recv"])
@pytest.mark.parametrize(
    ("code", "state"),
    [(errno.ECONNREFUSED, REFUSED), (errno.ENETUNREACH, UNREACHABLE), (errno.EPERM, UNREACHABLE)],
)
def test_the_error_of_a_call_says_what_the_port_is(
    addresses: list[Address], method: str, code: int, state: str
) -> None:
    with bound(FOUR) as server, bound(SIX, port_of(server)) as other:
        for each in (server, other):
            each.setblocking(False)
        opener = failing(method, code)
        if method == "recv":
            opener = failing_to_hear(code, server, other)
        [finding] = swept(addresses, [port_of(server)], opener)
    assert finding.state == state
    assert sorted(causes(finding)) == sorted((address.host, code) for address in addresses)


def failing_to_hear(code: int, *servers: socket.socket) -> Callable[[Address], socket.socket]:
    """An opener of sockets that are ready to be read, and then give an error."""

    class Deaf(socket.socket):
        def send(self, data: Any, flags: int = 0) -> int:
            sent = super().send(data, flags)
            for server in servers:
                for _, sender in heard(server):
                    server.sendto(b"here", sender)
            return sent

        def recv(self, size: int, flags: int = 0) -> bytes:
            raise OSError(code, os.strerror(code))

    def open_socket(address: Address) -> socket.socket:
        sock = Deaf(address.family, address.type)
        sock.setblocking(False)
        return sock

    return open_socket


def test_a_full_buffer_and_a_false_alarm_are_nothing_but_silence() -> None:
    with bound(FOUR) as server:
        [full] = swept([FOUR], [port_of(server)], failing("send", errno.EAGAIN), limit=0.05)
        [false] = swept([FOUR], [port_of(server)], failing_to_hear(errno.EAGAIN, server), limit=0.05)
    assert (full.state, false.state) == (NO_ANSWER, NO_ANSWER)


@pytest.mark.parametrize("addresses", [[SIX], [SIX, SIX]], ids=["alone", "beside another"])
def test_a_family_that_cannot_have_a_socket_is_unreachable_and_ends_nothing(addresses: list[Address]) -> None:
    def missing(address: Address) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    found = swept(addresses, [9, 10], missing)
    assert [finding.state for finding in found] == [UNREACHABLE] * 2
    assert {code for finding in found for _, code in causes(finding)} == {errno.EAFNOSUPPORT}


def test_a_lack_of_descriptors_says_nothing_of_a_port_and_ends_the_sweep() -> None:
    def exhausted(address: Address) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(OSError, match="open files"):
        swept([FOUR], [9], exhausted)


# --- several addresses


def test_a_port_that_one_address_refuses_and_the_other_answers_is_open() -> None:
    with bound(OTHER_FOUR) as server:
        [finding] = swept([FOUR, OTHER_FOUR], [port_of(server)], answering(server, silent=2), limit=0.6)
        assert (finding.state, finding.address.host) == (OPEN, "127.0.0.2")
        assert causes(finding) == [("127.0.0.1", errno.ECONNREFUSED)]


def test_a_port_that_one_address_refuses_and_the_other_leaves_unanswered_may_be_open() -> None:
    with bound(OTHER_FOUR) as server:
        [finding] = swept([FOUR, OTHER_FOUR], [port_of(server)], limit=0.09)
        assert (finding.state, finding.address.host) == (NO_ANSWER, "127.0.0.2")
        assert causes(finding) == [("127.0.0.1", errno.ECONNREFUSED)]
        assert len(heard(server)) == QUESTIONS


def test_a_port_that_all_addresses_refuse_is_refused(closed_port: int) -> None:
    [finding] = swept([FOUR, OTHER_FOUR], [closed_port])
    assert finding.state == REFUSED
    assert sorted(causes(finding)) == [("127.0.0.1", errno.ECONNREFUSED), ("127.0.0.2", errno.ECONNREFUSED)]


def test_a_refusal_says_more_than_a_missing_route(closed_port: int) -> None:
    def open_socket(address: Address) -> socket.socket:
        routed = address.family == socket.AF_INET
        return plain(address) if routed else failing("connect", errno.ENETUNREACH)(address)

    [finding] = swept([SIX, FOUR], [closed_port], open_socket)
    assert (finding.state, finding.address.host) == (REFUSED, "127.0.0.1")


def test_two_addresses_that_answer_in_the_same_moment_are_one_open_port() -> None:
    with bound(FOUR) as server, bound(OTHER_FOUR, port_of(server)) as other:
        # Silent until both have been asked: then both answers are there before anybody looks.
        found = swept([FOUR, OTHER_FOUR], [port_of(server)], answering(server, other, silent=1))
        assert [finding.state for finding in found] == [OPEN]


# --- many ports


@settings(deadline=None, max_examples=25)
@given(kinds=st.lists(st.sampled_from([OPEN, REFUSED, NO_ANSWER]), max_size=8), parallel=st.integers(1, 9))
def test_every_port_is_reported_once_with_its_state_and_no_more_are_asked_at_once_than_allowed(
    kinds: list[str], parallel: int
) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(bound(FOUR)) for _ in kinds]
        ports = dict(zip([port_of(server) for server in servers], kinds, strict=True))
        for server, kind in zip(servers, kinds, strict=True):
            if kind == REFUSED:
                server.close()
        speaking = [server for server, kind in zip(servers, kinds, strict=True) if kind == OPEN]
        network = Counted(answering(*speaking))
        found = swept([FOUR], list(ports), network, limit=0.03, parallel=parallel)
    assert Counter(finding.port for finding in found) == Counter(list(ports))
    assert {finding.port: finding.state for finding in found} == ports
    assert network.most <= parallel


class Counted:
    """An opener that knows how many of its sockets were open at once."""

    def __init__(self, open_socket: Callable[[Address], socket.socket]) -> None:
        self._open_socket = open_socket
        self._made: list[socket.socket] = []
        self.most = 0

    def __call__(self, address: Address) -> socket.socket:
        self._made = [sock for sock in self._made if sock.fileno() >= 0]
        self._made.append(self._open_socket(address))
        self.most = max(self.most, len(self._made))
        return self._made[-1]


def test_an_interrupted_sweep_leaves_no_descriptor(closed_port: int) -> None:
    def interrupted(finding: Finding) -> None:
        raise KeyboardInterrupt

    with bound(FOUR) as silent, no_descriptor_left():
        sweep = UdpSweep([FOUR], plain, limit=PATIENCE, parallel=10, report=interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep.run([port_of(silent), closed_port])
        sweep.close()


def test_a_sweep_can_run_again(closed_port: int) -> None:
    found: list[Finding] = []
    with bound(FOUR) as server, no_descriptor_left():
        sweep = UdpSweep([FOUR], answering(server), limit=PATIENCE, parallel=1, report=found.append)
        for port in (closed_port, port_of(server), closed_port):
            sweep.run([port])
        sweep.close()
    assert [finding.state for finding in found] == [REFUSED, OPEN, REFUSED]
