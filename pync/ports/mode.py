"""`--ports` as a mode: look once or again and again, show it as the output wants it, and the exit code.

What is read, how it is drawn and how a terminal is held are next door. Messages go to stderr here, and
there is one note at most: that some owner could not be seen.
"""

from __future__ import annotations

import os

from pync.errors import NETWORK, OK
from pync.ports import collect, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from pync.plan import Plan
    from pync.ports.collect import Snapshot
    from pync.ports.waiting import Output

    class Console(Protocol):
        """The streams of a run, as the console has them."""

        def print(self, text: str) -> None: ...
        def warn(self, text: str) -> None: ...
        def note(self, text: str) -> None: ...
        def output_is_terminal(self) -> bool: ...
        def output(self) -> Output: ...


def run_ports(
    asked: Iterable[int | str],
    plan: Plan,
    console: Console,
    wake: int = -1,
    heard: Callable[[], object] | None = None,
) -> int:
    """Show the ports; 1 when certain ones were asked for and none of them is bound.

    Args:
        asked: the port numbers and service names of the operands; the paths of -U are in `plan.operands.words`.
        plan: what the user typed.
        console: where to show them.
        wake: a descriptor that becomes readable when a signal has arrived, -1: none (`pync.net.wake`).
        heard: what is done then; None: forget it.

    Raises:
        Fault: a name is no service, the system tells nothing, or the output takes no more.
    """
    what = collect.wanted(asked, plan)
    if plan.view.watch is not None:
        return _watch(what, plan, console, wake, heard)
    snapshot = collect.collect(what)
    console.print(_text(snapshot, plan, console))
    if snapshot.partial:
        console.warn(hidden(snapshot))
    certain = bool(plan.operands.words) or what.pid is not None or what.program is not None
    if certain and not any(row.bound for row in snapshot.ports):
        console.note("nothing that was asked for is bound")
        return NETWORK
    return OK


def _text(snapshot: Snapshot, plan: Plan, console: Console) -> str:
    if plan.view.json:
        return plain.document(snapshot, plan.view.verbose > 0) + "\n"
    if not console.output_is_terminal():
        return plain.lines(snapshot, plan.view.verbose > 0)
    from pync.ports import table

    return table.render(table.unmarked(snapshot.ports), _width(console))


def _width(console: Console) -> int:
    from pync.ports.screen import size

    output = console.output()
    try:
        return size(output.fd)[0]
    finally:
        output.close()


def hidden(snapshot: Snapshot) -> str:
    """The note that some owners are missing, and what would help."""
    count = sum(row.hidden for row in snapshot.ports)
    ports = "1 port" if count == 1 else f"{count} ports"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return f"the owners of {ports} cannot be seen: the kernel or another container"
    return f"the owners of {ports} cannot be seen: run as root to see all"


def _watch(what: collect.Wanted, plan: Plan, console: Console, wake: int, heard: Callable[[], object] | None) -> int:
    from pync.ports import watch
    from pync.ports.screen import open_screen
    from pync.ports.waiting import Alarm

    alarm = Alarm(max(watch.SHORTEST, plan.view.watch or 0.0), wake, heard)
    output = console.output()
    told = False

    def look() -> Snapshot:
        return collect.collect(what)

    def text(snapshot: Snapshot) -> str:
        nonlocal told
        if snapshot.partial and not told:
            told = True
            console.warn(hidden(snapshot))
        return _text(snapshot, plan, console)

    try:
        screen = None if plan.view.json else open_screen(output.fd)
        if screen is not None:
            return watch.in_place(alarm, look, hidden, screen)
        return watch.append(alarm, look, text, output, "" if plan.view.json else "\n")
    finally:
        output.close()
