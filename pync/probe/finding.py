"""The finding of a probed port: its state, the deciding address, and the error of each address.

Words and numbers only. `probe.sweep` and `probe.udp_probe` probe; `probe.scan` shows the finding.
"""

from __future__ import annotations

import errno
import os

from pync.net.resolve import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.net.race import Failure

OPEN, REFUSED, TIMED_OUT, UNREACHABLE, NO_ANSWER = "open", "refused", "timed out", "unreachable", "no answer"

#: Error of connect(2) → state of the port. Any other error means that the host cannot be reached.
STATES = {errno.ECONNREFUSED: REFUSED, errno.ECONNRESET: REFUSED, errno.ETIMEDOUT: TIMED_OUT}
#: The strongest state first: an answer from one address counts more than silence or a missing route at another.
STRENGTH = (OPEN, REFUSED, NO_ANSWER, TIMED_OUT, UNREACHABLE)


class Finding:
    """The state of a port, the address that decided it, and the error of each address."""

    __slots__ = ("address", "banner", "failures", "port", "state")

    def __init__(self, port: int, state: str, address: Address, failures: list[Failure], banner: bytes = b"") -> None:
        self.port = port
        self.state = state
        self.address = address
        self.failures = failures
        self.banner = banner


def state_of(error: OSError) -> str:
    """The state of a port after connect(2) has failed with this error."""
    return STATES.get(error.errno or 0, UNREACHABLE)


def at_port(address: Address, port: int) -> Address:
    """The same host with another port; a path stays as it is."""
    if not isinstance(address.sockaddr, tuple):
        return address
    host, _, *rest = address.sockaddr
    return Address(address.family, address.type, (host, port, *rest))


def failed_finding(port: int, failures: list[Failure]) -> Finding:
    """The finding of a port that is open at no address: the strongest state of them all."""
    states = [(STRENGTH.index(state_of(error)), address) for address, error in failures]
    strength, address = min(states, key=lambda pair: pair[0])
    return Finding(port, STRENGTH[strength], address, failures)


#: One object for all ports, because tens of thousands may be refused.
_REFUSAL = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def refused_finding(port: int, address: Address) -> Finding:
    """The finding of a port that its only address has refused."""
    return Finding(port, REFUSED, address, [(address, _REFUSAL)])
