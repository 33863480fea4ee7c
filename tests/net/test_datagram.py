"""Datagram endpoints: one read is one datagram, whom a listener answers, what a client does when refused.

In process and with real sockets of the loopback; the same through the command is in cli/test_udp.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.net import bursts
from pync.net.datagram import SPACE, Datagrams, DatagramSink, DatagramSource
from pync.net.dial_datagrams import dial_datagrams, listening_datagrams
from pync.net.endpoint import PIPE, PipeEndpoint
from pync.net.listen import listen
from pync.net.move import MORE, Copy
from pync.net.packets import PacketSource
from pync.net.peer import Peer
from pync.wire.address import Target
from tests.engine.test_flow import JumpingLoop
from tests.plans import planned
from tests.running import PATIENCE, unused_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def udp(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(PATIENCE)
    return sock


def read(source: DatagramSource, buffer: memoryview | None = None) -> bytes:
    """The next datagram; waits for it on what the source says to wait for."""
    buffer = memoryview(bytearray(1 << 17)) if buffer is None else buffer
    deadline = time.monotonic() + PATIENCE
    while (count := source.read_into(buffer)) is None:
        assert time.monotonic() < deadline
        loop = JumpingLoop()
        source.watch_read(loop, lambda: None)
        select.select(loop.readers, [], [], PATIENCE)
    return bytes(buffer[:count])


class Listening:
    """A listener on both loopbacks, what it reported and whom it met."""

    def __init__(self) -> None:
        self.sockets = [udp("127.0.0.1"), udp("::1")]
        for sock in self.sockets:
            sock.setblocking(False)
        self.reports: list[str] = []
        self.peers: list[Peer] = []
        self.datagrams = listening_datagrams(self.sockets, self.reports.append, self.peers.append)
        self.source = DatagramSource(self.datagrams)
        self.sink = DatagramSink(self.datagrams, None)

    def address(self, index: int) -> tuple[str, int]:
        name = self.sockets[index].getsockname()
        return name[0], name[1]


@pytest.fixture
def listening() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.source.close()


def test_datagrams_of_either_family_are_read_one_by_one(listening: Listening) -> None:
    with udp("127.0.0.1") as four, udp("::1") as six:
        four.sendto(b"four", listening.address(0))
        six.sendto(b"six", listening.address(1))
        assert {read(listening.source), read(listening.source)} == {b"four", b"six"}


def test_an_empty_datagram_is_read_as_such(listening: Listening) -> None:
    with udp() as sock:
        sock.sendto(b"", listening.address(0))
        assert read(listening.source) == b""
        assert listening.source.read_into(memoryview(bytearray(10))) is None


def test_a_busy_socket_does_not_starve_the_other(listening: Listening) -> None:
    with udp("127.0.0.1") as four, udp("::1") as six:
        for _ in range(3):
            four.sendto(b"4", listening.address(0))
            six.sendto(b"6", listening.address(1))
        assert sorted(read(listening.source) for _ in range(2)) == [b"4", b"6"]


def test_the_latest_sender_is_answered_and_each_is_announced_once(listening: Listening) -> None:
    with udp() as first, udp() as second:
        for sock in (first, second, first):
            sock.sendto(b"x", listening.address(0))
            read(listening.source)
            listening.sink.write(b"answer")
            assert sock.recv(100) == b"answer"
    assert [peer.address[1] for peer in listening.peers] == [peer.address[1] for peer in listening.peers[:2]]


def test_without_a_peer_nothing_is_sent_and_nothing_can_be_awaited(listening: Listening) -> None:
    assert listening.sink.write(b"x") is None
    assert listening.sink.fd == -1


def test_a_sink_that_waits_follows_the_present_peer(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening.datagrams, "send", lambda data, size: None)  # no room anywhere
    loop, peers = JumpingLoop(), [Peer(sock, ("", 0), "peer") for sock in listening.sockets]
    listening.sink.watch_write(loop, lambda: None)
    assert (len(loop.timers), list(loop.writers)) == (1, [])
    for peer in peers:
        listening.datagrams.peer = peer
        listening.sink.write(b"x")
        assert (loop.timers, list(loop.writers)) == ([], [peer.sock.fileno()])
    listening.sink.watch_write(loop, None)
    listening.sink.write(b"x")
    assert loop.empty


def test_a_cut_datagram_is_noticed(listening: Listening) -> None:
    with udp() as sock:
        sock.sendto(bytes(100), listening.address(0))
        assert read(listening.source, memoryview(bytearray(10))) == bytes(10)
    assert listening.reports == ["a datagram was cut to 10 bytes: it is larger than we can take"]


def both_addresses(first: tuple[str, int], second: tuple[str, int]) -> Callable[..., Any]:
    """A getaddrinfo for a host with two addresses."""
    found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", address) for address in (first, second)]
    return lambda *_: found


def test_a_client_moves_on_when_the_first_address_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with udp("127.0.0.2") as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", both_addresses(("127.0.0.1", port), ("127.0.0.2", port)))
        reports: list[str] = []
        datagrams = dial_datagrams("host.example", port, planned(udp=True), reports.append)
        source, sink = DatagramSource(datagrams), DatagramSink(datagrams, None)
        assert sink.write(b"first") == 5
        assert sink.write(b"second") == 6
        received = [server.recvfrom(100) for _ in range(2)]
        assert [data for data, _ in received] == [b"first", b"second"]
        server.sendto(b"answer", received[0][1])
        assert read(source) == b"answer"
        assert (reports, datagrams.refused, datagrams.unsent) == ([], False, 0)
        source.close()


@pytest.mark.parametrize("failing", ["socket", "connect"])
def test_an_address_that_cannot_be_had_is_passed_over_and_leaves_no_socket(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without IPv6, or without a route: the host's other address serves."""
    made: list[socket.socket] = []

    class Limited(socket.socket):
        def __init__(self, family: int = -1, *rest: Any) -> None:
            if failing == "socket" and family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no such family")
            super().__init__(family, *rest)
            made.append(self)

        def connect(self, address: Any, /) -> None:
            if failing == "connect" and self.family == socket.AF_INET6:
                raise OSError(errno.ENETUNREACH, "no route")
            super().connect(address)

    with udp() as server:
        port = server.getsockname()[1]
        six = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("2001:db8::1", port, 0, 0))
        four = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [six, four])
        monkeypatch.setattr(socket, "socket", Limited)
        datagrams = dial_datagrams("host.example", port, planned(udp=True), print)
        assert DatagramSink(datagrams, None).write(b"x") == 1
        assert server.recv(10) == b"x"
        datagrams.close()
    assert [sock.fileno() for sock in made] == [-1] * len(made)


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=9), st.integers(0, 5000))
def test_a_read_of_many_takes_what_is_there_in_its_order_and_keeps_room_for_any(sent: list[bytes], room: int) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        here.setblocking(False)
        source = DatagramSource(Datagrams([here], [Peer(here, None, "peer")], print), many=True)
        buffer = memoryview(bytearray(SPACE + room))
        taken = []
        for data in sent:
            there.send(data)
        while (count := source.read_into(buffer)) is not None:
            taken.append(bytes(buffer[:count]))
            assert count <= room + 2000
    assert b"".join(taken) == b"".join(sent)
    assert len(taken) <= len(sent)
    assert room < sum(map(len, sent)) or len(taken) == 1


def test_a_refusal_of_the_last_address_is_reported_once_and_counted() -> None:
    port = unused_port(socket.SOCK_DGRAM)
    reports: list[str] = []
    datagrams = dial_datagrams("127.0.0.1", port, planned(udp=True), reports.append)
    source, sink = DatagramSource(datagrams), DatagramSink(datagrams, None)
    for _ in range(4):
        assert sink.write(b"x") == 1
    assert reports == [f"send to 127.0.0.1 port {port} (udp): Connection refused"]
    assert datagrams.refused
    source.close()


def test_a_datagram_that_must_wait_after_a_refusal_is_not_counted_as_lost() -> None:
    answers: list[OSError | None] = [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), BlockingIOError(), None]

    class Moody(socket.socket):
        def send(self, data: Any, flags: int = 0, /) -> int:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return len(data)

    with Moody(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        datagrams = Datagrams([sock], [Peer(sock, None, "peer")], print)
        sink = DatagramSink(datagrams, None)
        assert sink.write(b"data") is None
        assert datagrams.unsent == 0
        assert sink.write(b"data") == 4
        assert datagrams.unsent == 0


def test_what_the_system_refuses_to_send_is_reported_and_counted_as_unsent() -> None:
    with udp() as server:
        port = server.getsockname()[1]
        reports: list[str] = []
        datagrams = dial_datagrams("127.0.0.1", port, planned(udp=True), reports.append)
        sink = DatagramSink(datagrams, 70_000)
        assert sink.write(bytes(70_000)) == 70_000
        assert sink.write(b"fits") == 4
        assert server.recv(100) == b"fits"
        assert reports == [f"send to 127.0.0.1 port {port} (udp): datagram of 70000 bytes: Message too long"]
        assert datagrams.unsent == 70_000
        datagrams.close()


@pytest.mark.parametrize("refused", [False, True], ids=["in one call", "one by one"])
def test_a_write_becomes_datagrams_of_the_largest_size(monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
    calls: list[int] = []

    def segments(sock: socket.socket, data: memoryview, *rest: Any) -> int:
        calls.append(len(data))
        if refused:
            raise OSError(errno.EIO, "not through this interface")
        return send_segments(sock, data, *rest)

    send_segments = bursts.send_segments
    monkeypatch.setattr(bursts, "send_segments", segments)
    with udp() as server:
        datagrams = dial_datagrams("127.0.0.1", server.getsockname()[1], planned(udp=True), print)
        sink, left = DatagramSink(datagrams, 300), memoryview(random.Random(1).randbytes(300 * 70 + 1))
        whole = bytes(left)
        while left:
            left = left[sink.write(left) :]
        pieces = [server.recv(1000) for _ in range(71)]
        assert [len(piece) for piece in pieces] == [300] * 70 + [1]
        assert b"".join(pieces) == whole
        assert calls == [300 * 64] if refused else [300 * 64, 300 * 6 + 1]
        assert datagrams.unsent == 0
        datagrams.close()


def test_a_sink_that_is_alone_sends_one_datagram_a_call() -> None:
    with udp() as server:
        datagrams = dial_datagrams("127.0.0.1", server.getsockname()[1], planned(udp=True), print)
        assert DatagramSink(datagrams, 3, alone=True).write(b"abcdef") == 3
        assert server.recv(100) == b"abc"
        datagrams.close()


def test_what_a_sender_sent_in_one_call_is_read_in_one_where_borders_do_not_matter() -> None:
    """Nothing is joined for a source that tells datagrams apart."""
    for many, reads in ((True, [b"0123456789"]), (False, [b"012", b"345", b"678", b"9"])):
        with udp() as server, udp() as sender:
            server.setblocking(False)
            source = DatagramSource(listening_datagrams([server], print, lambda _: None), many=many)
            sender.connect(server.getsockname())
            bursts.send_segments(sender, memoryview(b"0123456789"), 3, [])
            assert [read(source, memoryview(bytearray(SPACE))) for _ in reads] == reads


def test_the_latest_sender_of_a_read_of_many_is_answered() -> None:
    with udp() as server, udp() as first, udp() as second:
        server.setblocking(False)
        datagrams = listening_datagrams([server], print, lambda _: None)
        for sender in (first, second, first):
            sender.sendto(b"x", server.getsockname())
        assert read(DatagramSource(datagrams, many=True)) == b"xxx"
        DatagramSink(datagrams, None).write(b"answer")
        assert first.recv(100) == b"answer"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_the_system_threw_away_is_counted_and_the_room_is_what_i_asks_for() -> None:
    listener = listen(Target("127.0.0.1", [0]), planned(udp=True, listen=True, recv_buffer=4096), 1, print)
    (server,) = listener.sockets
    with udp() as sender:
        sent = sum(sender.sendto(bytes(1000), server.getsockname()) == 1000 for _ in range(100))
    datagrams = listening_datagrams([server], print, lambda _: None)
    source, came = DatagramSource(datagrams), 0
    while source.read_into(memoryview(bytearray(SPACE))) is not None:
        came += 1
    assert 0 < came < sent == came + datagrams.dropped()
    listener.close()


@given(st.lists(st.one_of(st.sampled_from([1, 700, 700, 700]), st.integers(1, 4000)), min_size=1, max_size=40))
def test_each_packet_of_a_pipe_is_a_datagram_however_many_leave_together(sizes: list[int]) -> None:
    reading, writing = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    with udp() as server, open(writing, "wb", buffering=0) as packets:
        server.setblocking(False)
        datagrams = dial_datagrams("127.0.0.1", server.getsockname()[1], planned(udp=True), print)
        sink = DatagramSink(datagrams, None)
        source = PacketSource(PipeEndpoint(reading, PIPE), sink)
        sent: list[bytes] = []
        for number, size in enumerate(sizes[:15]):  # a pipe has 16 places
            sent.append(bytes([number]) * size)
            packets.write(sent[-1])
        packets.close()
        copy, came = Copy(source, sink), []
        while copy.move(1 << 40) == MORE:
            with contextlib.suppress(BlockingIOError):
                while True:
                    came.append(server.recv(5000))
        assert came == sent
        source.close()
        datagrams.close()


def test_closing_closes_every_socket() -> None:
    datagrams = Datagrams([udp(), udp("::1")], [], print)
    DatagramSource(datagrams).close()
    assert [sock.fileno() for sock in datagrams.sockets] == [-1, -1]
