"""What `pync.connect` raises: our Fault, which is the OSError that a plain socket would have raised too.

Inside pync a Fault is no OSError, so that `except OSError` around a system call never swallows one. Only what
leaves by the library's door is made into these classes.
"""

from __future__ import annotations

import errno
import socket

from pync import errors
from pync.net.race import DialFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Fault(errors.Fault, OSError):
    """No connection: `text` says why, a line for each address; `code` is the exit code of the command.

    `errno` is the system's number, or getaddrinfo's for a name that does not resolve; None without either.
    """

    def __init__(self, text: str, code: int = errors.NETWORK, number: int | None = None) -> None:
        if number is None:
            OSError.__init__(self, text)
        else:
            OSError.__init__(self, number, text)
        self.text = text
        self.code = code

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text, self.code, self.errno)


class RefusedFault(Fault, ConnectionRefusedError):
    """An address refused, and none answered."""


class LateFault(Fault, TimeoutError):
    """An address was silent for too long, and none answered."""


class UnresolvedFault(Fault, socket.gaierror):
    """The name does not resolve."""


def as_oserror(fault: errors.Fault) -> Fault:
    """The same failure in the class that its cause has."""
    numbers = _numbers(fault)
    if isinstance(fault, errors.NameFault):
        return UnresolvedFault(fault.text, fault.code, *numbers[:1])
    if fault.code == errors.TIMEOUT:
        return LateFault(fault.text, fault.code, errno.ETIMEDOUT)
    if errno.ECONNREFUSED in numbers:
        return RefusedFault(fault.text, fault.code, errno.ECONNREFUSED)
    return Fault(fault.text, fault.code, *numbers[:1])


def _numbers(fault: errors.Fault) -> list[int]:
    """The numbers of the errors behind a fault, where the system gave any."""
    causes: list[object] = [error for _, error in fault.failures] if isinstance(fault, DialFault) else []
    causes.append(fault.__context__)
    return [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno is not None]
