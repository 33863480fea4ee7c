"""From options to the runner that does the work: the one place of lazy imports.

Each mode imports its own modules and no other's. Nothing is parsed here, and nothing printed but
the faults of a run.
"""

from __future__ import annotations

from pync.errors import INTERRUPTED, NETWORK, OK, AddressInUse, Fault, Terminated, UsageFault, unforeseen
from pync.options import BUILT_IN, PROGRAMS, Options, any_of, check, imply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.console import Console
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

    console.verbose, console.json = options.verbose, options.json
    if options.zero or options.until_closed:
        return _run_probe(options, console)
    if options.ports:
        return _run_ports(options, console)
    where = target(options)
    if options.listen and not options.udp and (options.keep_open or any_of(options, BUILT_IN)):
        return _run_server(where, options, console)
    _follow(options, console)
    if options.udp:
        return _run_datagrams(where, options, console)
    if options.listen:
        from pync.serving.accept import run_listener

        return run_listener(where, options, console)
    from pync.serving.client import run_client

    return run_client(where, options, console)


def _run_server(where: Target, options: Options, console: Console) -> int:
    if options.recv_limit is not None and any_of(options, BUILT_IN):
        raise UsageFault("-W/--recv-limit with a service needs -u/--udp")
    if options.workers is not None:
        from pync.serving.workers import run_workers

        return run_workers(where, options, console)
    from pync.serving.serve import run_server

    return run_server(where, options, console)


def _run_datagrams(where: Target, options: Options, console: Console) -> int:
    if any_of(options, (*BUILT_IN, *PROGRAMS)):
        return _run_datagram_offer(where, options, console)
    from pync.serving.udp import run_udp

    return run_udp(where, options, console)


def _run_datagram_offer(where: Target, options: Options, console: Console) -> int:
    from pync.serving.binding import admission_for

    if any_of(options, PROGRAMS):
        from pync.serving.udp_program import run_udp_program

        return run_udp_program(where, options, console, admission_for(options))
    from pync.serving.udp_services import run_udp_service

    return run_udp_service(where, options, console, admission_for(options))


def _follow(options: Options, console: Console) -> None:
    """Let the sessions of the run be followed, where --progress asks for it."""
    if options.progress:
        from pync.meter.display import display_for
        from pync.meter.progress import Meter
        from pync.net import wake
        from pync.net.endpoint import TTY

        outlet = console.outlet()
        terminal = outlet.kind == TTY
        display = display_for(outlet, terminal=terminal, encoding=console.encoding, objects=options.json)
        console.meter = Meter(display, options.size, wake.Handlers())


def _run_ports(options: Options, console: Console) -> int:
    from pync.net import wake
    from pync.ports.mode import run_ports
    from pync.wire.address import parse_ports

    words = [] if options.unix else options.words
    return run_ports(
        [port for word in words for port in parse_ports(word)], options, console, wake.descriptor(), wake.drain
    )


def _run_probe(options: Options, console: Console) -> int:
    from pync.wire.address import targets

    where = targets(options)
    if options.wait is not None:
        from pync.probe.patience import wait_for_ports

        return wait_for_ports(where, options, console)
    from pync.probe.scan import run_scan

    return run_scan(where, options, console)
