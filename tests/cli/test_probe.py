"""-z, the installed command against the loopback: what is found, said and printed, and the exit code.

Ports that refuse are bound but not listened on, so that nobody else takes them meanwhile. Waiting is tested in
test_wait, networks that drop or delay packets in test_probe_namespaces.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pync.net.resolve import service_name
from tests.cli.namespaces import Host, two_hosts
from tests.running import PATIENCE, PYNC, peer, plain_pync, pync, run_pync, running, stop
from tests.sockets import accepted, port_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def bound(host: str = "127.0.0.1", port: int = 0, *, listening: bool = False) -> Iterator[int]:
    """A port of this host that is open or refuses."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            pytest.skip(f"{host} cannot be bound here: {error}")
        if listening:
            sock.listen()
        yield int(sock.getsockname()[1])


@pytest.fixture
def open_port() -> Iterator[int]:
    with bound(listening=True) as port:
        yield port


@pytest.fixture
def closed_port() -> Iterator[int]:
    with bound() as port:
        yield port


def success(port: int, host: str = "127.0.0.1", service: str | None = None, protocol: str = "tcp") -> str:
    service = service or service_name(port, protocol)  # a port that the system picked may have a name
    return f"Connection to {host} {port} port [{protocol}/{service}] succeeded!"


def refusal(port: int, host: str = "127.0.0.1") -> str:
    return f"pync: connect to {host} port {port} (tcp) failed: Connection refused"


@contextlib.contextmanager
def row_of_ports(count: int, *opened: int) -> Iterator[tuple[int, list[int]]]:
    """The first of so many consecutive ports that nobody else has, and those of them that are open.

    Above the range that the system gives to those who ask for any port (ip(7), ip_local_port_range).
    """
    path = Path("/proc/sys/net/ipv4/ip_local_port_range")
    highest = int(path.read_text().split()[1]) if path.exists() else 60999
    may_open(count + 100)
    for first in itertools.chain(range(highest + 1, 65536 - count, 61), range(20_000, 30_000, 211)):
        with contextlib.ExitStack() as stack:
            try:
                for offset in range(count):
                    sock = stack.enter_context(socket.socket())
                    sock.bind(("127.0.0.1", first + offset))
                    if offset in opened:
                        sock.listen()
            except OSError:
                continue
            yield first, [first + offset for offset in opened]
            return
    pytest.fail("no row of unused ports on this machine")


