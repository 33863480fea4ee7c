"""What the errors of its addresses make of a port: the strongest statement of any of them.

How the errors come about is in test_sweep and test_udp_probe.
"""

from __future__ import annotations

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.net.resolve import Address
from pync.probe.finding import (
    OPEN,
    REFUSED,
    STRENGTH,
    TIMED_OUT,
    UNREACHABLE,
    at_port,
    failed_finding,
    refused_finding,
    state_of,
)

FOUR = Address(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
SIX = Address(socket.AF_INET6, socket.SOCK_STREAM, ("fe80::1", 0, 7, 3))

CODES = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: REFUSED,
    errno.ETIMEDOUT: TIMED_OUT,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EACCES: UNREACHABLE,
}


def error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(("code", "state"), CODES.items(), ids=str)
def test_an_error_says_what_a_port_is(code: int, state: str) -> None:
    assert state_of(error(code)) == state


@given(st.lists(st.sampled_from(sorted(CODES)), min_size=1))
def test_the_strongest_statement_counts_and_its_address_is_named(codes: list[int]) -> None:
    failures = [(at_port(FOUR, number), error(code)) for number, code in enumerate(codes)]
    finding = failed_finding(80, failures)
    states = [CODES[code] for code in codes]
    assert finding.state == min(states, key=STRENGTH.index)
    assert finding.address is failures[states.index(finding.state)][0]
    assert finding.failures == failures
    assert finding.state != OPEN


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_another_port_of_the_host_keeps_everything_else(address: Address) -> None:
    moved = at_port(address, 443)
    assert (moved.family, moved.type, moved.port) == (address.family, address.type, 443)
    assert (moved.sockaddr[0], *moved.sockaddr[2:]) == (address.sockaddr[0], *address.sockaddr[2:])


def test_a_refusal_has_the_systems_words() -> None:
    finding = refused_finding(80, at_port(FOUR, 80))
    assert (finding.port, finding.state) == (80, REFUSED)
    assert [str(each.strerror) for _, each in finding.failures] == [os.strerror(errno.ECONNREFUSED)]
