"""The built-in services over datagrams: who is answered, from where, and what no peer can do to the others.

A service runs in a thread of the test, on real sockets of the loopback, and ends after the datagrams
that the test sends (-W), which each test so counts along. The installed command is in
cli/test_services, hosts of their own in cli/test_namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import re
import socket
import struct
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from pync.console import Console
from pync.errors import OK, TIMEOUT, USAGE, Fault
from pync.net.datagram import KNOWN_PEERS
from pync.net.loop import Loop
from pync.net.pktinfo import IP_PKTINFO, IPV6_PKTINFO
from pync.plan import Plan
from pync.serving.listening import Listening
from pync.serving.udp_services import BATCH, Counts, DatagramService, Port, Query, run_udp_service, why_silent
from pync.wire.address import Target
from pync.wire.services import Echo
from tests.plans import planned
from tests.running import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Served:
    """A service that runs in a thread."""

    def __init__(self, target: Target, plan: Plan, verbose: int) -> None:
        self.stderr = io.StringIO()
        self.counts = Counts()
        self.code: int | None = None
        self.fault: Fault | None = None
        console = Console(None, None, self.stderr)
        console.verbose = verbose
        self._arguments = (target, plan, console, self.counts)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.code = run_udp_service(*self._arguments)
        except Fault as fault:
            self.fault = fault

    @property
    def messages(self) -> list[str]:
        return self.stderr.getvalue().splitlines()

    def port(self) -> int:
        return int(eventually(lambda: re.search(r"Bound on \S+ (\d+)\n", self.stderr.getvalue()), "bound")[1])

    def finished(self) -> int | None:
        """The exit code, once it has come to its end by itself."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self.code


def echoing(loop: Loop, plan: Plan, console: Console | None = None) -> DatagramService:
    """An echo service that has no socket yet."""
    listening = Listening(Target("127.0.0.1", [0]), plan, console or Console(None, None, None))
    return DatagramService(loop, Echo(), listening, Counts())


@contextlib.contextmanager
def serving(
    name: str,
    host: str | None = "127.0.0.1",
    *,
    path: str | None = None,
    verbose: int = 1,
    datagrams: int | None = None,
    **given: Any,
) -> Iterator[Served]:
    """A service that ends after so many datagrams, and must have done so when the block is left."""
    plan = planned(None, listen=True, udp=True, recv_limit=datagrams, unix=path is not None, **{name: True, **given})
    target = Target(None if path else host, [] if path else [0], path)
    served = Served(target, plan, verbose)
    served.thread.start()
    eventually(lambda: "Bound on" in served.stderr.getvalue() or not served.thread.is_alive(), "bound")
    yield served
    served.finished()


@contextlib.contextmanager
def client(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, port))
        except OSError as error:
            pytest.skip(f"{host} port {port} cannot be bound here: {error}")
        sock.settimeout(PATIENCE)
        yield sock


def ask(sock: socket.socket, data: bytes, where: tuple[str, int]) -> tuple[bytes, tuple[str, int]]:
    """The answer to a query and from where it came."""
    sock.sendto(data, where)
    answer, address = sock.recvfrom(1 << 17)
    return answer, address[:2]


def has_heard(sock: socket.socket) -> bool:
    """Whether anything has come: true at once or never, since a service answers in the order of arrival."""
    sock.setblocking(False)
    try:
        sock.recv(1)
    except BlockingIOError:
        return False
    return True


# --- answers


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("name", "query", "answer"),  # the answer as a pattern
    [
        ("echo", b"\x00\xff", b"\x00\xff"),
        ("echo", b"", b""),
        ("hello", b"Michael", b"Hello, Michael!"),
        ("hello", b"Michael\r\n", rb"Hello, Michael!\r\n"),
        ("upper", "grüße".encode(), "GRÜSSE".encode()),
        ("chargen", b"", re.escape(bytes(range(32, 104)) + b"\r\n")),
        ("daytime", b"", rb"\w+, \w+ \d+, \d{4} \d\d:\d\d:\d\d-UTC\r\n"),
        ("time", b"anything", rb"(?s)...."),
    ],
)
def test_each_service_answers_each_datagram(name: str, query: bytes, answer: bytes, host: str) -> None:
    with client(host) as sock, serving(name, host, datagrams=1) as served:
        said, where = ask(sock, query, (host, served.port()))
        assert re.fullmatch(answer, said)
        assert where == (host, served.port())
    assert served.code == OK