def may_open(count: int) -> None:
    """Let this process have so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"{count} descriptors are not allowed here")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


# --- words and exit codes


def test_an_open_port_is_named_without_verbosity_and_gives_exit_code_0(open_port: int) -> None:
    assert run_pync("-z", "127.0.0.1", str(open_port)) == (0, b"", [success(open_port)])


def test_a_refused_port_gives_exit_code_1_and_is_named_with_verbosity_only(closed_port: int) -> None:
    assert run_pync("-z", "127.0.0.1", str(closed_port)) == (1, b"", [])
    assert run_pync("-zv", "127.0.0.1", str(closed_port)) == (1, b"", [refusal(closed_port)])


def test_one_open_port_among_refused_ones_gives_exit_code_0(open_port: int, closed_port: int) -> None:
    words = [str(closed_port), str(open_port)]
    assert run_pync("-z", "127.0.0.1", *words) == (0, b"", [success(open_port)])
    assert run_pync("-zv", "127.0.0.1", *words) == (0, b"", [refusal(closed_port), success(open_port)])


@pytest.mark.parametrize("option", [[], ["-6"], ["-n"]], ids=["plain", "-6", "-n"])
def test_ipv6_is_probed_like_ipv4(option: list[str]) -> None:
    with bound("::1", listening=True) as opened, bound("::1") as closed:
        code, _, lines = run_pync("-zv", *option, "::1", str(opened), str(closed))
    assert (code, lines) == (0, [success(opened, "::1"), refusal(closed, "::1")])


@pytest.mark.parametrize(("option", "host"), [("-6", "127.0.0.1"), ("-4", "::1")])
def test_an_address_of_the_other_family_does_not_resolve(option: str, host: str, open_port: int) -> None:
    code, _, lines = run_pync("-z", option, host, str(open_port))
    assert code == 2
    assert len(lines) == 1


def test_a_name_is_shown_as_it_was_written_and_its_address_where_it_refused(open_port: int, closed_port: int) -> None:
    code, _, lines = run_pync("-zv4", "localhost", str(open_port), str(closed_port))
    assert code == 0
    assert lines == [
        success(open_port, "localhost"),
        f"pync: connect to localhost (127.0.0.1) port {closed_port} (tcp) failed: Connection refused",
    ]


def test_without_look_ups_a_name_is_refused(open_port: int) -> None:
    assert run_pync("-zn", "127.0.0.1", str(open_port))[0] == 0
    assert run_pync("-zn", "localhost", str(open_port))[0] == 2
    assert run_pync("-zn", "127.0.0.1", "ssh")[0] == 2


def test_a_name_that_does_not_resolve_gives_exit_code_2() -> None:
    name = f"{'x' * 64}.invalid"  # a label too long to be asked for anywhere (RFC 1035, 2.3.4)
    code, _, lines = run_pync("-z", name, "80")
    assert code == 2
    assert len(lines) == 1
    assert name in lines[0]


def test_a_known_service_is_named() -> None:
    try:
        names = {socket.getservbyname(name): name for name in ("http-alt", "postgresql", "mysql", "ircs-u")}
    except OSError:
        pytest.skip("services(5) is not here")
    for port, name in names.items():
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            assert run_pync("-z", "127.0.0.1", name) == (0, b"", [success(port, service=name)])
            assert run_pync("-z", "127.0.0.1", str(port)) == (0, b"", [success(port, service=name)])
            return
    pytest.skip("every port with a name is taken here")


# --- which ports


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (["{0}-{9}"], [2, 5, 9]),
        (["{0},{2},{5}"], [2, 5]),
        (["{5},{2}"], [5, 2]),
        (["{9}", "{2}"], [9, 2]),
        (["{0}-{3},{9}", "{5}", "{4}-{6}"], [2, 9, 5]),
        (["{2}-{2}"], [2]),
        (["{2}", "{2}", "{2}"], [2]),
    ],
)
def test_ranges_and_lists_and_several_words_are_probed_in_one_go_and_told_in_their_order(
    shape: list[str], found: list[int]
) -> None:
    with row_of_ports(10, 2, 5, 9) as (first, _):
        ports = [first + offset for offset in range(10)]
        words = [word.format(*ports) for word in shape]
        code, output, lines = run_pync("-z", "127.0.0.1", *words)
        assert (code, output, lines) == (0, b"", [success(first + offset) for offset in found])


def test_host_and_port_may_be_one_word_and_several_of_them_are_all_probed(closed_port: int) -> None:
    with bound(listening=True) as first, bound("127.0.0.2", listening=True) as second:
        assert run_pync("-z", f"127.0.0.1:{first}") == (0, b"", [success(first)])
        code, _, lines = run_pync("-z", f"127.0.0.1:{closed_port}", f"127.0.0.1:{first}", f"127.0.0.2:{second}")
        assert (code, lines) == (0, [success(first), success(second, "127.0.0.2")])


def test_shuffled_ports_are_the_same_ports_in_another_order() -> None:
    with row_of_ports(200, *range(0, 200, 2)) as (first, opened):
        code, output, lines = run_pync("-z", "-r", "--json", "127.0.0.1", f"{first}-{first + 199}")
    found = [json.loads(line) for line in output.splitlines()]
    order = [each["port"] for each in found]
    assert (code, lines) == (0, [])
    assert sorted(order) == list(range(first, first + 200))
    assert order != sorted(order)  # one chance in 200!
    assert {each["port"] for each in found if each["state"] == "open"} == set(opened)


def test_an_interval_is_a_pause_between_ports() -> None:
    with row_of_ports(4, 1) as (first, [opened]):
        started = time.monotonic()
        code, _, lines = run_pync("-z", "-i", "200ms", "127.0.0.1", f"{first}-{first + 3}")
        assert time.monotonic() - started >= 3 * 0.2
    assert (code, lines) == (0, [success(opened)])


@pytest.mark.parametrize("parallel", ["1", "3", "1000"])
def test_any_number_of_ports_at_once_finds_the_same(parallel: str) -> None:
    with row_of_ports(60, 0, 30, 59) as (first, opened):
        code, _, lines = run_pync("-z", "--parallel", parallel, "127.0.0.1", f"{first}-{first + 59}")
    assert (code, lines) == (0, [success(port) for port in opened])


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("option", [[], ["--parallel", "5000"], ["--banner", "--parallel", "10"]], ids=" ".join)
def test_with_few_descriptors_thousands_of_ports_are_probed_and_exactly_the_open_ones_found(option: list[str]) -> None:
    with row_of_ports(2000, 0, 7, 1000, 1001, 1999) as (first, opened):
        words = [*option, "127.0.0.1", f"{first}-{first + 1999}"]
        code, _, lines = run_pync("-z", *words, preexec_fn=few_descriptors)
    assert (code, lines) == (0, [success(port) for port in opened])


@pytest.mark.slow
@pytest.mark.alone
def test_a_whole_host_is_probed_in_one_go_and_the_open_ports_are_among_those_found() -> None:
    with row_of_ports(3, 0, 2) as (first, opened):
        code, _, lines = run_pync("-z", "127.0.0.1", "1-65535")
        found = [int(line.split()[3]) for line in lines]
        assert code == 0
        assert set(opened) <= set(found)
        assert first + 1 not in found
        assert found == sorted(set(found))


def test_without_epoll_and_poll_the_same_is_found(open_port: int, closed_port: int) -> None:
    with plain_pync("-zv", "127.0.0.1", str(open_port), str(closed_port)) as probe:
        assert probe.finish() == (0, b"")
        assert probe.messages == [success(open_port), refusal(closed_port)]


# --- unix paths


@contextlib.contextmanager
def listening_at(path: str, kind: int = socket.SOCK_STREAM, backlog: int = 8) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(f"\0{path[1:]}" if path.startswith("@") else path)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
        yield sock


def test_a_path_is_open_stale_or_missing_and_words_of_several_kinds_go_together(tmp_path: Path, open_port: int) -> None:
    there, stale, missing = (str(tmp_path / name) for name in ("there", "stale", "missing"))
    with listening_at(stale):
        pass
    with listening_at(there), listening_at("@pync-probe"):
        opened = f"Connection to {there} succeeded!"
        assert run_pync("-z", "-U", there) == (0, b"", [opened])
        assert run_pync("-z", there) == (0, b"", [opened])
        assert run_pync("-z", "unix:@pync-probe") == (0, b"", ["Connection to @pync-probe succeeded!"])
        assert run_pync("-zv", "-U", missing, stale, there) == (
            0,
            b"",
            [
                f"pync: connect to {missing} failed: No such file or directory",
                f"pync: connect to {stale} failed: Connection refused",
                opened,
            ],
        )
        words = [f"unix:{there}", f"127.0.0.1:{open_port}"]
        assert run_pync("-z", *words) == (0, b"", [opened, success(open_port)])
    assert run_pync("-z", "-U", missing, stale) == (1, b"", [])


def test_a_path_of_datagrams_is_probed_without_sending_one(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with listening_at(path, socket.SOCK_DGRAM) as sock:
        code, output, lines = run_pync("-zuU", "--json", path)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    assert (code, lines) == (0, [])
    found = json.loads(output)
    assert (found["host"], found["port"], found["protocol"], found["state"]) == (path, None, "unix-dgram", "open")


def test_a_path_whose_queue_is_full_is_asked_again_until_its_time_is_over(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with listening_at(path, backlog=0), contextlib.ExitStack() as stack:
        for _ in range(2):
            filler = stack.enter_context(socket.socket(socket.AF_UNIX))
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(path)
        started = time.monotonic()
        assert run_pync("-zv", "-w", "300ms", "-U", path) == (
            1, b"", [f"pync: connect to {path} failed: Connection timed out"]
        )  # fmt: skip
        assert time.monotonic() - started >= 0.3


# --- several hosts


def test_a_list_of_hosts_and_a_block_are_probed_side_by_side_and_told_in_their_order() -> None:
    with row_of_ports(2, 0) as (first, [opened]), bound("127.0.0.10", opened, listening=True):
        code, output, lines = run_pync("-z", "--json", "127.0.0.1,127.0.0.9/29", f"{first},{first + 1}")
        found = [json.loads(line) for line in output.splitlines()]
        hosts = ["127.0.0.1", *[f"127.0.0.{last}" for last in range(8, 16)]]
        assert [(each["host"], each["port"]) for each in found] == [
            (host, port) for host in hosts for port in (first, first + 1)
        ]
        assert {each["host"] for each in found if each["state"] == "open"} == {"127.0.0.1", "127.0.0.10"}
        assert (code, lines) == (0, [])
        words = [f"127.0.0.8/30:{opened}", f"127.0.0.1:{opened}"]
        assert run_pync("-z", *words) == (0, b"", [success(opened, "127.0.0.10"), success(opened)])


def test_silent_hosts_cost_their_time_once_and_few_descriptors_are_enough() -> None:
    """Ten listeners whose queues are full, one after another 5 s."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=0))
        port = server.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        code, _, lines = run_pync("-zv", "-w", "500ms", "127.0.0.16/28", str(port), preexec_fn=few_descriptors)
        assert time.monotonic() - started < 16 * 0.5 / 2
    assert code == 1
    assert [line.split()[3] for line in lines] == [f"127.0.0.{last}" for last in range(16, 32)]


