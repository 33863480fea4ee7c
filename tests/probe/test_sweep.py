"""Many TCP connects at once: each port's state, its time, its sockets, its banner.

Answers and refusals are real ones of the loopback where their moment does not matter; silence, and answers
that come when the test wants them, are the sockets of net/test_race. Order and words are tested in probe/test_scan.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.net.race import DialFault
from pync.net.resolve import Address
from pync.probe import banner as banner_module
from pync.probe import sweep as sweep_module
from pync.probe.finding import OPEN, REFUSED, TIMED_OUT, UNREACHABLE, Finding, at_port
from pync.probe.prober import RESERVED, descriptor_limit
from pync.probe.sweep import Sweep
from pync.wire.probes import TALK, Question
from tests.net.addresses import loopback_server, no_descriptor_left, tcp
from tests.net.test_race import NEVER, Openers, Silent, failing_with
from tests.running import PATIENCE
from tests.sockets import accepted, receive_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOUR, OTHER_FOUR = tcp(("127.0.0.1", 0)), tcp(("127.0.0.2", 0))
SIX = tcp(("::1", 0, 0, 0))


#: The questions, but nobody waits for the answers.
IMPATIENT = tuple(Question(question.data, 0.01, question.hint) for question in TALK)


def plain(address: Address) -> socket.socket:
    """The opener of real sockets."""
    sock = socket.socket(address.family, address.type)
    sock.setblocking(False)
    return sock


def swept(
    addresses: list[Address],
    ports: list[int],
    open_socket: Callable[[Address], socket.socket] = plain,
    *,
    limit: float = NEVER,
    parallel: int = 10,
    banner: bool = False,
) -> list[Finding]:
    """What a sweep reports, in the order in which it becomes known."""
    found: list[Finding] = []
    with no_descriptor_left():
        sweep = Sweep(addresses, open_socket, limit=limit, parallel=parallel, report=found.append, banner=banner)
        try:
            sweep.run(ports)
        finally:
            sweep.close()
    return found


def states(found: list[Finding]) -> dict[int, str]:
    return {finding.port: finding.state for finding in found}


def causes(finding: Finding) -> list[tuple[str, int | None]]:
    return [(address.host, error.errno) for address, error in finding.failures]


@pytest.fixture
def closed_ports() -> Iterator[list[int]]:
    """Ports that refuse: bound, so that nobody takes them meanwhile, but not listening."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(12):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            ports.append(sock.getsockname()[1])
        yield ports


# --- the states


def test_a_port_that_answers_is_open(server: socket.socket) -> None:
    address = tcp(server.getsockname())
    [finding] = swept([at_port(address, 0)], [address.port])
    assert (finding.port, finding.state, finding.address.sockaddr) == (address.port, OPEN, address.sockaddr)
    assert (finding.failures, finding.banner) == ([], b"")


def test_a_port_without_a_listener_is_refused(closed_ports: list[int]) -> None:
    [finding] = swept([FOUR], closed_ports[:1])
    assert (finding.state, finding.address.host) == (REFUSED, "127.0.0.1")
    assert causes(finding) == [("127.0.0.1", errno.ECONNREFUSED)]


def test_a_silent_port_has_timed_out_when_its_time_is_over() -> None:
    started = time.monotonic()
    [finding] = swept([FOUR], [9], Openers(Silent), limit=0.05)
    assert PATIENCE > time.monotonic() - started >= 0.05
    assert (finding.state, causes(finding)) == (TIMED_OUT, [("127.0.0.1", errno.ETIMEDOUT)])


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (errno.ECONNREFUSED, REFUSED),
        (errno.ECONNRESET, REFUSED),
        (errno.ETIMEDOUT, TIMED_OUT),
        (errno.ENETUNREACH, UNREACHABLE),
        (errno.EHOSTUNREACH, UNREACHABLE),
        (errno.EADDRNOTAVAIL, UNREACHABLE),
        (errno.EACCES, UNREACHABLE),
        (errno.EPERM, UNREACHABLE),
    ],
)
@pytest.mark.parametrize("addresses", [[FOUR], [FOUR, SIX]], ids=["one address", "two addresses"])
def test_the_error_of_a_connect_says_what_the_port_is(addresses: list[Address], code: int, state: str) -> None:
    [finding] = swept(addresses, [9], Openers(*[failing_with(code)] * 2))
    assert finding.state == state
    assert causes(finding) == [(address.host, code) for address in addresses]


