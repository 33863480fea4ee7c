"""Who may connect, between two hosts that are network namespaces: both families, mapped, names, zones.

What loopback shows is in test_access_rules; the hosts come from namespaces.py. Each test gets a new pair.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.namespaces import Host, two_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.namespace

PORT = "7000"

#: The addresses of a client by the names of their fields.
FIELDS = ("ipv4", "spare_ipv4", "ipv6", "spare_ipv6", "link_local")

#: Sockets that come from an address and are joined to another one; zones are understood.
JOIN = """
import json, socket, sys
def joined(kind, source, target):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.settimeout(30)
    sock.bind(socket.getaddrinfo(source, 0, family, kind)[0][4])
    sock.connect(socket.getaddrinfo(target, 7000, family, kind)[0][4])
    return sock
ways = json.loads(sys.argv[1])
"""
#: Asks for an echo by TCP from each of the addresses, and prints the names of those that got one.
ASK = """
def asked(sock):
    try:
        sock.sendall(b"ping")
        return sock.recv(4, socket.MSG_WAITALL) == b"ping"
    except (ConnectionResetError, BrokenPipeError):
        return False
print(json.dumps([name for name, *way in ways if asked(joined(socket.SOCK_STREAM, *way))]))
"""
#: The same by UDP. Everybody asks; when those named in the second argument have had their answers twice, an answer
#: to anybody else would have come.
ASK_UDP = """
socks = {name: joined(socket.SOCK_DGRAM, *way) for name, *way in ways}
answered = json.loads(sys.argv[2])
for sock in socks.values():
    sock.send(b"ping")
for turn in range(2):
    for name in answered:
        assert socks[name].recv(100) == b"ping"
        socks[name].send(b"ping")
for name in set(socks) - set(answered):
    socks[name].setblocking(False)
    try:
        socks[name].recv(100)
        answered.append(name)
    except BlockingIOError:
        pass
print(json.dumps(answered))
"""

#: Rules, and from which of the client's addresses one is served by them.
CASES = [
    (("--allow", "198.18.77.1"), {"ipv4"}),
    (("--allow", "198.18.77.0/28"), {"ipv4", "spare_ipv4"}),
    (("--allow", "198.18.77.2-198.18.77.11"), {"spare_ipv4"}),
    (("--allow", "::ffff:198.18.77.11"), {"spare_ipv4"}),
    (("--allow", "::ffff:198.18.77.0/120"), {"ipv4", "spare_ipv4"}),
    (("--allow", "::/0"), {"ipv6", "spare_ipv6", "link_local"}),
    (("--allow", "2001:db8:77::/64"), {"ipv6", "spare_ipv6"}),
    (("--allow", "2001:db8:77::2-2001:db8:77::ff,198.18.77.1"), {"spare_ipv6", "ipv4"}),
    (("--allow", "fe80::/10"), {"link_local"}),
    (("--deny", "0.0.0.0/0"), {"ipv6", "spare_ipv6", "link_local"}),
    (("--deny", "::/0"), {"ipv4", "spare_ipv4"}),
    (("--deny", "fe80::/64,2001:db8:77::1"), {"ipv4", "spare_ipv4", "spare_ipv6"}),
    (("--allow", "0.0.0.0/0,::/0", "--deny", "::ffff:198.18.77.1,2001:db8:77::/64"), {"spare_ipv4", "link_local"}),
]
UDP_CASES = [CASES[index] for index in (0, 3, 5, 11, 12)]


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as pair:
        yield pair


def ways(client: Host, server: Host) -> str:
    """Each address of the client, and the server's address that it talks to, as JSON."""
    found = []
    for field in FIELDS:
        source, target = getattr(client, field), getattr(server, field.removeprefix("spare_"))
        zone = f"%{client.device}" if field == "link_local" else ""
        found.append((field, source + zone, target + zone))
    return json.dumps(found)


def served(client: Host, server: Host) -> set[str]:
    """From which of its addresses the client gets an echo of the server by TCP."""
    return set(json.loads(client.run(sys.executable, "-c", JOIN + ASK, ways(client, server))))


