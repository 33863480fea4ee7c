"""From the options to what each direction's bytes pass through: -C, -t, -o, --hex-dump, --hash, --stamp, --prefix.

The codecs live in `wire`; here they are given their files and their way back to the peer.
Without any of these options the lists are empty, and the zero-copy movers stay in use.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time

from pync.errors import NETWORK, TIMEOUT, Fault, reason
from pync.net import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pync.engine.flow import Flow
    from pync.net.endpoint import SocketEndpoint
    from pync.net.loop import Reactor
    from pync.net.move import Stage
    from pync.plan import Plan
    from pync.wire.digest import Digest
    from pync.wire.lines import SharedLines
    from pync.wire.margin import Margin
    from pync.wire.pacing import Pacer
    from pync.wire.telnet import Telnet

    class Tap(Protocol):
        """Sees bytes and says what to write down about them."""

        def see(self, data: bytes) -> bytes: ...


#: Seconds that a FIFO may take to get its reader, which a script may start together with us; and between two looks.
READER, AGAIN = 1.0, 0.02


#: The most of a request's first line: what servers take of it.
LONGEST_LINE = 1 << 14
LONGEST_METHOD = 32


class LogFile:
    """A file that a tap writes to, shared by both directions; unbuffered, so that nothing is held back."""

    def __init__(self, path: str, append: bool, total: float | None = None) -> None:
        """Open the file. `total` are the seconds of --total-timeout, which a FIFO without a reader may not exceed.

        Raises:
            Fault: it cannot be opened, or (code 3) a FIFO had no reader within `total`.
        """
        self._path = path
        self._stuck = False  # given up: the reader of a FIFO took nothing while we had to end
        started = time.monotonic()
        self._until = float("inf") if total is None else started + total
        limit = READER if total is None else min(total, READER)
        deadline = started + limit
        while True:
            try:
                self._fd = self._open(append)
                return
            except OSError as error:
                if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                    raise Fault(f"open {path}: {reason(error)}") from None
            if time.monotonic() >= deadline:
                code = NETWORK if limit == READER else TIMEOUT
                raise Fault(f"open {path}: no program reads from this FIFO", code)
            wake.sleep(AGAIN)

    def _open(self, append: bool) -> int:
        """Without O_NONBLOCK, a FIFO would hold us up until it is read, whatever limits and signals say (fifo(7))."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        return os.open(self._path, flags | os.O_NONBLOCK, 0o666)

    def write(self, data: bytes) -> None:
        """Write all of it, however slow the reader of a FIFO is: until we have to end, then it has lost the rest.

        Raises:
            Fault: the file takes no more.
        """
        rest = memoryview(data)
        while rest and not self._stuck:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                self._stuck = not self._wait()
            except OSError as error:
                raise Fault(f"write {self._path}: {reason(error)}") from None

    def _wait(self) -> bool:
        """Wait for room; False when --total-timeout or a signal ends the run, which is for its loop to do."""
        while not (wake.must_end() or time.monotonic() >= self._until):
            if _has_room(self._fd, AGAIN):
                return True
        return False

    def close(self) -> None:
        os.close(self._fd)


def _has_room(fd: int, seconds: float) -> bool:
    """Wait for room for so long at most."""
    waiting = select.poll()
    waiting.register(fd, select.POLLOUT)
    return bool(waiting.poll(seconds * 1000))


class Raw:
    """The tap of -o: the bytes as they are."""

    def see(self, data: bytes) -> bytes:
        return data


class Tapped:
    """A stage that shows the bytes to a tap and passes them on unchanged."""

    def __init__(self, tap: Tap, write: Callable[[bytes], None] | None = None) -> None:
        self._tap = tap
        self._write = write

    def feed(self, data: bytes) -> bytes:
        record = self._tap.see(data)
        if self._write is not None:
            self._write(record)
        return data

    def end(self) -> bytes:
        return b""


class Refusal:
    """The stage of -t: takes the commands out, and answers them over the peer's own socket.

    Answers are not data of our input: they may stand between any two bytes of it (RFC 854), but no
    data between two of theirs. What the socket does not take at once holds both flows, so that
    nothing gets between, and a peer that asks and never reads cannot fill our memory.
    """

    def __init__(self, telnet: Telnet, peer: SocketEndpoint, loop: Reactor) -> None:
        self._telnet = telnet
        self._peer = peer
        self._loop = loop
        self._unsent = b""
        self._wake_fd = -1
        self.flows: list[Flow] = []

    def feed(self, data: bytes) -> bytes:
        onward, reply = self._telnet.feed(data)
        if reply:
            self._unsent += reply
            self._send()
        return onward

    def end(self) -> bytes:
        self.close()
        return b""

    def close(self) -> None:
        if self._wake_fd >= 0:
            self._loop.remove_writer(self._wake_fd)
            os.close(self._wake_fd)
            self._wake_fd = -1

    def _send(self) -> None:
        try:
            count = self._peer.write(self._unsent)
        except OSError:
            count = len(self._unsent)  # our side is closed already: nobody takes answers any more
        self._unsent = self._unsent[count or 0 :]
        if self._unsent and self._wake_fd < 0:
            self._hold()
        elif not self._unsent and self._wake_fd >= 0:
            self.close()
            for flow in self.flows:
                flow.release()

    def _hold(self) -> None:
        # A descriptor of its own: the other direction may be waiting for the socket's one too.
        self._wake_fd = os.dup(self._peer.fd)
        self._loop.add_writer(self._wake_fd, self._send)
        for flow in self.flows:
            flow.hold()


