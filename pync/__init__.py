"""pync, a netcat for today: joins two byte streams, one of them a network socket.

The public names are loaded when they are first used, so that `import pync` costs nothing.
Only the version and the list of these names belong here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.library import run
    from pync.net.dial import connect
    from pync.net.raised import Fault
    from pync.net.stop import Stop

__version__ = "0.1.0"
__all__ = ["Fault", "Stop", "__version__", "connect", "run"]

_HOMES = {"Fault": "pync.net.raised", "connect": "pync.net.dial", "run": "pync.library", "Stop": "pync.net.stop"}


if not TYPE_CHECKING:  # a type checker shall know the names above and no others

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module 'pync' has no attribute '{name}'")
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
