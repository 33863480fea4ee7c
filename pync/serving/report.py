"""The signals with which a listener is asked for its counts.

What the counts are is `serving.tally`'s, and saying them the console's.
"""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.net.wake import Handlers

#: SIGUSR1 everywhere; where there is SIGINFO, Ctrl-T sends it (termios(4) of the BSDs).
REQUESTS = ("SIGUSR1", "SIGINFO")


def on_request(handlers: Handlers, show: Callable[[], object]) -> None:
    """From now on the signals that ask for a report get it."""
    for name in REQUESTS:
        if hasattr(signal, name):
            handlers.on(getattr(signal, name), show)
