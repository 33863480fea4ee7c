"""Who is measured: the command lines of pync and of the other programs, each for what it can do.

`{place}` is the port, or for a unix-domain socket the path. A program that cannot do a thing has no words for it;
one that is not installed is named in the report as such. Other netcats, such as those written in Python, take part
in the cold start and the streams when PYNC_BENCH_PEERS names them:

    PYNC_BENCH_PEERS="name=command;name=connecting command|listening command"

`command` is run as `command HOST PORT` and `command -l HOST PORT`. Where a peer spells that otherwise both are
given, with {place} for the port: `other=python3 nc.py 127.0.0.1 {place}|python3 nc.py -l -p {place}`.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.load import program
from tests.running import PYNC

HOST = "127.0.0.1"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
PEERS = "PYNC_BENCH_PEERS"
ASYNCIO_ECHO = str(Path(__file__).with_name("asyncio_echo.py"))


class Netcat(NamedTuple):
    """The words with which a program does each thing.

    `connect` has sent all its input when it ends; `ask`, the same unless said otherwise, has also shown the answer.
    """

    connect: str
    listen: str
    ask: str = ""
    unix_connect: str = ""
    unix_listen: str = ""
    send: str = ""
    receive: str = ""


NETCATS = {
    "pync": Netcat(
        connect="{pync} {host} {place}",
        listen="{pync} -l {host} {place}",
        unix_connect="{pync} -U {place}",
        unix_listen="{pync} -l -U {place}",
        send="{pync} -u -q 0 {host} {place}",
        receive="{pync} -u -l -d {host} {place}",
    ),
    "nc.openbsd": Netcat(
        connect="nc.openbsd -N {host} {place}",
        listen="nc.openbsd -l {host} {place}",
        unix_connect="nc.openbsd -N -U {place}",
        unix_listen="nc.openbsd -l -U {place}",
        receive="nc.openbsd -u -l -d {host} {place}",  # as a sender it puts packets together
    ),
    "ncat": Netcat(
        connect="ncat {host} {place}",
        listen="ncat -l {host} {place}",
        unix_connect="ncat -U {place}",
        unix_listen="ncat -l -U {place}",
        send="ncat -u --send-only {host} {place}",
        receive="ncat -u -l --recv-only {host} {place}",
    ),
    "nc.traditional": Netcat(
        connect="nc.traditional -q 0 {host} {place}",
        listen="nc.traditional -l -s {host} -p {place}",
        ask="nc.traditional {host} {place}",
        send="nc.traditional -u -q 0 {host} {place}",
        receive="nc.traditional -u -l -s {host} -p {place}",
    ),
    "socat": Netcat(
        connect="socat -u - TCP:{host}:{place}",
        listen="socat -u TCP-LISTEN:{place},bind={host} -",
        ask="socat - TCP:{host}:{place}",
        unix_connect="socat -u - UNIX-CONNECT:{place}",
        unix_listen="socat -u UNIX-LISTEN:{place} -",
        send="socat -u - UDP:{host}:{place}",
        receive="socat -u UDP-RECV:{place},bind={host} -",
    ),
    "socat -b 1M": Netcat(
        connect="socat -u -b 1048576 - TCP:{host}:{place}",
        listen="socat -u -b 1048576 TCP-LISTEN:{place},bind={host} -",
        ask="socat -b 1048576 - TCP:{host}:{place}",
        unix_connect="socat -u -b 1048576 - UNIX-CONNECT:{place}",
        unix_listen="socat -u -b 1048576 UNIX-LISTEN:{place} -",
    ),
    "busybox nc": Netcat(connect="busybox nc {host} {place}", listen="busybox nc -l -p {place}"),
}
#: Who cannot do a thing without losing bytes, and why. That is shown, and breaks no smoke test.
LOSES = {
    "busybox nc": "leaves at the other's end of data, whatever is still to be sent",
}

#: What serves many connections, and how many at most. socat and ncat have a process for each of them.
FORKING = 100
EVERY = 1 << 20


class Server(NamedTuple):
    """Its words, how many connections it is asked to serve, how many sockets listen for it, a module it needs."""

    words: str
    most: int = EVERY
    listeners: int = 1
    module: str = ""


ECHO_SERVERS = {
    "pync": Server("{pync} -l -k {host} {place} --echo"),
    "pync --loop uvloop": Server("{pync} -l -k {host} {place} --echo --loop uvloop", module="uvloop"),
    "pync --workers 2": Server("{pync} -l -k {host} {place} --echo --workers 2", listeners=2),
    "bare C": Server("{bare} echo {place}"),
    "uvloop Protocol": Server("{python} -I {asyncio_echo} uvloop {place}", module="uvloop"),
    "asyncio Protocol": Server("{python} -I {asyncio_echo} protocol {place}"),
    "asyncio streams": Server("{python} -I {asyncio_echo} streams {place}"),
    "socat fork": Server("socat TCP-LISTEN:{place},bind={host},fork,backlog=4096 PIPE", FORKING),
    "ncat -e cat": Server("ncat -l -k -m 1000 {host} {place} -e /bin/cat", FORKING),
    "busybox nc -e": Server("busybox nc -ll -p {place} -e /bin/cat", FORKING),
}

HTTP_SERVERS = {
    "pync": Server("{pync} -l -k {host} {place} --http-root {root}"),
    "pync --workers 2": Server("{pync} -l -k {host} {place} --http-root {root} --workers 2", listeners=2),
    "bare C": Server("{bare} http {place} {root}/{file}"),
    "nginx": Server("nginx -p {root} -c {root}/nginx.conf"),
    "http.server": Server("{python} -m http.server {place} -b {host} -d {root}"),
    "http.server -p HTTP/1.1": Server("{python} -m http.server {place} -b {host} -d {root} -p HTTP/1.1"),
}


def words(template: str, place: object = "", **more: object) -> list[str]:
    """The words of a command line."""
    known = {"pync": PYNC, "python": sys.executable, "host": HOST, "place": place, "asyncio_echo": ASYNCIO_ECHO}
    if "{bare}" in template:
        known["bare"] = program("bare")
    return [word.format(**known, **more) for word in shlex.split(template)]


def needs(template: str, module: str = "") -> str:
    """The program without which the words are nothing; "" for what is always there."""
    first = shlex.split(template)[0]
    return module or ("" if first.startswith("{") else first)


def is_installed(need: str) -> bool:
    """Whether a program or module that somebody needs is on this machine."""
    return not need or shutil.which(need, path=PATH) is not None or importlib.util.find_spec(need) is not None


def peers() -> dict[str, Netcat]:
    """The netcats that the environment names."""
    return dict(_peer(entry) for entry in filter(str.strip, os.environ.get(PEERS, "").split(";")))


def _peer(entry: str) -> tuple[str, Netcat]:
    name, equals, command = entry.partition("=")
    if not equals:
        raise SystemExit(f"{PEERS}: {entry!r} is not name=command")
    connect, both, listen = command.partition("|")
    if not both:
        connect, listen = f"{command} {{host}} {{place}}", f"{command} -l {{host}} {{place}}"
    return name.strip(), Netcat(connect.strip(), listen.strip())
