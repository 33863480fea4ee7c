"""Probing and waiting between hosts, each a network namespace: filters, dead routes, latency, a DNS server.

Here belongs what loopback cannot show of -z, -zu and --wait. The hosts come from namespaces.py: one pair for
all that only sets rules, which are taken back; a new pair where a test changes more. Ports are fixed numbers:
nobody else is on these hosts.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.cli.namespaces import Far, Host, latency, two_hosts
from tests.running import PATIENCE, PYNC, eventually, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.running import Running

    Hosts = tuple[Host, Host]
    Change = Callable[[Host, Host], object]

pytestmark = pytest.mark.namespace

PORT = "7000"
FAMILIES = ("ipv4", "ipv6")
DROP = f"tcp dport {PORT} drop"
#: What starting and ending a process may take beyond the time that is tested.
SLACK = 2.0
#: How far away the far host is, there and back, in seconds.
LATENCY = 0.04
EVERY_PORT = range(1, 65536)

#: Gives each datagram back to its sender, from each of these ports.
UDP_ECHO = """
import selectors, socket, sys
selector = selectors.DefaultSelector()
for port in sys.argv[1:]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", int(port)))
    selector.register(sock, selectors.EVENT_READ)
print("listening", file=sys.stderr, flush=True)
while True:
    for key, _ in selector.select():
        key.fileobj.sendto(*key.fileobj.recvfrom(65536))
"""


@pytest.fixture(scope="module")
def lasting_hosts() -> Iterator[Hosts]:
    with two_hosts() as pair:
        pair[1].limit_icmp(0)
        yield pair


@pytest.fixture
def hosts(lasting_hosts: Hosts) -> Iterator[Hosts]:
    """The pair for tests that set rules at the server and no more."""
    yield lasting_hosts
    lasting_hosts[1].firewall()


@pytest.fixture(scope="module")
def far(lasting_hosts: Hosts) -> Iterator[Far]:
    """The addresses of that pair's server behind a cable with latency."""
    with latency(lasting_hosts, LATENCY) as addresses:
        yield addresses


@pytest.fixture
def own_hosts() -> Iterator[Hosts]:
    with two_hosts() as pair:
        yield pair


@contextlib.contextmanager
def within(seconds: float, at_least: float = 0.0) -> Iterator[None]:
    """What is done takes so long, and not much longer."""
    began = time.monotonic()
    yield
    assert at_least <= time.monotonic() - began < seconds + SLACK


def objects(output: bytes) -> list[dict[str, Any]]:
    """What --json printed, an object a line."""
    return [json.loads(line) for line in output.splitlines()]


def states(output: bytes) -> dict[int, str]:
    """The state of each port by --json."""
    return {line["port"]: line["state"] for line in objects(output)}


def opened(messages: list[str], host: str) -> list[int]:
    """The ports that are said to be open, in the order said; nothing else may have been said."""
    matches = [re.fullmatch(rf"Connection to {re.escape(host)} (\d+) port \[\w+/\S+\] succeeded!", m) for m in messages]
    assert all(matches), messages
    return [int(match[1]) for match in matches if match]


def failed(host: str, why: str, port: str = PORT) -> str:
    return f"pync: connect to {host} port {port} (tcp) failed: {why}"


# --- what can be at the other end of a port


class Answer(NamedTuple):
    """How the probes of a port are answered, and what pync is to say of it, in the system's words (connect(2))."""

    state: str
    reason: str
    ipv6_reason: str = ""
    #: Rules of the server's filter, and the kind of the client's route (ip-route(8)).
    rules: tuple[str, ...] = ()
    route: str = ""


def reject(icmp: str, icmpv6: str) -> tuple[str, ...]:
    """The rules that answer with these ICMP codes."""
    answers = {"ipv4": f"icmp {icmp}", "ipv6": f"icmpv6 {icmpv6}"}
    return tuple(f"meta nfproto {family} tcp dport {PORT} reject with {code}" for family, code in answers.items())