def test_an_error_that_comes_later_says_it_as_well() -> None:
    class Late(Silent):
        def getsockopt(self, *args: Any) -> Any:
            return errno.EHOSTUNREACH

    def late() -> Silent:
        sock = Late()
        sock.answer()
        return sock

    [finding] = swept([FOUR], [9], Openers(late))
    assert (finding.state, causes(finding)) == (UNREACHABLE, [("127.0.0.1", errno.EHOSTUNREACH)])


@pytest.mark.parametrize("addresses", [[FOUR], [SIX, FOUR]], ids=["alone", "beside another"])
def test_a_family_that_cannot_have_a_socket_is_unreachable_and_ends_nothing(addresses: list[Address]) -> None:
    def missing(address: Address) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    found = swept(addresses, [9, 10], missing)
    assert states(found) == {9: UNREACHABLE, 10: UNREACHABLE}
    assert {code for finding in found for _, code in causes(finding)} == {errno.EAFNOSUPPORT}


def test_a_socket_that_reached_itself_is_no_open_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def from_the_port_itself(address: Address) -> socket.socket:
        sock = plain(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    assert states(swept([FOUR], [port], from_the_port_itself, limit=PATIENCE)) == {port: REFUSED}


# --- several addresses


def test_a_port_that_is_open_at_the_second_address_is_open_there(closed_ports: list[int]) -> None:
    with loopback_server("127.0.0.2", socket.AF_INET) as server:
        port = server.getsockname()[1]
        [finding] = swept([FOUR, OTHER_FOUR], [port])
    assert (finding.state, finding.address.host) == (OPEN, "127.0.0.2")
    assert causes(finding) == [("127.0.0.1", errno.ECONNREFUSED)]


def test_the_second_address_does_not_wait_for_a_silent_first_one(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "ATTEMPT_DELAY", 0.02)
    openers = Openers(Silent)
    [finding] = swept([OTHER_FOUR, FOUR], [server4.getsockname()[1]], openers)
    assert (finding.state, finding.address.host, finding.failures) == (OPEN, "127.0.0.1", [])
    assert openers.pauses()[0] >= 0.02
    assert openers.closed() == [True, True]


def test_behind_a_refusal_the_next_address_is_asked_at_once_but_not_the_one_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_module, "ATTEMPT_DELAY", NEVER)
    openers = Openers(failing_with(errno.ECONNREFUSED), Silent, Silent)
    [finding] = swept([FOUR, OTHER_FOUR, SIX], [9], openers, limit=0.05)
    assert len(openers.made) == 2
    assert finding.state == REFUSED
    assert causes(finding) == [
        ("127.0.0.1", errno.ECONNREFUSED), ("127.0.0.2", errno.ETIMEDOUT), ("::1", errno.ETIMEDOUT)
    ]  # fmt: skip


def test_two_addresses_that_answer_in_the_same_moment_are_one_open_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "ATTEMPT_DELAY", 0.0)
    first = Silent()

    class Second(Silent):
        def connect_ex(self, address: Any) -> int:
            first.answer()
            self.answer()
            return errno.EINPROGRESS

    found = swept_outside(lambda: [first, Second()], [FOUR, SIX], [9])
    assert states(found) == {9: OPEN}
    assert len(found) == 1


def swept_outside(
    make: Callable[[], list[socket.socket]], addresses: list[Address], ports: list[int], banner: bool = False
) -> list[Finding]:
    """A sweep over sockets that were made before, so that they do not count as descriptors left."""
    made = make()
    found: list[Finding] = []
    sweep = Sweep(
        addresses,
        Openers(*(lambda sock=sock: sock for sock in made)),
        limit=PATIENCE,
        parallel=10,
        report=found.append,
        banner=banner,
    )
    try:
        sweep.run(ports)
    finally:
        sweep.close()
    assert [sock.fileno() for sock in made] == [-1] * len(made)
    return found


