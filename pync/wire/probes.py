"""What makes a silent UDP service speak: the smallest question that its protocol answers.

Datagrams only, no socket. A port that is not listed here is sent an empty datagram.
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


def printable(banner: bytes) -> str:
    """The first line of what a service said, control characters made visible (CWE-150)."""
    line = banner.replace(b"\r\n", b"\n").partition(b"\n")[0]
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in line)
