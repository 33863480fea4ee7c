"""The three standard streams of a run, as one object that a library caller or a test can replace.

Messages go out here, a line each, with control characters made harmless. What is said, and
when, is not decided here.
"""

from __future__ import annotations

import os

from pync.errors import Fault, reason
from pync.net.endpoint import NothingEndpoint, in_background, local_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from pync.net.endpoint import Endpoint


class Console:
    """Where input comes from, where output goes, and whom to tell.

    `stdin` and `stdout` are descriptors; None stands for one that is closed.
    """

    def __init__(self, stdin: int | None, stdout: int | None, stderr: TextIO | None) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self.verbose = 0

    def say(self, text: str) -> None:
        """Print to stderr, whatever state it is in."""
        if self._stderr is None:
            return
        try:
            self._stderr.write(_harmless(text) + "\n")
            self._stderr.flush()
        except (OSError, ValueError):
            self._stderr = None  # it is closed: there is nobody to tell

    def fail(self, text: str) -> None:
        """Print an error, each line with our name in front."""
        for line in text.splitlines():
            self.say(f"pync: {line}")

    def print(self, text: str) -> None:
        """Write an answer (--help, --version, --json) to the output; a reader that leaves early is no failure.

        Raises:
            Fault: the output takes no more.
        """
        rest = text.encode(errors="replace")
        try:
            while rest and self._stdout is not None:
                rest = rest[os.write(self._stdout, rest) :]
        except BrokenPipeError:
            return
        except OSError as error:
            raise Fault(f"write to standard output: {reason(error)}") from None

    def output_is_terminal(self) -> bool:
        """Whether a person reads the output."""
        return self._stdout is not None and os.isatty(self._stdout)

    def note(self, text: str) -> None:
        """Print to stderr with -v."""
        if self.verbose:
            self.say(text)

    def input(self) -> Endpoint | None:
        """Our input; None where there is none to read: closed, or a terminal in whose background we run."""
        if self._stdin is None or in_background(self._stdin):
            return None
        try:
            return local_endpoint(self._stdin, writing=False)
        except OSError:
            return None

    def output(self) -> Endpoint:
        """Our output; a closed one takes everything and keeps nothing."""
        if self._stdout is None:
            return NothingEndpoint()
        try:
            return local_endpoint(self._stdout, writing=True)
        except OSError:
            return NothingEndpoint()


def _harmless(text: str) -> str:
    """Without control characters: a hostile name must not reach the terminal (CWE-150)."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )
