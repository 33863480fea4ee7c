"""Showing what a listener has counted: when somebody asks with a signal, and at the end.

Here it is put into words or JSON on stderr. The counting is `serving.tally`'s, and who counts is any listener.
"""

from __future__ import annotations

import signal

from pync.serving.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pync.console import Console
    from pync.net.wake import Handlers
    from pync.options import Options
    from pync.serving.tally import Counted

#: SIGUSR1 everywhere; where there is SIGINFO, Ctrl-T sends it (termios(4) of the BSDs).
REQUESTS = ("SIGUSR1", "SIGINFO")


class Report:
    """The counts of a listener as lines for people, or with --json as one object in a line.

    Made, and asked for, before there is anything to count: `of` says later what it is about.
    """

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._tally = Tally()
        self._present: Callable[[], Iterable[Counted]] = tuple

    def of(self, tally: Tally, present: Callable[[], Iterable[Counted]] = tuple) -> None:
        """What it is about. `present` gives the connections that are still there."""
        self._tally = tally
        self._present = present

    def show(self) -> None:
        """Because somebody asks."""
        if self._options.json:
            import json

            self._console.say(json.dumps(self._tally.as_json(self._present())))
            return
        for line in self._tally.report(self._present()):
            self._console.say(line)

    def at_end(self, *, told: bool = False) -> None:
        """With -v or --json. `told` says that the bytes of the only session have been told already."""
        if told and not self._options.json:
            for line in self._tally.report(self._present())[:-1]:
                self._console.note(line)
        elif self._console.verbose or self._options.json:
            self.show()


def on_request(handlers: Handlers, show: Callable[[], object]) -> None:
    """From now on the signals that ask for a report get it."""
    for name in REQUESTS:
        if hasattr(signal, name):
            handlers.on(getattr(signal, name), show)