ANSWERS = {
    "nobody listens": Answer("refused", "Connection refused"),
    "reset": Answer("refused", "Connection refused", rules=(f"tcp dport {PORT} reject with tcp reset",)),
    "port-unreachable": Answer("refused", "Connection refused", rules=reject("port-unreachable", "port-unreachable")),
    "host-prohibited": Answer(
        "unreachable", "No route to host", "Permission denied", rules=reject("host-prohibited", "admin-prohibited")
    ),
    "net-unreachable": Answer("unreachable", "Network is unreachable", rules=reject("net-unreachable", "no-route")),
    "dropped": Answer("timed out", "Connection timed out", rules=(DROP,)),
    "blackhole route": Answer("unreachable", "Invalid argument", route="blackhole"),
    "unreachable route": Answer("unreachable", "No route to host", route="unreachable"),
    "prohibit route": Answer("unreachable", "Permission denied", route="prohibit"),
}


@pytest.fixture(params=list(ANSWERS.values()), ids=list(ANSWERS))
def answer(hosts: Hosts, far: Far, request: pytest.FixtureRequest) -> Iterator[Answer]:
    client, server = hosts
    answer: Answer = request.param
    server.firewall(*answer.rules)
    routes = [("route", verb, answer.route, address) for verb in ("add", "del") for address in far if answer.route]
    for words in routes[:2]:
        client.run("ip", *words)
    yield answer
    for words in routes[2:]:
        client.run("ip", *words)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_port_that_is_not_open_is_exit_1_and_its_cause_is_told_within_the_time(
    hosts: Hosts, far: Far, answer: Answer, family: str
) -> None:
    # On a cable without latency the kernel drops ICMP errors: they come while connect(2) holds the socket.
    client, _ = hosts
    address = getattr(far, family)
    reason = (answer.ipv6_reason or answer.reason) if family == "ipv6" else answer.reason
    silent = answer.state == "timed out"
    with within(0.5 if silent else 0, at_least=0.5 if silent else 0):
        told = client.run_pync("-zv", "-w", "0.5" if silent else "20", address, PORT)
    assert told == (1, b"", [failed(address, reason)])
    code, output, messages = client.run_pync("-z", "--json", "-w", "0.5", address, PORT)
    assert (code, messages) == (1, [])
    (result,) = objects(output)
    assert (result["host"], result["address"], result["port"]) == (address, address, int(PORT))
    assert (result["state"], result["errors"]) == (answer.state, {address: reason})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [(), ("-v",)])
def test_an_open_port_is_exit_0_and_told_without_verbose_too(
    hosts: Hosts, family: str, options: tuple[str, ...]
) -> None:
    client, server = hosts
    address = getattr(server, family)
    with server.listening(PORT):
        code, output, messages = client.run_pync("-z", *options, address, PORT)
    assert (code, output, opened(messages, address)) == (0, b"", [int(PORT)])


def test_a_port_that_is_not_open_is_not_told_without_verbose(hosts: Hosts) -> None:
    client, server = hosts
    assert client.run_pync("-z", server.ipv4, PORT) == (1, b"", [])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_host_that_is_down_times_out_or_is_unreachable_by_what_comes_first(own_hosts: Hosts, family: str) -> None:
    client, server = own_hosts
    nobody = getattr(server, family)[:-1] + "99"
    with within(0.3, at_least=0.3):
        told = client.run_pync("-zv", "-w", "0.3", nobody, PORT)
    assert told == (1, b"", [failed(nobody, "Connection timed out")])
    client.ask_neighbours_quickly()
    with within(1):
        told = client.run_pync("-zv", "-w", "20", nobody, PORT)
    assert told == (1, b"", [failed(nobody, "No route to host")])


