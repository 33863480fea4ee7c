"""The built-in services: bytes from a client in, bytes for the client out.

An object is the conversation with one client and remembers a bounded amount of it. The conversation of
`engine` owns the socket and the clock: it feeds a service, reports silence, and sends what comes back.
HTTP, the largest service, has a folder of its own.
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

    The descriptor belongs to the service that made the piece; the service closes it in `close`.
    """

    __slots__ = ("count", "fd", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = fd
        self.offset = offset
        self.count = count


class Service:
    """The conversation with one client. This base class listens and sends nothing."""

    #: `lull` is called after this many seconds of silence behind unfinished input; None: never.
    quiet: float | None = None
    #: Seconds that a request may take to arrive whole, from the start or from the end of the last answer.
    time_limit: float | None = None
    #: A client that reads nothing of an answer for this many seconds is closed; None: never.
    stall_limit: float | None = None
    #: True: the service says nothing more; close once everything is sent.
    closing = False
    #: True: `feed` always answers, and its answer is complete, so that `more` need not be called.
    simple = False
    #: True: call `more` again even after b"", because the service has work left.
    busy = False
    #: True: `more` never ends. A client that leaves in the middle has had enough, which is no failure.
    endless = False

    def greet(self) -> bytes:
        """The first bytes for the client, before it has sent anything."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived and return the answer."""
        return b""

    def more(self) -> bytes | FilePiece:
        """The next bytes, called once everything is sent; b"" waits for the client."""
        return b""

    def lull(self) -> bytes:
        """`quiet` seconds have passed since the last bytes; returns the answer."""
        return b""

    def expire(self) -> bytes:
        """`time_limit` is over; returns the last bytes for the client."""
        self.closing = True
        return b""

    def end(self) -> bytes:
        """The client has ended its data; returns the last bytes. Then `more` is sent, and the connection ends."""
        return b""

    def close(self) -> None:
        """The connection is over: close files that are still open."""

    def datagram(self, data: bytes) -> bytes | None:
        """The answer to a datagram; None for no answer. One service answers all peers and remembers none of them."""
        return None


# --- echo, discard, upper


class Echo(Service):
    """RFC 862: sends back what it receives."""

    simple = True

    def feed(self, data: bytes) -> bytes:
        return data

    def datagram(self, data: bytes) -> bytes:
        return data


class Discard(Service):
    """RFC 863: throws away what it receives."""


class Upper(Service):
    """Sends back the text in capitals. Bytes that are not UTF-8 pass unchanged; a character may be cut anywhere.

    Unicode's capitals can be longer than the text: at most three times (U+0390), usually not at all.
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

#: The longest message, in bytes without its newline.
LONGEST_MESSAGE = 1 << 16
#: The most answers made at a time, and their bytes. 65,536 empty lines in one feed ask for nine times their size.
MOST_ANSWERS, ANSWERS = 128, 1 << 16


class Hello(Service):
    """Greets, and answers each message NAME with `Hello, NAME!`; the message `exit` closes the connection.

    A message is a line, or a text without a newline that is followed by 100 ms of silence or by the end of data.
    An answer ends as its message did: with a newline if the client works by lines, without one if the client
    sends a name and reads once.

    A name goes back unchanged, because only its own sender receives it: in any encoding and with its control
    characters, which the sender could as well have typed into its own terminal.
    """

    quiet = 0.1
    # Without a newline, as in the tutorial: clients compare the result of their first recv() with exactly this.
    GREETING = b"Welcome!"
    TOO_LONG = b"Error: a message of more than %d bytes\n" % LONGEST_MESSAGE

    def __init__(self) -> None:
        self._input = bytearray()
        self._searched = 0  # bytes of the input known to hold no newline
        self._silent = False  # a lull came before all lines were answered
        self._unended = False  # the last message had no newline; it may still come

    def greet(self) -> bytes:
        return self.GREETING

    def feed(self, data: bytes) -> bytes:
        self._input += data
        self._silent = False
        return self.more()

    def more(self) -> bytes:
        """The answers to the lines that have arrived, a bounded number at a time."""
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
        """A datagram is a message. `exit` is a name here, because there is no connection to close."""
        name, ending = _split_ending(data)
        return b"Hello, %b!%b" % (name, ending)

    def _next(self) -> bytes | None:
        """The next message with its newline; None until it has arrived whole."""
        newline = self._input.find(b"\n", self._searched)
        if newline >= 0:
            return self._take(newline + 1)
        self._searched = len(self._input)
        # A longer text can no longer become a message. The one byte more is the \r before a newline.
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
            return ending  # the late newline of the message before; it ends the answer to that message
        if len(name) > LONGEST_MESSAGE:
            self.closing = True
            return self.TOO_LONG
        if name == b"exit":
            self.closing = True
            return b""
        return b"Hello, %b!%b" % (name, ending)


def _split_ending(message: bytes) -> tuple[bytes, bytes]:
    """A message without its ending, and the ending: a newline, `\\r` and a newline, or `\\r` before a late newline."""
    name = message.removesuffix(b"\n").removesuffix(b"\r")
    return name, message[len(name) :]


# --- chargen

PRINTABLE = bytes(range(0x20, 0x7F))
LINE = 72
LINE_END = b"\r\n"
#: The 95 lines of the pattern; then it begins again.
PATTERN = b"".join((PRINTABLE * 2)[first : first + LINE] + LINE_END for first in range(len(PRINTABLE)))
#: The bytes sent at a time, which all clients share.
PATTERNS = PATTERN * 9
#: The most characters in a datagram (RFC 864).
MOST_CHARACTERS = 512


class Chargen(Service):
    """RFC 864: sends lines of 72 printable characters without end, and throws away what it receives."""

    endless = True

    def __init__(self) -> None:
        self._line = 0

    def more(self) -> bytes:
        return PATTERNS

    def datagram(self, data: bytes) -> bytes:
        """As many characters as were sent, at least a line and at most 512 (RFC 864 allows 0 to 512).

        The answer is no longer than that, because the sender's address may be forged: a longer one would
        multiply the forger's traffic towards a victim.
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
#: Seconds between the epochs of RFC 868 (1900) and of unix (1970).
SECONDS_1900_TO_1970 = 2208988800


class Announcement(Service):
    """A service that sends one announcement to each client and closes."""

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
    """RFC 867: date and time as a line of text, in the form that the RFC suggests and in UTC."""

    def announce(self) -> bytes:
        import datetime

        now = datetime.datetime.fromtimestamp(self._clock(), datetime.timezone.utc)
        # Not strftime, because its names of days and months follow the locale.
        day = f"{DAYS[now.weekday()]}, {MONTHS[now.month - 1]} {now.day}, {now.year}"
        return f"{day} {now:%H:%M:%S}-UTC\r\n".encode("ascii")


class Time(Announcement):
    """RFC 868: seconds since 1900 as four bytes, which wrap around in 2036."""

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
    """A function that makes a new service of that name. `clock` gives the seconds since 1970."""
    kind = SERVICES[name]
    if issubclass(kind, Announcement):
        kind(clock).announce()  # loads datetime now, while there are descriptors to load it with
        return lambda: kind(clock)
    return kind
