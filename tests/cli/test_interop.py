"""pync with the netcats that people have: nc.openbsd, ncat and socat, each once listening and once connecting.

One table says how each peer is told to listen and to connect over each transport; one body moves streams of
bytes, another one datagrams. What a single option means is tested elsewhere, against Python's own sockets.
"""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.running import Running, eventually, peer, pync, running, unused_port, wait_listening

if TYPE_CHECKING:
    from collections.abc import Iterator


class Words(NamedTuple):
    """How a peer is told to listen and to connect; the fields of a Place are filled in."""

    listen: str
    connect: str


#: socat cuts datagrams to 8 KiB without -b, and half a second after one direction's end drops the other without -t.
SOCAT = "-b 65536 -t 30 -"

#: (peer, transport) → its words. Without -N, nc.openbsd never ends its data.
PEERS = {
    ("nc.openbsd", "tcp"): Words("-N -l {host} {port}", "-N {host} {port}"),
    ("nc.openbsd", "unix"): Words("-N -l -U {path}", "-N -U {path}"),
    ("nc.openbsd", "udp"): Words("-u -l {host} {port}", "-u {host} {port}"),
    ("nc.openbsd", "unix datagram"): Words("-u -l -U {path}", "-u -U {path}"),
    ("ncat", "tcp"): Words("-l {host} {port}", "{host} {port}"),
    ("ncat", "unix"): Words("-l -U {path}", "-U {path}"),
    ("ncat", "udp"): Words("-u -l {host} {port}", "-u {host} {port}"),
    ("ncat", "unix datagram"): Words("-u -l -U {path}", "-u -U {path}"),
    ("socat", "tcp"): Words(SOCAT + " TCP{v}-LISTEN:{port},bind={url}", SOCAT + " TCP:{url}:{port}"),
    ("socat", "unix"): Words(SOCAT + " UNIX-LISTEN:{path}", SOCAT + " UNIX-CONNECT:{path}"),
    ("socat", "udp"): Words(SOCAT + " UDP{v}-LISTEN:{port},bind={url}", SOCAT + " UDP:{url}:{port}"),
    # Its listeners hear one datagram only; one that talks to a known path hears all.
    ("socat", "unix datagram"): Words(
        SOCAT + " UNIX-SENDTO:{path}.client,bind={path}", SOCAT + " UNIX-CLIENT:{path},bind={path}.client"
    ),
}
NAMES = ("nc.openbsd", "ncat", "socat")
STREAMS = [("tcp", "127.0.0.1"), ("tcp", "::1"), ("unix", "")]
DATAGRAMS = [("udp", "127.0.0.1"), ("udp", "::1"), ("unix datagram", "")]

#: Who listens; the other one connects.
ROLES = ("pync listens", "pync connects")

#: Listeners that leave when our data has ended, whatever they still had to send: so its end is kept from them.
HASTY = ("nc.openbsd", "ncat")

#: The largest datagram that a peer neither cuts when it comes nor when it goes: the size of its buffer.
BUFFERS = {
    ("nc.openbsd", "pync listens"): 16384,
    ("nc.openbsd", "pync connects"): 16384,
    ("ncat", "pync listens"): 8192,
}
LARGEST = 65507


class Place:
    """Where two processes meet: an address and a port, or the path of a unix socket in `directory`."""

    def __init__(self, transport: str, host: str, directory: Path) -> None:
        self.transport = transport
        self.host = host
        self.path = "" if host else str(directory / "socket")
        self.datagrams = transport in ("udp", "unix datagram")
        self.port = 0

    def pick_port(self) -> None:
        """For peers that cannot pick one themselves."""
        if self.host:
            self.port = unused_port(socket.SOCK_DGRAM if self.datagrams else socket.SOCK_STREAM)

    def words(self, pattern: str) -> list[str]:
        """A peer's words."""
        version, url = (6, f"[{self.host}]") if ":" in self.host else (4, self.host)
        return [word.format(v=version, url=url, **vars(self)) for word in pattern.split()]

    def our_words(self) -> list[str]:
        """The same for pync, in either role."""
        kind = ["-u"] if self.datagrams else []
        return kind + ([self.host, str(self.port)] if self.host else ["-U", self.path])

    def wait_bound(self) -> None:
        """Wait until a peer can be reached here; nothing is sent to it."""
        if self.host:
            wait_listening(self.port, self.transport)
        else:
            eventually(self._is_bound, f"a listener on {self.path}")

    def _is_bound(self) -> bool:
        """Flags 00010000 mean that it listens (SO_ACCEPTCON)."""
        rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
        return any(row[-1] == self.path and (self.datagrams or row[3] == "00010000") for row in rows)


@contextlib.contextmanager
def joined(
    name: str, place: Place, role: str, *options: str, ours: dict[str, Any], theirs: dict[str, Any]
) -> Iterator[tuple[Running, Running]]:
    """pync and a peer, about to talk to each other; `ours` and `theirs` are their stdin and stdout."""
    program, words = peer(name), PEERS[name, place.transport]
    if role == "pync listens":
        with pync("-lv", *options, *place.our_words(), **ours) as listener:
            if place.host:
                place.port = listener.port()
            else:
                listener.wait_for("^Bound on" if place.datagrams else "^Listening on")
            with running(program, *place.words(words.connect), **theirs) as client:
                yield listener, client
        return
    place.pick_port()
    with running(program, *place.words(words.listen), **theirs) as listener:
        place.wait_bound()
        if place.transport == "unix datagram":
            options = (*options, "-s", f"{place.path}.client")
        with pync(*options, *place.our_words(), **ours) as client:
            yield client, listener


@pytest.mark.parametrize(("our_size", "their_size"), [(200_000, 200_000), (200_000, 0), (0, 200_000)])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("transport", "host"), STREAMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_arrives_whole_in_both_directions_and_both_ends_exit_0(
    name: str, transport: str, host: str, role: str, our_size: int, their_size: int, tmp_path: Path
) -> None:
    keep_open = ["--no-shutdown"] if role == "pync connects" and name in HASTY and their_size else []
    sent, to_send = random.Random(our_size).randbytes(our_size), random.Random(-their_size).randbytes(their_size)
    (tmp_path / "sent").write_bytes(sent)
    (tmp_path / "to send").write_bytes(to_send)
    with (
        (tmp_path / "sent").open("rb") as our_input,
        (tmp_path / "received").open("wb") as our_output,
        (tmp_path / "to send").open("rb") as their_input,
        (tmp_path / "their output").open("wb") as their_output,
        joined(
            name,
            Place(transport, host, tmp_path),
            role,
            *keep_open,
            ours={"stdin": our_input, "stdout": our_output},
            theirs={"stdin": their_input, "stdout": their_output},
        ) as (our, their),
    ):
        assert (our.code(), their.code()) == (0, 0)
    assert (tmp_path / "their output").read_bytes() == sent
    assert (tmp_path / "received").read_bytes() == to_send


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("transport", "host"), DATAGRAMS)
@pytest.mark.parametrize("name", NAMES)
def test_datagrams_of_every_size_are_asked_and_answered(
    name: str, transport: str, host: str, role: str, tmp_path: Path
) -> None:
    sizes = (1, 1400, min(LARGEST, BUFFERS.get((name, role), LARGEST)))
    to_come = len(sizes) + (role == "pync listens")  # -W counts: a datagram in two pieces would end us too early
    place = Place(transport, host, tmp_path)
    with joined(name, place, role, "-W", str(to_come), ours={}, theirs={}) as (our, their):
        client, listener = (their, our) if role == "pync listens" else (our, their)
        for size in sizes:
            question, answer = random.Random(size).randbytes(size), random.Random(-1 - size).randbytes(size)
            client.stdin.write(question)
            assert listener.read(size) == question
            listener.stdin.write(answer)
            assert client.read(size) == answer
        if client is their:
            client.stdin.write(b"!")
            assert our.finish() == (0, b"!")
        assert our.code() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_empty_datagram_is_data_and_not_the_end(host: str, tmp_path: Path) -> None:
    place = Place("udp", host, tmp_path)
    with pync("-luv", "-W", "4", host, "0") as listener:
        place.port = listener.port()
        for text in (b"one", b"two"):
            # With shut-null, socat's last datagram is an empty one.
            with running(peer("socat"), "-u", "-", *place.words("UDP:{url}:{port},shut-null")) as sender:
                sender.stdin.write(text)
                assert listener.read(3) == text
                assert sender.finish()[0] == 0
        assert listener.code() == 0


def test_a_listener_that_is_kept_open_serves_one_netcat_after_the_other(tmp_path: Path) -> None:
    place = Place("tcp", "127.0.0.1", tmp_path)
    with pync("-lk", "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        place.port = listener.port()
        for name in NAMES:
            with running(peer(name), *place.words(PEERS[name, "tcp"].connect)) as client:
                client.stdin.write(name.encode())
                assert client.finish() == (0, b"")
            assert listener.read(len(name)) == name.encode()
