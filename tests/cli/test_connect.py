"""Connect mode: how hosts and ports are written, what is said, and the errors of connecting.

What happens on the connection is in test_end_of_data; several addresses of a name in test_namespaces.
"""

from __future__ import annotations

import socket

import pytest

from pync.net.resolve import service_name
from tests.running import PATIENCE, pync, run_pync, unused_port
from tests.sockets import accepted, port_of, receive_all


@pytest.mark.parametrize("words", [["127.0.0.1", "{}"], ["127.0.0.1:{}"], ["localhost", "{}", "-4"]], ids=" ".join)
def test_hosts_and_ports_may_be_one_word_or_two(words: list[str], server: socket.socket) -> None:
    with pync(*[word.format(port_of(server)) for word in words]) as client, accepted(server) as peer:
        client.stdin.write(b"hello")
        client.stdin.close()
        assert receive_all(peer) == b"hello"
        peer.close()
        assert client.finish() == (0, b"")


def test_an_ipv6_address_may_have_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        server.settimeout(PATIENCE)
        for words in (["::1", port_of(server)], ["[::1]", port_of(server)], [f"[::1]:{port_of(server)}"]):
            with pync("-d", *words) as client, accepted(server) as peer:
                peer.sendall(b"hello")
                peer.close()
                assert client.finish() == (0, b"hello")


def test_success_is_told_with_verbose_only(server: socket.socket) -> None:
    for options, expected in (([], 0), (["-v"], 1)):
        with pync(*options, "-d", "127.0.0.1", port_of(server)) as client:
            with accepted(server):
                pass
            assert client.code() == 0
        told = [line for line in client.messages if line.endswith("succeeded!")]
        service = service_name(int(port_of(server)), "tcp")
        assert told == [f"Connection to 127.0.0.1 {port_of(server)} port [tcp/{service}] succeeded!"] * expected


def test_the_summary_counts_both_directions(server: socket.socket) -> None:
    with pync("-v", "127.0.0.1", port_of(server)) as client, accepted(server) as peer:
        client.stdin.write(b"12345")
        client.stdin.close()
        assert receive_all(peer) == b"12345"
        peer.sendall(b"123")
        peer.close()
        assert client.finish() == (0, b"123")
    assert client.messages[-1].startswith("sent 5 bytes, received 3 bytes in ")


def test_a_refusal_is_one_line_with_host_port_and_reason() -> None:
    port = unused_port()
    code, _, messages = run_pync("127.0.0.1", str(port))
    assert (code, messages) == (1, [f"pync: connect to 127.0.0.1 port {port} (tcp) failed: Connection refused"])


def test_a_name_that_does_not_resolve_is_told_once_whatever_the_ports() -> None:
    for ports in ("80", "80-90"):
        code, _, messages = run_pync("nosuch.invalid", ports)
        assert code == 2
        assert len(messages) == 1
        assert messages[0].startswith('pync: getaddrinfo for host "nosuch.invalid" port 80: ')


def test_a_port_that_refuses_does_not_count_when_another_answers(server: socket.socket) -> None:
    closed = unused_port()
    with pync("-d", "127.0.0.1", str(closed), port_of(server)) as client:
        with accepted(server) as peer:
            peer.sendall(b"hello")
        assert client.finish() == (0, b"hello")
        assert client.messages == [f"pync: connect to 127.0.0.1 port {closed} (tcp) failed: Connection refused"]


def test_ports_in_random_order_are_all_connected_to() -> None:
    ports = [unused_port() for _ in range(5)]
    code, _, messages = run_pync("-r", "127.0.0.1", ",".join(map(str, ports)))
    assert code == 1
    expected = {f"pync: connect to 127.0.0.1 port {port} (tcp) failed: Connection refused" for port in ports}
    assert set(messages) == expected


BAD_WORDS = {
    ("host", "99999"): "port '99999' is not in 0 to 65535",
    ("host", "65536"): "port '65536' is not in 0 to 65535",
    ("host", "30-20"): "port range '30-20' runs backwards",
    ("host", "80:80"): "'80:80' is no port: write 0 to 65535, 20-30, 22,80 or a service name",
    ("127.0.0.1", "nosuchservice"): "port 'nosuchservice': no such tcp service",
    ("-n", "127.0.0.1", "http"): "port 'http': a name, but -n allows numbers only",
    ("host",): "missing port behind host 'host'",
    (): "missing operands: pync HOST PORT, or pync -l PORT",
    ("-4", "-6", "host", "80"): "-4/--ipv4 does not go with -6/--ipv6",
    ("-U", "one", "two"): "a unix-domain socket takes one operand: its path",
    ("-l", "10000", "-p", "10001"): "two ports to listen on: '10000' and -p '10001'",
}


@pytest.mark.parametrize(("words", "text"), BAD_WORDS.items(), ids=str)
def test_bad_words_are_usage_errors_that_name_them(words: tuple[str, ...], text: str) -> None:
    code, output, messages = run_pync(*words)
    assert (code, output, messages) == (2, b"", [f"pync: {text}"])


def test_numeric_only_forbids_names() -> None:
    code, _, messages = run_pync("-n", "localhost", "80")
    assert code == 2
    assert messages[0].startswith('pync: getaddrinfo for host "localhost" port 80: ')


def test_source_address_and_port_are_used(server: socket.socket) -> None:
    port = unused_port()
    with pync("-d", "-s", "127.0.0.1", "-p", str(port), "127.0.0.1", port_of(server)) as client:
        connection, address = server.accept()
        with connection:
            assert address == ("127.0.0.1", port)
        assert client.code() == 0


def test_a_source_port_in_use_is_an_error_with_exit_code_2(server: socket.socket) -> None:
    code, _, messages = run_pync("-s", "127.0.0.1", "-p", port_of(server), "127.0.0.1", "9")
    assert (code, messages) == (2, [f"pync: bind to 127.0.0.1 port {port_of(server)} failed: Address already in use"])