def test_discard_answers_nothing() -> None:
    with client() as sock, serving("discard", datagrams=3) as served:
        for _ in range(3):
            sock.sendto(b"x", ("127.0.0.1", served.port()))
        served.finished()
        assert not has_heard(sock)
    assert (served.counts.datagrams_received, served.counts.received, served.counts.datagrams_sent) == (3, 3, 0)


def test_the_largest_datagram_comes_back_whole_and_what_goes_is_counted() -> None:
    data = os.urandom(65507)
    with client() as sock, serving("echo", datagrams=2) as served:
        where = ("127.0.0.1", served.port())
        assert ask(sock, data, where)[0] == data
        assert ask(sock, b"", where)[0] == b""
    counts = served.counts
    assert (counts.datagrams_received, counts.received) == (2, 65507)
    assert (counts.datagrams_sent, counts.sent) == (2, 65507)


def test_several_peers_each_get_their_own_answer() -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client()) for _ in range(20)]
        served = stack.enter_context(serving("hello", datagrams=40))
        where = ("127.0.0.1", served.port())
        for number in range(2):
            for index, sock in enumerate(clients):
                sock.sendto(b"%d of %d" % (number, index), where)
        for number in range(2):
            for index, sock in enumerate(clients):
                assert sock.recv(100) == b"Hello, %d of %d!" % (number, index)


@pytest.mark.parametrize(("host", "bound"), [("127.0.0.1", None), ("127.0.0.2", None), ("::1", None)])
def test_an_answer_leaves_from_the_address_that_was_asked(host: str, bound: str | None) -> None:
    """With every address bound, the kernel would answer 127.0.0.1's client from 127.0.0.1 whoever was asked."""
    with client(LOOPBACK[socket.AF_INET6 if ":" in host else socket.AF_INET]) as sock:
        with serving("echo", bound, datagrams=1) as served:
            answer, where = ask(sock, b"x", (host, served.port()))
    assert (answer, where) == (b"x", (host, served.port()))


def test_more_than_a_batch_is_answered_in_order_and_the_limit_is_exact() -> None:
    total = 3 * BATCH
    with client() as sock, serving("echo", datagrams=total) as served:
        where = ("127.0.0.1", served.port())
        for number in range(total):
            sock.sendto(b"%d" % number, where)
        assert [sock.recv(100) for _ in range(total)] == [b"%d" % number for number in range(total)]
        assert served.finished() == OK
    assert served.counts.datagrams_received == total


# --- who gets none