def served_datagrams(client: Host, server: Host, expected: set[str]) -> set[str]:
    """The same by UDP; whoever is expected to be answered is waited for."""
    words = (ways(client, server), json.dumps(sorted(expected)))
    return set(json.loads(client.run(sys.executable, "-c", JOIN + ASK_UDP, *words)))


def serves(client: Host, server: Host, rules: Sequence[str]) -> set[str]:
    with server.pync("-lkv", "--echo", *rules, PORT) as listener:
        for _ in range(2):
            listener.wait_for("^Listening on ")
        return served(client, server)


def test_clients_of_another_host_are_let_in_by_the_address_they_come_from(hosts: tuple[Host, Host]) -> None:
    found = [(rules, serves(*hosts, rules)) for rules, _ in CASES]
    assert found == CASES


def test_datagrams_of_another_host_are_answered_by_the_address_they_come_from(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    for rules, expected in UDP_CASES:
        with server.pync("-luv", "--echo", *rules, PORT) as listener:
            for _ in range(2):
                listener.wait_for("^Bound on ")
            assert served_datagrams(client, server, expected) == expected, rules


@pytest.mark.parametrize(("option", "families"), [("--allow", ()), ("--deny", ()), ("--allow", ("-4",))])
def test_a_name_in_a_rule_is_all_its_addresses_of_both_families(
    hosts: tuple[Host, Host], option: str, families: tuple[str, ...]
) -> None:
    client, server = hosts
    named = {"ipv4", "spare_ipv4", "spare_ipv6"}
    for field in named:
        server.learn("friend", getattr(client, field))
    expected = {"--allow": named, "--deny": set(FIELDS) - named}[option]
    # -4 binds one family, and then there is nobody else to ask
    if families:
        with server.pync("-lkv", *families, "--echo", option, "friend", PORT) as listener:
            listener.wait_for("^Listening on ")
            assert client.run_pync("-4", "server", PORT, stdin=b"ping") == (0, b"ping", [])
    else:
        assert serves(client, server, (option, "friend")) == expected


def test_a_name_that_no_hosts_file_knows_is_a_usage_error_that_names_it(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    _, server = hosts
    path = tmp_path / "rules"
    path.write_text("server\nstranger.example # not in /etc/hosts\n")
    code, _, messages = server.run_pync("-l", "--allow", "server,stranger.example", PORT)
    assert code == 2
    assert len(messages) == 1
    assert messages[0].startswith("pync: --allow: ")
    assert '"stranger.example"' in messages[0]
    code, _, messages = server.run_pync("-l", "--denyfile", str(path), PORT)
    assert code == 2
    assert len(messages) == 1
    assert messages[0].startswith(f"pync: {path} line 2: ")
    assert '"stranger.example"' in messages[0]


def test_a_client_that_connects_by_a_mapped_address_is_an_ipv4_client(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    target = f"::ffff:{server.ipv4}"
    for rules, answer in (
        (("--allow", "::/0"), b""),
        (("--deny", "::/0"), b"ping"),
        (("--allow", client.ipv4), b"ping"),
    ):
        with server.pync("-lkv", "--echo", *rules, PORT) as listener:
            for _ in range(2):
                listener.wait_for("^Listening on ")
            assert client.run_pync(target, PORT, stdin=b"ping")[1] == answer, rules
            if not answer:
                listener.wait_for(rf"{client.ipv4} .*refused.*rule")


def test_a_client_from_a_link_local_address_is_noted_with_its_zone_and_judged_without(
    hosts: tuple[Host, Host],
) -> None:
    client, server = hosts
    with server.pync("-lv", "--deny", f"{client.link_local},{client.ipv6}", PORT, stdin=subprocess.DEVNULL) as listener:
        for _ in range(2):
            listener.wait_for("^Listening on ")
        assert client.run_pync(f"{server.link_local}%{client.device}", PORT, stdin=b"no")[1] == b""
        listener.wait_for(rf"{client.link_local}%{server.device} .*refused.*rule")
        assert client.run_pync("-4", "server", PORT, stdin=b"yes")[0] == 0
        assert listener.finish() == (0, b"yes")
