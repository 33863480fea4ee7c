"""The race over all addresses of a host, run against sockets that answer when told to.

Refusals and answers are real ones of the loopback. An address that is silent is a socket whose
buffer is full, so that it becomes "writable", as a connected one does, when the test reads from it.
The race over a network that drops packets is in cli/test_namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from pync.errors import NETWORK, TIMEOUT, USAGE, Fault
from pync.net import race as race_module
from pync.net.race import DialFault, describe_failure
from pync.net.resolve import Address
from tests.net.addresses import no_descriptor_left, race, refused, tcp

if TYPE_CHECKING:
    from collections.abc import Callable

#: Longer than any test may take: what waits for this has waited for the wrong thing.
NEVER = 3600.0
#: More than a full backlog of one holds.
FULL_AFTER = 16


class Silent(socket.socket):
    """A socket that claims to be connecting, until `answer` is called: a pair whose buffer is full."""

    def __init__(self) -> None:
        near, self._far = socket.socketpair()
        super().__init__(near.family, near.type, 0, near.detach())
        self.setblocking(False)
        self._far.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.send(bytes(1 << 12))

    def connect_ex(self, address: Any) -> int:
        return errno.EINPROGRESS

    def getpeername(self) -> Any:
        return ("192.0.2.1", 80)  # both ends of a pair have the same name: none

    def answer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._far.recv(1 << 20):
                pass

    def close(self) -> None:
        super().close()
        self._far.close()


class Openers:
    """Makes the sockets of a race, and remembers which were made and when."""

    def __init__(self, *fakes: Callable[[], socket.socket] | None) -> None:
        self._fakes = list(fakes)
        self.made: list[socket.socket] = []
        self.times: list[float] = []

    def __call__(self, address: Address) -> socket.socket:
        fake = self._fakes.pop(0) if self._fakes else None
        self.times.append(time.monotonic())
        sock = fake() if fake else socket.socket(address.family, address.type)
        sock.setblocking(False)
        self.made.append(sock)
        return sock

    def pauses(self) -> list[float]:
        """The time from each attempt to the next; a little is lost before we look at the clock."""
        return [later - earlier + 0.005 for earlier, later in zip(self.times, self.times[1:], strict=False)]

    def closed(self) -> list[bool]:
        return [sock.fileno() == -1 for sock in self.made]


def failing_with(code: int) -> Callable[[], socket.socket]:
    """An opener of sockets whose connect fails at once."""

    class Failing(socket.socket):
        def connect_ex(self, address: Any) -> int:
            return code

    return Failing


def errors(failures: list[tuple[Address, OSError]]) -> list[tuple[str, int, int | None]]:
    return [(address.host, address.port, error.errno) for address, error in failures]


def test_a_single_address_that_answers_wins(server: socket.socket) -> None:
    address = tcp(server.getsockname())
    sock, winner, failures = race([address], Openers(), None, "host")
    with sock:
        assert sock.getpeername() == server.getsockname()
        assert winner is address
        assert failures == []


def test_after_a_refusal_the_next_address_is_tried_at_once(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", NEVER)
    first, second = refused(), refused(socket.AF_INET6)
    openers = Openers()
    sock, winner, failures = race([first, second, tcp(server.getsockname())], openers, None, "host")
    with sock:
        assert winner.sockaddr == server.getsockname()
        assert errors(failures) == [(a.host, a.port, errno.ECONNREFUSED) for a in (first, second)]
        assert openers.closed() == [True, True, False]


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EACCES])
def test_after_a_connect_that_fails_in_the_call_the_next_address_is_tried_at_once(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", NEVER)
    openers = Openers(failing_with(code))
    sock, _, failures = race([refused(), tcp(server4.getsockname())], openers, None, "host")
    with sock:
        assert [error.errno for _, error in failures] == [code]
        assert openers.closed() == [True, False]


def test_a_family_that_cannot_have_a_socket_is_a_failure_and_the_next_is_tried_at_once(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", NEVER)
    sock, _, failures = race([refused(), tcp(server4.getsockname())], Openers(missing), None, "host")
    with sock:
        assert [error.errno for _, error in failures] == [errno.EAFNOSUPPORT]


def test_attempts_start_a_quarter_of_a_second_apart() -> None:
    assert race_module.ATTEMPT_DELAY == 0.25


def test_a_silent_address_costs_the_delay_and_not_a_timeout(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 0.05)
    openers = Openers(Silent)
    with no_descriptor_left():
        sock, winner, failures = race([refused(), tcp(server.getsockname())], openers, NEVER, "host")
        sock.close()
    assert winner.sockaddr == server.getsockname()
    assert failures == []
    assert openers.closed() == [True, True]
    assert openers.pauses()[0] >= 0.05


def test_each_of_several_silent_addresses_costs_the_delay(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 0.02)
    openers = Openers(Silent, Silent, Silent)
    sock, winner, _ = race([refused(), refused(), refused(), tcp(server4.getsockname())], openers, None, "host")
    sock.close()
    assert winner.sockaddr == server4.getsockname()
    assert min(openers.pauses()) >= 0.02


def test_no_second_attempt_starts_when_the_first_one_answers_in_time(server4: socket.socket) -> None:
    openers = Openers()
    sock, _, _ = race([tcp(server4.getsockname()), refused()], openers, None, "host")
    sock.close()
    assert len(openers.made) == 1


def test_a_late_answer_of_the_first_address_still_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 0.0)
    first, second = refused(), refused()
    late = Silent()

    class Unanswered(Silent):
        def connect_ex(self, address: Any) -> int:
            late.answer()  # the first one hears while the second one is under way
            return errno.EINPROGRESS

    openers = Openers(lambda: late, Unanswered)
    sock, winner, _ = race([first, second], openers, None, "host")
    with sock:
        assert winner is first
        assert openers.closed() == [False, True]


def test_a_refusal_starts_the_next_attempt_while_another_is_still_under_way(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second() -> socket.socket:
        monkeypatch.setattr(race_module, "ATTEMPT_DELAY", NEVER)  # for whoever comes after this one
        return socket.socket()

    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 0.0)
    openers = Openers(Silent, second)
    with no_descriptor_left():
        sock, _, failures = race([refused(), refused(), tcp(server4.getsockname())], openers, NEVER, "host")
        sock.close()
    assert [error.errno for _, error in failures] == [errno.ECONNREFUSED]
    assert openers.closed() == [True, True, True]


def test_when_all_are_refused_every_address_is_named_with_its_own_error() -> None:
    four, six = refused(), refused(socket.AF_INET6)
    openers = Openers(None, None, failing_with(errno.ENETUNREACH))
    with no_descriptor_left(), pytest.raises(DialFault) as caught:
        race([four, six, four], openers, None, "host.example")
    assert caught.value.code == NETWORK
    assert caught.value.text.splitlines() == [
        f"connect to host.example (127.0.0.1) port {four.port} (tcp) failed: Connection refused",
        f"connect to host.example (::1) port {six.port} (tcp) failed: Connection refused",
        f"connect to host.example (127.0.0.1) port {four.port} (tcp) failed: Network is unreachable",
    ]
    assert [address for address, _ in caught.value.failures] == [four, six, four]


def test_a_numeric_host_is_not_shown_twice() -> None:
    address = tcp(("::1", 80, 0, 0))
    error = OSError(errno.ECONNREFUSED, "Connection refused")
    assert describe_failure("::1", address, error) == "connect to ::1 port 80 (tcp) failed: Connection refused"


def test_the_limit_holds_for_each_address_and_gives_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", NEVER)
    openers = Openers(Silent, Silent)
    with no_descriptor_left(), pytest.raises(DialFault) as caught:
        race([refused(), refused(socket.AF_INET6)], openers, 0.05, "host")
    ended = time.monotonic()
    assert caught.value.code == TIMEOUT
    assert [line.rpartition(": ")[2] for line in caught.value.text.splitlines()] == ["Connection timed out"] * 2
    openers.times.append(ended)
    assert min(openers.pauses()) >= 0.05


def test_one_silent_address_among_refusals_gives_exit_code_3() -> None:
    with pytest.raises(DialFault) as caught:
        race([refused(), refused()], Openers(Silent), 0.02, "host")
    assert caught.value.code == TIMEOUT
    assert {error.errno for _, error in caught.value.failures} == {errno.ETIMEDOUT, errno.ECONNREFUSED}


@pytest.mark.parametrize("limit", [1e7, 1e20])
def test_a_limit_may_be_of_any_size(server4: socket.socket, limit: float) -> None:
    sock, _, _ = race([tcp(server4.getsockname())], Openers(), limit, "host")
    sock.close()


def test_a_fault_of_the_opener_ends_the_race_and_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty() -> socket.socket:
        raise Fault("bind failed", USAGE)

    monkeypatch.setattr(race_module, "ATTEMPT_DELAY", 0.0)
    with no_descriptor_left(), pytest.raises(Fault, match="bind failed"):
        race([refused(), refused()], Openers(Silent, faulty), None, "host")


def test_sockaddrs_go_to_connect_untouched() -> None:
    given: list[Any] = []

    class Recording(socket.socket):
        def connect_ex(self, address: Any) -> int:
            given.append(address)
            return errno.ENETUNREACH

    sockaddrs = [("::1", 80, 5, 7), ("127.0.0.1", 80)]
    with pytest.raises(DialFault):
        race([tcp(sockaddr) for sockaddr in sockaddrs], Openers(Recording, Recording), None, "host")
    assert all(seen is sockaddr for seen, sockaddr in zip(given, sockaddrs, strict=True))