@pytest.fixture
def service_client() -> Iterator[socket.socket]:
    """A client on a well-known port that is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for port in range(1023, 600, -1):
            try:
                sock.bind(("127.0.0.1", port))
            except PermissionError:
                pytest.skip("ports below 1024 are not for this user")
            except OSError:
                continue
            break
        yield sock


@pytest.mark.parametrize("name", ["echo", "chargen", "daytime", "time", "hello", "upper"])
def test_what_comes_from_a_services_port_is_not_answered(name: str, service_client: socket.socket) -> None:
    with client() as sock, serving(name, datagrams=2) as served:
        where = ("127.0.0.1", served.port())
        service_client.sendto(b"x", where)
        assert ask(sock, b"x", where)
        assert not has_heard(service_client)
    port = service_client.getsockname()[1]
    assert f"Connection received on 127.0.0.1 {port}, not answered: port {port} is a service's" in served.messages


def test_two_services_of_one_port_number_do_not_answer_each_other() -> None:
    with (
        client() as sock,
        serving("echo", "127.0.0.2", datagrams=2) as served,
        client("127.0.0.1", served.port()) as twin,
    ):
        where = ("127.0.0.2", served.port())
        twin.sendto(b"x", where)
        assert ask(sock, b"x", where)[0] == b"x"
        assert not has_heard(twin)


@pytest.mark.parametrize("group", ["224.0.0.1", "127.255.255.255"])
def test_what_was_sent_to_a_group_or_broadcast_is_not_answered(group: str) -> None:
    with client() as sock, serving("echo", None, datagrams=2) as served:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        try:
            sock.sendto(b"to all", (group, served.port()))
        except OSError as error:
            sock.sendto(b"x", ("127.0.0.1", served.port()))
            sock.sendto(b"x", ("127.0.0.1", served.port()))
            pytest.skip(f"{group} cannot be sent to here: {error}")
        eventually(lambda: served.counts.datagrams_received, "the datagram to all")
        assert ask(sock, b"to you", ("127.0.0.1", served.port()))[0] == b"to you"
    assert any(message.endswith("not answered: it asked a group") for message in served.messages)


def query(address: Any, ancillary: list[Any] | None = None, *, cut: bool = False) -> Query:
    return Query(b"x", ancillary or [], cut, address)


def pktinfo(local: str, destination: str) -> list[Any]:
    data = struct.pack("=I4s4s", 1, socket.inet_aton(local), socket.inet_aton(destination))
    return [(socket.IPPROTO_IP, IP_PKTINFO, data)]


def pktinfo6(destination: str) -> list[Any]:
    return [(socket.IPPROTO_IPV6, IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, destination) + struct.pack("=I", 1))]


@pytest.mark.parametrize("port", [0, 7, 9, 13, 17, 19, 37, 53, 123, 1023, 5353])
@pytest.mark.parametrize("address", [("192.0.2.1",), ("2001:db8::1", 0, 0)], ids=["4", "6"])
def test_no_service_is_answered(address: tuple[Any, ...], port: int) -> None:
    sender = (address[0], port, *address[1:])
    assert why_silent(query(sender), own_port=5353) == f"port {port} is a service's"


@pytest.mark.parametrize("port", [1024, 5352, 65535])
def test_a_client_is(port: int) -> None:
    assert why_silent(query(("192.0.2.1", port)), own_port=5353) == ""
    assert why_silent(query("/run/client"), own_port=-1) == ""


def test_only_what_came_to_an_address_of_ours_is_answered() -> None:
    sender, sender6 = ("192.0.2.1", 5000), ("2001:db8::1", 5000, 0, 0)
    assert why_silent(query(sender, pktinfo("192.0.2.7", "192.0.2.7")), 7) == ""
    assert why_silent(query(sender6, pktinfo6("2001:db8::7")), 7) == ""
    for group in (pktinfo("192.0.2.7", "224.0.0.1"), pktinfo("192.0.2.7", "192.0.2.255")):
        assert why_silent(query(sender, group), 7) == "it asked a group"
    assert why_silent(query(sender6, pktinfo6("ff02::1")), 7) == "it asked a group"


def test_a_datagram_that_was_there_before_the_service_is_answered() -> None:
    loop = Loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, client() as peer:
        sock.bind(("0.0.0.0", 0))
        sock.setblocking(False)
        peer.sendto(b"early", ("127.0.0.1", sock.getsockname()[1]))
        plan = planned(None, recv_limit=1)
        try:
            echoing(loop, plan).serve(sock)
            loop.run()
        finally:
            loop.close()
        assert peer.recv(10) == b"early"


def test_a_cut_datagram_and_one_without_a_sender_are_not_answered() -> None:
    assert why_silent(query(("192.0.2.1", 5000), cut=True), 7) == "its datagram is too long"
    for nobody in (None, "", b""):
        assert why_silent(query(nobody), -1) == "it has no address"


def test_whom_the_rules_turn_away_is_not_answered_and_not_counted() -> None:
    with client("127.0.0.3") as unwanted, client() as sock, serving("echo", deny=("127.0.0.3",), datagrams=1) as served:
        unwanted.sendto(b"x", ("127.0.0.1", served.port()))
        assert ask(sock, b"y", ("127.0.0.1", served.port()))[0] == b"y"
        assert not has_heard(unwanted)
        port = unwanted.getsockname()[1]
    assert f"Connection from 127.0.0.3 {port} refused by rule" in served.messages
    assert served.counts.received == 1


# --- what peers can do to it


def test_a_peer_that_is_gone_changes_nothing_for_the_others() -> None:
    with client() as sock, serving("echo", datagrams=11) as served:
        where = ("127.0.0.1", served.port())
        for _ in range(10):
            with client() as hasty:
                hasty.sendto(b"x", where)  # its answer meets a closed port
        assert ask(sock, b"y", where)[0] == b"y"
    assert served.code == OK


def test_an_answer_that_is_no_datagram_any_more_is_noted_and_the_next_is_sent() -> None:
    with client() as sock, serving("hello", datagrams=2) as served:
        where = ("127.0.0.1", served.port())
        sock.sendto(b"x" * 65507, where)
        assert ask(sock, b"Michael", where)[0] == b"Hello, Michael!"
        name = f"127.0.0.1 port {sock.getsockname()[1]} (udp)"
    assert f"send to {name}: {os.strerror(errno.EMSGSIZE)}" in served.messages
    assert served.counts.datagrams_sent == 1


def test_a_peer_is_announced_once() -> None:
    with client() as sock, serving("echo", datagrams=5) as served:
        for _ in range(5):
            ask(sock, b"x", ("127.0.0.1", served.port()))
        port = sock.getsockname()[1]
    assert served.messages[1] == f"Connection received on 127.0.0.1 {port}"
    assert served.counts.report()[1] == "datagrams: 5 received, 5 sent; refused: 0 by rule"
    assert re.fullmatch(r"sent 5 bytes, received 5 bytes in .* s \(.*/s\)", served.counts.report()[2])


def test_without_v_nothing_is_said_of_peers() -> None:
    with client() as sock, serving("echo", verbose=0, datagrams=1) as served:
        ask(sock, b"x", ("127.0.0.1", served.port()))
    assert len(served.messages) == 1  # the port, which the system picked


class ForgedSenders(socket.socket):
    """A socket whose datagrams come from ever new addresses, as many as are asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.left = count
        self.answered = 0

    def recvmsg_into(self, buffers: Any, ancillary: int = 0, flags: int = 0) -> Any:
        if not self.left:
            raise BlockingIOError
        self.left -= 1
        host = socket.inet_ntoa(struct.pack(">I", 0x0A000000 + self.left))
        return 1, [], 0, (host, 1024 + self.left % 60000)

    def sendmsg(self, buffers: Any, ancillary: Any = (), flags: int = 0, address: Any = None) -> int:
        self.answered += 1
        return 1


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_flood_from_forged_addresses_does_not_grow_it(verbose: int, tmp_path: Path) -> None:
    total = 5 * KNOWN_PEERS
    with ForgedSenders(total) as sock, open(tmp_path / "stderr", "w") as stderr:
        console = Console(None, None, stderr)
        console.verbose = verbose
        loop = Loop()
        try:
            port = Port(echoing(loop, planned(), console), sock)
            tracemalloc.start()
            try:
                while sock.left > total // 2:
                    port._readable()
                before = tracemalloc.get_traced_memory()[1]
                while sock.left:
                    port._readable()
                after = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        finally:
            loop.close()
        assert sock.answered == total
    # The highest it ever was: remembering the second half would cost over a hundred bytes for each sender.
    assert after - before < 20 * total // 2
    assert len((tmp_path / "stderr").read_text().splitlines()) == total * verbose


