"""Hosts made of network namespaces, joined by a cable (veth), and what can happen to a network.

Here hosts are made, disturbed (packets dropped, lost, late or answered with resets, cable pulled) and removed
again, whatever happens in between. What is tested on them is in test_namespaces.py and
test_probe_namespaces.py. The addresses are those reserved for benchmarks and documentation (RFC 2544,
RFC 3849); nothing of them leaves the namespaces.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest

from tests.cli import delay
from tests.running import PATIENCE, PYNC, Running, eventually, peer, running

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where ip-netns(8) looks for the files that a namespace sees in the place of those in /etc.
NETNS_ETC = Path("/etc/netns")

#: Below /proc/sys/net. Duplicate address detection would make each IPv6 address wait for a second (RFC 4862, 5.4).
NO_DAD = ("ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad")
NO_IPV6 = "ipv6/conf/all/disable_ipv6"
#: How often a host tells another one that something cannot be reached (icmp(7)); 0: whenever it has to.
ICMP_LIMITS = ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit")

#: Listens on the ports of both families until it is ended; whoever connects waits in the queue.
LISTEN = """
import signal, socket, sys
both = {"family": socket.AF_INET6, "dualstack_ipv6": True}
servers = [socket.create_server(("::", int(port)), **both) for port in sys.argv[1:]]
print("listening", file=sys.stderr, flush=True)
signal.pause()
"""
#: How long a connection takes that is refused, in seconds.
ROUND_TRIP = """
import socket, sys, time
began = time.monotonic()
try:
    socket.create_connection((sys.argv[1], 1), 10)
except ConnectionRefusedError:
    print(time.monotonic() - began)
