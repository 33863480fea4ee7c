"""Trying again, against a clock that goes on only when somebody sleeps: what is repeated, when, and until when.

Dialing and probing are fakes that fail as often as the test wants. The command against real listeners that
come and go is in cli/test_wait.
"""

from __future__ import annotations

import errno
import io
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.console import Console
from pync.errors import NETWORK, OK, TIMEOUT, USAGE, Fault, NameFault, UsageFault
from pync.net.race import DialFault
from pync.net.resolve import Address
from pync.plan import Plan
from pync.probe import patience, scan
from pync.probe.finding import OPEN, REFUSED, TIMED_OUT, Finding
from pync.probe.patience import dial_patiently, wait_for_ports
from pync.wire.address import Target
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pync.net.race import Failure

ADDRESS = Address(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 80))


class Clock:
    """Time that passes only in sleep(), and in `passes` for what takes its time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(patience, "time", made)
    monkeypatch.setattr(patience, "wake", made)
    return made


def talking(verbose: int = 0) -> tuple[Console, io.StringIO]:
    said = io.StringIO()
    console = Console(None, None, said)
    console.verbose = verbose
    return console, said


def refusal(code: int = errno.ECONNREFUSED) -> DialFault:
    return DialFault("host", [(ADDRESS, OSError(code, os.strerror(code)))])


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        yield sock


class Dialing:
    """Stands for net.dial: raises these faults in turn, then returns the connection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sock: socket.socket, *faults: BaseException) -> None:
        self._sock = sock
        self._faults = list(faults)
        self.limits: list[float | None] = []
        monkeypatch.setattr(patience, "dial", self)

    def __call__(self, host: str, port: int | str, plan: Plan, note: Any) -> tuple[socket.socket, Address]:
        self.limits.append(plan.limits.connect)
        if self._faults:
            raise self._faults.pop(0)
        return self._sock, ADDRESS


# --- --wait for a session