# --- what a probe leaves alone


def test_nothing_is_read_from_stdin(open_port: int, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"not to be read")
    with open(tmp_path / "input", "rb", buffering=0) as stdin:
        with pync("-z", "127.0.0.1", str(open_port), stdin=stdin) as probe:
            assert probe.code() == 0
        assert stdin.read() == b"not to be read"


def test_a_probe_does_not_wait_for_its_stdin(open_port: int) -> None:
    with pync("-z", "127.0.0.1", str(open_port)) as probe:  # its stdin is a pipe that stays open
        assert probe.code() == 0


@pytest.mark.parametrize("option", [[], ["-i", "1ms"], ["--parallel", "1"]], ids=" ".join)
def test_a_connection_is_closed_in_order_and_nothing_was_sent(option: list[str], server: socket.socket) -> None:
    assert run_pync("-z", *option, "127.0.0.1", port_of(server), stdin=b"secret")[0] == 0
    with accepted(server) as connection:
        assert connection.recv(16) == b""


def test_a_closed_stdout_and_stderr_do_not_change_the_exit_code(open_port: int) -> None:
    with running("/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", PYNC, "-z", "127.0.0.1", str(open_port)) as probe:
        assert probe.finish() == (0, b"")


def test_ctrl_c_ends_a_probe_at_once(udp_server: socket.socket) -> None:
    with pync("-zu", "-w", "1h", "127.0.0.1", port_of(udp_server)) as probe:
        udp_server.recvfrom(16)  # it is under way
        stop(probe, signal.SIGINT)
        assert probe.code() == 130
        assert probe.messages == []


# --- --json


def test_each_port_is_a_json_object_on_stdout(open_port: int, closed_port: int) -> None:
    code, output, lines = run_pync("-z", "--json", "-v", "127.0.0.1", str(closed_port), str(open_port))
    common = {"host": "127.0.0.1", "address": "127.0.0.1", "protocol": "tcp", "service": None, "banner": None}
    assert [json.loads(line) for line in output.splitlines()] == [
        {**common, "port": closed_port, "state": "refused", "errors": {"127.0.0.1": "Connection refused"}},
        {**common, "port": open_port, "state": "open", "errors": {}},
    ]
    assert (code, lines) == (0, [])
    assert output.endswith(b"\n")


def test_a_reader_of_json_that_leaves_early_is_no_failure() -> None:
    with row_of_ports(1000, 0) as (first, _), contextlib.ExitStack() as stack:
        probe = stack.enter_context(pync("-z", "--json", "127.0.0.1", *[f"{first}-{first + 999}"]))
        probe.stdout.close()
        assert probe.code() == 0
        assert probe.messages == []


# --- --banner


@contextlib.contextmanager
def service(*said: bytes, until_told: threading.Event | None = None) -> Iterator[int]:
    """A service that says these things to the first who comes, and then leaves."""

    def serve(server: socket.socket) -> None:
        with accepted(server) as connection:
            for piece in said:
                connection.sendall(piece)
            if until_told is not None:
                until_told.wait(PATIENCE)

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE)
        served = pool.submit(serve, server)
        yield server.getsockname()[1]
        if until_told is not None:
            until_told.set()
        served.result(PATIENCE)


