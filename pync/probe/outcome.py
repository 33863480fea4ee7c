"""What is known of a probed port: its state, the address that decided, each address's own error.

Words and numbers only: who probes is in `probe.sweep` and `probe.udp_probe`, who shows it in `probe.scan`.
"""

from __future__ import annotations

import errno
import os

from pync.net.resolve import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.net.race import Failure

OPEN, REFUSED, TIMED_OUT, UNREACHABLE, NO_ANSWER = "open", "refused", "timed out", "unreachable", "no answer"

#: What an error says of a port; whatever is not here means that the host cannot be reached.
STATES = {errno.ECONNREFUSED: REFUSED, errno.ECONNRESET: REFUSED, errno.ETIMEDOUT: TIMED_OUT}
#: An answer from one address counts more than silence or a missing route at another.
STRENGTH = (OPEN, REFUSED, NO_ANSWER, TIMED_OUT, UNREACHABLE)


class Outcome:
    """What is known of a port: its state, the address that decided, each address's own error."""

    __slots__ = ("address", "banner", "failures", "port", "state")

    def __init__(self, port: int, state: str, address: Address, failures: list[Failure], banner: bytes = b"") -> None:
        self.port = port
        self.state = state
        self.address = address
        self.failures = failures
        self.banner = banner


def state_of(error: OSError) -> str:
    """The state of a port whose connect failed like this."""
    return STATES.get(error.errno or 0, UNREACHABLE)


def at_port(address: Address, port: int) -> Address:
    """The same host, another port; a path has none."""
    if not isinstance(address.sockaddr, tuple):
        return address
    host, _, *rest = address.sockaddr
    return Address(address.family, address.type, (host, port, *rest))


def failed_outcome(port: int, failures: list[Failure]) -> Outcome:
    """The outcome of a port that no address opened: the strongest statement of any of them."""
    states = [(STRENGTH.index(state_of(error)), address) for address, error in failures]
    strength, address = min(states, key=lambda pair: pair[0])
    return Outcome(port, STRENGTH[strength], address, failures)


#: One for all: there may be tens of thousands of them.
_REFUSAL = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def refused_outcome(port: int, address: Address) -> Outcome:
    """The outcome of a port whose only address refused."""
    return Outcome(port, REFUSED, address, [(address, _REFUSAL)])
