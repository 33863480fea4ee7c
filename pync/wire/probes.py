"""Questions that make a silent service speak: the smallest one that its protocol answers, over UDP and over TCP.

Bytes only, no socket and no clock. A UDP port that is not listed here gets an empty datagram. A TCP service gets
one question after another until it answers; `shown` turns its answer into a line for people.
"""

from __future__ import annotations

#: RFC 862: echo sends back what it receives.
ECHO = b"pync\n"
#: RFC 1035, 4.1: one question (QDCOUNT 1), the name servers (NS) of the root, class IN.
DNS = bytes.fromhex("706e 0000 0001 0000 0000 0000 00 0002 0001")
#: RFC 5905, 7.3: version 4, mode 3 (client), everything else zero.
NTP = bytes([0x23]) + bytes(47)
#: RFC 1157: SNMPv1 get-request, community "public", for sysDescr.0 (RFC 1213: 1.3.6.1.2.1.1.1.0).
SNMP = bytes.fromhex("3026 020100 0406 7075626c6963 a019 020101 020100 020100 300e 300c 0608 2b06010201010100 0500")

QUESTIONS = {7: ECHO, 53: DNS, 123: NTP, 161: SNMP}


def question(port: int) -> bytes:
    """The datagram that asks the service of a UDP port."""
    return QUESTIONS.get(port, b"")


class Question:
    """A question to a silent TCP service.

    Attributes:
        data: the bytes to send.
        patience: seconds to wait for the answer.
        hint: how this protocol answers a question of another one. After an answer that begins so, this is
            the next question; without a hint the questions are asked in order.
    """

    __slots__ = ("data", "hint", "patience")

    def __init__(self, data: bytes, patience: float, hint: bytes = b"") -> None:
        self.data = data
        self.patience = patience
        self.hint = hint


#: The questions in the order in which they are asked. TLS's (its answer names the certificate) will follow HTTP's.
TALK = (
    Question(b"HEAD / HTTP/1.0\r\n\r\n", 1.0),  # RFC 9110, 9.3.2: a response without its content
    Question(b"PING\r\n", 0.5, b"-"),  # Redis: an inline command; its errors begin like this
    Question(b"version\r\n", 0.5, b"ERROR"),  # memcached's text protocol
)
#: A printer prints all that it receives on these ports (JetDirect, PDL data streams).
PRINTERS = range(9100, 9108)


def takes_questions(port: int) -> bool:
    """Whether a question to the port is harmless."""
    return port not in PRINTERS


def next_question(asked: int, answer: bytes) -> int | None:
    """The index in TALK of the question after `asked`, given its answer (b"": none); None if no more are asked."""
    if not answer:
        return asked + 1 if asked + 1 < len(TALK) else None
    later = range(asked + 1, len(TALK))
    return next((index for index in later if TALK[index].hint and answer.startswith(TALK[index].hint)), None)


def is_whole(answer: bytes) -> bool:
    """Whether enough of an answer is there: its first line, or the whole head of an HTTP response."""
    if answer.startswith(b"HTTP/"):
        return b"\n\n" in answer.replace(b"\r\n", b"\n")
    return b"\n" in answer


def shown(banner: bytes) -> str:
    """The first line of an answer; for an HTTP response also the name of the server."""
    head = banner.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    first, *others = head.split(b"\n")
    if not banner.startswith(b"HTTP/"):
        return _printable(first)
    headers = [line.partition(b":") for line in others]
    names = [value.strip() for name, _, value in headers if name.lower() == b"server"]
    return "; ".join([_printable(first), *(f"Server: {_printable(name)}" for name in names[:1])])


def _printable(line: bytes) -> str:
    """The line with its control characters made visible (CWE-150)."""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in line)
