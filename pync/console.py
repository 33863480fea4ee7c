"""The three standard streams of a run, as one object that a library caller or a test can replace.

Each message is a line: text with its control characters replaced, or with --json an object. The modes decide what to
say and when; `outcome` collects the results of the run.
"""

from __future__ import annotations

import os

from pync.errors import Fault, reason
from pync.net.endpoint import TTY, NothingEndpoint, in_background, local_endpoint
from pync.outcome import Outcome, holding, numeric
from pync.values import format_moved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol, TextIO

    from pync.net.endpoint import Endpoint
    from pync.net.loop import Reactor
    from pync.net.move import Stage
    from pync.outcome import Digest

    class Outlet(Protocol):
        """A way to stderr that never blocks: `write` returns the number of bytes taken, None if there is no room."""

        kind: str

        @property
        def fd(self) -> int: ...
        def write(self, data: bytes) -> int | None: ...
        def close(self) -> None: ...

    class Meter(Protocol):
        """Shows the progress of the sessions (--progress)."""

        def begin(self, loop: Reactor, counts: Callable[[], tuple[int, int]], input_fd: int) -> None: ...
        def end(self) -> None: ...
        def clear(self) -> None: ...
        def stages(self) -> Sequence[Stage]: ...
        def close(self) -> None: ...


class TextOutlet:
    """A text stream without a descriptor, such as one in memory."""

    kind = "text"
    fd = -1

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int | None:
        self._stream.write(data.decode())
        self._stream.flush()
        return len(data)

    def close(self) -> None:
        """Leave the stream open, because it belongs to the caller."""