"""

_numbers = itertools.count(1)


class Refused(Exception):
    """The system does not let us have namespaces, or lacks a part of what they need."""


class Host:
    """A namespace with a loopback and one end of the cable.

    `ipv4` and `ipv6` are the addresses of that end, `spare_ipv4` and `spare_ipv6` its second ones,
    `link_local` the fe80:: address without its zone, `device` the name of the end.
    """

    def __init__(self, number: int) -> None:
        self.name = f"pync-{os.getpid()}-{next(_numbers)}"
        self.device = f"cable{number}"
        self.ipv4, self.spare_ipv4 = f"198.18.77.{number}", f"198.18.77.{number + 10}"
        self.ipv6, self.spare_ipv6 = f"2001:db8:77::{number}", f"2001:db8:77::{number + 10}"
        self.link_local = ""

    # --- processes on it

    def command(self, *argv: str) -> list[str]:
        """The words that run a command on this host: `ip` becomes the command, under the same process id."""
        return [peer("ip"), "netns", "exec", self.name, *argv]

    def pync(self, *argv: str, **popen: Any) -> contextlib.AbstractContextManager[Running]:
        """pync on this host."""
        return self.running(PYNC, *argv, **popen)

    def running(self, *argv: str, **popen: Any) -> contextlib.AbstractContextManager[Running]:
        """A process on this host that is ended when the block is left."""
        return running(*self.command(*argv), **popen)

    @contextlib.contextmanager
    def listening(self, *ports: int | str) -> Iterator[None]:
        """Listen on these TCP ports, over both families, until the block is left."""
        with self.running(sys.executable, "-c", LISTEN, *map(str, ports)) as process:
            process.wait_for("^listening$")
            yield

    def run_pync(self, *argv: str, stdin: bytes = b"") -> tuple[int, bytes, list[str]]:
        """Run pync on this host to its end: exit code, stdout, the lines of stderr."""
        done = self._output(PYNC, *argv, stdin=stdin)
        return done.returncode, done.stdout, done.stderr.decode().splitlines()

    def run(self, *argv: str, stdin: bytes = b"") -> str:
        """Run a command on this host and return its stdout; Refused where it fails."""
        return _checked(self._output(*argv, stdin=stdin))

    def _output(self, *argv: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(*argv), input=stdin, capture_output=True, timeout=PATIENCE, check=False)

    # --- what can happen to it

    def firewall(self, *rules: str) -> None:
        """Judge what arrives from the other host by these rules of nft(8), in place of those before."""
        table = [
            "table inet pync",
            "delete table inet pync",
            "table inet pync {",
            "chain judge {",
            *rules,
            "}",
            "chain arriving {",
            "type filter hook input priority 0",
            "iifname != lo jump judge",
            "}",
            "}",
        ]
        self.run(peer("nft"), "-f", "-", stdin="\n".join([*table, ""]).encode())

    def lose(self, percent: int) -> None:
        """Lose so many of the packets, each of one segment: by netem(8), or where the kernel lacks that by nft."""
        self.run("ip", "link", "set", self.device, "gso_max_segs", "1")
        netem = ("root", "netem", "loss", f"{percent}%", "delay", "2ms")
        try:
            self.run("tc", "qdisc", "add", "dev", self.device, *netem)
        except Refused:
            self.firewall(f"numgen random mod 100 < {percent} drop")

    def seen(self) -> int:
        """How many packets the `counter` in the rules of the firewall has seen."""
        match = re.search(r"counter packets (\d+)", self.run(peer("nft"), "list", "chain", "inet", "pync", "judge"))
        assert match, "no counter in the rules"
        return int(match[1])

    def limit_icmp(self, milliseconds: int) -> None:
        """At least so long between two ICMP errors to the same host, in the long run; six may come at once."""
        for key in ICMP_LIMITS:
            self._set(key, milliseconds)

    def ask_neighbours_quickly(self) -> None:
        """Find out within 0.3 s, not 3 s, that nobody has an address."""
        for family in ("ipv4", "ipv6"):
            self._set(f"{family}/neigh/{self.device}/retrans_time_ms", 100)

    def learn(self, name: str, address: str) -> None:
        """Know one more name. The file is the one that running processes see: it must not be replaced."""
        with (NETNS_ETC / self.name / "hosts").open("a") as names:
            names.write(f"{address} {name}\n")

    def ask_dns_at(self, address: str) -> None:
        """Look up the names that the hosts file lacks at the DNS server with this address."""
        etc = NETNS_ETC / self.name
        (etc / "resolv.conf").write_text(f"nameserver {address}\n")
        (etc / "nsswitch.conf").write_text("hosts: files dns\n")

    def pull_cable(self) -> None:
        """Take our end of the cable down."""
        self.run("ip", "link", "set", self.device, "down")

    def drop_ipv4(self) -> None:
        """Become a host with IPv6 only: there is no IPv4 but on the loopback."""
        self.run("ip", "-4", "address", "flush", "dev", self.device)

    def disable_ipv6(self) -> None:
        """Become a host with IPv4 only, as an administrator does it."""
        self._set(NO_IPV6, 1)

    def _set(self, key: str, value: int) -> None:
        self.run("tee", f"/proc/sys/net/{key}", stdin=str(value).encode())

    # --- making and removing

    def make(self) -> None:
        _ip("netns", "add", self.name)
        for key in NO_DAD:
            self._set(key, 0)
        self.run("ip", "link", "set", "lo", "up")

    def plug_in(self, names: str) -> None:
        """Give our end of the cable its addresses, and this host the names it knows."""
        add = ("ip", "address", "add", "dev", self.device)
        for ipv4 in (self.ipv4, self.spare_ipv4):
            self.run(*add, f"{ipv4}/24")
        self.run(*add, f"{self.ipv6}/64", "nodad")
        # A deprecated address is not picked as the source of what we send; it can only be asked, and answer.
        self.run(*add, f"{self.spare_ipv6}/64", "nodad", "preferred_lft", "0")
        self.run("ip", "link", "set", self.device, "up")
        etc = NETNS_ETC / self.name
        etc.mkdir(parents=True)
        (etc / "hosts").write_text(names)
        if Path("/etc/nsswitch.conf").exists():
            (etc / "nsswitch.conf").write_text("hosts: files\nservices: files\nprotocols: files\n")

    def wait_usable(self) -> None:
        """Wait until the cable carries and no address is tentative; learn the link-local one."""
        self.link_local = eventually(self._link_local, f"a usable link-local address on {self.name}")

    def _link_local(self) -> str:
        state = self.run("ip", "-6", "-oneline", "address", "show", "dev", self.device)
        if "tentative" in state or "state UP" not in self.run("ip", "link", "show", "dev", self.device):
            return ""
        local = [line.split()[3] for line in state.splitlines() if "scope link" in line]
        return local[0].partition("/")[0] if local else ""

    def remove(self) -> None:
        """Remove the namespace and with it its end of the cable; no harm where it was never made."""
        subprocess.run([peer("ip"), "netns", "delete", self.name], capture_output=True, check=False)
        shutil.rmtree(NETNS_ETC / self.name, ignore_errors=True)
        with contextlib.suppress(OSError):  # other namespaces still have their files there
            NETNS_ETC.rmdir()


def _ip(*words: str) -> str:
    return _checked(subprocess.run([peer("ip"), *words], capture_output=True, timeout=PATIENCE, check=False))


def _checked(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode:
        raise Refused(f"{' '.join(done.args)}: {done.stderr.decode().strip()}")
    return done.stdout.decode()


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that know each other: the second one is called `server` on both.

    Where the system refuses, the test is skipped; where CI is set and we are root it fails.
    """
    client, server = hosts = Host(1), Host(2)
    try:
        try:
            _join(client, server)
        except Refused as refusal:
            _give_up(str(refusal))
        yield hosts
    finally:
        for host in hosts:
            host.remove()


