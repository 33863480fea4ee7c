"""pync between two hosts, each a network namespace: families, dead addresses, lossy and cut links.

Here belongs what loopback cannot show. The hosts come from namespaces.py; each test gets a new pair, so that it
may break them. Ports are fixed numbers: nobody else is on these hosts.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.namespaces import Host, two_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.running import Running

pytestmark = pytest.mark.namespace

PORT = "7000"

#: Connects by the library's face and says how long that took, and to which address.
MEASURE = """
import sys, time, pync
began = time.monotonic()
with pync.connect(sys.argv[1], int(sys.argv[2])) as sock:
    print(time.monotonic() - began, sock.getpeername()[0])
"""


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as pair:
        yield pair


def bound(listener: Running, count: int) -> list[str]:
    """The addresses that the listener says it has bound, as many as we expect."""
    return [listener.wait_for(r"(?:Listening|Bound) on (\S+) 7000$")[1] for _ in range(count)]


def connected(messages: list[str]) -> str:
    """Whom the client says it has reached."""
    match = re.search(r"^Connection to (.+) 7000 port \[tcp/\S+\] succeeded!$", "\n".join(messages), re.MULTILINE)
    assert match, messages
    return match[1]


def greets(client: Host, address: str, *options: str) -> tuple[int, bytes, list[str]]:
    """Connect with a greeting: exit code, answer and messages of the client."""
    return client.run_pync("-v", *options, address, PORT, stdin=b"greeting")


# --- both families, or one


@pytest.mark.parametrize(
    ("words", "addresses"),
    [
        (("localhost",), ["::1", "127.0.0.1"]),
        (("-4", "localhost"), ["127.0.0.1"]),
        (("-6", "localhost"), ["::1"]),
        ((), ["0.0.0.0", "::"]),
        (("-4",), ["0.0.0.0"]),
        (("-6",), ["::"]),
        (("server",), ["2001:db8:77::2", "198.18.77.2"]),
        (("-s", "server"), ["2001:db8:77::2", "198.18.77.2"]),
    ],
)
def test_a_listener_binds_every_address_of_its_name_and_of_the_families_asked_for(
    hosts: tuple[Host, Host], words: tuple[str, ...], addresses: list[str]
) -> None:
    _, server = hosts
    with server.pync("-lkv", *words, PORT) as listener:
        assert sorted(bound(listener, len(addresses))) == sorted(addresses)
        assert server.run("ss", "-Hltn").count(f":{PORT}") == len(addresses)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_on_localhost_serves_both_loopbacks(hosts: tuple[Host, Host], address: str) -> None:
    _, server = hosts
    with server.pync("-lv", "localhost", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        assert greets(server, address)[0] == 0
        assert listener.finish() == (0, b"greeting")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_listener_without_a_host_serves_both_families_from_another_host(
    hosts: tuple[Host, Host], family: str
) -> None:
    client, server = hosts
    with server.pync("-lv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        assert greets(client, getattr(server, family))[0] == 0
        listener.wait_for(f"Connection received on {getattr(client, family)} ")
        assert listener.finish() == (0, b"greeting")


@pytest.mark.parametrize(("restriction", "refused"), [("-4", "ipv6"), ("-6", "ipv4")])
def test_a_listener_of_one_family_refuses_the_other(hosts: tuple[Host, Host], restriction: str, refused: str) -> None:
    client, server = hosts
    with server.pync("-lv", restriction, PORT) as listener:
        bound(listener, 1)
        code, _, messages = greets(client, getattr(server, refused))
    assert code == 1
    assert messages == [f"pync: connect to {getattr(server, refused)} port {PORT} (tcp) failed: Connection refused"]


def test_a_refused_name_is_told_once_for_each_of_its_addresses(hosts: tuple[Host, Host]) -> None:
    # glibc answers 127.0.0.1 twice where ::1 is called localhost too and IPv4 is asked for.
    client, _ = hosts
    refused = "pync: connect to localhost (%s) port 7000 (tcp) failed: Connection refused"
    assert client.run_pync("-4", "localhost", PORT) == (1, b"", [refused % "127.0.0.1"])
    code, _, messages = client.run_pync("localhost", PORT)
    assert (code, sorted(messages)) == (1, sorted([refused % "127.0.0.1", refused % "::1"]))


def test_a_host_without_ipv6_listens_and_connects_by_ipv4(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    for host in hosts:
        host.disable_ipv6()
    with server.pync("-lv", PORT, stdin=subprocess.DEVNULL) as listener:
        listener.wait_for(r"^Listening on 0\.0\.0\.0 7000$")
        code, _, messages = greets(client, "server")
        assert code == 0
        assert connected(messages) == "server (198.18.77.2)"
        assert listener.finish() == (0, b"greeting")


def test_a_family_that_the_host_lacks_is_a_note_and_no_error(hosts: tuple[Host, Host]) -> None:
    _, server = hosts
    server.disable_ipv6()
    with server.pync("-lv", "localhost", PORT, stdin=subprocess.DEVNULL) as listener:
        listener.wait_for(r"^listen on ::1 port 7000 \(tcp\): Cannot assign requested address$")
        listener.wait_for(r"^Listening on 127\.0\.0\.1 7000$")
        assert greets(server, "localhost")[0] == 0
        assert listener.finish() == (0, b"greeting")


def test_a_listener_with_none_of_its_families_is_an_error(hosts: tuple[Host, Host]) -> None:
    _, server = hosts
    server.disable_ipv6()
    failed = "pync: listen on ::1 port 7000 (tcp): Cannot assign requested address"
    assert server.run_pync("-l", "::1", PORT) == (1, b"", [failed])


def test_a_host_without_ipv4_listens_and_connects_by_ipv6(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    for host in hosts:
        host.drop_ipv4()
    with server.pync("-lv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        code, _, messages = greets(client, "server")
        assert code == 0
        assert connected(messages) == "server (2001:db8:77::2)"
        assert listener.finish() == (0, b"greeting")
    code, _, messages = greets(client, "server", "-4")
    assert code == 1
    assert messages == ["pync: connect to server (198.18.77.2) port 7000 (tcp) failed: Network is unreachable"]


def test_an_address_with_a_zone_works_as_an_operand_and_stands_in_the_messages(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    here, there = f"{client.link_local}%{client.device}", f"{server.link_local}%{client.device}"
    served = f"{server.link_local}%{server.device}"
    with server.pync("-lkv", served, PORT, stdin=subprocess.DEVNULL) as listener:
        listener.wait_for(f"^Listening on {served} 7000$")
        for options in ((), ("-s", here)):
            code, _, messages = greets(client, there, *options)
            assert (code, connected(messages)) == (0, there)
            listener.wait_for(f"^Connection received on {client.link_local}%{server.device} ")
            assert listener.read(8) == b"greeting"
    refused = f"pync: connect to {there} port 7000 (tcp) failed: Connection refused"
    assert client.run_pync(f"[{there}]:{PORT}") == (1, b"", [refused])


@pytest.mark.parametrize(("family", "reached"), [("-4", "ipv4"), ("-6", "ipv6")])
def test_a_client_of_one_family_takes_that_address_of_a_name(
    hosts: tuple[Host, Host], family: str, reached: str
) -> None:
    client, server = hosts
    with server.pync("-lv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        code, _, messages = greets(client, "server", family)
        assert (code, connected(messages)) == (0, f"server ({getattr(server, reached)})")
        assert listener.finish() == (0, b"greeting")


# --- addresses that do not answer


def test_a_black_holed_first_address_costs_a_quarter_of_a_second_and_no_timeout(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    server.firewall(f"ip6 daddr {server.ipv6} drop")
    with server.pync("-lkv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        seconds, address = client.run(sys.executable, "-c", MEASURE, "server", PORT).split()
        assert address == server.ipv4
        assert 0.2 < float(seconds) < 2
        began = time.monotonic()
        assert greets(client, "server")[0] == 0
        assert time.monotonic() - began < 2
        assert listener.read(8) == b"greeting"


def test_both_addresses_answering_cost_no_waiting_and_the_first_one_wins(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    with server.pync("-lkv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        seconds, address = client.run(sys.executable, "-c", MEASURE, "server", PORT).split()
        assert address == server.ipv6
        assert float(seconds) < 0.2


def test_a_host_that_drops_everything_ends_in_exit_3_and_every_address_is_named(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    server.firewall("tcp dport 7000 drop")
    began = time.monotonic()
    code, _, messages = client.run_pync("-w", "1", "server", PORT)
    assert 1 < time.monotonic() - began < 3
    assert code == 3
    assert messages == [
        f"pync: connect to server ({address}) port 7000 (tcp) failed: Connection timed out"
        for address in (server.ipv6, server.ipv4)
    ]


def test_one_address_refused_and_one_dropped_are_told_apart(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    server.firewall(f"ip daddr {server.ipv4} tcp dport 7000 drop")
    code, _, messages = client.run_pync("-w", "0.5", "server", PORT)
    assert code == 3
    assert messages == [
        f"pync: connect to server ({server.ipv6}) port 7000 (tcp) failed: Connection refused",
        f"pync: connect to server ({server.ipv4}) port 7000 (tcp) failed: Connection timed out",
    ]


@pytest.mark.parametrize(("family", "served", "refused"), [("-4", "ipv4", "ipv6"), ("-6", "ipv6", "ipv4")])
def test_an_address_that_refuses_is_a_note_when_the_other_one_answers(
    hosts: tuple[Host, Host], family: str, served: str, refused: str
) -> None:
    client, server = hosts
    with server.pync("-lv", family, PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 1)
        code, _, messages = greets(client, "server")
        assert code == 0
        failed = f"connect to server ({getattr(server, refused)}) port 7000 (tcp) failed: Connection refused"
        assert (failed in messages) is (refused == "ipv6")  # IPv4 comes second: nobody tries it any more
        assert connected(messages) == f"server ({getattr(server, served)})"
        assert listener.finish() == (0, b"greeting")


# --- where we come from


def test_source_address_and_source_port_are_what_the_listener_sees(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    with server.pync("-lkv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        for source, host in ((client.spare_ipv4, server.ipv4), (client.spare_ipv6, server.ipv6)):
            assert greets(client, host, "-s", source, "-p", "7777")[0] == 0
            listener.wait_for(f"^Connection received on {source} 7777$")
        # The name has both families; the source address has one, and the other family is not tried.
        assert greets(client, "server", "-s", client.spare_ipv4)[0] == 0
        listener.wait_for(f"^Connection received on {client.spare_ipv4} ")


@pytest.mark.parametrize(
    ("options", "host", "only"),
    [
        (("--ttl", "7"), "ipv4", "ip ttl != 7 drop"),
        (("--ttl", "7"), "ipv6", "ip6 hoplimit != 7 tcp dport 7000 drop"),
        (("--tos", "ef"), "ipv4", "ip dscp != ef drop"),
        (("--tos", "ef"), "ipv6", "ip6 dscp != ef tcp dport 7000 drop"),
    ],
)
def test_ttl_and_tos_are_on_every_packet_of_ours(
    hosts: tuple[Host, Host], options: tuple[str, ...], host: str, only: str
) -> None:
    client, server = hosts
    server.firewall(only)
    with server.pync("-lv", PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        assert greets(client, getattr(server, host), "-w", "0.3")[0] == 3
        assert greets(client, getattr(server, host), "-w", "10", *options)[0] == 0
        assert listener.finish() == (0, b"greeting")


def test_interface_restricts_the_listener_and_the_client(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    with server.pync("-lv", "--interface", server.device, PORT, stdin=subprocess.DEVNULL) as listener:
        bound(listener, 2)
        assert greets(server, "127.0.0.1")[0] == 1
        assert greets(client, server.ipv4, "--interface", "lo", "-w", "0.3")[0] != 0
        assert greets(client, server.ipv4, "--interface", client.device)[0] == 0
        assert listener.finish() == (0, b"greeting")


# --- bad links


def test_a_lossy_link_delivers_both_ways_what_was_sent(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    client, server = hosts
    for number, host in enumerate(hosts):
        host.lose(5)
        (tmp_path / f"{number} sends").write_bytes(random.Random(number).randbytes(3 << 20))
    with (
        (tmp_path / "0 sends").open("rb") as there,
        (tmp_path / "1 sends").open("rb") as back,
        (tmp_path / "0 gets").open("wb") as got_back,
        (tmp_path / "1 gets").open("wb") as got_there,
        server.pync("-lv", PORT, stdin=back, stdout=got_there) as listener,
    ):
        bound(listener, 2)
        with client.pync("server", PORT, stdin=there, stdout=got_back) as sender:
            assert (sender.code(), listener.code()) == (0, 0)
    assert all(retransmitted(host) for host in hosts)  # so the link did lose some of it
    assert digest(tmp_path / "1 gets") == digest(tmp_path / "0 sends")
    assert digest(tmp_path / "0 gets") == digest(tmp_path / "1 sends")


def retransmitted(host: Host) -> int:
    """How many TCP segments the host had to send again."""
    names, values = (line.split() for line in host.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextlib.contextmanager
def in_mid_transfer(hosts: tuple[Host, Host], *options: str) -> Iterator[tuple[Running, Running]]:
    """A client that sends without end and a listener that has received the first of it."""
    client, server = hosts
    with server.pync("-lv", *options, PORT, stdin=subprocess.DEVNULL) as receiver:
        bound(receiver, 2)
        with (
            open("/dev/zero", "rb") as zeros,
            client.pync("-v", *options, "server", PORT, stdin=zeros) as sender,
        ):
            assert receiver.read(1 << 20) == bytes(1 << 20)
            yield sender, receiver


#: What cuts a link, by the side it happens at.
CUTS: dict[str, Callable[[Host, Host], None]] = {
    "the client's cable is pulled": lambda client, server: client.pull_cable(),
    "the server's cable is pulled": lambda client, server: server.pull_cable(),
    "what the client sends is dropped": lambda client, server: server.firewall("drop"),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_link_cut_in_mid_transfer_ends_in_exit_3_at_both_ends(
    hosts: tuple[Host, Host], cut: Callable[[Host, Host], None]
) -> None:
    with in_mid_transfer(hosts, "-w", "2") as (sender, receiver):
        began = time.monotonic()
        cut(*hosts)
        assert receiver.finish()[0] == 3
        assert sender.code() == 3
        assert 1.5 < time.monotonic() - began < 10
        for process in (sender, receiver):
            assert any(line.endswith(": no data for 2 s: timed out") for line in process.messages)


#: The rule at one host that answers the packets of the other with resets, and which of both suffers: the
#: client, which sends, or the server, which receives.
RESETS = [
    pytest.param(1, "tcp dport 7000 reject with tcp reset", 0, id="of what the sender sends"),
    pytest.param(0, "tcp sport 7000 reject with tcp reset", 1, id="of what the receiver confirms"),
]


@pytest.mark.parametrize(("rejecting", "rule", "victim"), RESETS)
def test_a_reset_in_mid_stream_is_exit_1_and_a_message(
    hosts: tuple[Host, Host], rejecting: int, rule: str, victim: int
) -> None:
    with in_mid_transfer(hosts) as processes:
        hosts[rejecting].firewall(rule)
        assert processes[victim].finish()[0] == 1
        # Where the kernel had told of the reset already by a short write, the next one fails with EPIPE.
        lost = r"^pync: connection with .+ port \d+ lost: (Connection reset by peer|Broken pipe)$"
        assert any(re.search(lost, line) for line in processes[victim].messages), processes[victim].messages


# --- datagrams


@pytest.mark.parametrize("address", ["ipv4", "spare_ipv4", "ipv6", "spare_ipv6", "link_local"])
def test_a_datagram_listener_answers_from_the_address_the_query_came_to(hosts: tuple[Host, Host], address: str) -> None:
    client, server = hosts
    # The client's socket is connected: the kernel hands it nothing that comes from another address.
    asked = getattr(server, address) + (f"%{client.device}" if address == "link_local" else "")
    with server.pync("-luv", PORT) as listener:
        bound(listener, 2)
        with client.pync("-u", "-W", "1", asked, PORT) as asking:
            asking.stdin.write(b"query")
            assert listener.read(5) == b"query"
            listener.stdin.write(b"answer")
            assert asking.read(6) == b"answer"
            assert asking.code() == 0


def test_a_datagram_client_goes_on_to_the_next_address_when_the_first_one_refuses(hosts: tuple[Host, Host]) -> None:
    client, server = hosts
    with server.pync("-4", "-luv", PORT) as listener:
        bound(listener, 1)
        with client.pync("-u", "-W", "1", "server", PORT) as asking:
            asking.stdin.write(b"query")
            assert listener.read(5) == b"query"
            listener.stdin.write(b"answer")
            assert asking.finish() == (0, b"answer")


# --- groups


@pytest.mark.parametrize("group", ["239.1.2.3", "ff05::77", "ff02::77"])
def test_members_of_a_group_on_both_hosts_hear_what_is_sent_to_it(hosts: tuple[Host, Host], group: str) -> None:
    client, server = hosts
    with (
        server.pync("-u", "-l", "-v", "--interface", server.device, group, PORT) as far,
        client.pync("-u", "-l", "-v", "--interface", client.device, group, PORT) as near,
        client.pync("-u", "-l", "-v", "--interface", client.device, group, PORT) as another,
    ):
        for member in (far, near, another):
            bound(member, 1)
        with client.pync("-u", "--interface", client.device, group, PORT) as sender:
            sender.stdin.write(b"to all")
            for member in (far, near, another):
                assert member.read(6) == b"to all"
            far.stdin.write(b"from one")
            assert sender.read(8) == b"from one"


@pytest.mark.parametrize(("group", "field"), [("239.1.2.3", "ip ttl"), ("ff05::77", "ip6 hoplimit")])
def test_ttl_says_how_far_a_datagram_to_a_group_goes(hosts: tuple[Host, Host], group: str, field: str) -> None:
    client, server = hosts
    server.firewall(f"udp dport {PORT} {field} 7 counter accept")
    with server.pync("-u", "-l", "-v", "--interface", server.device, group, PORT) as member:
        bound(member, 1)
        for options in ((), ("--ttl", "7")):
            client.run_pync("-u", "-q", "0", *options, "--interface", client.device, group, PORT, stdin=b"x")
        assert member.read(2) == b"xx"
    assert server.seen() == 1


def test_a_group_that_no_network_leads_to_is_an_error_that_says_what_helps(hosts: tuple[Host, Host]) -> None:
    code, _, messages = hosts[0].run_pync("-u", "-l", "239.1.2.3", PORT)
    assert (code, messages) == (1, ["pync: join 239.1.2.3: No such device (--interface says on which network)"])