def test_many_addresses_that_fail_at_once_are_no_deep_recursion() -> None:
    addresses = [tcp((f"127.0.{index // 250}.{index % 250 + 1}", 0)) for index in range(2000)]
    [finding] = swept(addresses, [9], Openers(*[failing_with(errno.ENETUNREACH)] * len(addresses)))
    assert len(finding.failures) == len(addresses)


@pytest.mark.parametrize(
    ("first", "second", "state", "decided"),
    [
        (errno.ECONNREFUSED, errno.ENETUNREACH, REFUSED, "127.0.0.1"),
        (errno.ENETUNREACH, errno.ECONNREFUSED, REFUSED, "::1"),
        (errno.ETIMEDOUT, errno.ECONNREFUSED, REFUSED, "::1"),
        (errno.ETIMEDOUT, errno.ENETUNREACH, TIMED_OUT, "127.0.0.1"),
        (errno.EHOSTUNREACH, errno.ETIMEDOUT, TIMED_OUT, "::1"),
        (errno.ECONNREFUSED, errno.ECONNREFUSED, REFUSED, "127.0.0.1"),
    ],
)
def test_the_strongest_statement_of_any_address_decides(first: int, second: int, state: str, decided: str) -> None:
    [finding] = swept([FOUR, SIX], [9], Openers(failing_with(first), failing_with(second)))
    assert (finding.state, finding.address.host) == (state, decided)
    assert causes(finding) == [("127.0.0.1", first), ("::1", second)]


def test_the_limit_holds_for_a_port_whatever_the_number_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "ATTEMPT_DELAY", NEVER)
    [finding] = swept([FOUR, OTHER_FOUR, SIX], [9], Openers(Silent, Silent, Silent), limit=0.05)
    assert causes(finding) == [(host, errno.ETIMEDOUT) for host in ("127.0.0.1", "127.0.0.2", "::1")]


# --- many ports


