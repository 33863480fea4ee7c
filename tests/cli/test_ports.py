"""`pync --ports` beside what ss(8) says at the same moment, its filters, its formats and its exit codes.

Only sockets that the test has made are compared: others come and go. The sockets belong to this very
process. Missing rights, terminals and the pieces of the room are tested elsewhere.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pync.ports.plain import DOCUMENT, HEADER
from tests.house.test_startup import MAIN
from tests.ports.crowd import STATES, Crowd, big_crowd, empty_crowd, has_ipv6, port_of
from tests.running import PATIENCE, eventually, peer, pync, run_pync, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets are compared with iproute2's ss")

#: ss's names of states by ours.
SS_STATES = {
    "ESTAB": "established", "SYN-RECV": "syn_recv", "CLOSE-WAIT": "close_wait", "FIN-WAIT-1": "fin_wait",
    "FIN-WAIT-2": "fin_wait", "TIME-WAIT": "time_wait",
}  # fmt: skip
NO_CONNECTIONS = dict.fromkeys(("established", "syn_recv", "close_wait", "fin_wait", "time_wait", "other"), 0)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with big_crowd() as made:
        yield made


@pytest.fixture
def few() -> Iterator[Crowd]:
    with empty_crowd() as made:
        yield made


def ports(*words: str, code: int = 0) -> list[dict[str, Any]]:
    """The rows of `pync --ports --json`, which ends with this code."""
    ended, out, messages = run_pync("--ports", "--json", *words)
    assert ended == code, messages
    found: list[dict[str, Any]] = json.loads(out)["ports"]
    return found


def ss(*words: str) -> list[list[str]]:
    done = subprocess.run([peer("ss"), "-H", *words], capture_output=True, timeout=PATIENCE, check=True)
    return [line.split() for line in done.stdout.decode().splitlines()]


def pids(row: dict[str, Any]) -> set[int]:
    return {owner["pid"] for owner in row["owners"]}


# --- beside ss


def ours_from_ss(wanted: set[int]) -> set[tuple[Any, ...]]:
    """What ss says of these ports: protocol, address, port, dual stack, owners, queue and limit."""
    rows = set()
    for protocol, _, length, limit, local, _, *users in ss("-tulnp"):
        address, _, port = local.rpartition(":")
        if int(port) in wanted:
            owners = frozenset(int(pid) for pid in re.findall(r"pid=(\d+)", " ".join(users)))
            dual = address == "*"
            queue = (int(length), int(limit)) if protocol == "tcp" else None
            rows.add((protocol, "::" if dual else address.strip("[]"), int(port), dual, owners, queue))
    return rows


def ours_from_pync(wanted: set[int]) -> set[tuple[Any, ...]]:
    rows = set()
    for row in ports():
        if row["port"] in wanted:
            queue = row["queue"] and (row["queue"]["length"], row["queue"]["limit"])
            rows.add((row["protocol"], row["address"], row["port"], row["dual_stack"], frozenset(pids(row)), queue))
    return rows


def test_every_bound_port_is_a_row_as_ss_tells_it(crowd: Crowd) -> None:
    wanted = {port_of(sock) for sock in (*crowd.ipv4, *crowd.ipv6, *crowd.dual, *crowd.udp)}
    expected = ours_from_ss(wanted)
    assert len(expected) >= (40 if has_ipv6() else 26)
    assert ours_from_pync(wanted) == expected


def test_connections_are_counted_by_state_as_ss_counts_them(crowd: Crowd) -> None:
    """What others have left behind on our ports is no matter of this test, and told by the peers' ports."""
    expected: Counter[tuple[int, str]] = Counter()
    for state, _, _, local, remote, *_ in ss("-tan"):
        port, peer_port = (text.rpartition(":")[2] for text in (local, remote))
        if peer_port != "*" and (int(port), int(peer_port)) in crowd.pairs:
            expected[int(port), SS_STATES.get(state, "other")] += 1
    found: Counter[tuple[int, str]] = Counter()
    for row in ports("-v"):
        if row["protocol"] == "tcp":
            assert Counter(peer["state"] for peer in row["peers"]) == Counter(row["connections"])
            found.update(
                (row["port"], peer["state"]) for peer in row["peers"] if (row["port"], peer["port"]) in crowd.pairs
            )
    assert found == expected
    assert expected.total() == 300
    assert {state for _, state in expected} == set(STATES)


