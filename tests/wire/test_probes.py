"""The questions that make UDP services speak, read back with the rules of their RFCs; banners made visible.

How often and whom they are asked is tested in net/test_udp_probe.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.probes import QUESTIONS, TALK, is_whole, next_question, question, shown


def test_the_question_for_echo_is_not_empty() -> None:
    assert question(7)


def test_the_question_for_dns_is_one_standard_query_for_the_name_servers_of_the_root() -> None:
    identifier, flags, questions, answers, authorities, additional = struct.unpack_from("!6H", question(53))
    assert identifier != 0
    assert flags >> 15 == 0  # QR: a query
    assert flags >> 11 & 0xF == 0  # OPCODE: standard
    assert flags & 0x1FF == 0  # neither recursion desired nor a reserved bit nor a code
    assert (questions, answers, authorities, additional) == (1, 0, 0, 0)
    name, kind, network = question(53)[12:13], *struct.unpack("!2H", question(53)[13:])
    assert (name, kind, network) == (b"\0", 2, 1)  # the root, NS, IN


def test_the_question_for_ntp_is_a_client_packet_of_version_4_without_extensions() -> None:
    packet = question(123)
    assert len(packet) == 48
    leap, version, mode = packet[0] >> 6, packet[0] >> 3 & 7, packet[0] & 7
    assert (leap, version, mode) == (0, 4, 3)
    assert not any(packet[1:])


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """The BER elements (tag and content) that fill the data exactly; lengths in the short form (X.690, 8.1.3)."""
    found = []
    while data:
        tag, length = data[0], data[1]
        assert length < 0x80
        assert len(data) >= 2 + length
        found.append((tag, data[2 : 2 + length]))
        data = data[2 + length :]
    return found


def test_the_question_for_snmp_is_a_get_request_for_the_description_of_the_system() -> None:
    integer, octets, null, identifier, sequence, get_request = 0x02, 0x04, 0x05, 0x06, 0x30, 0xA0
    [(tag, message)] = elements(question(161))
    assert tag == sequence
    version, community, (pdu_tag, pdu) = elements(message)
    assert version == (integer, b"\0")  # SNMPv1
    assert community == (octets, b"public")
    assert pdu_tag == get_request
    (number_tag, _), status, index, (bindings_tag, bindings) = elements(pdu)
    assert number_tag == integer
    assert status == index == (integer, b"\0")
    assert bindings_tag == sequence
    [(binding_tag, binding)] = elements(bindings)
    assert binding_tag == sequence
    assert elements(binding) == [(identifier, bytes([43, 6, 1, 2, 1, 1, 1, 0])), (null, b"")]


@given(st.integers(0, 65535))
def test_a_port_without_a_question_of_its_own_gets_an_empty_datagram(port: int) -> None:
    assert (question(port) == b"") is (port not in QUESTIONS)


def test_there_are_questions_for_the_services_that_the_manual_names() -> None:
    assert sorted(QUESTIONS) == [7, 53, 123, 161]


@pytest.mark.parametrize(
    ("banner", "line"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"220 ready\nsecond line\n", "220 ready"),
        (b"no end of line", "no end of line"),
        (b"", ""),
        (b"\n", ""),
        (b"\x1b[2Jgone\r\n", "\\x1b[2Jgone"),
        (b"a\0b", "a\\x00b"),
        (b"a\rb\r\n", "a\\x0db"),
        (b"\xff\xfd\x18", "\\xff\\xfd\\x18"),
        ("grüß".encode(), "gr\\xc3\\xbc\\xc3\\x9f"),
        (b"\x7f\x9b", "\\x7f\\x9b"),
        (b"tab\there", "tab\\x09here"),
    ],
)
def test_control_characters_of_a_banner_are_made_visible(banner: bytes, line: str) -> None:
    assert shown(banner) == line


@given(st.binary(max_size=80))
def test_whatever_a_service_says_is_a_line_of_plain_characters(banner: bytes) -> None:
    line = shown(banner)
    assert line.isascii()
    assert line == "" or line.isprintable()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80), st.sampled_from(["", "\n", "\r\n"]))
def test_a_plain_line_is_shown_as_it_is(line: str, end: str) -> None:
    assert shown((line + end).encode()) == line


@pytest.mark.parametrize(
    ("banner", "line"),
    [
        (b"HTTP/1.1 200 OK\r\nDate: x\r\nSERVER:  nginx/1.2\r\n\r\n", "HTTP/1.1 200 OK; Server: nginx/1.2"),
        (b"HTTP/1.0 404 Not Found\nServer: \x1b[2J\n\n", "HTTP/1.0 404 Not Found; Server: \\x1b[2J"),
        (b"HTTP/1.1 200 OK\r\nX-Server: no\r\n\r\nServer: no\r\n", "HTTP/1.1 200 OK"),
        (b"220 mail\r\nServer: no\r\n", "220 mail"),
        (b"HTTP/1.1 301", "HTTP/1.1 301"),
    ],
)
def test_of_an_http_response_status_and_server_are_shown(banner: bytes, line: str) -> None:
    assert shown(banner) == line


def test_of_an_http_response_the_whole_head_is_awaited_and_of_anything_else_a_line() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"
    assert [is_whole(head[:length]) for length in range(len(head))] == [False] * len(head)
    assert is_whole(head)
    assert not is_whole(b"220 mail")
    assert is_whole(b"220 mail\n")


@pytest.mark.parametrize(
    ("asked", "answer", "following"),
    [
        (-1, b"", b"HEAD"),
        (0, b"", b"PING"),
        (1, b"", b"version"),
        (2, b"", None),
        (0, b"HTTP/1.0 200 OK\r\n", None),
        (0, b"-ERR unknown command\r\n", b"PING"),
        (0, b"ERROR\r\n", b"version"),
        (1, b"-NOAUTH\r\n", None),
        (1, b"ERROR\r\n", b"version"),
        (0, b"login: ", None),
    ],
)
def test_a_service_is_asked_until_it_answers_and_by_its_answer_in_its_own_protocol(
    asked: int, answer: bytes, following: bytes | None
) -> None:
    index = next_question(asked, answer)
    assert (None if index is None else TALK[index].data.split()[0]) == following