class FirstBytes:
    """The stage that looks whether what we send begins with an HTTP/1 request line, and leaves when it knows.

    `on_request` is given all that was seen until then. It is the last of the `stages`, for what counts is what is sent.
    """

    def __init__(self, stages: list[Stage], on_request: Callable[[bytes], object]) -> None:
        self._stages = stages
        self._on_request = on_request
        self._seen = b""

    def feed(self, data: bytes) -> bytes:
        self._seen += data
        verdict = begins_request(self._seen)
        if verdict is not None:
            self._stages.remove(self)
            if verdict:
                self._on_request(self._seen)
            self._seen = b""
        return data

    def end(self) -> bytes:
        return b""


def begins_request(data: bytes) -> bool | None:
    """Whether this begins with the first line of an HTTP/1 request (RFC 9112, section 3); None: too short to tell."""
    end = data.find(b"\n", 0, LONGEST_LINE)
    words = data[: LONGEST_LINE if end < 0 else end].split(b" ")
    method = words[0].replace(b"-", b"")
    if method and not (method.isalpha() and method.isupper() and len(method) < LONGEST_METHOD):
        return False
    if end < 0:
        return None if len(data) < LONGEST_LINE else False
    return len(words) == 3 and words[2].rstrip(b"\r") in (b"HTTP/1.0", b"HTTP/1.1")


class Taps:
    """What looks at the session, opened once for a whole run: the log files and the digests.

    With a `margin` the log files are text: each line begins with it, and the last one ends with a newline.
    """

    def __init__(self, plan: Plan, margin: Margin | None = None) -> None:
        self._margin = margin
        self._records = plan.names.datagram
        self._files: list[LogFile] = []
        self._texts: list[tuple[LogFile, SharedLines]] = []
        self._sent: list[Stage] = []
        self._received: list[Stage] = []
        self._digests: list[tuple[str, Digest]] = []
        self._output = plan.pipeline.output
        try:
            self._make(plan)
        except BaseException:
            self.close()
            raise

    def _make(self, plan: Plan) -> None:
        if plan.pipeline.hash is not None:  # first: a bad name must not cost the old log its bytes
            from pync.wire.digest import Digest

            sent, received = Digest(plan.pipeline.hash), Digest(plan.pipeline.hash)
            self._digests = [("sent", sent), ("received", received)]
            self._add(Tapped(sent), Tapped(received))
        if plan.pipeline.output is not None:
            self._log(plan.pipeline.output, plan, Raw(), Raw())
        if plan.pipeline.hex_dump is not None:
            from pync.wire.hexdump import RECEIVED, SENT, HexDump

            self._log(plan.pipeline.hex_dump, plan, HexDump(SENT), HexDump(RECEIVED))

    def sent(self) -> list[Stage]:
        return list(self._sent)

    def received(self) -> list[Stage]:
        return list(self._received)

    def digests(self) -> list[tuple[str, Digest, str | None]]:
        """For each direction: the direction, the digest, and the path of -o if nothing else was written there."""
        seen = [digest.size for _, digest in self._digests]
        log = None if all(seen) else self._output
        return [(direction, digest, log) for direction, digest in self._digests]

    def close(self) -> None:
        texts, self._texts = self._texts, []
        files, self._files = self._files, []
        try:
            for file, lines in texts:
                file.write(lines.close())
        finally:
            for file in files:
                file.close()

    def _log(self, path: str, plan: Plan, sent: Tap, received: Tap) -> None:
        file = LogFile(path, plan.pipeline.append_output, plan.limits.total)
        self._files.append(file)
        if self._margin is not None:
            from pync.wire.lines import SharedLines
            from pync.wire.margin import OURS, Lined, LinedTap

            lines = SharedLines(self._margin.mark)
            self._texts.append((file, lines))
            sent = LinedTap(sent, Lined(lines, lambda: OURS, records=self._records))
            received = LinedTap(received, Lined(lines, self._margin.who, records=self._records))
        self._add(Tapped(sent, file.write), Tapped(received, file.write))

    def _add(self, sent: Stage, received: Stage) -> None:
        self._sent.append(sent)
        self._received.append(received)


def upward(plan: Plan, taps: Taps) -> list[Stage]:
    """What our input passes through on its way to the peer."""
    stages = taps.sent()
    if plan.pipeline.crlf:
        from pync.wire.newlines import Crlf

        stages.insert(0, Crlf())
    if plan.names.datagram and (plan.pipeline.lines or plan.pipeline.interval is not None):
        from pync.net.datagram import LARGEST
        from pync.wire.lines import WholeLines

        stages.insert(0, WholeLines(plan.pipeline.datagram_size or LARGEST))
    return stages


def margin(plan: Plan) -> Margin | None:
    """What begins each line of the output and the logs, where --stamp or --prefix asks for it."""
    if not plan.pipeline.stamp and not plan.pipeline.prefix:
        return None
    import time

    from pync.wire.margin import Margin

    return Margin(time.time if plan.pipeline.stamp else None)


def pacers(plan: Plan, now: float, *, upward: bool) -> list[Pacer]:
    """What holds a direction back: --rate and --delay both, -i only what we send."""
    if not plan.pipeline.paced:
        return []
    from pync.wire.pacing import Pause, Rate

    found: list[Pacer] = []
    if plan.pipeline.rate is not None:
        found.append(Rate(plan.pipeline.rate, now))
    if plan.pipeline.delay is not None:
        found.append(Pause(plan.pipeline.delay))
    if upward and plan.pipeline.interval is not None:
        found.append(Pause(plan.pipeline.interval))
    return found


def refusal(plan: Plan, peer: SocketEndpoint, loop: Reactor) -> Refusal | None:
    """The telnet stage, where -t asks for it."""
    if not plan.pipeline.telnet:
        return None
    from pync.wire.telnet import Telnet

    return Refusal(Telnet(), peer, loop)