def test_unix_sockets_are_rows_as_ss_tells_them(crowd: Crowd) -> None:
    names = {"u_str": "unix", "u_dgr": "unix-dgram", "u_seq": "unix-seqpacket"}
    wanted = {path_of(sock): sock for sock in crowd.unix}
    expected = set()
    for kind, state, length, limit, *rest in ss("-xanp"):
        # The path may hold spaces; behind it are an inode, "*" and the peer's. "ESTAB" is a socket accepted there.
        path = re.split(r" \d+ \*", " ".join(rest))[0]
        if path in wanted and (state != "ESTAB" or kind == "u_dgr"):
            queue = (int(length), int(limit)) if state == "LISTEN" else None
            expected.add((names[kind], path, queue, frozenset({os.getpid()})))
    found = set()
    for row in ports("-U"):
        assert row["port"] is row["service"] is None
        if row["address"] in wanted:
            queue = row["queue"] and (row["queue"]["length"], row["queue"]["limit"])
            found.add((row["protocol"], row["address"], queue, frozenset(pids(row))))
    assert found == expected
    assert len(expected) == 10


def path_of(sock: socket.socket) -> str:
    name = sock.getsockname()
    return "@" + name[1:].decode() if isinstance(name, bytes) else name


def test_connections_of_a_unix_listener_are_counted(crowd: Crowd) -> None:
    (row,) = ports("-U", path_of(crowd.unix[0]))
    assert row["connections"] == {**NO_CONNECTIONS, "established": 1}
    assert row["queue"] == {"length": 1, "limit": 1}


def test_tcp_and_udp_are_shown_by_default_and_unix_sockets_are_not(crowd: Crowd) -> None:
    assert {row["protocol"] for row in ports()} == {"tcp", "udp"}


# --- owners