def _join(client: Host, server: Host) -> None:
    if os.geteuid():
        raise Refused("only root makes network namespaces")
    peer("nft")
    names = f"127.0.0.1 localhost\n::1 localhost\n{server.ipv6} server\n{server.ipv4} server\n"
    for host in (client, server):
        host.make()
    end = ("name", client.device, "netns", client.name)
    _ip("link", "add", *end, "type", "veth", "peer", "name", server.device, "netns", server.name)
    for host in (client, server):
        host.plug_in(names)
    for host in (client, server):
        host.wait_usable()


def _give_up(why: str) -> NoReturn:
    if os.environ.get("CI") and not os.geteuid():
        pytest.fail(why)
    pytest.skip(f"no network namespaces here: {why}")


# --- a host that is far away


class Far(NamedTuple):
    """The server's addresses behind a cable with latency."""

    ipv4: str
    ipv6: str


@contextlib.contextmanager
def latency(hosts: tuple[Host, Host], seconds: float) -> Iterator[Far]:
    """Make the way between the hosts so long, there and back together; or lay a second one that is.

    Where neither works the test is skipped, as by two_hosts().
    """
    with contextlib.ExitStack() as stack:
        try:
            far = _delayed_cable(hosts, seconds / 2) or stack.enter_context(_second_cable(hosts, seconds / 2))
        except (Refused, OSError) as refusal:
            _give_up(f"latency: {refusal}")
        for address in far:
            assert float(hosts[0].run(sys.executable, "-c", ROUND_TRIP, address)) >= seconds
        yield far


def _delayed_cable(hosts: tuple[Host, Host], seconds: float) -> Far | None:
    """The cable that is there, delayed at both ends by netem(8); None where the kernel lacks that."""
    netem = ("root", "netem", "delay", f"{seconds * 1000:g}ms", "limit", "100000")
    try:
        for host in hosts:
            host.run("tc", "qdisc", "add", "dev", host.device, *netem)
    except Refused:
        return None
    return Far(hosts[1].ipv4, hosts[1].ipv6)


@contextlib.contextmanager
def _second_cable(hosts: tuple[Host, Host], seconds: float) -> Iterator[Far]:
    """TUN devices with a process between that takes its time (delay.py)."""
    far = Far("198.18.78.2", "2001:db8:78::2")
    with contextlib.ExitStack() as stack:
        ends = []
        for number, host in enumerate(hosts, 1):
            name = f"far{os.getpid()}-{number}"
            ends.append(delay.open_tun(name))
            stack.callback(os.close, ends[-1])
            _ip("link", "set", name, "netns", host.name)
            host.run("ip", "address", "add", "dev", name, f"{far.ipv4[:-1]}{number}/24")
            host.run("ip", "address", "add", "dev", name, f"{far.ipv6[:-1]}{number}/64", "nodad")
            host.run("ip", "link", "set", name, "up", "txqueuelen", "20000")
        words = (sys.executable, delay.__file__, *map(str, ends), str(seconds))
        stack.enter_context(running(*words, pass_fds=ends))
        yield far
