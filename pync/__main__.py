"""The command: words in, exit code out. This file handles signals and missing descriptors.

Every failure becomes an exit code and a line on stderr. No other part of the program exits.
"""

from __future__ import annotations

import os
import signal
import sys

from pync.app import run_words
from pync.console import Console
from pync.errors import INTERRUPTED, NETWORK, Terminated, unforeseen
from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run the command with the words and streams of this process."""
    try:
        console = Console(*_standard_descriptors(), sys.stderr, owned=True)
        wake.install()
    except OSError as error:
        print(f"pync: {unforeseen(error)}", file=sys.stderr)
        return NETWORK
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup(1) leaves it
            signal.signal(number, _terminate)
    try:
        return run_words(sys.argv[1:], console)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated as end:
        return end.code


def _standard_descriptors() -> tuple[int | None, int | None]:
    """Descriptors 0 and 1; None for a closed one.

    A closed descriptor among 0, 1 and 2 is opened on /dev/null, because the next socket would otherwise get its
    number and be read as standard input.
    """
    missing = [fd for fd in (0, 1, 2) if not _is_open(fd)]
    for _ in missing:
        os.open(os.devnull, os.O_RDWR)
    return (None if 0 in missing else 0), (None if 1 in missing else 1)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(wake.ENDS[signal.Signals(number)])


if __name__ == "__main__":
    sys.exit(main())
