"""What makes a silent service speak: the smallest question that its protocol answers, over UDP and over TCP.

Bytes only, no socket and no clock. A UDP port that is not listed here is sent an empty datagram; a TCP service
is asked one question after the other until it answers, and its answer is made a line for people here.
"""

from __future__ import annotations

#: RFC 862: echo gives back whatever comes.
ECHO = b"pync\n"
#: RFC 1035, 4.1: one question (QDCOUNT 1), the name servers (NS) of the root, class IN.
DNS = bytes.fromhex("706e 0000 0001 0000 0000 0000 00 0002 0001")
#: RFC 5905, 7.3: version 4, mode 3 (client), everything else zero.
NTP = bytes([0x23]) + bytes(47)
#: RFC 1157: SNMPv1 get-request, community "public", for sysDescr.0 (RFC 1213: 1.3.6.1.2.1.1.1.0).
SNMP = bytes.fromhex("3026 020100 0406 7075626c6963 a019 020101 020100 020100 300e 300c 0608 2b06010201010100 0500")

QUESTIONS = {7: ECHO, 53: DNS, 123: NTP, 161: SNMP}


def question(port: int) -> bytes:
    """The datagram to send to a port."""
    return QUESTIONS.get(port, b"")


class Question:
    """What to say to a TCP service that is silent.

    `patience` is how long its answer is waited for, in seconds. `hint` is how the answer to an earlier
    question begins that only this one's protocol gives; without such an answer questions are asked in turn.
    """

    __slots__ = ("data", "hint", "patience")

    def __init__(self, data: bytes, patience: float, hint: bytes = b"") -> None:
        self.data = data
        self.patience = patience
        self.hint = hint


#: In this order. TLS's question, whose answer is the certificate's name, is to stand behind that of HTTP.
TALK = (
    Question(b"HEAD / HTTP/1.0\r\n\r\n", 1.0),  # RFC 9110, 9.3.2: a response without its content
    Question(b"PING\r\n", 0.5, b"-"),  # Redis: an inline command; its errors begin like this
    Question(b"version\r\n", 0.5, b"ERROR"),  # memcached's text protocol
)
#: Printers put on paper whatever they are sent (JetDirect, PDL data streams).
PRINTERS = range(9100, 9108)


def takes_questions(port: int) -> bool:
    """Whether a question to the port does no harm."""
    return port not in PRINTERS


def next_question(asked: int, answer: bytes) -> int | None:
    """Which of TALK to ask behind this answer (empty: none came) to that one; None where all is said."""
    if not answer:
        return asked + 1 if asked + 1 < len(TALK) else None
    later = range(asked + 1, len(TALK))
    return next((index for index in later if TALK[index].hint and answer.startswith(TALK[index].hint)), None)


def is_whole(answer: bytes) -> bool:
    """Whether nothing more of an answer is of interest: a line is there, the whole head of an HTTP response."""
    if answer.startswith(b"HTTP/"):
        return b"\n\n" in answer.replace(b"\r\n", b"\n")
    return b"\n" in answer


def shown(banner: bytes) -> str:
    """The first line of what a service said; of an HTTP response the server's name too."""
    head = banner.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    first, *others = head.split(b"\n")
    if not banner.startswith(b"HTTP/"):
        return _printable(first)
    headers = [line.partition(b":") for line in others]
    names = [value.strip() for name, _, value in headers if name.lower() == b"server"]
    return "; ".join([_printable(first), *(f"Server: {_printable(name)}" for name in names[:1])])


def _printable(line: bytes) -> str:
    """Control characters made visible (CWE-150)."""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in line)
