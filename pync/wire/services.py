"""The built-in services: what is said to a client, as bytes in and bytes out.

Each class is one connection's conversation and remembers a bounded amount of it. No socket, no clock
and no loop is known here: whoever runs a service brings the bytes, says when it was silent, and
sends what comes back. HTTP, the largest of them, has a file of its own.
"""

from __future__ import annotations

import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[], float]

# --- what every service has


class FilePiece:
    """`count` bytes of an open file from `offset` on, sent without passing through our memory.

    The descriptor belongs to the service that made the piece, which closes it in its `close`.
    """

    __slots__ = ("count", "fd", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = fd
        self.offset = offset
        self.count = count


class Service:
    """One client's conversation. The defaults are those of a service that listens and says nothing."""

    #: Seconds of silence behind unfinished input after which `lull` is called; None: never.
    quiet: float | None = None
    #: Seconds a request may take to arrive whole, from the start or from the last answer's end.
    time_limit: float | None = None
    #: Seconds a client may take nothing of what is being sent before it is closed.
    stall_limit: float | None = None
    #: True: nothing more will be said; close once everything is sent.
    closing = False
    #: True: what `feed` answers is all there is to say, and never nothing; the rest need not be asked for.
    simple = False
    #: True: `more` is to be asked again though it had nothing to say, for it has work left.
    busy = False
    #: True: there is always more to say. A client that leaves in the middle has had enough: no failure.
    endless = False

    def greet(self) -> bytes:
        """What is said before anything was heard."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """The answer to what has arrived."""
        return b""

    def more(self) -> bytes | FilePiece:
        """Asked when everything is sent: what else there is to say; b"" means to wait for the client."""
        return b""

    def lull(self) -> bytes:
        """`quiet` seconds have passed since the last bytes."""
        return b""

    def expire(self) -> bytes:
        """`time_limit` is over: last words."""
        self.closing = True
        return b""

    def end(self) -> bytes:
        """The client's end of data: last words; then what `more` has is sent and the connection closed."""
        return b""

    def close(self) -> None:
        """The connection is over: give back what is held."""

    def datagram(self, data: bytes) -> bytes | None:
        """The answer to a datagram, None for none. One service answers all peers and remembers none of them."""
        return None


# --- echo, discard, upper


class Echo(Service):
    """RFC 862: what arrives goes back."""

    simple = True

    def feed(self, data: bytes) -> bytes:
        return data

    def datagram(self, data: bytes) -> bytes:
        return data


class Discard(Service):
    """RFC 863: what arrives is thrown away."""


class Upper(Service):
    """The text in capitals. Bytes that are no UTF-8 pass unchanged, and a character may be cut anywhere.

    Capitals are Unicode's, so a text can grow: three times at most (U+0390), usually not at all.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def feed(self, data: bytes) -> bytes:
        return _capitals(self._decoder.decode(data))

    def end(self) -> bytes:
        return _capitals(self._decoder.decode(b"", final=True))

    def datagram(self, data: bytes) -> bytes:
        return _capitals(data.decode("utf-8", "surrogateescape"))


def _capitals(text: str) -> bytes:
    return text.upper().encode("utf-8", "surrogateescape")


# --- hello

#: The longest message, in bytes without its end.
LONGEST_MESSAGE = 1 << 16
#: Answers made at a time, and bytes of them: a feed of empty lines asks for 65,536, nine times its size.
MOST_ANSWERS, ANSWERS = 128, 1 << 16


class Hello(Service):
    """Greets, and answers each message NAME with `Hello, NAME!`; the message `exit` closes.

    A message is a line, or a text without a newline that stays alone for 100 ms, or is the last there
    is. An answer ends as its message did: with a newline for who works by lines, with nothing for who
    sends a name and reads once.

    Names are bytes that go back to their own sender, as they are and to nobody else: whatever its
    encoding, and control characters too, which its terminal would show if it typed them to itself.
    """

    quiet = 0.1
    # Without a newline, as in the tutorial: whoever compares what the first recv() brought finds just this.
    GREETING = b"Welcome!"
    TOO_LONG = b"Error: a message of more than %d bytes\n" % LONGEST_MESSAGE

    def __init__(self) -> None:
        self._input = bytearray()
        self._searched = 0  # bytes of the input known to hold no newline
        self._silent = False  # a lull came before all lines were answered
        self._unended = False  # the last message was taken without a newline, which may come late

    def greet(self) -> bytes:
        return self.GREETING

    def feed(self, data: bytes) -> bytes:
        self._input += data
        self._silent = False
        return self.more()

    def more(self) -> bytes:
        """The answers to the lines that have arrived, no more than a bounded part of them at a time."""
        answers: list[bytes] = []
        size = 0
        while len(answers) < MOST_ANSWERS and size < ANSWERS and not self.closing:
            message = self._next()
            if message is None:
                break
            answers.append(self._answer(message))
            size += len(answers[-1])
        return b"".join(answers)

    def lull(self) -> bytes:
        self._silent = True
        return self.more()

    def end(self) -> bytes:
        return self.lull()

    def datagram(self, data: bytes) -> bytes:
        """A datagram is a message. Who cannot connect cannot be greeted or closed: `exit` is a name."""
        name, ending = _split_ending(data)
        return b"Hello, %b!%b" % (name, ending)

    def _next(self) -> bytes | None:
        """The next message with its end, None where it has not arrived whole."""
        newline = self._input.find(b"\n", self._searched)
        if newline >= 0:
            return self._take(newline + 1)
        self._searched = len(self._input)
        # Beyond the limit it cannot become a message any more. The one byte is the \r of an end.
        if self._input and (self._silent or len(self._input) > LONGEST_MESSAGE + 1):
            return self._take(len(self._input))
        return None

    def _take(self, count: int) -> bytes:
        message = bytes(self._input[:count])
        del self._input[:count]
        self._searched = 0
        return message

    def _answer(self, message: bytes) -> bytes:
        name, ending = _split_ending(message)
        late, self._unended = self._unended, ending != b"\r\n" and ending != b"\n"
        if late and not name:
            return ending  # the end of the message before, held up on its way: so is the end of its answer
        if len(name) > LONGEST_MESSAGE:
            self.closing = True
            return self.TOO_LONG
        if name == b"exit":
            self.closing = True
            return b""
        return b"Hello, %b!%b" % (name, ending)


def _split_ending(message: bytes) -> tuple[bytes, bytes]:
    """A message without its end, and the end: a newline with or without \\r, or a lone \\r whose newline is late."""
    name = message.removesuffix(b"\n").removesuffix(b"\r")
    return name, message[len(name) :]


# --- chargen

PRINTABLE = bytes(range(0x20, 0x7F))
LINE = 72
LINE_END = b"\r\n"
#: Every line of the pattern in its turn: 95 lines, after which it begins anew.
PATTERN = b"".join((PRINTABLE * 2)[first : first + LINE] + LINE_END for first in range(len(PRINTABLE)))
#: What is sent at a time; all clients share these bytes.
PATTERNS = PATTERN * 9
#: The most characters in a datagram (RFC 864).
MOST_CHARACTERS = 512


class Chargen(Service):
    """RFC 864: lines of 72 printable characters, without end; what arrives is thrown away."""

    endless = True

    def __init__(self) -> None:
        self._line = 0

    def more(self) -> bytes:
        return PATTERNS

    def datagram(self, data: bytes) -> bytes:
        """From 0 to 512 characters, says RFC 864: here as many as were sent, but at least a line.

        Not more, as the sender's address may be forged: then the answer hits somebody who never asked, and
        must not be worth more to the forger than the query has cost.
        """
        start = self._line * (LINE + len(LINE_END))
        self._line = (self._line + 1) % len(PRINTABLE)
        count = min(MOST_CHARACTERS, max(LINE + len(LINE_END), len(data)))
        return PATTERNS[start : start + count]


# --- daytime, time

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
#: Seconds from 1900, where RFC 868 begins to count, to 1970.
SECONDS_1900_TO_1970 = 2208988800


class Announcement(Service):
    """A service that says one thing when a client comes, and closes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def announce(self) -> bytes:
        raise NotImplementedError

    def greet(self) -> bytes:
        self.closing = True
        return self.announce()

    def datagram(self, data: bytes) -> bytes:
        return self.announce()


class Daytime(Announcement):
    """RFC 867: date and time as a line of text, in the form that it suggests and in UTC."""

    def announce(self) -> bytes:
        import datetime

        now = datetime.datetime.fromtimestamp(self._clock(), datetime.timezone.utc)
        # Not strftime: its names of days and months follow the caller's locale.
        day = f"{DAYS[now.weekday()]}, {MONTHS[now.month - 1]} {now.day}, {now.year}"
        return f"{day} {now:%H:%M:%S}-UTC\r\n".encode("ascii")


class Time(Announcement):
    """RFC 868: seconds since 1900 as four bytes, which begin anew in 2036."""

    def announce(self) -> bytes:
        return ((int(self._clock()) + SECONDS_1900_TO_1970) % (1 << 32)).to_bytes(4, "big")


# --- which one

SERVICES: dict[str, type[Service]] = {
    "echo": Echo,
    "hello": Hello,
    "discard": Discard,
    "chargen": Chargen,
    "daytime": Daytime,
    "time": Time,
    "upper": Upper,
}


def service(name: str, clock: Clock) -> Callable[[], Service]:
    """What makes a fresh service of that name. `clock` gives the seconds since 1970."""
    kind = SERVICES[name]
    if issubclass(kind, Announcement):
        kind(clock).announce()  # loads what it needs, while there are descriptors
        return lambda: kind(clock)
    return kind