@pytest.mark.parametrize(
    "fault",
    [refusal(), refusal(errno.EHOSTUNREACH), refusal(errno.ETIMEDOUT), NameFault("not known yet")],
    ids=["refused", "unreachable", "silent", "name"],
)
def test_whatever_may_pass_is_tried_again_until_it_answers(
    fault: Fault, clock: Clock, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialing = Dialing(monkeypatch, connection, *[fault] * 3)
    console, said = talking()
    assert dial_patiently("host", 80, planned(wait=60.0), console) == (connection, ADDRESS)
    assert len(dialing.limits) == 4
    assert said.getvalue() == ""


def test_the_pauses_grow_from_a_twentieth_of_a_second_to_a_second(
    clock: Clock, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    Dialing(monkeypatch, connection, *[refusal()] * 20)
    dial_patiently("host", 80, planned(wait=60.0), talking()[0])
    assert clock.slept[0] == 0.05
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 1.0


@given(seconds=st.floats(0.001, 1e6), failures=st.integers(0, 40))
def test_however_long_the_wait_it_ends_when_its_time_is_over_and_not_before(seconds: float, failures: int) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch, socket.socket() as sock:
        patch.setattr(patience, "time", clock)
        patch.setattr(patience, "wake", clock)
        dialing = Dialing(patch, sock, *[refusal()] * failures)
        try:
            dial_patiently("host", 80, planned(wait=seconds), talking()[0])
        except Fault as fault:
            assert fault.code == TIMEOUT
            assert clock.now - 1000.0 == pytest.approx(seconds)
        else:
            assert len(dialing.limits) == failures + 1
            assert clock.now - 1000.0 <= seconds + 1e-6


def test_when_the_time_is_over_the_last_cause_is_named(
    clock: Clock, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    Dialing(monkeypatch, connection, NameFault("first cause"), *[refusal()] * 1000)
    with pytest.raises(Fault) as caught:
        dial_patiently("host", 80, planned(wait=5.0), talking()[0])
    assert caught.value.code == TIMEOUT
    assert caught.value.text.splitlines() == [
        "connect to host (127.0.0.1) port 80 (tcp) failed: Connection refused",
        "no answer within 5 s: timed out",
    ]


@pytest.mark.parametrize("option", [{"wait": 60.0}, {"retry": 5}], ids=["--wait", "--retry"])
@pytest.mark.parametrize(
    "fault",
    [UsageFault("no such service"), Fault("bind failed", USAGE), Fault("file", NETWORK), KeyboardInterrupt()],
    ids=["usage", "bind", "other", "Ctrl-C"],
)
def test_what_will_not_pass_is_not_tried_again(
    fault: BaseException,
    option: dict[str, Any],
    clock: Clock,
    connection: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialing = Dialing(monkeypatch, connection, fault)
    with pytest.raises(type(fault)) as caught:
        dial_patiently("host", 80, planned(**option), talking()[0])
    assert caught.value is fault
    assert len(dialing.limits) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("plan", "first"),
    [
        ({}, 10.0),
        ({"timeout": 2.0}, 2.0),
        ({"connect_timeout": 3.0, "timeout": 1.0}, 3.0),
        ({"timeout": 99.0}, 10.0),
    ],
)
def test_no_attempt_is_given_more_than_what_is_left(
    plan: dict[str, float],
    first: float,
    clock: Clock,
    connection: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialing = Dialing(monkeypatch, connection, *[refusal()] * 1000)
    given_options = planned(["host", "80"], wait=10.0, crlf=True, **plan)
    before = given_options.limits.connect
    with pytest.raises(Fault):
        dial_patiently("host", 80, given_options, talking()[0])
    assert dialing.limits[0] == first
    assert all(limit is not None and 0 < limit <= first for limit in dialing.limits)
    assert dialing.limits[-1] == 0.001
    assert given_options.limits.connect == before


def test_with_verbosity_each_new_cause_is_told_once(
    clock: Clock, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    Dialing(monkeypatch, connection, NameFault("unknown"), NameFault("unknown"), refusal(), refusal())
    console, said = talking(verbose=1)
    dial_patiently("host", 80, planned(wait=60.0), console)
    assert said.getvalue().splitlines() == [
        "pync: unknown; waiting",
        "pync: connect to host (127.0.0.1) port 80 (tcp) failed: Connection refused; waiting",
    ]


# --- --retry


@pytest.mark.parametrize(
    ("retries", "pauses"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 8, 16]), (8, [1, 2, 4, 8, 16, 30, 30, 30])],
)
def test_a_connection_is_tried_again_so_often_with_pauses_that_double_up_to_half_a_minute(
    retries: int, pauses: list[float], clock: Clock, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = refusal()
    dialing = Dialing(monkeypatch, connection, *[refusal() for _ in range(retries)], last)
    with pytest.raises(DialFault) as caught:
        dial_patiently("host", 80, planned(retry=retries), talking()[0])
    assert caught.value is last
    assert len(dialing.limits) == retries + 1
    assert clock.slept == pauses


def test_a_connection_that_stands_is_not_tried_again(
    clock: Clock, connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialing = Dialing(monkeypatch, connection, refusal())
    console, said = talking(verbose=1)
    assert dial_patiently("host", 80, planned(retry=9), console) == (connection, ADDRESS)
    assert len(dialing.limits) == 2
    assert said.getvalue() == (
        "pync: connect to host (127.0.0.1) port 80 (tcp) failed: Connection refused; trying again in 1 s\n"
    )


# --- --wait for ports


class Probing:
    """Stands for probe.scan's probe: each round, the states of the ports by this script."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock, script: Callable[[int, int], Any]) -> None:
        self._script = script
        self._clock = clock
        self.rounds: list[list[tuple[str | None, list[int | str]]]] = []
        self.limits: list[float | None] = []
        self.took = 0.0
        monkeypatch.setattr(patience, "probe", self)
        monkeypatch.setattr(scan, "service_name", lambda port, protocol: "*")

    def __call__(self, targets: list[Target], plan: Plan, seen: Any, unknown: Any, limit: float | None = None) -> None:
        self.rounds.append([(target.host, list(target.ports)) for target in targets])
        self.limits.append(limit)
        self._clock.now += self.took
        for target, port in [(each, port) for each in targets for port in each.ports]:
            assert isinstance(port, int)
            state = self._script(len(self.rounds), port)
            if isinstance(state, NameFault):
                unknown(target, state)
                continue
            if isinstance(state, Fault):
                raise state
            address = Address(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
            code = {REFUSED: errno.ECONNREFUSED, TIMED_OUT: errno.ETIMEDOUT}.get(state)
            seen(
                target,
                Finding(port, state, address, [(address, OSError(code, os.strerror(code)))] if code else []),
            )


def waited(*targets: Target, **plan: Any) -> tuple[int, list[str]]:
    console, said = talking()
    code = wait_for_ports(list(targets), planned(zero=True, **plan), console)
    return code, said.getvalue().splitlines()


def success(host: str, port: int) -> str:
    return f"Connection to {host} {port} port [tcp/*] succeeded!"


def test_ports_are_probed_until_all_are_open_and_those_that_are_open_only_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    probing = Probing(monkeypatch, clock, lambda turn, port: OPEN if turn >= port else REFUSED)
    code, lines = waited(Target("127.0.0.1", [4, 1, 3]), wait=60.0)
    assert (code, lines) == (OK, [success("127.0.0.1", port) for port in (1, 3, 4)])
    assert [ports for [(_, ports)] in probing.rounds] == [[4, 1, 3], [4, 3], [4, 3], [4]]
    assert clock.slept[0] == 0.05
    assert clock.slept == sorted(clock.slept)


def test_every_target_is_waited_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    probing = Probing(monkeypatch, clock, lambda turn, port: OPEN if turn >= port else REFUSED)
    code, lines = waited(Target("127.0.0.1", [1]), Target("127.0.0.2", [4]), wait=60.0)
    assert (code, lines) == (OK, [success("127.0.0.1", 1), success("127.0.0.2", 4)])
    asked = [[host for host, _ in pairs] for pairs in probing.rounds]
    assert asked == [["127.0.0.1", "127.0.0.2"], ["127.0.0.2"], ["127.0.0.2"], ["127.0.0.2"]]


def test_when_the_time_is_over_the_last_cause_of_each_is_named(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {1: OPEN, 2: REFUSED, 3: TIMED_OUT}
    Probing(monkeypatch, clock, lambda turn, port: states[port])
    code, lines = waited(Target("127.0.0.1", [1, 2]), Target("127.0.0.2", [3]), wait=5.0)
    assert code == TIMEOUT
    assert lines == [
        success("127.0.0.1", 1),
        "pync: connect to 127.0.0.1 port 2 (tcp) failed: Connection refused",
        "pync: connect to 127.0.0.2 (127.0.0.1) port 3 (tcp) failed: Connection timed out",
        "pync: no answer after 5 s: timed out",
    ]
    assert sum(clock.slept) == pytest.approx(5.0)


def test_probing_is_given_no_more_than_what_is_left(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    probing = Probing(monkeypatch, clock, lambda turn, port: TIMED_OUT)
    probing.took = 0.5
    waited(Target("127.0.0.1", [1]), wait=2.0)
    assert probing.limits[0] == 2.0
    assert all(limit is not None and 0.05 <= limit <= 2.0 for limit in probing.limits)
    assert clock.now - 1000.0 <= 2.0 + 0.5


def test_a_name_that_is_not_known_yet_is_asked_for_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    Probing(monkeypatch, clock, lambda turn, port: NameFault("unknown") if turn < 3 else OPEN)
    assert waited(Target("host", [1]), wait=60.0) == (OK, [success("host", 1)])


def test_a_name_that_stays_unknown_is_the_cause(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    Probing(monkeypatch, clock, lambda turn, port: NameFault("unknown"))
    code, lines = waited(Target("host", [1]), wait=0.5)
    assert (code, lines) == (TIMEOUT, ["pync: unknown", "pync: no answer after 0.5 s: timed out"])


def test_a_port_that_is_none_ends_the_wait_at_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    Probing(monkeypatch, clock, lambda turn, port: UsageFault("no such service"))
    with pytest.raises(UsageFault):
        waited(Target("host", [1]), wait=60.0)
    assert clock.slept == []


# --- --until-closed


def test_the_reverse_waits_until_none_is_open(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {1: TIMED_OUT, 3: REFUSED}
    Probing(monkeypatch, clock, lambda turn, port: closed[port] if turn >= port else OPEN)
    assert waited(Target("127.0.0.1", [1, 3]), wait=60.0, until_closed=True) == (OK, [])
    assert len(clock.slept) == 2


def test_what_stays_open_is_named_when_the_time_is_over(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    Probing(monkeypatch, clock, lambda turn, port: OPEN if port == 2 else REFUSED)
    code, lines = waited(Target("127.0.0.1", [1, 2]), wait=2.0, until_closed=True)
    assert code == TIMEOUT
    assert lines == ["pync: 127.0.0.1 port 2: still open", "pync: still open after 2 s: timed out"]


def test_what_stays_open_at_one_address_is_not_told_by_the_refusal_of_another(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(targets: list[Target], plan: Plan, seen: Any, unknown: Any, limit: float) -> None:
        six = Address(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 80, 0, 0))
        refused_there: list[Failure] = [(six, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))]
        seen(targets[0], Finding(80, OPEN, ADDRESS, refused_there))

    monkeypatch.setattr(patience, "probe", probe)
    _, lines = waited(Target("host", [80]), wait=1.0, until_closed=True)
    assert lines[0] == "pync: host port 80: still open"


def test_a_name_that_is_no_longer_known_is_closed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    Probing(monkeypatch, clock, lambda turn, port: OPEN if turn < 2 else NameFault("unknown"))
    assert waited(Target("host", [1]), wait=60.0, until_closed=True) == (OK, [])
