"""Faults, exit codes and the sentence an OSError becomes.

Which failure ends in which exit code is tested where it happens; here is only what they are made of.
"""

from __future__ import annotations

import errno
import os
import socket

import pytest

from pync import errors
from pync.errors import EXIT_CODES, NETWORK, USAGE, Fault, Terminated, UsageFault, reason


def test_every_exit_code_is_named_once_and_explained() -> None:
    named = [value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)]
    assert sorted(named) == sorted(set(named)) == sorted(EXIT_CODES)
    assert all(EXIT_CODES.values())


def test_the_exit_codes_are_those_of_the_manual() -> None:
    assert sorted(EXIT_CODES) == [0, 1, 2, 3, 4, 129, 130, 143]


def test_a_fault_is_a_network_failure_unless_it_says_otherwise() -> None:
    fault = Fault("it broke")
    assert (fault.text, str(fault), fault.code) == ("it broke", "it broke", NETWORK)
    assert Fault("it broke", 3).code == 3


def test_a_usage_fault_is_a_fault_with_code_2() -> None:
    fault = UsageFault("no such thing")
    assert isinstance(fault, Fault)
    assert (fault.text, fault.code) == ("no such thing", USAGE)


def test_no_except_exception_swallows_a_termination() -> None:
    assert issubclass(Terminated, BaseException)
    assert not issubclass(Terminated, Exception)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)), "Connection refused"),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/nowhere"), "No such file or directory"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (TimeoutError("timed out"), "timed out"),
        (OSError("unsupported family"), "unsupported family"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_the_reason_is_the_systems_own_words(error: OSError, text: str) -> None:
    assert reason(error) == text