def test_a_socket_that_a_child_has_inherited_is_one_row_with_both_owners(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    with running(sys.executable, "-c", "input()", pass_fds=[server.fileno()]) as child:
        (row,) = ports(str(port_of(server)))
        assert pids(row) == {os.getpid(), child.process.pid}
        assert [row] == ports("--pid", str(child.process.pid))
        child.finish()


def test_an_owner_has_its_program_and_its_user(few: Crowd) -> None:
    with pync("-l", "127.0.0.1", "0") as listener:
        (row,) = ports(str(listener.port()))
        assert row["owners"] == [
            {"pid": listener.process.pid, "program": "pync", "user": pwd.getpwuid(os.geteuid()).pw_name}
        ]


def test_listeners_that_share_a_port_are_one_row_with_the_queues_added_up(few: Crowd) -> None:
    first, second = (few.keep(socket.socket()) for _ in range(2))
    for sock in (first, second):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    first.listen(3)
    second.listen(4)
    (row,) = ports(str(port_of(first)))
    assert row["queue"] == {"length": 0, "limit": 7}
    assert pids(row) == {os.getpid()}


# --- addresses


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback")
def test_a_dual_stack_socket_is_one_row_marked_so_and_has_the_connections_of_both_families(few: Crowd) -> None:
    server = few.listen(socket.AF_INET6, "::", 5, dual=True)
    few.connect(server, "127.0.0.1", "established")
    few.connect(server, "::1", "close_wait")
    (row,) = ports("-v", str(port_of(server)))
    assert (row["address"], row["dual_stack"]) == ("::", True)
    assert row["connections"] == {**NO_CONNECTIONS, "established": 1, "close_wait": 1}
    assert {peer["address"] for peer in row["peers"]} == {"127.0.0.1", "::1"}


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback")
def test_a_mapped_address_is_shown_as_ipv4(few: Crowd) -> None:
    server = few.listen(socket.AF_INET6, "::ffff:127.0.0.1", 5, dual=True)
    few.connect(server, "127.0.0.1", "established")
    (row,) = ports("-4", str(port_of(server)))
    assert (row["address"], row["dual_stack"]) == ("127.0.0.1", False)
    assert row["connections"]["established"] == 1


def test_connections_belong_to_the_listener_with_their_address_not_to_the_wildcard(few: Crowd) -> None:
    exact, wildcard = (few.keep(socket.socket()) for _ in range(2))
    for sock in (exact, wildcard):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.settimeout(PATIENCE)
    exact.bind(("127.0.0.1", 0))
    wildcard.bind(("0.0.0.0", port_of(exact)))
    exact.listen()
    wildcard.listen()
    few.connect(exact, "127.0.0.1", "established")
    few.connect(wildcard, "127.0.0.2", "established")
    few.connect(wildcard, "127.0.0.3", "established")
    counts = {row["address"]: row["connections"]["established"] for row in ports(str(port_of(exact)))}
    assert counts == {"127.0.0.1": 1, "0.0.0.0": 2}


# --- filters


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback")
def test_a_family_is_a_filter_and_a_dual_stack_socket_is_in_both(few: Crowd) -> None:
    ipv4 = port_of(few.listen(socket.AF_INET, "127.0.0.1", 1))
    ipv6 = port_of(few.listen(socket.AF_INET6, "::1", 1))
    only6 = port_of(few.listen(socket.AF_INET6, "::", 1))
    dual = port_of(few.listen(socket.AF_INET6, "::", 1, dual=True))
    asked = f"{ipv4},{ipv6},{only6},{dual}"
    assert {row["port"] for row in ports(asked)} == {ipv4, ipv6, only6, dual}
    assert {row["port"] for row in ports("-4", asked)} == {ipv4, dual}
    assert {row["port"] for row in ports("-6", asked)} == {ipv6, only6, dual}


def test_u_shows_udp_only_without_connections(few: Crowd) -> None:
    datagrams = few.bind(socket.AF_INET, "127.0.0.1")
    found = ports("-u")
    assert {row["protocol"] for row in found} == {"udp"}
    (row,) = (row for row in found if row["port"] == port_of(datagrams))
    assert (row["connections"], row["queue"], pids(row)) == ({}, None, {os.getpid()})


def test_unix_datagram_sockets_alone_are_shown_with_u_too(crowd: Crowd) -> None:
    assert {row["protocol"] for row in ports("-U", "-u")} == {"unix-dgram"}


def test_ranges_lists_and_several_words_of_ports_add_up(few: Crowd) -> None:
    first, second, third = (port_of(few.listen(socket.AF_INET, "127.0.0.1", 1)) for _ in range(3))
    assert {row["port"] for row in ports(f"{first}-{first}", f"{second},{third}")} == {first, second, third}
    assert {first, second, third} <= {row["port"] for row in ports("1024-65535")}


def test_the_name_of_a_program_is_a_filter_for_a_part_of_it(few: Crowd) -> None:
    with pync("-l", "127.0.0.1", "0") as listener:
        own = listener.port()
        other = port_of(few.listen(socket.AF_INET, "127.0.0.1", 1))
        found = {row["port"] for row in ports("--name", "ync")}
    assert own in found
    assert other not in found


def test_a_service_name_is_a_port_and_one_that_is_unknown_is_a_usage_error() -> None:
    try:
        number = socket.getservbyname("chargen", "tcp")
    except OSError:
        pytest.skip("no /etc/services here")
    assert {row["port"] for row in ports("chargen", code=1)} <= {number}
    code, out, messages = run_pync("--ports", "no-such-service")
    assert (code, out, messages) == (2, b"", ["pync: unknown service 'no-such-service'"])


def test_a_word_that_is_no_port_is_a_usage_error() -> None:
    assert run_pync("--ports", "65536") == (2, b"", ["pync: port '65536' is not in 0 to 65535"])


# --- what nobody listens on


def test_a_port_nobody_listens_on_is_shown_with_its_connections_when_asked_for(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    port = port_of(server)
    few.connect(server, "127.0.0.1", "established")
    few.connect(server, "127.0.0.1", "close_wait")
    server.close()
    (row,) = ports(str(port), "-v", code=1)
    assert (row["bound"], row["queue"], row["address"]) == (False, None, "127.0.0.1")
    assert row["connections"] == {**NO_CONNECTIONS, "established": 1, "close_wait": 1}
    assert pids(row) == {os.getpid()}
    assert len(row["peers"]) == 2
    assert port not in {row["port"] for row in ports()}


def test_a_port_with_connections_in_time_wait_only_has_no_owner_and_misses_none(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    port = port_of(server)
    few.connect(server, "127.0.0.1", "time_wait")
    server.close()
    code, out, messages = run_pync("--ports", "--json", str(port))
    document = json.loads(out)
    assert (code, messages, document["partial"]) == (1, [], False)
    assert [(row["owners"], row["connections"]["time_wait"]) for row in document["ports"]] == [([], 1)]


def test_asking_for_a_port_that_is_not_bound_ends_with_1_and_says_so_with_v() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(port_of(sock))
    assert run_pync("--ports", port) == (1, "\t".join(HEADER).encode() + b"\n", [])
    assert run_pync("--ports", "-v", port)[2] == ["nothing that was asked for is bound"]


def test_all_shows_what_a_range_of_all_ports_shows_and_no_operand_shows_what_is_there_for_anyone(few: Crowd) -> None:
    """Only what is bound to be told by every kernel: that a TCP socket is merely bound is told since Linux 6.8."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=socket.SOCK_DGRAM) as open_udp:
        open_udp.bind(("127.0.0.1", 0))
        with socket.create_connection(server.getsockname()) as client, socket.socket(type=socket.SOCK_DGRAM) as joined:
            joined.connect(open_udp.getsockname())
            for_anyone = {("tcp", port_of(server)), ("udp", port_of(open_udp))}
            every = for_anyone | {("tcp", port_of(client)), ("udp", port_of(joined))}

            def among(*words: str) -> set[tuple[str, int]]:
                return {(row["protocol"], row["port"]) for row in ports(*words)} & every

            assert among() == for_anyone
            assert among("1-65535") == among("--all") == among("--all", "1-65535") == every
            assert among("--all", "-u") == {place for place in every if place[0] == "udp"}
            assert among("--all", "--pid", str(os.getpid())) == every


def test_all_shows_the_connections_of_unix_sockets_whose_listener_is_gone(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        with server.accept()[0]:
            server.close()
            assert path not in {row["address"] for row in ports("-U")}
            [row] = [row for row in ports("-U", "--all") if row["address"] == path]
            assert not row["bound"]


def test_asking_for_several_ports_ends_with_0_when_one_of_them_is_bound(few: Crowd) -> None:
    bound = few.listen(socket.AF_INET, "127.0.0.1", 1)
    assert [row["port"] for row in ports("1", str(port_of(bound)))] == [port_of(bound)]


def test_a_process_without_ports_ends_with_1() -> None:
    with running(sys.executable, "-c", "input()") as idle:
        assert ports("--pid", str(idle.process.pid), code=1) == []
        idle.finish()


# --- formats


def test_lines_in_a_pipe_are_separated_by_tabs_under_a_header(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    client, _ = few.connect(server, "127.0.0.1", "established")
    port = str(port_of(server))
    code, out, messages = run_pync("--ports", "-v", port)
    assert (code, messages) == (0, [])
    header, line = (line.split("\t") for line in out.decode().splitlines())
    assert header == [*HEADER, "peers"]
    fields = dict(zip(header, line, strict=True))
    assert fields["peers"] == f"127.0.0.1:{port_of(client)}/established"
    assert (fields["protocol"], fields["address"], fields["port"]) == ("tcp", "127.0.0.1", port)
    assert (fields["dual_stack"], fields["pid"], fields["limit"]) == ("no", str(os.getpid()), "5")
    assert [fields[state] for state in NO_CONNECTIONS] == ["1", "0", "0", "0", "0", "0"]

    datagram_port = str(port_of(few.bind(socket.AF_INET, "127.0.0.1")))
    _, line = (line.split("\t") for line in run_pync("--ports", "-uv", datagram_port)[1].decode().splitlines())
    datagrams = dict(zip(header, line, strict=True))
    assert [datagrams[state] for state in NO_CONNECTIONS] == ["-"] * 6
    assert (datagrams["queue"], datagrams["limit"], datagrams["peers"]) == ("-", "-", "-")


def test_a_program_with_control_characters_in_its_name_cannot_reach_the_terminal() -> None:
    name = "evil\x1b[2J\t\u202e"
    script = (
        "import ctypes, socket, sys\n"
        "ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)\n"  # PR_SET_NAME
        "sock = socket.create_server(('127.0.0.1', 0))\n"
        "print(sock.getsockname()[1], flush=True)\n"
        "input()"
    )
    with running(sys.executable, "-c", script, name) as evil:
        port = evil.stdout.readline().decode().strip()
        _, out, _ = run_pync("--ports", port)
        assert out.decode().splitlines()[1].split("\t")[6] == r"evil\x1b[2J\t\u202e"
        (row,) = ports(port)
        assert row["owners"][0]["program"] == name
        evil.finish()


#: The kind of value at each place of the JSON document; several kinds where null is possible.
NULL = type(None)
KINDS: dict[str, tuple[type, ...]] = {
    "ports": (list,),
    "ports[].protocol": (str,),
    "ports[].address": (str,),
    "ports[].port": (int, NULL),
    "ports[].bound": (bool,),
    "ports[].dual_stack": (bool, NULL),
    "ports[].service": (str, NULL),
    "ports[].owners": (list,),
    "ports[].owners[].pid": (int,),
    "ports[].owners[].program": (str, NULL),
    "ports[].owners[].user": (str, NULL),
    "ports[].connections": (dict,),
    "ports[].queue": (dict, NULL),
    "ports[].queue.length": (int,),
    "ports[].queue.limit": (int,),
    "ports[].peers": (list,),
    "ports[].peers[].address": (str,),
    "ports[].peers[].port": (int,),
    "ports[].peers[].state": (str,),
    "partial": (bool,),
}


def places(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document with its place, as the schema names it; the states are one value."""
    if place:
        yield place, value
    if isinstance(value, list):
        for item in value:
            yield from ((deeper, inner) for deeper, inner in places(item, f"{place}[]") if deeper != f"{place}[]")
    elif isinstance(value, dict) and not place.endswith(".connections"):
        for key, inner in value.items():
            yield from places(inner, f"{place}.{key}" if place else key)


def test_the_json_document_is_what_its_schema_says(crowd: Crowd) -> None:
    assert KINDS.keys() == DOCUMENT.keys()
    seen = set()
    for words in (["-v"], ["-U", "-v"]):
        code, out, _ = run_pync("--ports", "--json", *words)
        assert code == 0
        assert out.count(b"\n") == 1
        for place, value in places(json.loads(out)):
            assert place in KINDS, place
            assert type(value) in KINDS[place], (place, value)
            if place.endswith(".connections"):
                assert value == {} or list(value) == list(NO_CONNECTIONS)
            if place.endswith("[].protocol"):
                assert value in DOCUMENT[place]
            seen.add(place)
    assert seen == KINDS.keys()


def test_every_object_of_the_json_document_has_all_keys(crowd: Crowd) -> None:
    keys = [name.removeprefix("ports[].") for name in KINDS if re.fullmatch(r"ports\[\]\.\w+", name)]
    for row in ports("-v"):
        assert list(row) == keys
    for row in ports():
        assert list(row) == keys[:-1]


def test_in_a_pipe_neither_typer_nor_rich_nor_asyncio_is_loaded() -> None:
    with running(sys.executable, "-c", MAIN, "--ports", "--json", "-v") as looked:
        assert looked.finish()[0] == 0
    modules = set(looked.messages[-1].split())
    assert "pync.ports.collect" in modules
    assert modules.isdisjoint({"typer", "rich", "asyncio"})


def test_nothing_is_looked_up_with_n(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 1)
    (row,) = ports("-n", str(port_of(server)))
    assert row["service"] is None


def test_a_closed_or_full_output_is_no_traceback() -> None:
    with pync("--ports", stdout=subprocess.PIPE) as looked:
        looked.stdout.close()
        assert looked.code() == 0
    assert all(message.startswith("pync: the owners") for message in looked.messages)
    with open("/dev/full", "wb") as full, pync("--ports", stdout=full) as looked:
        assert looked.code() == 1
    assert "pync: write to standard output: No space left on device" in looked.messages


# --- watching in a pipe


def test_watching_in_a_pipe_appends_snapshots_until_the_reader_leaves(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    with pync("--ports", "--watch", "1", str(port_of(server))) as watching:
        for number in range(2):
            between = watching.stdout.readline() if number else b""
            header, line = (watching.stdout.readline().decode().rstrip("\n").split("\t") for _ in range(2))
            assert (between, header) == (b"\n" if number else b"", list(HEADER))
            assert line[2] == str(port_of(server))
        watching.stdout.close()
        assert watching.code() == 0
    assert watching.messages == []


def test_watching_with_json_appends_a_document_a_line_with_what_has_changed(few: Crowd) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    with pync("--ports", "--json", "--watch", "1", str(port_of(server))) as watching:
        counts = [established(watching.stdout.readline())]
        few.connect(server, "127.0.0.1", "established")
        eventually(lambda: established(watching.stdout.readline()) == 1, "a snapshot with the connection")
        assert counts == [0]
        watching.process.terminate()
        assert watching.code() == 143
    assert watching.messages == []


def established(line: bytes) -> int:
    (row,) = json.loads(line)["ports"]
    return int(row["connections"]["established"])


@pytest.mark.slow
def test_watching_never_looks_more_often_than_once_a_second() -> None:
    with pync("--ports", "--json", "--watch", "10ms", "1") as watching:
        watching.stdout.readline()
        started = time.monotonic()
        watching.stdout.readline()
        watching.stdout.readline()
        assert time.monotonic() - started > 1.5  # two seconds, less what the first line was late
        watching.process.terminate()
        assert watching.code() == 143
