"""From options to the runner that does the work: the one place of lazy imports.

Each mode imports its own modules and no other's. Nothing is parsed here, and nothing printed but
the faults of a run.
"""

from __future__ import annotations

from pync.errors import NETWORK, OK, Fault
from pync.options import Options, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, TextIO

    from pync.engine.console import Console


def run(
    argv: Sequence[str],
    stdin: IO[bytes] | IO[str] | int | None = None,
    stdout: IO[bytes] | IO[str] | int | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Do what the command `pync` does with these words, in this process.

    Args:
        argv: the words behind the command's name, such as `["-l", "10000"]`.
        stdin: a descriptor, or a file that has one; None for this process's standard input.
        stdout: the same for the output. Buffered text of the caller's should be flushed before.
        stderr: a text file for messages; None for this process's.

    Returns:
        The exit code (`pync.errors.EXIT_CODES`). Failures are printed to `stderr`, not raised;
        KeyboardInterrupt passes through. `stdin` and `stdout` stay open and are never set
        non-blocking; no signal handler is touched.
    """
    import sys

    from pync.engine.console import Console

    console = Console(_descriptor(stdin, 0), _descriptor(stdout, 1), sys.stderr if stderr is None else stderr)
    return run_words(list(argv), console)


def _descriptor(stream: IO[bytes] | IO[str] | int | None, standard: int) -> int:
    if stream is None:
        return standard
    return stream if isinstance(stream, int) else stream.fileno()


def run_words(argv: list[str], console: Console) -> int:
    """Parse the words (the quick way where it will do) and run them; returns the exit code."""
    from pync.cli.argv import parse

    options: Options | str | None = parse(argv)
    try:
        if options is None:
            from pync.cli.command import parse_with_typer

            options = parse_with_typer(argv, terminal=console.output_is_terminal())
        if isinstance(options, str):
            console.print(options)
            return OK
        check(options)
        return run_options(options, console)
    except Fault as fault:
        console.fail(fault.text)
        return fault.code
    except OSError as error:  # nothing that was foreseen, such as no descriptor left
        console.fail(str(error))
        return NETWORK


def run_options(options: Options, console: Console) -> int:
    """Run the mode that the options name; returns the exit code.

    Raises:
        Fault: what the user should read, with the exit code.
    """
    from pync.wire.address import target

    console.verbose = options.verbose
    if options.zero or options.until_closed:
        return _run_probe(options, console)
    where = target(options)
    if options.udp:
        from pync.engine.udp import run_udp

        return run_udp(where, options, console)
    if options.listen:
        from pync.engine.accept import run_listener

        return run_listener(where, options, console)
    from pync.engine.client import run_client

    return run_client(where, options, console)


def _run_probe(options: Options, console: Console) -> int:
    from pync.wire.address import targets

    where = targets(options)
    if options.wait is not None:
        from pync.engine.patience import wait_for_ports

        return wait_for_ports(where, options, console)
    from pync.engine.scan import run_scan

    return run_scan(where, options, console)
