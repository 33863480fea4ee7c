"""Notes about peers of a datagram listener: with -v each is said once.

Datagrams come without a connection, and from forged addresses too: what is remembered of them is bounded.
"""

from __future__ import annotations

from pync.net.datagram import KNOWN_PEERS
from pync.net.resolve import show_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.console import Console


class Notes:
    """Says with -v who comes and what fails: everything once, as far as a bounded memory goes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[Any] = set()

    def once(self, key: Any, text: Callable[[], str], event: str = "message", at: Any = None, **facts: Any) -> None:
        """Say the text, unless something was said under the same key before."""
        if not self._console.verbose or key in self._said:
            return
        if len(self._said) >= KNOWN_PEERS:
            self._said.clear()
        self._said.add(key)
        self._console.note(text(), event, at, **facts)

    def refused(self, address: Any) -> None:
        """The rules turn away what this address sends; a peer is named by its host, whatever ports it uses."""
        text = f"Connection from {show_host(address)} {address[1]} refused by rule"
        self.once(address[0], lambda: text, "refused", address, by="rule")
