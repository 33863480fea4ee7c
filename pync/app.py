"""From options to the runner that does the work: the one place of lazy imports.

Each mode imports its own modules only. `pync.cli.argv` parses the words; this file prints only the faults of a run.

A newcomer's walk (a test checks that these names exist). The way of a byte in connect mode, `pync host 80`:
 1. `pync.__main__.main` sees to descriptors and signals, and calls `pync.app.run_words`.
 2. `pync.cli.argv.parse` makes `pync.options.Options` of the words; `pync.combinations.check` refuses bad pairs.
 3. `pync.plan.Plan` turns what was typed into what is needed. `pync.wire.address.target` reads HOST and PORT.
 4. `pync.app.run_options` picks the mode by the plan: here `pync.serving.client.run_client`.
 5. `pync.net.dial` looks the name up and lets `pync.net.race` try the addresses; the first that answers wins.
 6. `pync.handlers.stdio.Relay` joins the socket to standard input and output.
 7. It makes a `pync.engine.session.Session` of two `pync.engine.flow.Flow`, one for each direction.
 8. A flow asks `pync.net.move.choose` for a zero-copy mover, or copies through the stages of `pync.engine.stages`.
 9. The mover reads one end and writes the other (`pync.net.endpoint`); the flow waits for the end that holds it up.
10. At the end of the input the session half-closes; when both flows are done, the relay gives the exit code.

`--rate 64k`, from word to effect:
 1. The row of `pync.options.Options.rate` declares name, kind, group and help.
 2. Its kind parses the word with `pync.values.parse_size`: 64k is 65,536 bytes.
 3. The same row makes `pync.cli.help`, `pync.cli.man` and the completions; `pync.cli.generate` writes these files.
 4. `pync.plan.Pipeline` takes the number from the options. No file below this one sees the options.
 5. `pync.plan.Plan.seen` is then true, so that a program of -e gets pipes, because we must hold its bytes back.
 6. `pync.engine.stages.pacers` makes a `pync.wire.pacing.Rate` for each direction.
 7. Before each step the flow asks `pync.wire.pacing.Rate.budget` how many bytes may leave now.
 8. The mover moves at most that many; `pync.wire.pacing.Rate.spent` is told how many have left.
 9. If the budget is 0, the flow sleeps on the loop until `pync.wire.pacing.Rate.next_at`.
10. Servers with -k pace the flow of each client in the same way (`pync.handlers.hub`).
"""

from __future__ import annotations

from pync.errors import INTERRUPTED, NETWORK, OK, AddressInUse, Fault, Terminated, unforeseen
from pync.options import given, imply
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
        if next(given(options), None) is not None:  # where no option is given, none can clash
            from pync.combinations import check

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
    _follow(plan, console)
    if plan.names.datagram:
        return _run_datagrams(where, plan, console)
    if plan.serving.listen:
        return _run_listener(where, plan, console)
    from pync.serving.client import run_client

    return run_client(where, plan, console)


def _run_listener(where: Target, plan: Plan, console: Console) -> int:
    if plan.serving.workers is not None:
        from pync.serving.workers import run_workers

        return run_workers(where, plan, console)
    from pync.serving.serve import run_once, run_server

    many = plan.serving.keep_open or plan.work.answered
    return run_server(where, plan, console) if many else run_once(where, plan, console)


def _run_datagrams(where: Target, plan: Plan, console: Console) -> int:
    if plan.work.answered or plan.work.program:
        return _run_datagram_offer(where, plan, console)
    from pync.serving.udp import run_udp

    return run_udp(where, plan, console)


def _run_datagram_offer(where: Target, plan: Plan, console: Console) -> int:
    if plan.work.program:
        from pync.serving.udp_program import run_udp_program

        return run_udp_program(where, plan, console)
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