class Scripted(Silent):
    """A socket of a made-up network: what becomes of its connect stands in the script of the port."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network
        self._late_error = 0

    def connect_ex(self, address: Any) -> int:
        kind = self._network.script[address[1]]
        if kind in ("open", "open later"):
            self.answer()
        if kind == "refused later":
            self._late_error = errno.ECONNREFUSED
            self.answer()
        return {"open": 0, "refused": errno.ECONNREFUSED}.get(kind, errno.EINPROGRESS)

    def getsockopt(self, *args: Any) -> Any:
        return self._late_error

    def close(self) -> None:
        self._network.open.discard(self)
        super().close()


class Network:
    """Makes scripted sockets and counts how many of them were open at once."""

    def __init__(self, script: dict[int, str]) -> None:
        self.script = script
        self.open: set[socket.socket] = set()
        self.most = 0

    def __call__(self, address: Address) -> socket.socket:
        sock = Scripted(self)
        self.open.add(sock)
        self.most = max(self.most, len(self.open))
        return sock


STATES = {"open": OPEN, "open later": OPEN, "refused": REFUSED, "refused later": REFUSED, "silent": TIMED_OUT}


@settings(deadline=None, max_examples=60)
@given(
    script=st.dictionaries(st.integers(1, 65535), st.sampled_from(sorted(STATES)), max_size=12),
    parallel=st.integers(1, 14),
    addresses=st.sampled_from([[FOUR], [FOUR, SIX]]),
)
def test_every_port_is_reported_once_with_its_state_and_no_more_sockets_than_allowed_are_open(
    script: dict[int, str], parallel: int, addresses: list[Address]
) -> None:
    network = Network(script)
    found = swept(addresses, list(script), network, limit=0.01, parallel=parallel)
    assert Counter(finding.port for finding in found) == Counter(list(script))
    assert states(found) == {port: STATES[kind] for port, kind in script.items()}
    assert network.most <= parallel * len(addresses)
    assert not network.open


@settings(deadline=None, max_examples=10)
@given(
    script=st.dictionaries(
        st.integers(1, 65535), st.sampled_from(["open", "refused", "silent"]), min_size=1, max_size=6
    ),
    parallel=st.integers(1, 3),
)
def test_with_banners_too_no_more_sockets_than_allowed_are_open(script: dict[int, str], parallel: int) -> None:
    network = Network(script)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(banner_module, "SILENCE", 0.01)
        patch.setattr(banner_module, "TALK", IMPATIENT)
        found = swept([FOUR], list(script), network, limit=0.01, parallel=parallel, banner=True)
    assert states(found) == {port: STATES[kind] for port, kind in script.items()}
    assert len(found) == len(script)
    assert network.most <= parallel


def test_ports_are_begun_in_their_order() -> None:
    order = [5, 3, 9, 1]
    assert [finding.port for finding in swept([FOUR], order, Network(dict.fromkeys(order, "refused")))] == order


def test_a_port_has_its_own_time_from_its_own_beginning() -> None:
    ports = [1, 2, 3]
    started = time.monotonic()
    swept([FOUR], ports, Network(dict.fromkeys(ports, "silent")), limit=0.03, parallel=1)
    assert time.monotonic() - started >= 3 * 0.03


def test_silent_ports_side_by_side_cost_their_time_once() -> None:
    ports = list(range(1, 41))
    started = time.monotonic()
    swept([FOUR], ports, Network(dict.fromkeys(ports, "silent")), limit=0.5, parallel=40)
    assert time.monotonic() - started < 40 * 0.5 / 2


def test_a_sweep_can_run_again(server4: socket.socket, closed_ports: list[int]) -> None:
    found: list[Finding] = []
    port = server4.getsockname()[1]
    with no_descriptor_left():
        sweep = Sweep([FOUR], plain, limit=NEVER, parallel=1, report=found.append)
        for number in (closed_ports[0], port, closed_ports[1]):
            sweep.run([number])
        sweep.close()
    assert [finding.state for finding in found] == [REFUSED, OPEN, REFUSED]


def test_a_socket_that_was_refused_is_used_again_and_still_finds_the_open_port(
    server4: socket.socket, closed_ports: list[int]
) -> None:
    port = server4.getsockname()[1]
    openers = Openers()
    found = swept([FOUR], [*closed_ports, port], openers)
    assert states(found) == {**dict.fromkeys(closed_ports, REFUSED), port: OPEN}
    assert len(openers.made) == 1
    server4.settimeout(PATIENCE)
    with accepted(server4) as connection:
        assert connection.recv(1) == b""  # closed in order, not left half open


@pytest.mark.parametrize("addresses", [[FOUR], [FOUR, SIX]], ids=["one address", "two addresses"])
def test_an_interrupted_sweep_leaves_no_descriptor(addresses: list[Address]) -> None:
    def interrupted(finding: Finding) -> None:
        raise KeyboardInterrupt

    script = {1: "silent", 2: "silent", 3: "refused"}
    with no_descriptor_left():
        sweep = Sweep(addresses, Network(script), limit=NEVER, parallel=10, report=interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep.run(script)
        sweep.close()


def test_a_fault_of_the_opener_passes_through_and_leaves_no_descriptor() -> None:
    def faulty(address: Address) -> socket.socket:
        raise DialFault("host", [])

    with pytest.raises(DialFault):
        swept([FOUR], [1, 2], faulty)


@pytest.mark.parametrize("limit", [1e7, 1e20])
def test_a_limit_may_be_of_any_size(server4: socket.socket, limit: float) -> None:
    port = server4.getsockname()[1]
    assert states(swept([OTHER_FOUR, FOUR], [port], Openers(failing_with(111)), limit=limit)) == {port: OPEN}


# --- the descriptor limit


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed", "raised"),
    [
        (1024, 4096, 256, 256, None),
        (64, 64, 256, 64 - RESERVED, 64),
        (64, 4096, 256, 256, 256 + RESERVED),
        (64, 128, 256, 128 - RESERVED, 128),
        (64, resource.RLIM_INFINITY, 256, 256, 256 + RESERVED),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 100_000, 100_000, None),
        (8, 8, 256, 1, 8),
    ],
)
def test_the_descriptor_limit_bounds_what_is_open_at_once_and_is_raised_as_far_as_it_may_be(
    soft: int, hard: int, wanted: int, allowed: int, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: set_to.append(limits))
    assert descriptor_limit(wanted) == allowed
    assert set_to == ([] if raised is None else [(raised, hard)])


# --- the banner


def banner_of(sock: socket.socket) -> Finding:
    """The finding of a port whose connection is this socket."""
    [finding] = swept_outside(lambda: [sock], [FOUR], [9], banner=True)
    assert finding.state == OPEN
    return finding


class Speaking(Silent):
    """A connected socket on which each of these pieces, or errors, is received in turn; then the end of data."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        super().__init__()
        self.answer()
        self._far.sendall(b"something to read")
        self.pieces = list(pieces)

    def recv(self, size: int, flags: int = 0) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece[:size]