def test_silent_ports_take_three_seconds_together_unless_told_otherwise(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall("tcp dport 7000-7019 drop")
    with within(3, at_least=3):
        code, output, _ = client.run_pync("-z", "--json", server.ipv4, "7000-7020")
    assert code == 1
    assert states(output) == {**dict.fromkeys(range(7000, 7020), "timed out"), 7020: "refused"}


def test_open_ports_among_silent_and_refused_ones_are_exit_0(hosts: Hosts, far: Far) -> None:
    client, server = hosts
    server.firewall(DROP, "tcp dport 7001 reject with icmpx host-unreachable")
    with server.listening(7003):
        code, output, messages = client.run_pync("-z", "--json", "-w", "0.5", far.ipv6, "7000-7003")
    assert (code, messages) == (0, [])
    assert states(output) == {7000: "timed out", 7001: "unreachable", 7002: "refused", 7003: "open"}


# --- a name with both families


@pytest.mark.parametrize(("dropped", "reached"), [FAMILIES, FAMILIES[::-1]])
def test_a_port_is_open_when_one_family_is_dropped_and_the_other_answers(
    hosts: Hosts, dropped: str, reached: str
) -> None:
    client, server = hosts
    server.firewall(f"meta nfproto {dropped} {DROP}")
    with server.listening(PORT):
        with within(0.5):
            code, _, messages = client.run_pync("-zv", "-w", "20", "server", PORT)
        assert (code, opened(messages, "server")) == (0, [int(PORT)])
        _, output, _ = client.run_pync("-z", "--json", "-w", "20", "server", PORT)
        assert objects(output)[0]["address"] == getattr(server, reached)
        assert client.run_pync("-z", f"--{dropped}", "-w", "0.3", "server", PORT) == (1, b"", [])


def test_a_port_is_open_when_one_family_refuses_and_the_other_answers(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall(f"meta nfproto ipv6 tcp dport {PORT} reject with tcp reset")
    with server.listening(PORT):
        with within(0):
            code, _, messages = client.run_pync("-zv", "server", PORT)
    assert (code, opened(messages, "server")) == (0, [int(PORT)])


def test_a_name_with_no_family_open_is_told_by_each_address_within_one_time(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall(DROP)
    with within(1, at_least=1):
        code, _, messages = client.run_pync("-zv", "-w", "1", "server", PORT)
    assert code == 1
    addresses = (server.ipv4, server.ipv6)
    assert sorted(messages) == [failed(f"server ({address})", "Connection timed out") for address in addresses]


@pytest.mark.parametrize("dropped", FAMILIES)
def test_a_refusal_by_one_family_counts_more_than_silence_of_the_other(hosts: Hosts, dropped: str) -> None:
    client, server = hosts
    server.firewall(f"meta nfproto {dropped} {DROP}")
    code, output, _ = client.run_pync("-z", "--json", "-w", "0.5", "server", PORT)
    assert (code, states(output)) == (1, {int(PORT): "refused"})
    assert set(objects(output)[0]["errors"]) == {server.ipv4, server.ipv6}


def test_several_hosts_are_probed_in_the_order_written(hosts: Hosts) -> None:
    client, server = hosts
    words = ["server:7002", f"{server.ipv4}:7000-7001", f"[{server.ipv6}]:7001", f"{server.ipv4}:7003"]
    with server.listening(7001, 7002):
        code, output, _ = client.run_pync("-z", "--json", *words)
    assert code == 0
    assert [(line["host"], line["port"], line["state"]) for line in objects(output)] == [
        ("server", 7002, "open"),
        (server.ipv4, 7000, "refused"),
        (server.ipv4, 7001, "open"),
        (server.ipv6, 7001, "open"),
        (server.ipv4, 7003, "refused"),
    ]


# --- waiting


def test_a_probe_waits_for_a_name_that_does_not_resolve_yet(own_hosts: Hosts) -> None:
    client, server = own_hosts
    with server.listening(7000, 7001), client.pync("-z", "--wait", "20", "later:7000", "server:7001") as waiting:
        waiting.wait_for("^Connection to server 7001 ")  # so the first one has been tried
        client.learn("later", server.ipv4)
        assert waiting.code() == 0
    assert waiting.messages[1:] and opened(waiting.messages[1:], "later") == [7000]


def test_a_session_waits_for_a_name_that_does_not_resolve_yet_and_loses_no_input(own_hosts: Hosts) -> None:
    client, server = own_hosts
    with server.pync("-lv", PORT) as listener, client.pync("-v", "--wait", "20", "later", PORT) as waiting:
        listener.wait_for("^Listening on ")
        waiting.stdin.write(b"said before, ")
        waiting.wait_for(r'^pync: getaddrinfo for host "later" port 7000: .*; waiting$')
        client.learn("later", server.ipv6)
        listener.wait_for("^Connection received on ")
        waiting.stdin.write(b"said after")
        waiting.stdin.close()
        assert listener.finish() == (0, b"said before, said after")
        assert waiting.code() == 0


#: What is in the way of a connection: how it comes, what goes on while it lasts, how it is taken away.
OBSTACLES: dict[str, tuple[Change, str, Change]] = {
    "no route": (
        lambda client, server: client.run("ip", "route", "add", "unreachable", server.ipv4),
        "No route to host; waiting",
        lambda client, server: client.run("ip", "route", "del", server.ipv4),
    ),
    "a filter that rejects": (
        lambda client, server: server.firewall("tcp dport 7000 reject with icmpx admin-prohibited"),
        "No route to host; waiting",
        lambda client, server: server.firewall(),
    ),
    "a cable that is not plugged in": (
        lambda client, server: client.pull_cable(),
        "Network is unreachable; waiting",
        lambda client, server: client.run("ip", "link", "set", client.device, "up"),
    ),
}


@pytest.mark.parametrize(("come", "meanwhile", "go"), OBSTACLES.values(), ids=OBSTACLES)
def test_a_session_waits_for_what_is_in_the_way_to_go(
    own_hosts: Hosts, come: Change, meanwhile: str, go: Change
) -> None:
    client, server = own_hosts
    come(client, server)
    with server.pync("-l", PORT) as listener, client.pync("-v", "--wait", "20", server.ipv4, PORT) as waiting:
        waiting.wait_for(f"{meanwhile}$")
        go(client, server)
        waiting.stdin.write(b"at last")
        waiting.stdin.close()
        assert (listener.finish(), waiting.code()) == ((0, b"at last"), 0)


def test_a_probe_waits_for_a_filter_that_drops_to_go(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall(f"tcp dport {PORT} counter drop")
    with server.listening(PORT), client.pync("-z", "--wait", "20", "-w", "0.3", server.ipv4, PORT) as waiting:
        eventually(lambda: server.seen() > 1, "probes that were dropped")
        server.firewall()
        assert waiting.code() == 0
    assert opened(waiting.messages, server.ipv4) == [int(PORT)]


def test_a_silent_target_leaves_those_behind_it_time_to_answer(own_hosts: Hosts) -> None:
    client, server = own_hosts
    server.firewall(DROP)
    with latency(own_hosts, 0.2) as far, server.listening(7001):
        with within(1, at_least=1):
            code, _, messages = client.run_pync("-z", "--wait", "1", f"{far.ipv4}:{PORT}", f"{far.ipv4}:7001")
    assert code == 3
    assert opened(messages[:1], far.ipv4) == [7001]
    assert messages[1:] == [failed(far.ipv4, "Connection timed out"), "pync: no answer after 1 s: timed out"]


def test_a_session_waits_for_a_listener_that_has_died_to_come_back(hosts: Hosts) -> None:
    client, server = hosts
    with server.listening(PORT):
        assert client.run_pync("-z", "--wait", "20", "server", PORT)[0] == 0
    with client.pync("-v", "--wait", "20", "server", PORT) as waiting:
        waiting.wait_for("Connection refused; waiting$")
        waiting.stdin.write(b"welcome back")
        waiting.stdin.close()
        with server.pync("-l", PORT) as listener:
            assert (listener.finish(), waiting.code()) == ((0, b"welcome back"), 0)


def test_a_port_that_answered_and_died_again_is_not_waited_for_twice(hosts: Hosts) -> None:
    client, server = hosts
    with client.pync("-z", "--wait", "20", "server:7000", "server:7001") as waiting:
        with server.listening(7000):
            waiting.wait_for("^Connection to server 7000 ")
        with server.listening(7001):
            assert waiting.code() == 0
    assert opened(waiting.messages, "server") == [7000, 7001]


def test_a_session_whose_listener_dies_is_not_begun_anew(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall("tcp dport 7000 tcp flags & (syn | ack) == syn counter")
    with server.pync("-l", PORT) as listener, client.pync("-v", "--wait", "20", server.ipv4, PORT) as session:
        session.stdin.write(b"first")
        assert listener.read(5) == b"first"
        connections = server.seen()
        listener.process.kill()
        listener.code()
        with server.listening(PORT):
            eventually(lambda: ended_by(session, b"second"), "the end of the session")
            assert session.code() == 1
        assert server.seen() == connections


def ended_by(session: Running, data: bytes) -> bool:
    """Write, and say whether the session has ended. A peer that was killed has sent a FIN; this gets its reset."""
    with contextlib.suppress(BrokenPipeError):
        session.stdin.write(data)
    return session.process.poll() is not None


#: Why nothing can be reached, and what is said of it.
CAUSES: dict[str, tuple[list[str], str, str]] = {
    "dropped": (["tcp dport 7000 drop"], "server", "Connection timed out"),
    "rejected": (["tcp dport 7000 reject with icmpx host-unreachable"], "server", "No route to host"),
    "refused": ([], "server", "Connection refused"),
    "no such name": ([], "nobody", "Name or service not known"),
}


@pytest.mark.parametrize("mode", ["-z", "-v"])
@pytest.mark.parametrize(("rules", "name", "cause"), CAUSES.values(), ids=CAUSES)
def test_waiting_in_vain_is_exit_3_after_that_time_and_names_the_last_cause(
    hosts: Hosts, rules: list[str], name: str, cause: str, mode: str
) -> None:
    client, server = hosts
    server.firewall(*rules)
    with within(0.5, at_least=0.5):
        code, output, messages = client.run_pync(mode, "--wait", "0.5", name, PORT)
    assert (code, output) == (3, b"")
    assert any(line.endswith(cause) for line in messages[:-1]), messages
    assert re.fullmatch(r"pync: no answer .*0\.5 s: timed out", messages[-1]), messages


@pytest.mark.parametrize("close", [DROP, f"tcp dport {PORT} reject with tcp reset"])
def test_until_closed_ends_when_a_filter_closes_the_port(hosts: Hosts, close: str) -> None:
    client, server = hosts
    server.firewall(f"tcp dport {PORT} counter")
    with (
        server.listening(PORT),
        client.pync("-z", "--wait", "20", "-w", "0.3", "--until-closed", "server", PORT) as waiting,
    ):
        eventually(lambda: server.seen() > 3, "probes that were answered")
        assert waiting.process.poll() is None
        server.firewall(close)
        assert waiting.code() == 0


# --- latency


def scanned(client: Host, address: str, ports: range, *command: str) -> list[int]:
    """The ports that pync finds open."""
    words = (*command, PYNC, "-z", address, f"{ports[0]}-{ports[-1]}")
    with client.running(*words) as scan:
        code = scan.code(timeout=3 * PATIENCE)
    assert code == 0, scan.messages
    return opened(scan.messages, address)


def some_of(ports: range) -> list[int]:
    """Twenty of the ports, the first and the last among them."""
    return sorted([ports[0], ports[-1], *random.sample(ports[1:-1], 18)])


def test_a_scan_of_every_port_of_a_host_far_away_finds_exactly_the_open_ones(hosts: Hosts, far: Far) -> None:
    client, server = hosts
    wanted = some_of(EVERY_PORT)
    with server.listening(*wanted):
        assert scanned(client, far.ipv4, EVERY_PORT) == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scan_with_few_descriptors_finds_exactly_the_open_ports(hosts: Hosts, far: Far, family: str) -> None:
    client, server = hosts
    ports = range(20000, 23000)
    wanted = some_of(ports)
    few = ("/bin/sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")
    with server.listening(*wanted):
        with within(10, at_least=len(ports) / 64 * LATENCY):
            assert scanned(client, getattr(far, family), ports, *few) == wanted


def test_a_scan_of_a_host_far_away_takes_the_latency_once_for_all_the_ports_at_once(
    hosts: Hosts,
    far: Far,
) -> None:
    client, server = hosts
    ports = range(30000, 32000)
    wanted = some_of(ports)
    with server.listening(*wanted):
        with within(2):  # one after another: 80 s
            assert scanned(client, far.ipv6, ports) == wanted


# --- datagrams


@pytest.fixture
def dns_server(hosts: Hosts) -> Iterator[None]:
    """A real DNS server on the server, which knows nothing and refers to nobody."""
    words = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root")
    server = hosts[1]
    with server.running(peer("dnsmasq"), *words, "--log-facility=-"):
        eventually(lambda: ":53 " in server.run("ss", "-Hlun"), "a DNS server")
        yield


@pytest.mark.parametrize("name", ["ipv4", "ipv6", "server"])
@pytest.mark.usefixtures("dns_server")
def test_a_real_dns_server_is_open_at_once(hosts: Hosts, name: str) -> None:
    client, server = hosts
    address = getattr(server, name, name)
    with within(0):
        code, output, messages = client.run_pync("-zuv", "-w", "20", address, "53")
    assert (code, output, opened(messages, address)) == (0, b"", [53])


@pytest.mark.parametrize("name", ["ipv4", "ipv6", "server"])
def test_a_closed_datagram_port_is_exit_1_at_once(hosts: Hosts, name: str) -> None:
    client, server = hosts
    address = getattr(server, name, name)
    addresses = [server.ipv4, server.ipv6] if name == "server" else [address]
    shown = [f"server ({each})" if name == "server" else each for each in addresses]
    with within(0):
        code, output, messages = client.run_pync("-zuv", "-w", "20", address, PORT)
    assert (code, output) == (1, b"")
    expected = [f"pync: connect to {each} port {PORT} (udp) failed: Connection refused" for each in shown]
    assert sorted(messages) == expected


@pytest.mark.parametrize("name", ["ipv4", "ipv6", "server"])
@pytest.mark.parametrize("port", ["53", PORT])
def test_a_datagram_port_that_is_dropped_is_exit_4_and_never_success(hosts: Hosts, name: str, port: str) -> None:
    client, server = hosts
    server.firewall(f"udp dport {port} drop")
    address = getattr(server, name, name)
    with within(0.5, at_least=0.5):
        told = client.run_pync("-zuv", "-w", "0.5", address, port)
    assert told == (4, b"", [f"pync: connect to {address} port {port} (udp): no answer (open or filtered)"])


@pytest.mark.usefixtures("dns_server")
def test_a_datagram_port_is_open_when_one_family_is_dropped(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall("meta nfproto ipv6 udp dport 53 drop")
    with within(0):
        code, _, messages = client.run_pync("-zu", "-w", "20", "server", "53")
    assert (code, opened(messages, "server")) == (0, [53])


@pytest.mark.usefixtures("dns_server")
def test_a_question_that_is_lost_is_asked_again(hosts: Hosts) -> None:
    client, server = hosts
    # Of every three datagrams the first is dropped.
    server.firewall("udp dport 53 numgen inc mod 3 == 0 counter drop")
    code, _, messages = client.run_pync("-zu", "-w", "1.5", server.ipv4, "53")
    assert (code, opened(messages, server.ipv4)) == (0, [53])
    assert server.seen() == 1


def test_a_datagram_probe_that_a_filter_prohibits_is_unreachable_and_exit_1(hosts: Hosts) -> None:
    client, server = hosts
    server.firewall("udp dport 7000 reject with icmpx admin-prohibited")
    code, output, _ = client.run_pync("-zu", "--json", "-w", "20", server.ipv4, PORT)
    assert (code, states(output)) == (1, {int(PORT): "unreachable"})


def test_repeated_questions_overcome_the_icmp_limit_of_the_host(own_hosts: Hosts) -> None:
    # Six errors at once, then five a second: twelve closed ports are known after two more questions.
    client, server = own_hosts
    server.limit_icmp(200)
    code, output, _ = client.run_pync("-zu", "--json", "-w", "3", server.ipv4, "7000-7011")
    assert (code, states(output)) == (1, dict.fromkeys(range(7000, 7012), "refused"))


def test_of_many_datagram_ports_the_open_ones_are_found_whatever_the_icmp_limit_hides(own_hosts: Hosts) -> None:
    client, server = own_hosts
    server.limit_icmp(1000)  # the kernel's own default
    ports = range(7000, 7080)
    with server.running(sys.executable, "-c", UDP_ECHO, *map(str, ports[::2])) as echo:
        echo.wait_for("^listening$")
        with within(3, at_least=3):  # the time of each port, unless told otherwise
            code, output, _ = client.run_pync("-zu", "--json", server.ipv4, f"{ports[0]}-{ports[-1]}")
    found = states(output)
    assert code == 0
    assert list(found) == list(ports)
    assert [port for port, state in found.items() if state == "open"] == list(ports[::2])
    assert {found[port] for port in ports[1::2]} == {"refused", "no answer"}