class FullSocket(socket.socket):
    """A socket with no room for what is sent, until there is."""

    room = False

    def sendmsg(self, *arguments: Any) -> int:
        if not self.room:
            raise BlockingIOError
        return super().sendmsg(*arguments)


def test_a_full_socket_is_waited_for_and_nothing_more_is_read_meanwhile() -> None:
    loop = Loop()
    with FullSocket(socket.AF_INET, socket.SOCK_DGRAM) as sock, client() as peer:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        served = echoing(loop, planned(None, recv_limit=3))
        served.serve(sock)
        for number in range(3):
            peer.sendto(b"%d" % number, sock.getsockname())
        turns = itertools.count()
        try:
            while next(turns) < 5:
                loop._turn()
            assert served.counts.datagrams_received == 1
            assert served.counts.datagrams_sent == 0
            sock.room = True
            loop.run()
        finally:
            loop.close()
        assert [peer.recv(10) for _ in range(3)] == [b"0", b"1", b"2"]
    assert served.counts.datagrams_sent == 3


# --- unix datagrams


@contextlib.contextmanager
def unix_client(path: str | None) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if path is not None:
            sock.bind(path)
        sock.settimeout(PATIENCE)
        yield sock


@pytest.mark.parametrize("name", ["client", "\0pync-test"], ids=["path", "abstract"])
def test_a_unix_datagram_is_answered_to_its_senders_path(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "server")
    own = f"{name}-{os.getpid()}" if name.startswith("\0") else str(tmp_path / name)
    with unix_client(own) as sock, serving("hello", path=path, datagrams=1) as served:
        sock.sendto(b"Michael", path)
        assert sock.recvfrom(100) == (b"Hello, Michael!", path)
    assert served.code == OK
    assert not os.path.exists(path)


