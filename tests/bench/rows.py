"""The rows of the benchmark: each a workload, with everyone who can do it.

How a run goes is in the workloads' files, the command lines are contestants.py's. pync is a contestant of every
row; "bare C" is the limit: the same work by a loop that does nothing else.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench import echo, http, ports, scan, transfer, udp
from tests.bench.contestants import ECHO_SERVERS, FORKING, HTTP_SERVERS, NETCATS, needs, peers, words
from tests.bench.progress import progress
from tests.bench.sample import GIB, Contestant, LostBytes, Row, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.bench.contestants import Server
    from tests.bench.sample import Job

BARE = "bare C"
ALL = {**NETCATS, **peers()}


def _cold() -> Row:
    commands = {
        "import socket": "{python} -c 'import socket'",
        **{name: netcat.ask or netcat.connect for name, netcat in ALL.items() if name != "socat -b 1M"},
        BARE: "{bare} connect {place} copy",
    }
    contestants = {name: _program(transfer.cold_start, command) for name, command in commands.items()}
    return Row("start, connect, two bytes, exit", "s", contestants, repeat=3)


def _program(work: Callable[[str, Job], Sample], command: str) -> Contestant:
    return Contestant(partial(work, command), needs(command))


def _both_ends(work: Callable[[str, str, Job], Sample], connect: str, listen: str) -> Contestant:
    return Contestant(partial(work, connect, listen), needs(connect))


def _pipe() -> Row:
    contestants = {name: _both_ends(transfer.pipe_to_pipe, it.connect, it.listen) for name, it in ALL.items()}
    bare = _both_ends(transfer.pipe_to_pipe, "{bare} connect {place} copy", "{bare} listen {place} splice")
    return Row("pipe → TCP → pipe", "s", {**contestants, BARE: bare}, GIB)


def _file() -> Row:
    contestants = {name: _both_ends(transfer.file_to_file, it.connect, it.listen) for name, it in ALL.items()}
    bare = _both_ends(transfer.file_to_file, "{bare} connect {place} sendfile", "{bare} listen {place} copy")
    return Row("file → TCP → file", "s", {**contestants, BARE: bare}, GIB)


def _new_file() -> Row:
    contestants = {name: _both_ends(transfer.file_to_new_file, it.connect, it.listen) for name, it in ALL.items()}
    for how in ("copy", "splice"):
        listen = f"{{bare}} listen {{place}} {how}"
        contestants[f"{BARE} ({how})"] = _both_ends(
            transfer.file_to_new_file, "{bare} connect {place} sendfile", listen
        )
    return Row("file → TCP → new file", "s", contestants, GIB, note="The time is mostly the kernel's, for new pages.")


def _null() -> Row:
    contestants = {name: _program(transfer.to_nowhere, it.listen) for name, it in ALL.items()}
    for how in ("copy", "splice"):
        contestants[f"{BARE} ({how})"] = _program(transfer.to_nowhere, f"{{bare}} listen {{place}} {how}")
    return Row(
        "TCP → /dev/null",
        "s",
        contestants,
        GIB,
        note="The sender is the bare C loop with sendfile; CPU: the receiver's.",
    )


def _unix() -> Row:
    able = {name: it for name, it in ALL.items() if it.unix_connect}
    contestants = {name: _both_ends(transfer.unix_stream, it.unix_connect, it.unix_listen) for name, it in able.items()}
    bare = _both_ends(transfer.unix_stream, "{bare} connect {place} copy", "{bare} listen {place} splice")
    return Row("pipe → unix stream → pipe", "s", {**contestants, BARE: bare}, GIB)


def _udp_send(size: int) -> Row:
    def sends(command: str) -> Contestant:
        return Contestant(partial(udp.send, command, size), needs(command))

    contestants = {name: sends(it.send) for name, it in ALL.items() if it.send}
    return Row(
        f"UDP send, {size} bytes",
        "datagrams/s",
        {**contestants, BARE: sends("{bare} send {place}")},
        more_is_better=True,
        note="Counted at the receiver. Input is a pipe of packets, whose writer shares the machine's cores.",
    )


def _udp_receive(size: int) -> Row:
    def receives(command: str) -> Contestant:
        return Contestant(partial(udp.receive, command, size), needs(command))

    contestants = {name: receives(it.receive) for name, it in ALL.items() if it.receive}
    return Row(
        f"UDP receive, {size} bytes",
        "datagrams/s",
        {**contestants, BARE: receives("{bare} receive {place}")},
        more_is_better=True,
        note="Counted in the file that is the output, under a flood faster than anyone can take.",
    )


def _servers(
    work: Callable[..., Sample], servers: dict[str, Server], connections: int | None = None
) -> Iterator[tuple[str, Contestant]]:
    for name, server in servers.items():
        run = partial(work, server) if connections is None else partial(work, server, connections)
        if connections is None or connections <= server.most or work is echo.footprint:
            yield name, Contestant(run, needs(server.words, server.module))


def _echo(connections: int) -> Row:
    contestants = dict(_servers(echo.echo, ECHO_SERVERS, connections))
    return Row(
        f"echo of {echo.MESSAGE} bytes, {connections:,} connection{'s' * (connections > 1)}",
        "messages/s",
        contestants,
        more_is_better=True,
        repeat=0.6 if connections > 1000 else 1,  # to connect them all takes longer than to measure
    )


def _connects() -> Row:
    contestants = dict(_servers(echo.connects, ECHO_SERVERS))
    return Row("connect, one echo, close", "connections/s", contestants, more_is_better=True)


def _memory() -> Row:
    contestants = dict(_servers(echo.footprint, ECHO_SERVERS, 1000))
    return Row(
        "memory of an idle echo connection",
        "KiB",
        contestants,
        repeat=0.4,
        note=f"PSS of all the server's processes, without what the kernel keeps; {FORKING} connections where each has "
        "a process, else 1,000.",
    )


def _http_small() -> Row:
    contestants = dict(_servers(http.small, HTTP_SERVERS))
    return Row(
        f"HTTP, {len(http.SMALL):,} bytes, {http.CONNECTIONS} connections",
        "requests/s",
        contestants,
        more_is_better=True,
        note="http.server speaks HTTP/1.0 unless told otherwise: a connection for each request.",
    )


def _http_large() -> Row:
    servers = {name: server for name, server in HTTP_SERVERS.items() if server.listeners == 1}
    return Row("HTTP, one file of 1 GiB", "s", dict(_servers(http.large, servers)), GIB)


def _scan() -> Row:
    commands = {
        "pync": "{pync} -n -z {host} 1-65535",
        "nc.openbsd": "nc.openbsd -n -z {host} 1-65535",
        BARE: "{bare} scan 65535",
    }
    contestants = {name: _program(scan.scan_loopback, command) for name, command in commands.items()}
    return Row("65,535 ports of the loopback", "s", contestants)


def _scan_far() -> Row:
    def scans(command: str, ports: int, smoke: int) -> Contestant:
        return Contestant(partial(scan.scan_far, command, ports, smoke), needs(command))

    return Row(
        f"{scan.FAR:,} ports at 40 ms",
        "s",
        {
            "pync": scans("{pync} -n -z", scan.FAR, 200),
            "nc.openbsd": scans("nc.openbsd -n -z", 100, 5),
        },
        repeat=0.6,
        note="nc.openbsd scans 100 of them, its seconds and CPU seconds are those times 20.",
    )


def _ports(connections: int) -> Row:
    def crowd(smoke: bool) -> AbstractContextManager[int]:
        return ports.crowded(50 if smoke else connections)

    contestants = {
        "pync": _program(_look, "{pync} --ports"),
        "ss": _program(_look, "ss -H -tulnp"),
        "import psutil": Contestant(lambda job: Sample(ports.run_to_end(ports.IMPORT_PSUTIL), {})),
    }
    return Row(f"--ports with {connections:,} connections", "s", contestants, repeat=2, surroundings=crowd)


def _look(command: str, job: Job) -> Sample:
    try:
        return Sample(ports.look(words(command), job.port), {})
    except ports.NothingSeen as nothing:
        raise LostBytes(str(nothing)) from None


ROWS: dict[str, Row] = {
    "cold": _cold(),
    "ports-1000": _ports(1000),
    "ports-5000": _ports(ports.CONNECTIONS),
    "pipe": _pipe(),
    "file": _file(),
    "new-file": _new_file(),
    "null": _null(),
    "unix": _unix(),
    "progress": progress(),
    "udp-send-64": _udp_send(64),
    "udp-send-1400": _udp_send(1400),
    "udp-receive-64": _udp_receive(64),
    "udp-receive-1400": _udp_receive(1400),
    "echo-1": _echo(1),
    "echo-100": _echo(100),
    "echo-1000": _echo(1000),
    "echo-8000": _echo(8000),
    "connects": _connects(),
    "memory": _memory(),
    "http-small": _http_small(),
    "http-large": _http_large(),
    "scan": _scan(),
    "scan-latency": _scan_far(),
}
