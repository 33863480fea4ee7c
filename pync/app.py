"""From options to the runner that does the work: the one place of lazy imports.

Each mode imports its own modules and no other's. Nothing is parsed here, and nothing printed but
the faults of a run.
"""

from __future__ import annotations

from pync.combinations import check
from pync.errors import INTERRUPTED, NETWORK, OK, AddressInUse, Fault, Terminated, unforeseen
from pync.options import imply
from pync.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.console import Console
    from pync.options import Options
    from pync.wire.address import Target


def run_words(argv: list[str], console: Console) -> int:
    """Parse the words (the quick way where it will do) and run them; returns the exit code."""
    code = NETWORK
    try:
        code = _run_words(argv, console)
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    except Terminated as end:
        code = end.code
        raise
    finally:
        console.close(code)
    return code


def _run_words(argv: list[str], console: Console) -> int:
    try:
        if "--json" in argv:  # errors in the words themselves are objects too
            import json  # noqa: F401  # later there may be no descriptor to load it with

            console.json = True
        from pync.cli.argv import parse

        options = parse(argv)
        if options is None:
            answer = _answer(argv, console)
            if answer is not None:
                console.print(answer)
                return OK
            from pync.cli.command import parse_with_typer

            options = parse_with_typer(argv)
        imply(options)
        check(options)
        return run_options(options, console)
    except AddressInUse as fault:
        from pync.ports.holder import in_use_by

        holder = in_use_by(fault.protocol, fault.address, fault.port)
        console.fail(f"{fault.text} ({holder})" if holder else fault.text)
        return fault.code
    except Fault as fault:
        console.fail(fault.text)
        return fault.code
    except (OSError, ImportError) as error:  # nothing that was foreseen, such as no descriptor left
        if not (text := unforeseen(error)):
            raise
        console.fail(text)
        return NETWORK


def _answer(argv: list[str], console: Console) -> str | None:
    """What --help or --version prints, None where neither is asked for."""
    from pync.cli.argv import asked

    question = asked(argv)
    if question is None:
        return None
    action, topic = question
    if action == "version":
        from pync import __version__

        return f"pync {__version__}\n"
    from pync.cli.help import page

    return page(topic, console.output_columns())


def run_options(options: Options, console: Console) -> int:
    """Run the mode that the options name; returns the exit code.

    Raises:
        Fault: what the user should read, with the exit code.
    """
    from pync.wire.address import target

    plan = Plan(options)
    console.verbose, console.json = plan.view.verbose, plan.view.json
    if plan.probing.zero or plan.probing.until_closed:
        return _run_probe(plan, console)
    if plan.view.ports:
        return _run_ports(plan, console)
    where = target(plan)
    if plan.serving.listen and not plan.names.datagram and (plan.serving.keep_open or plan.work.answered):
        return _run_server(where, plan, console)
    _follow(plan, console)
    if plan.names.datagram:
        return _run_datagrams(where, plan, console)
    if plan.serving.listen:
        from pync.serving.accept import run_listener

        return run_listener(where, plan, console)
    from pync.serving.client import run_client

    return run_client(where, plan, console)


def _run_server(where: Target, plan: Plan, console: Console) -> int:
    if plan.serving.workers is not None:
        from pync.serving.workers import run_workers

        return run_workers(where, plan, console)
    from pync.serving.serve import run_server

    return run_server(where, plan, console)


def _run_datagrams(where: Target, plan: Plan, console: Console) -> int:
    if plan.work.answered or plan.work.program:
        return _run_datagram_offer(where, plan, console)
    from pync.serving.udp import run_udp

    return run_udp(where, plan, console)


def _run_datagram_offer(where: Target, plan: Plan, console: Console) -> int:
    if plan.work.program:
        from pync.serving.binding import admission_for
        from pync.serving.udp_program import run_udp_program

        return run_udp_program(where, plan, console, admission_for(plan))
    from pync.serving.udp_services import run_udp_service

    return run_udp_service(where, plan, console)


def _follow(plan: Plan, console: Console) -> None:
    """Let the sessions of the run be followed, where --progress asks for it."""
    if plan.view.progress:
        from pync.meter.display import display_for
        from pync.meter.progress import Meter
        from pync.net import wake
        from pync.net.endpoint import TTY

        outlet = console.outlet()
        terminal = outlet.kind == TTY
        display = display_for(outlet, terminal=terminal, encoding=console.encoding, objects=plan.view.json)
        console.meter = Meter(display, plan.view.size, wake.Handlers())


def _run_ports(plan: Plan, console: Console) -> int:
    from pync.net import wake
    from pync.ports.mode import run_ports
    from pync.wire.address import parse_ports

    words = [] if plan.operands.unix else plan.operands.words
    return run_ports(
        [port for word in words for port in parse_ports(word)], plan, console, wake.descriptor(), wake.drain
    )


def _run_probe(plan: Plan, console: Console) -> int:
    from pync.wire.address import targets

    where = targets(plan)
    if plan.probing.wait is not None:
        from pync.probe.patience import wait_for_ports

        return wait_for_ports(where, plan, console)
    from pync.probe.scan import run_scan

    return run_scan(where, plan, console)
