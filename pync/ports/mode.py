"""`--ports` as a mode: takes one or many snapshots, writes them in the form that was asked for, and sets the exit code.

`collect` reads the system, `table` and `plain` draw, `screen` holds the terminal. Messages go to stderr, with at
most one note: that some owners are hidden.
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
        """The part of the console that this mode uses."""

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
    """Show the ports. Returns the exit code: 1 if the operands name ports and none of them is bound.

    Args:
        asked: the port numbers and service names of the operands; the paths of -U are in `plan.operands.words`.
        plan: what the run needs.
        console: the streams to write to.
        wake: a descriptor that becomes readable when a signal has arrived; -1: none (`pync.net.wake`).
        heard: called then; None: the signal is ignored.

    Raises:
        Fault: a name is no service, the system does not list its sockets, or the output fails.
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
    """The note that some owners are hidden, and how to see them."""
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
