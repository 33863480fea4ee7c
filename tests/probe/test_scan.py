"""Probe mode in process: the order of results, the words, the JSON objects, the exit code.

The prober is a fake that reports what the test wants, in the order in which it wants it; that probers tell
the truth is tested in net/. Whole runs of the command are in cli/test_probe.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import socket
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.console import Console
from pync.errors import NETWORK, NO_ANSWER, OK, NameFault, UsageFault
from pync.net.resolve import Address
from pync.probe import finding as finding_module
from pync.probe import scan as scan_module
from pync.probe.finding import OPEN, REFUSED, TIMED_OUT, UNREACHABLE, Finding
from pync.probe.scan import run_scan
from pync.wire.address import Target
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Ports without a name in any services(5).
NAMELESS = 4
ERRORS = {REFUSED: errno.ECONNREFUSED, TIMED_OUT: errno.ETIMEDOUT, UNREACHABLE: errno.EHOSTUNREACH}


class Fake:
    """A prober that reports these states, in an order of its own."""

    def __init__(self, states: dict[int, str], order: Iterable[int] | None = None, banner: bytes = b"") -> None:
        self.states = states
        self.order = order
        self.banner = banner
        self.runs: list[list[int]] = []
        self.given: dict[str, Any] = {}
        self.closed = 0

    def __call__(
        self, addresses: list[Address], open_socket: Any, *, report: Callable[[Finding], None], **given: Any
    ) -> Fake:
        self.addresses = addresses
        self.report = report
        self.given = given
        return self

    def run(self, ports: list[int]) -> None:
        self.runs.append(list(ports))
        for port in ports if self.order is None else self.order:
            self.report(self.finding(port))

    def begin(self, port: int) -> None:
        self.run([port])

    def busy(self) -> int:
        return 0

    def rest(self) -> None:
        self.closed += 1

    def finding(self, port: int) -> Finding:
        state = self.states[port]
        base = self.addresses[0]
        address = finding_module.at_port(base, port)
        code = ERRORS.get(state)
        failures = [] if code is None else [(address, OSError(code, os.strerror(code)))]
        return Finding(port, state, address, failures, self.banner if state == OPEN else b"")

    def close(self) -> None:
        self.closed += 1


@contextlib.contextmanager
def probing_with(fake: Fake) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_module, "Sweep", fake)
        patch.setattr(scan_module, "UdpSweep", fake)
        patch.setattr(scan_module, "service_name", lambda port, protocol: {22: "ssh", 53: "domain"}.get(port, "*"))
        yield


def scanned(fake: Fake, *targets: Target, verbose: int = 0, **plan: Any) -> tuple[int, list[str], list[dict[str, Any]]]:
    """Run a scan with the fake prober: exit code, lines of stderr, objects of stdout."""
    said = io.StringIO()
    with probing_with(fake), tempfile.TemporaryFile() as output:
        console = Console(None, output.fileno(), said)
        console.verbose = verbose
        wanted = list(targets) or [Target("127.0.0.1", list(fake.states))]
        code = run_scan(wanted, planned(zero=True, **plan), console)
        output.seek(0)
        objects = [json.loads(line) for line in output]
    return code, said.getvalue().splitlines(), objects


def success(port: int, service: str = "*", protocol: str = "tcp", host: str = "127.0.0.1") -> str:
    return f"Connection to {host} {port} port [{protocol}/{service}] succeeded!"


# --- the order


@given(st.lists(st.integers(1, 65535), unique=True, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_results_come_in_the_order_of_the_ports_whatever_the_order_they_become_known_in(
    ports: list[int], random: Any
) -> None:
    known = list(ports)
    random.shuffle(known)
    _, _, objects = scanned(Fake(dict.fromkeys(ports, REFUSED), known), Target("127.0.0.1", list(ports)), json=True)
    assert [each["port"] for each in objects] == ports


def test_a_result_is_shown_as_soon_as_those_before_it_are_known() -> None:
    shown: list[tuple[int, int]] = []
    fake = Fake({1: OPEN, 2: OPEN, 3: OPEN, 4: OPEN}, order=[2, 1, 4, 3])
    told = 0

    def seen(target: Target, finding: Finding) -> None:
        shown.append((told, finding.port))

    original = fake.finding

    def counting(port: int) -> Finding:
        nonlocal told
        told += 1
        return original(port)

    fake.finding = counting  # type: ignore[method-assign]
    with probing_with(fake):
        scan_module.probe([Target("127.0.0.1", [1, 2, 3, 4])], planned(zero=True), seen, lambda target, fault: None)
    assert shown == [(2, 1), (2, 2), (4, 3), (4, 4)]


def test_a_port_that_is_named_twice_is_probed_once() -> None:
    fake = Fake({5: OPEN, 4: OPEN})
    scanned(fake, Target("127.0.0.1", [5, 4, 5, 4, 4]))
    assert fake.runs == [[5, 4]]


def test_random_ports_are_the_same_ports_shown_in_the_order_they_are_probed_in() -> None:
    ports = list(range(1, 2001))
    fake = Fake(dict.fromkeys(ports, REFUSED))
    _, _, objects = scanned(fake, Target("127.0.0.1", list(ports)), json=True, random_ports=True)
    [probed] = fake.runs
    assert [each["port"] for each in objects] == probed
    assert sorted(probed) == ports
    assert probed != ports  # one chance in 2000!


def test_with_an_interval_the_ports_are_probed_one_by_one_with_a_pause_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Fake({1: REFUSED, 2: OPEN, 3: REFUSED})
    pauses: list[tuple[float, int]] = []
    monkeypatch.setattr("pync.probe.scan.wake.sleep", lambda seconds: pauses.append((seconds, len(fake.runs))))
    scanned(fake, interval=0.25)
    assert fake.runs == [[1], [2], [3]]
    assert pauses == [(0.25, 1), (0.25, 2)]


# --- the exit code


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([OPEN], OK),
        ([REFUSED, OPEN, TIMED_OUT], OK),
        ([OPEN, finding_module.NO_ANSWER], OK),
        ([REFUSED], NETWORK),
        ([TIMED_OUT], NETWORK),
        ([UNREACHABLE, REFUSED], NETWORK),
        ([finding_module.NO_ANSWER], NO_ANSWER),
        ([REFUSED, finding_module.NO_ANSWER], NO_ANSWER),
    ],
)
@pytest.mark.parametrize("quiet", [True, False])
def test_the_exit_code_says_whether_any_port_is_open(states: list[str], code: int, quiet: bool) -> None:
    fake = Fake(dict(enumerate(states, 1)))
    assert scanned(fake, verbose=0 if quiet else 1, udp=True)[0] == code


def test_the_open_port_of_one_target_is_enough() -> None:
    fake = Fake({1: OPEN, 2: REFUSED})
    targets = [Target("127.0.0.1", [1]), Target("127.0.0.2", [2])]
    code, lines, _ = scanned(fake, *targets)
    assert (code, lines) == (OK, [success(1)])
    assert fake.closed >= 1


def test_a_name_that_does_not_resolve_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **plan: Any) -> list[Address]:
        raise NameFault("no such name")

    monkeypatch.setattr(scan_module, "resolve", unknown)
    with pytest.raises(NameFault):
        scanned(Fake({1: OPEN}))


def test_a_name_that_is_looked_up_in_vain_leaves_the_others_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def silent(host: str, *args: Any, limit: float, **options: Any) -> list[Address]:
        limits.append(limit)
        if host == "127.0.0.1":
            return [Address(socket.AF_INET, socket.SOCK_STREAM, (host, 0))]
        raise NameFault(host)

    monkeypatch.setattr(scan_module, "resolve", silent)
    unknown: list[str] = []
    targets = [Target(host, [1]) for host in ("a.example", "127.0.0.1", "b.example")]
    with probing_with(Fake({1: OPEN})):
        scan_module.probe(
            targets, planned(zero=True), lambda *seen: None, lambda target, fault: unknown.append(target.name), 9.0
        )
    assert unknown == ["a.example", "b.example"]
    assert limits[0] <= 9 / 3
    assert limits[2] <= 9 / 2


@pytest.mark.parametrize("port", ["no-such-service", "ssh"])
def test_a_port_that_is_none_is_a_fault_before_anything_is_probed(port: str) -> None:
    fake = Fake({1: OPEN})
    with pytest.raises(UsageFault, match=f"'{port}'"):
        scanned(fake, Target("127.0.0.1", [1, port]), nodns=port == "ssh")
    assert fake.runs == []


def test_the_prober_is_closed_when_probing_is_interrupted() -> None:
    class Interrupted(Fake):
        def run(self, ports: list[int]) -> None:
            raise KeyboardInterrupt

    fake = Interrupted({1: OPEN})
    with pytest.raises(KeyboardInterrupt):
        scanned(fake)
    assert fake.closed == 1


# --- what the prober is told


@pytest.mark.parametrize(
    ("plan", "limit"),
    [
        ({}, 3.0),
        ({"timeout": 0.5}, 0.5),
        ({"timeout": 60.0}, 60.0),
        ({"connect_timeout": 10.0, "timeout": 1.0}, 10.0),
    ],
)
def test_each_port_has_three_seconds_or_the_time_that_is_asked_for(plan: dict[str, Any], limit: float) -> None:
    fake = Fake({1: OPEN})
    scanned(fake, **plan)
    assert fake.given["limit"] == limit


@pytest.mark.parametrize(("plan", "parallel"), [({}, 256), ({"parallel": 7}, 7), ({"parallel": 1}, 1)])
def test_many_ports_are_probed_at_once_or_as_many_as_are_asked_for(plan: dict[str, int], parallel: int) -> None:
    fake = Fake({1: OPEN})
    scanned(fake, **plan)
    assert fake.given["parallel"] == parallel


def test_the_descriptor_limit_bounds_the_ports_probed_at_once_by_their_number_of_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan_module, "descriptor_limit", lambda wanted: min(wanted, 48))
    name_has_both_loopbacks(monkeypatch)
    fake = Fake({1: OPEN})
    scanned(fake, Target("host.example", [1]))
    assert fake.given["parallel"] == 24


def name_has_both_loopbacks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make every name resolve to both loopbacks; returns the names that were asked for."""
    asked = []

    def both(host: str, port: int, **plan: Any) -> list[Address]:
        asked.append(host)
        return [
            Address(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port, 0, 0)),
            Address(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(scan_module, "resolve", both)
    return asked


def test_a_name_with_both_loopbacks_is_resolved_once_and_probed_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = name_has_both_loopbacks(monkeypatch)
    fake = Fake({1: OPEN, 2: OPEN, 3: OPEN})
    scanned(fake, Target("host.example", [1, 2, 3]))
    assert asked == ["host.example"]
    assert [address.host for address in fake.addresses] == ["::1", "127.0.0.1"]


def test_a_name_with_both_loopbacks_is_open_where_one_of_them_is(monkeypatch: pytest.MonkeyPatch) -> None:
    name_has_both_loopbacks(monkeypatch)
    said = io.StringIO()
    console = Console(None, None, said)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports: list[int | str] = [server.getsockname()[1], closed.getsockname()[1]]
        console.verbose = 1
        assert run_scan([Target("host.example", ports)], planned(zero=True), console) == OK
    assert said.getvalue().splitlines() == [
        success(int(ports[0]), host="host.example"),
        f"pync: connect to host.example (::1) port {ports[1]} (tcp) failed: Connection refused",
        f"pync: connect to host.example (127.0.0.1) port {ports[1]} (tcp) failed: Connection refused",
    ]


# --- the words


def test_open_ports_are_named_without_verbosity_and_the_others_are_not() -> None:
    states = {22: OPEN, NAMELESS: OPEN, 1: REFUSED, 2: TIMED_OUT, 3: UNREACHABLE}
    code, lines, objects = scanned(Fake(states))
    assert (code, lines, objects) == (OK, [success(22, "ssh"), success(NAMELESS)], [])


def test_with_verbosity_each_of_the_others_has_a_line_with_its_cause() -> None:
    states = {1: REFUSED, 2: TIMED_OUT, 3: UNREACHABLE, 22: OPEN}
    _, lines, _ = scanned(Fake(states), verbose=1)
    assert lines == [
        "pync: connect to 127.0.0.1 port 1 (tcp) failed: Connection refused",
        "pync: connect to 127.0.0.1 port 2 (tcp) failed: Connection timed out",
        "pync: connect to 127.0.0.1 port 3 (tcp) failed: No route to host",
        success(22, "ssh"),
    ]


def test_silence_over_udp_is_told_as_such_and_never_as_success() -> None:
    states = {1: finding_module.NO_ANSWER, 53: OPEN}
    assert scanned(Fake(states), udp=True)[1] == [success(53, "domain", "udp")]
    _, lines, _ = scanned(Fake(states), udp=True, verbose=1)
    assert lines == [
        "pync: connect to 127.0.0.1 port 1 (udp): no answer (open or filtered)",
        success(53, "domain", "udp"),
    ]


def test_a_banner_stands_behind_the_success() -> None:
    _, lines, _ = scanned(Fake({22: OPEN}, banner=b"SSH-2.0-x\r\n"), banner=True)
    assert lines == [success(22, "ssh") + " SSH-2.0-x"]


HOSTILE = b"\x1b]0;owned\x07 \0 \x9b31m\r \xff\nsecond\n"


def test_hostile_bytes_of_a_banner_are_made_visible() -> None:
    shown = r"\x1b]0;owned\x07 \x00 \x9b31m\x0d \xff"
    _, lines, _ = scanned(Fake({22: OPEN}, banner=HOSTILE), banner=True)
    assert lines == [f"{success(22, 'ssh')} {shown}"]
    _, _, [found] = scanned(Fake({22: OPEN}, banner=HOSTILE), banner=True, json=True)
    assert found["banner"] == shown


@given(st.binary(max_size=60))
def test_no_banner_makes_more_than_one_line_or_an_unprintable_character(banner: bytes) -> None:
    _, lines, _ = scanned(Fake({22: OPEN}, banner=banner), banner=True)
    assert len(lines) == 1
    assert lines[0].isprintable()


# --- the objects


def test_every_port_has_an_object_with_these_keys() -> None:
    states = {22: OPEN, 1: REFUSED, 2: TIMED_OUT, 3: UNREACHABLE}
    code, lines, objects = scanned(Fake(states, banner=b"hello\n"), json=True, banner=True)
    common = {"host": "127.0.0.1", "address": "127.0.0.1", "protocol": "tcp"}
    closed = {**common, "service": None, "banner": None}
    assert objects == [
        {**common, "port": 22, "service": "ssh", "state": "open", "errors": {}, "banner": "hello"},
        {**closed, "port": 1, "state": "refused", "errors": {"127.0.0.1": "Connection refused"}},
        {**closed, "port": 2, "state": "timed out", "errors": {"127.0.0.1": "Connection timed out"}},
        {**closed, "port": 3, "state": "unreachable", "errors": {"127.0.0.1": "No route to host"}},
    ]
    assert (code, lines) == (OK, [])


def test_a_silent_udp_port_has_an_object_too() -> None:
    code, _, [found] = scanned(Fake({1: finding_module.NO_ANSWER}), json=True, udp=True)
    assert (code, found["state"], found["protocol"], found["errors"]) == (NO_ANSWER, "no answer", "udp", {})


def test_the_keys_of_an_object_have_a_fixed_order(tmp_path: Any) -> None:
    with probing_with(Fake({22: OPEN})), open(tmp_path / "out", "w+b") as output:
        run_scan([Target("::1", [22])], planned(zero=True, json=True), Console(None, output.fileno(), None))
        output.seek(0)
        [line] = output.read().decode("ascii").splitlines()
    pairs = json.loads(line, object_pairs_hook=list)
    assert [key for key, _ in pairs] == [
        "host", "address", "port", "protocol", "service", "state", "errors", "banner"
    ]  # fmt: skip


def test_a_name_and_its_addresses_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    name_has_both_loopbacks(monkeypatch)
    _, _, [found] = scanned(Fake({1: REFUSED}), Target("höst\x1b.example", [1]), json=True)
    assert (found["host"], found["address"]) == ("höst\x1b.example", "::1")
    assert found["errors"] == {"::1": "Connection refused"}