def test_a_unix_datagram_of_nobody_is_heard_and_not_answered(tmp_path: Path) -> None:
    path = str(tmp_path / "server")
    with unix_client(None) as nobody, unix_client(str(tmp_path / "c")) as sock:
        with serving("echo", path=path, datagrams=2) as served:
            nobody.sendto(b"x", path)
            sock.sendto(b"y", path)
            assert sock.recv(100) == b"y"
    assert "Connection received, not answered: it has no address" in served.messages


def test_a_unix_datagram_larger_than_udp_has_comes_back_whole(tmp_path: Path) -> None:
    data, path = os.urandom(100_000), str(tmp_path / "server")
    with unix_client(str(tmp_path / "c")) as sock, serving("echo", path=path, datagrams=1):
        sock.sendto(data, path)
        assert sock.recv(1 << 18) == data


def test_unix_peers_that_are_gone_or_never_read_do_not_hold_up_the_others(tmp_path: Path) -> None:
    path = str(tmp_path / "server")
    gone, deaf = str(tmp_path / "gone"), str(tmp_path / "deaf")
    with unix_client(deaf) as idler, unix_client(str(tmp_path / "c")) as sock:
        with serving("echo", path=path, datagrams=1002) as served:
            with unix_client(gone) as hasty:
                hasty.sendto(b"x", path)
                os.unlink(gone)
            for _ in range(1000):
                idler.sendto(b"x", path)
            sock.sendto(b"y", path)
            assert sock.recv(100) == b"y"
    assert served.code == OK
    assert served.counts.datagrams_sent < 1002


# --- its end


def test_it_ends_with_code_3_after_silence_that_begins_with_the_first_datagram() -> None:
    with client() as sock, serving("echo", idle_timeout=0.05) as served:
        assert ask(sock, b"x", ("127.0.0.1", served.port()))[0] == b"x"
        served.finished()
    assert served.fault is not None
    assert (served.fault.code, served.fault.text) == (TIMEOUT, "listener: no data for 0.05 s: timed out")


def test_w_is_the_limit_of_silence_too_unless_it_is_given_apart() -> None:
    with client() as sock, serving("echo", timeout=0.05) as served:
        sock.sendto(b"x", ("127.0.0.1", served.port()))
        served.finished()
    assert served.fault is not None


def test_nobody_yet_is_no_silence_but_the_total_time_counts() -> None:
    with serving("echo", timeout=0.01, total_timeout=0.2) as served:
        served.finished()
    assert served.fault is not None
    text = "listener: not done within the total timeout: timed out"
    assert (served.fault.code, served.fault.text) == (TIMEOUT, text)


def test_an_address_in_use_is_told_and_leaves_nothing_open() -> None:
    with client() as sock:
        plan = planned(None, listen=True, udp=True, echo=True)
        with pytest.raises(Fault) as caught:
            run_udp_service(Target("127.0.0.1", [sock.getsockname()[1]]), plan, Console(None, None, None))
    assert caught.value.code == USAGE
