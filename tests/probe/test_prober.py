"""The queue of ports under way: never more than allowed, in their order, none beyond the time of all.

With a prober whose ports end when the clock says so; real ones are in test_sweep and test_udp_probe.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.net.resolve import Address
from pync.probe.finding import TIMED_OUT, Finding, at_port
from pync.probe.prober import Crowd, Prober
from tests.running import run_pync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = Address(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))


class Silent(Prober):
    """Every port takes all of its time, and says nothing."""

    def __init__(self, report: Callable[[Finding], None], **named: Any) -> None:
        super().__init__([HOST], lambda address: socket.socket(), report=report, **named)
        self.deadlines: dict[int, float] = {}
        self.most = 0
        self.begun: list[int] = []

    def busy(self) -> int:
        return len(self.deadlines)

    def begin(self, number: int) -> None:
        self.begun.append(number)
        self.deadlines[number] = self.deadline()
        self.most = max(self.most, len(self.deadlines))

    def next_event(self) -> float:
        return min(self.deadlines.values())

    def look_at_the_clock(self, now: float) -> None:
        for number in [number for number, deadline in self.deadlines.items() if deadline <= now]:
            del self.deadlines[number]
            self.report(Finding(number, TIMED_OUT, at_port(HOST, number), []))


@given(st.lists(st.integers(0, 65535), unique=True, max_size=30), st.integers(1, 10))
def test_each_port_is_begun_in_its_order_and_reported_once(ports: list[int], parallel: int) -> None:
    findings: list[Finding] = []
    prober = Silent(findings.append, limit=0.0001, parallel=parallel)
    prober.run(ports)
    prober.close()
    assert prober.begun == ports
    assert sorted(finding.port for finding in findings) == sorted(ports)
    assert prober.most <= parallel


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 5))
def test_a_crowd_has_so_many_ports_under_way_over_all_its_hosts_and_lets_go_of_those_that_are_done(
    counts: list[int], parallel: int
) -> None:
    findings: list[Finding] = []
    crowd = Crowd(parallel)
    hosts: list[Silent] = []
    most = 0

    def work() -> Iterator[tuple[Prober, int]]:
        nonlocal most
        for count in counts:
            hosts.append(Silent(findings.append, limit=0.0001, crowd=crowd))
            for port in range(count):
                yield hosts[-1], port
                most = max(most, sum(host.busy() for host in hosts))

    crowd.run(work())
    crowd.close()
    assert [host.begun for host in hosts] == [list(range(count)) for count in counts]
    assert len(findings) == sum(counts)
    assert most <= parallel


def test_none_goes_on_beyond_the_time_of_all() -> None:
    findings: list[Finding] = []
    started = time.monotonic()
    prober = Silent(findings.append, limit=3600, until=started + 0.1, parallel=2)
    prober.run(range(50))
    prober.close()
    assert len(findings) == 50
    assert time.monotonic() - started < 30


def test_a_prober_can_run_again() -> None:
    findings: list[Finding] = []
    prober = Silent(findings.append, limit=0.001, parallel=2)
    for ports in ([1, 2], [3]):
        prober.run(ports)
    prober.close()
    assert [finding.port for finding in findings] == [1, 2, 3]


@pytest.mark.parametrize("option", ["--total-timeout", "--wait"])
def test_the_command_keeps_to_the_time_of_all_ports_together(option: str) -> None:
    """A listener whose queue is full is silent: each port would take its whole time, one after another."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        port = silent.getsockname()[1]
        fillers = [socket.socket() for _ in range(8)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            started = time.monotonic()
            code, _, _ = run_pync("-z", "-w", "20", option, "300ms", "127.0.0.1", str(port))
            assert code == (3 if option == "--wait" else 1)
            assert time.monotonic() - started < 15
        finally:
            for filler in fillers:
                filler.close()