class Console:
    """The streams of a run: input, output and messages.

    `stdin` and `stdout` are descriptors; None stands for a closed one. With `json` each message is an object.
    `meter` follows the sessions (--progress), `outcome` collects the results of the run. `owned` descriptors belong
    to us and may be replaced.
    """

    def __init__(self, stdin: int | None, stdout: int | None, stderr: TextIO | None, *, owned: bool = False) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._owned = owned
        self._stderr = stderr
        self.verbose = 0
        self.json = False
        self.meter: Meter | None = None
        self.outcome = Outcome()
        self._paths: dict[str, str] = {}

    def say(self, text: str, event: str = "message", at: Any = None, **facts: Any) -> None:
        """Print to stderr; a closed or broken stderr is ignored.

        With --json the line is an object: the event, the address `at` (a sockaddr), the facts, the text.
        """
        if self.json:
            self._tell(event, {**({} if at is None else numeric(at)), **facts, "text": text})
        else:
            self._write(_harmless(text))

    def note(self, text: str, event: str = "message", at: Any = None, **facts: Any) -> None:
        """Print to stderr with -v."""
        if self.verbose:
            self.say(text, event, at, **facts)

    def warn(self, text: str, event: str = "warning", **facts: Any) -> None:
        """Print a warning, each line with our name in front. The run goes on."""
        for line in text.splitlines():
            self.say(line if self.json else f"pync: {line}", event, **facts)

    def fail(self, text: str, **facts: Any) -> None:
        """Print an error, each line with our name in front."""
        self.outcome.failed(text)
        self.warn(text, "error", **facts)

    def moved(self, sent: int | None, received: int | None, seconds: float) -> None:
        """A session is over: with -v print its bytes. None stands for bytes that we have not seen."""
        self.outcome.moved(sent, received, seconds)
        if sent is not None and received is not None:
            self.note(format_moved(sent, received, seconds), "closed", sent=sent, received=received)

    def dropped(self, datagrams: int) -> None:
        """A conversation by datagrams is over: report those that the system threw away, also without -v."""
        if datagrams:
            self.outcome.dropped(datagrams)
            were = "datagram was" if datagrams == 1 else "datagrams were"
            self.warn(f"{datagrams} {were} dropped because we were too slow", dropped=datagrams)

    def hashed(self, digests: Iterable[tuple[str, Digest, str | None]]) -> None:
        """Keep the digest of each direction, with the log file that may hold the same bytes, for the end of the run."""
        self.outcome.hashed(
            (direction, digest, holding((self._paths.get(direction), log), digest.size))
            for direction, digest, log in digests
        )

    def report(self) -> None:
        """Print the counts of a listener, because a signal asks for them."""
        if not self.json:
            for line in self.outcome.report():
                self.say(line)
        elif (counts := self.outcome.listener()) is not None:
            self._tell("listener", {"listener": counts})

    def _tell(self, event: str, facts: dict[str, Any]) -> None:
        import json

        self._write(json.dumps({"event": event, **facts}))

    def _write(self, line: str) -> None:
        if self._stderr is None:
            return
        if self.meter is not None:
            self.meter.clear()
        try:
            self._stderr.write(line + "\n")
            self._stderr.flush()
        except (OSError, ValueError):
            self._stderr = None  # it is closed

    def print(self, text: str) -> None:
        """Write an answer (--help, --version, --json) to the output. A reader may leave early.

        Raises:
            Fault: the output is closed, or writing fails.
        """
        self.check_output()
        assert self._stdout is not None
        rest = text.encode(errors="replace")
        try:
            while rest:
                rest = rest[os.write(self._stdout, rest) :]
        except BrokenPipeError:
            return
        except OSError as error:
            raise Fault(f"write to standard output: {reason(error)}") from None

    def close(self, code: int) -> None:
        """The run is over with this exit code: print its results."""
        if self.json:
            self.report()
            if (summary := self.outcome.summary(code)) is not None:
                self._tell("summary", {"summary": summary})
        else:
            for line in self.outcome.hashes():
                self.say(line)
            for line in self.outcome.words():
                self.note(line)
        if self.meter is not None:
            self.meter.close()

    def remember_files(self) -> None:
        """Remember the files of our input and output, because the output may be closed before the end."""
        for direction, fd in (("sent", self._stdin), ("received", self._stdout)):
            try:
                self._paths[direction] = os.readlink(f"/proc/self/fd/{fd}")
            except OSError:  # closed, or a system without /proc
                continue

    def output_is_terminal(self) -> bool:
        """Whether the output is a terminal."""
        return self._stdout is not None and os.isatty(self._stdout)

    def output_columns(self) -> int:
        """The width of the terminal that shows the output; 0 if the output is no terminal."""
        if self._stdout is None or not os.isatty(self._stdout):
            return 0
        return os.get_terminal_size(self._stdout).columns or 80

    def outlet(self) -> Outlet:
        """A way to stderr that never blocks, for output that may be dropped."""
        if self._stderr is None:
            return NothingEndpoint()
        try:
            return local_endpoint(self._stderr.fileno(), writing=True)
        except (OSError, ValueError, AttributeError):
            return TextOutlet(self._stderr)

    @property
    def encoding(self) -> str:
        """The encoding of stderr."""
        return getattr(self._stderr, "encoding", None) or "utf-8"

    def input(self) -> Endpoint | None:
        """Our input; None if it is closed, or a terminal while we are a background job."""
        if self._stdin is None or in_background(self._stdin):
            return None
        try:
            return local_endpoint(self._stdin, writing=False)
        except OSError:
            return None

    def output(self) -> Endpoint:
        """Our output.

        Raises:
            Fault: the output is closed, so that received bytes would be lost.
        """
        self.check_output()
        assert self._stdout is not None
        return local_endpoint(self._stdout, writing=True)

    def let_go(self, output: Endpoint) -> bool:
        """Close our output after its last byte; /dev/null takes its descriptor. A terminal stays open.

        The descriptor of a library caller stays open too, because only our own descriptors are closed.
        """
        if output.kind == TTY:
            return False
        output.close()
        if self._owned and self._stdout is not None:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stdout)
            os.close(null)
        return True

    def check_output(self) -> None:
        """Check that there is an output, before anything else is opened.

        Raises:
            Fault: it is closed.
        """
        try:
            os.fstat(-1 if self._stdout is None else self._stdout)
        except OSError:
            raise Fault("standard output is closed: there is nowhere to write to") from None


def _harmless(text: str) -> str:
    """The text with its control characters replaced, because a hostile name must not control the terminal (CWE-150)."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )
