"""The three standard streams of a run, as one object that a library caller or a test can replace.

Messages go out here, a line each: text with control characters made harmless, or with --json an object. What is
said, and when, is not decided here; what the run comes to is collected in `outcome`.
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
        """A way to stderr that never blocks: `write` gives the bytes taken, None where there is no room."""

        kind: str

        @property
        def fd(self) -> int: ...
        def write(self, data: bytes) -> int | None: ...
        def close(self) -> None: ...

    class Meter(Protocol):
        """Shows how far the sessions are (--progress)."""

        def begin(self, loop: Reactor, counts: Callable[[], tuple[int, int]], input_fd: int) -> None: ...
        def end(self) -> None: ...
        def clear(self) -> None: ...
        def stages(self) -> Sequence[Stage]: ...
        def close(self) -> None: ...


class TextOutlet:
    """A stream of text that has no descriptor, such as one in memory."""

    kind = "text"
    fd = -1

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int | None:
        self._stream.write(data.decode())
        self._stream.flush()
        return len(data)

    def close(self) -> None:
        """The stream is the caller's."""


class Console:
    """Where input comes from, where output goes, and where messages go.

    `stdin` and `stdout` are descriptors; None stands for one that is closed. With `json` each message is an
    object. `meter` follows the sessions (--progress), `outcome` collects what the run comes to.
    `owned` descriptors may be replaced.
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
        """Print to stderr, whatever state it is in.

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
        """Print what is no failure of the run, each line with our name in front."""
        for line in text.splitlines():
            self.say(line if self.json else f"pync: {line}", event, **facts)

    def fail(self, text: str, **facts: Any) -> None:
        """Print an error, each line with our name in front."""
        self.outcome.failed(text)
        self.warn(text, "error", **facts)

    def moved(self, sent: int | None, received: int | None, seconds: float) -> None:
        """A session is over: with -v its bytes are told; None where they passed by unseen."""
        self.outcome.moved(sent, received, seconds)
        if sent is not None and received is not None:
            self.note(format_moved(sent, received, seconds), "closed", sent=sent, received=received)

    def dropped(self, datagrams: int) -> None:
        """A conversation by datagrams is over: those that the system threw away are always told."""
        if datagrams:
            self.outcome.dropped(datagrams)
            were = "datagram was" if datagrams == 1 else "datagrams were"
            self.warn(f"{datagrams} {were} dropped because we were too slow", dropped=datagrams)

    def hashed(self, digests: Iterable[tuple[str, Digest, str | None]]) -> None:
        """The digest of each direction, with the log file that may hold the same bytes. They are told at the end."""
        self.outcome.hashed(
            (direction, digest, holding((self._paths.get(direction), log), digest.size))
            for direction, digest, log in digests
        )

    def report(self) -> None:
        """Tell the counts of a listener, because a signal asks for them."""
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
            self._stderr = None  # it is closed: nothing can be told any more

    def print(self, text: str) -> None:
        """Write an answer (--help, --version, --json) to the output; a reader that leaves early is no failure.

        Raises:
            Fault: the output is closed, or takes no more.
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
        """The run is over with this exit code: say what it came to."""
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
        """Note which files our input and output are now: the output may be let go of before the end."""
        for direction, fd in (("sent", self._stdin), ("received", self._stdout)):
            try:
                self._paths[direction] = os.readlink(f"/proc/self/fd/{fd}")
            except OSError:  # closed, or a system without /proc
                continue

    def output_is_terminal(self) -> bool:
        """Whether a person reads the output."""
        return self._stdout is not None and os.isatty(self._stdout)

    def output_columns(self) -> int:
        """The width of the terminal that shows the output, 0 where it is none."""
        if self._stdout is None or not os.isatty(self._stdout):
            return 0
        return os.get_terminal_size(self._stdout).columns or 80

    def outlet(self) -> Outlet:
        """A way to stderr that never blocks, for what may be left out."""
        if self._stderr is None:
            return NothingEndpoint()
        try:
            return local_endpoint(self._stderr.fileno(), writing=True)
        except (OSError, ValueError, AttributeError):
            return TextOutlet(self._stderr)

    @property
    def encoding(self) -> str:
        """The characters that stderr can show."""
        return getattr(self._stderr, "encoding", None) or "utf-8"

    def input(self) -> Endpoint | None:
        """Our input; None where there is none to read: closed, or a terminal in whose background we run."""
        if self._stdin is None or in_background(self._stdin):
            return None
        try:
            return local_endpoint(self._stdin, writing=False)
        except OSError:
            return None

    def output(self) -> Endpoint:
        """Our output.

        Raises:
            Fault: it is closed: what is received would be lost.
        """
        self.check_output()
        assert self._stdout is not None
        return local_endpoint(self._stdout, writing=True)

    def let_go(self, output: Endpoint) -> bool:
        """Close our output after its last byte: /dev/null takes the descriptor's place. A terminal stays.

        A descriptor that is a library caller's stays open too: only what we have opened ourselves is closed.
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
        """See that there is an output, before anything else is opened.

        Raises:
            Fault: it is closed.
        """
        try:
            os.fstat(-1 if self._stdout is None else self._stdout)
        except OSError:
            raise Fault("standard output is closed: there is nowhere to write to") from None


def _harmless(text: str) -> str:
    """Without control characters: a hostile name must not reach the terminal (CWE-150)."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )
