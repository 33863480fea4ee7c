"""`pync.run`: the whole command as a function, with the caller's streams, and with an event that ends it.

`app` runs the command. Here streams become descriptors, and a stop becomes an exit code.
"""

from __future__ import annotations

import sys

from pync.app import run_words
from pync.console import Console
from pync.errors import Terminated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from threading import Event
    from typing import IO, Any, TextIO


def run(
    argv: Sequence[str],
    stdin: IO[bytes] | IO[str] | int | None = None,
    stdout: IO[bytes] | IO[str] | int | None = None,
    stderr: TextIO | None = None,
    *,
    stop: Event | None = None,
) -> int:
    """Run the command `pync` with these words in this process.

    Args:
        argv: the words behind the command's name, such as `["-l", "10000"]`.
        stdin: a descriptor or a file object; None for descriptor 0. Of an object without a descriptor, such as
            BytesIO, more may be read than is sent. Text is encoded as UTF-8.
        stdout: the same for the output; None for sys.stdout. Buffered text of the caller's should be flushed before.
        stderr: a text file for messages; None for sys.stderr.
        stop: an event, such as a `pync.Stop`, that another thread sets to end the run as SIGTERM ends the command.

    Returns:
        The exit code (`pync.errors.EXIT_CODES`); 143 after a stop. Failures are printed to `stderr`, not raised.
        What a file object without a descriptor raises is raised at the end, and KeyboardInterrupt passes
        through. `stdin` and `stdout` stay open, also when the peer has ended (the command closes its output
        then; here its reader sees the end when the caller closes it), and are never set non-blocking; no signal
        handler is touched.
    """
    from contextlib import ExitStack

    with ExitStack() as streams:
        reading = 0 if stdin is None else _reading(stdin, streams)
        writing = _writing(sys.stdout if stdout is None else stdout, streams)
        console = Console(reading, writing, sys.stderr if stderr is None else stderr)
        if stop is None:
            return run_words(list(argv), console)
        from pync.net.stop import Stopping

        try:
            with Stopping(stop):
                return run_words(list(argv), console)
        except Terminated as end:
            return end.code


def _reading(stream: IO[Any] | int, streams: ExitStack) -> int:
    fd = _descriptor(stream)
    if fd is not None:
        return fd
    assert not isinstance(stream, int)
    from pync.net.file_object import Source

    source = Source(stream)
    streams.callback(source.close)
    return source.fd


def _writing(stream: IO[Any] | int | None, streams: ExitStack) -> int:
    if stream is None:  # a process without sys.stdout may still have descriptor 1
        return 1
    fd = _descriptor(stream)
    if fd is not None:
        return fd
    assert not isinstance(stream, int)
    from pync.net.file_object import Sink

    sink = Sink(stream)
    streams.callback(sink.close)
    return sink.fd


def _descriptor(stream: IO[Any] | int) -> int | None:
    """The descriptor of an open file; None for an object without one."""
    if isinstance(stream, int):
        return stream
    try:
        return stream.fileno()
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