def test_a_banner_is_shown_behind_the_port() -> None:
    with service(b"SSH-2.0-test\r\nmore\r\n") as port:
        assert run_pync("-z", "--banner", "127.0.0.1", str(port)) == (0, b"", [f"{success(port)} SSH-2.0-test"])


def test_a_hostile_banner_is_made_visible_on_stderr_and_in_json() -> None:
    hostile = b"\x1b]0;owned\x07\0\r\x9b31m\xff\n"
    shown = r"\x1b]0;owned\x07\x00\x0d\x9b31m\xff"
    with service(hostile) as port:
        assert run_pync("-z", "--banner", "127.0.0.1", str(port))[2] == [f"{success(port)} {shown}"]
    with service(hostile) as port:
        _, output, lines = run_pync("-z", "--banner", "--json", "127.0.0.1", str(port))
    assert lines == []
    assert json.loads(output)["banner"] == shown


def test_a_service_that_waits_to_be_spoken_to_is_open_without_a_banner() -> None:
    told = threading.Event()
    with service(until_told=told) as port:
        started = time.monotonic()
        assert run_pync("-z", "--banner", "127.0.0.1", str(port)) == (0, b"", [success(port)])
        assert time.monotonic() - started >= 1.0


# --- UDP


@contextlib.contextmanager
def udp_service(host: str = "127.0.0.1", deaf_to: int = 0) -> Iterator[tuple[int, list[bytes]]]:
    """Answers each datagram but the first few; gives its port and what it was asked."""
    asked: list[bytes] = []
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        while not over.is_set():
            data, sender = sock.recvfrom(1 << 16)
            asked.append(data)
            if len(asked) > deaf_to and not over.is_set():
                sock.sendto(b"here", sender)

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError as error:
            pytest.skip(f"{host} cannot be bound here: {error}")
        sock.settimeout(PATIENCE)
        with ThreadPoolExecutor(1) as pool:
            served = pool.submit(serve, sock)
            yield sock.getsockname()[1], asked
            over.set()
            with socket.socket(sock.family, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", sock.getsockname())
            served.result(PATIENCE)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_udp_port_that_answers_is_open(host: str) -> None:
    with udp_service(host) as (port, asked):
        assert run_pync("-zu", host, str(port)) == (0, b"", [success(port, host, protocol="udp")])
        assert asked == [b""]


def test_a_udp_port_that_answers_the_last_question_is_open() -> None:
    with udp_service(deaf_to=2) as (port, asked):
        assert run_pync("-zu", "-w", "600ms", "127.0.0.1", str(port))[0] == 0
        assert len(asked) == 3


def test_a_udp_port_that_nobody_has_gives_exit_code_1() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert run_pync("-zu", "127.0.0.1", str(port)) == (1, b"", [])
    code, _, lines = run_pync("-zuv", "127.0.0.1", str(port))
    assert (code, lines) == (1, [f"pync: connect to 127.0.0.1 port {port} (udp) failed: Connection refused"])


@pytest.mark.slow
def test_a_silent_udp_port_gives_exit_code_4_and_is_never_a_success(udp_server: socket.socket) -> None:
    port = port_of(udp_server)
    started = time.monotonic()
    assert run_pync("-zu", "-w", "300ms", "127.0.0.1", port) == (4, b"", [])
    assert time.monotonic() - started >= 0.3
    code, _, lines = run_pync("-zuv", "-w", "300ms", "127.0.0.1", port)
    assert (code, lines) == (4, [f"pync: connect to 127.0.0.1 port {port} (udp): no answer (open or filtered)"])
    _, output, _ = run_pync("-zu", "--json", "-w", "100ms", "127.0.0.1", port)
    assert json.loads(output)["state"] == "no answer"


def test_three_udp_ports_of_three_kinds_are_told_apart(udp_server: socket.socket) -> None:
    with udp_service() as (answering, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        closed = sock.getsockname()[1]
        sock.close()
        words = [str(answering), str(closed), port_of(udp_server)]
        code, output, _ = run_pync("-zu", "--json", "-w", "300ms", "127.0.0.1", *words)
    assert code == 0
    assert [json.loads(line)["state"] for line in output.splitlines()] == ["open", "refused", "no answer"]


def dnsmasq(address: str) -> list[str]:
    """A DNS server that knows nothing, asks nobody, and touches no file."""
    return [
        peer("dnsmasq"), "--no-daemon", "--conf-file=/dev/null", "--port=53", f"--listen-address={address}",
        "--bind-interfaces", "--no-resolv", "--no-hosts", "--pid-file", "--user=", "--group=",
    ]  # fmt: skip


def test_a_real_dns_server_answers_the_question_for_port_53() -> None:
    with contextlib.ExitStack() as stack:
        host: Host | None = None
        if not may_bind("127.0.0.53", 53):
            host, _ = stack.enter_context(two_hosts())
        address = "127.0.0.53" if host is None else "127.0.0.1"
        argv = dnsmasq(address)
        stack.enter_context(running(*(argv if host is None else host.command(*argv)))).wait_for("started, version")
        probe = run_pync if host is None else host.run_pync
        assert probe("-zu", address, "53") == (0, b"", [success(53, address, "domain", "udp")])
        assert probe("-z", address, "53") == (0, b"", [success(53, address, "domain")])


def may_bind(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


# --- what does not go together


@pytest.mark.parametrize(
    "words",
    [
        ["-z", "-l", "127.0.0.1", "0"],
        ["-z", "-U"],
        ["-z", "-U", "-s", "own", "path"],
        ["-z", "unix:"],
        ["-z", "./path", "80"],
        ["-z", "127.0.0.1", "80", "unix:path"],
        ["-z", "127.0.0.0/8", "80"],
        ["-z", "127.0.0.0/33:80"],
        ["-z", "127.0.0.1,", "80"],
        ["--banner", "127.0.0.1", "1"],
        ["--parallel", "5", "127.0.0.1", "1"],
        ["-zu", "--banner", "127.0.0.1", "1"],
        ["--retry", "3", "--wait", "5", "127.0.0.1", "1"],
        ["-z", "--retry", "3", "127.0.0.1", "1"],
        ["-u", "--retry", "3", "127.0.0.1", "1"],
        ["-l", "--wait", "5", "0"],
        ["-l", "--retry", "5", "0"],
        ["-u", "-U", "--wait", "5", "path"],
        ["-u", "--wait", "5", "127.0.0.1", "1"],
        ["--until-closed", "127.0.0.1", "1"],
        ["-z", "--until-closed", "127.0.0.1", "1"],
        ["-z", "--parallel", "0", "127.0.0.1", "1"],
        ["-z", "--parallel", "many", "127.0.0.1", "1"],
        ["-z", "127.0.0.1"],
        ["-z"],
        ["-z", "127.0.0.1", "65536"],
        ["-z", "127.0.0.1", "1-65536"],
        ["-z", "127.0.0.1", "20-10"],
        ["-z", "127.0.0.1", "no-such-service"],
        ["-z", "127.0.0.1:1", "127.0.0.1:65536"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    code, output, lines = run_pync(*words)
    assert (code, output) == (2, b"")
    assert len(lines) == 1
    assert lines[0].startswith("pync: ")