def test_the_first_line_of_a_service_is_its_banner(server4: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banner_module, "SILENCE", NEVER)
    port = server4.getsockname()[1]

    class Served(socket.socket):
        def connect_ex(self, address: Any) -> int:
            self.setblocking(True)
            super().connect_ex(address)
            connection, _ = server4.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9\r\n")
            self.setblocking(False)
            return 0

    [finding] = swept([FOUR], [port], Openers(Served), banner=True)
    assert finding.banner == b"SSH-2.0-OpenSSH_9\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"220 hello\r\n",),
        (b"220", b" hel", b"lo\r", b"\n"),
        tuple(bytes([byte]) for byte in b"220 hello\r\n"),
        (b"2", BlockingIOError(), b"20 hello\r\n"),
    ],
    ids=["whole", "pieces", "bytes", "false alarm"],
)
def test_a_banner_is_whole_however_it_is_cut(
    pieces: tuple[bytes | OSError, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner_module, "SILENCE", NEVER)
    speaking = Speaking(*pieces)
    assert banner_of(speaking).banner == b"220 hello\r\n"
    assert speaking.pieces == []


def test_the_end_of_data_ends_a_banner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banner_module, "SILENCE", NEVER)
    assert banner_of(Speaking(b"no line", b"")).banner == b"no line"


def test_a_reset_ends_a_banner_and_the_port_is_open_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banner_module, "SILENCE", NEVER)
    assert banner_of(Speaking(ConnectionResetError(errno.ECONNRESET, "reset"))).banner == b""
    assert banner_of(Speaking(b"half", ConnectionResetError(errno.ECONNRESET, "reset"))).banner == b"half"


def test_a_banner_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banner_module, "SILENCE", NEVER)
    speaking = Speaking(*[b"x" * 600] * 50)
    length = len(banner_of(speaking).banner)
    assert banner_module.BANNER_SIZE <= length < 2 * banner_module.BANNER_SIZE
    assert len(speaking.pieces) >= 40


def test_a_service_that_says_nothing_is_asked_and_is_open_when_the_time_for_its_answers_is_over(
    server4: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner_module, "SILENCE", 0.05)
    monkeypatch.setattr(banner_module, "TALK", IMPATIENT)
    started = time.monotonic()
    [finding] = swept([FOUR], [server4.getsockname()[1]], banner=True)
    assert PATIENCE > time.monotonic() - started >= 0.05 + 3 * 0.01
    assert (finding.state, finding.banner) == (OPEN, b"")
    server4.settimeout(PATIENCE)
    for question in TALK:
        with accepted(server4) as connection:
            assert receive_all(connection) == question.data


def test_a_service_that_stops_in_mid_line_is_shown_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(Speaking):
        def recv(self, size: int, flags: int = 0) -> bytes:
            said = super().recv(size, flags)
            socket.socket.recv(self, 1 << 16)  # nothing more to read: not ready again
            return said

    monkeypatch.setattr(banner_module, "LINE_TIME", 0.05)
    assert banner_of(Stopping(b"login: ")).banner == b"login: "
