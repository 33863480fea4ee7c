"""Letting clients in, keeping them, counting them: on the quick loop, in a thread of the test.

Clients are served with an echo, or with what the test brings. With the installed command, and with
thousands of clients, it is tested in cli/.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import queue
import resource
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from pync.console import Console
from pync.engine.conversation import Conversation
from pync.errors import INTERRUPTED, NETWORK, TIMEOUT, Fault
from pync.net.listen import STILLBORN, Listener
from pync.net.loop import Loop
from pync.net.unixpath import BoundPath
from pync.serving import server as module
from pync.serving.descriptors import DescriptorLimit
from pync.serving.server import BATCH, Server
from pync.wire.services import Echo
from tests.running import PATIENCE, eventually
from tests.sockets import be_reset, receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pync.handlers.stdio import Client, OnEnd


class Running:
    """A server in a thread; `run`'s result, or what it raised, is in `outcome`."""

    def __init__(
        self, *sockets: socket.socket, make: Any = None, verbose: int = 0, total: float | None = None, **given: Any
    ) -> None:
        self.said = io.StringIO()
        console = Console(None, None, self.said)
        console.verbose = verbose
        self.loop = Loop()
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._bell, self._ringer = socket.socketpair()
        self.loop.add_reader(self._bell.fileno(), self._answer)
        self.listener = Listener(list(sockets), BoundPath())
        self.server = Server(self.loop, self.listener, console, **given)
        self.outcome: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(make or self._echo, total), daemon=True)
        self._thread.start()

    def _echo(self, sock: socket.socket, name: str, on_end: OnEnd) -> Client:
        return Conversation(self.loop, sock, name, on_end, Echo())

    def _run(self, make: Any, total: float | None) -> None:
        try:
            self.outcome.set_result(self.server.run(make, total))
        except BaseException as error:
            self.outcome.set_exception(error)

    def _answer(self) -> None:
        self._bell.recv(1)
        self._calls.get_nowait()()

    def call(self, callback: Callable[[], object]) -> None:
        """Have this called in the server's thread."""
        self._calls.put(callback)
        self._ringer.send(b"x")

    def ask(self, question: Callable[[], Any]) -> Any:
        """Call this in the server's thread, for what it says."""
        answer: Future[Any] = Future()

        def call() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)

        self.call(call)
        return answer.result(PATIENCE)

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.ask(self.server.tally.counts)
        return counts

    def stop(self, *words: Any, **named: Any) -> int:
        self.ask(lambda: self.server.stop(*words, **named))
        return self.outcome.result(PATIENCE)

    def close(self) -> None:
        if not self.outcome.done():
            self.call(self.server.stop)
        self._thread.join(PATIENCE)
        self.listener.close()
        self.loop.close()
        self._bell.close()
        self._ringer.close()


@contextlib.contextmanager
def serving(host: str = "127.0.0.1", **given: Any) -> Iterator[tuple[Running, tuple[Any, ...]]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, 0), family=family, backlog=1000)
    sock.setblocking(False)
    address = sock.getsockname()
    server = Running(sock, **given)
    try:
        yield server, address
    finally:
        server.close()


def connect(address: tuple[Any, ...]) -> socket.socket:
    return socket.create_connection(address[:2], PATIENCE)


def echo(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = sock.recv(len(data))
        assert piece, "the server has ended it"
        got += piece
    assert got == data


# --- coming and going


def test_the_counts_after_a_thousand_clients_are_exact() -> None:
    with serving() as (server, address):
        for number in range(1000):
            with connect(address) as sock:
                sock.sendall(b"x" * (number % 7))
                sock.shutdown(socket.SHUT_WR)
                assert receive_all(sock) == b"x" * (number % 7)
        eventually(lambda: server.counts()["now"] == 0, "all have left")
        total = sum(number % 7 for number in range(1000))
        assert server.counts() == {
            "now": 0, "peak": server.counts()["peak"], "total": 1000, "refused_by_rule": 0, "refused_by_limit": 0,
            "received": total, "sent": total,
        }  # fmt: skip
        assert 1 <= server.counts()["peak"] < 10
        assert server.server.clients == {}


@pytest.mark.parametrize("count", [1, BATCH * 3 + 1])
def test_the_peak_is_how_many_were_there_at_once(count: int) -> None:
    with serving() as (server, address), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(count)]
        for sock in clients:
            echo(sock, b"here")
        assert server.counts()["peak"] == server.counts()["now"] == count
        assert server.counts()["sent"] == 4 * count  # while they are there
        for sock in clients[1:]:
            sock.close()
        eventually(lambda: server.counts()["now"] == 1, "the others have left")
        assert server.counts()["peak"] == count


def test_clients_beyond_the_limit_are_turned_away_and_a_free_place_is_taken_again() -> None:
    with serving(most=2, verbose=1) as (server, address), contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(connect(address)) for _ in range(2))
        for sock in (first, second):
            echo(sock, b"x")
        for _ in range(3):
            with connect(address) as surplus:
                assert receive_all(surplus) == b""
        assert server.counts()["refused_by_limit"] == 3
        echo(first, b"noticed nothing")
        second.close()
        eventually(lambda: server.counts()["now"] == 1, "the second has left")
        echo(stack.enter_context(connect(address)), b"a new one")
        assert server.counts()["total"] == 3
        assert "refused: 2 at once is the limit\n" in server.said.getvalue()


def test_whom_the_rules_do_not_admit_is_turned_away_and_counted() -> None:
    seen: list[str] = []

    def admits(host: str) -> bool:
        seen.append(host)
        return len(seen) > 1

    with serving("::1", admits=admits, verbose=1) as (server, address):
        with connect(address) as sock:
            assert receive_all(sock) == b""
        with connect(address) as sock:
            echo(sock, b"x")
        assert seen == ["::1", "::1"]
        assert (server.counts()["refused_by_rule"], server.counts()["total"]) == (1, 1)
        assert "refused by rule\n" in server.said.getvalue()


def test_a_client_on_a_unix_path_is_named_by_it_and_no_rule_is_asked(tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    sock.setblocking(False)
    server = Running(sock, admits=lambda host: False, verbose=1)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(path)
            echo(client, b"x")
        eventually(lambda: server.counts()["now"] == 0, "it has left")
    finally:
        server.close()
    said = server.said.getvalue().splitlines()
    assert said == [
        f"Connection received on {path}",
        f"client of {path} has left: sent 1 bytes, received 1 bytes",
    ]


def test_one_clients_reset_is_told_and_touches_no_other() -> None:
    with serving() as (server, address):
        with connect(address) as other:
            sock = connect(address)
            echo(sock, b"x")
            where = sock.getsockname()[1]
            reset(sock)
            eventually(lambda: server.counts()["now"] == 1, "the reset is noticed")
            echo(other, b"still here")
    # --- without -v nothing is said of it, unless whoever serves thinks it is worth a line
    assert server.said.getvalue() == ""
    told: list[str] = []
    with serving(tell=told.append) as (server, address):
        sock = connect(address)
        echo(sock, b"x")
        where = sock.getsockname()[1]
        reset(sock)
        eventually(lambda: told, "the reset is told")
        assert told == [f"connection with 127.0.0.1 port {where} lost: Connection reset by peer"]


def test_both_families_are_served_at_once() -> None:
    sockets = [
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("::1", 0), family=socket.AF_INET6),
    ]
    for sock in sockets:
        sock.setblocking(False)
    addresses = [sock.getsockname() for sock in sockets]
    server = Running(*sockets)
    try:
        for address in addresses:
            with connect(address) as sock:
                echo(sock, b"x")
    finally:
        server.close()


# --- what goes wrong


def test_a_client_that_cannot_be_served_is_told_of_and_the_next_one_is() -> None:
    attempts: list[str] = []

    def make(sock: socket.socket, name: str, on_end: OnEnd) -> Client:
        attempts.append(name)
        if len(attempts) == 1:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return Conversation(server.loop, sock, name, on_end, Echo())

    with serving(make=make) as (server, address):
        be_reset(address)
        with connect(address) as sock:
            echo(sock, b"x")
        assert server.said.getvalue() == f"pync: {attempts[0]}: Resource temporarily unavailable\n"
        assert server.counts()["total"] == 1


def test_a_single_client_that_cannot_be_served_ends_the_server() -> None:
    def make(*_: Any) -> Client:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with serving(make=make, once=True) as (server, address):
        be_reset(address)
        assert server.outcome.result(PATIENCE) == NETWORK


def test_a_mistake_while_a_client_is_let_in_costs_that_client_only() -> None:
    attempts: list[str] = []

    def make(sock: socket.socket, name: str, on_end: OnEnd) -> Client:
        attempts.append(name)
        if len(attempts) == 1:
            sock.close()
            raise ZeroDivisionError("oops")
        return Conversation(server.loop, sock, name, on_end, Echo())

    with serving(make=make) as (server, address):
        with connect(address) as sock:
            assert receive_all(sock) == b""
        with connect(address) as sock:
            echo(sock, b"x")
        assert server.said.getvalue() == "pync: internal error: ZeroDivisionError('oops')\n"


def test_a_fault_that_no_client_is_to_blame_for_ends_the_server() -> None:
    def fail() -> None:
        raise Fault("write log: No space left on device", NETWORK)

    with serving() as (server, _):
        server.call(fail)
        with pytest.raises(Fault, match="No space left"):
            server.outcome.result(PATIENCE)
        assert server.said.getvalue() == ""


class Refusing:
    """A listening socket whose accept fails as often as the test wants, and then works."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM

    def __init__(self, errors: list[int]) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self._errors = errors
        self.accepts = 0

    def accept(self) -> Any:
        self.accepts += 1
        if self._errors:
            number = self._errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._sock.accept()

    def fileno(self) -> int:
        return self._sock.fileno()

    def getsockname(self) -> Any:
        return self._sock.getsockname()

    def close(self) -> None:
        self._sock.close()


@contextlib.contextmanager
def refusing(errors: list[int], **given: Any) -> Iterator[tuple[Running, Refusing, tuple[Any, ...]]]:
    sock = Refusing(errors)
    address = sock.getsockname()
    server = Running(sock, **given)  # type: ignore[arg-type]
    try:
        yield server, sock, address
    finally:
        server.close()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_room_nobody_is_accepted_for_a_while_and_then_all(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.05)
    with refusing([error] * 3) as (server, listening, address):
        with connect(address) as sock:
            echo(sock, b"at last")
        assert listening.accepts <= 3 + BATCH
        said = f"pync: accept a connection: {os.strerror(error)}: clients wait until others have left\n"
        assert server.said.getvalue() == said  # once, however often it happens


def test_without_room_accepting_is_no_busy_loop_and_goes_on_when_a_client_leaves() -> None:
    errors: list[int] = []
    with refusing(errors) as (server, listening, address):  # RETRY is a second
        with connect(address) as first:
            echo(first, b"x")
            errors.extend([errno.EMFILE] * 1000)
            with connect(address) as waiting:
                eventually(server.said.getvalue, "no room is told")
                before = listening.accepts
                for _ in range(100):
                    echo(first, b"the others go on")
                assert listening.accepts <= before + 2
                server.ask(errors.clear)
                first.close()
                echo(waiting, b"at last")


@pytest.mark.parametrize("error", STILLBORN)
def test_a_connection_that_died_before_it_was_accepted_is_passed_over(error: int) -> None:
    with refusing([error] * 3) as (server, _, address):
        with connect(address) as sock:
            echo(sock, b"x")
        assert server.said.getvalue() == ""


def test_an_error_of_accepting_that_will_not_pass_ends_the_server() -> None:
    with refusing([errno.EBADF]) as (server, _, address):
        with contextlib.suppress(ConnectionError), connect(address):
            pass  # it may be reset before it knows that it was connected
        with pytest.raises(Fault, match=r"^accept a connection: Bad file descriptor$"):
            server.outcome.result(PATIENCE)


def test_accepting_takes_turns_with_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more than a batch in a row, however many wait in the queue."""
    made: list[int] = []

    def make(sock: socket.socket, name: str, on_end: OnEnd) -> Client:
        made.append(1)
        return Conversation(server.loop, sock, name, on_end, Echo())

    batches: list[int] = []
    with serving(make=make) as (server, address), contextlib.ExitStack() as stack:
        started = threading.Event()
        release = threading.Event()

        def hang() -> None:
            started.set()
            release.wait(PATIENCE)

        server.call(hang)
        started.wait(PATIENCE)
        for _ in range(BATCH + 10):
            stack.enter_context(connect(address))  # the kernel's queue holds them

        def count() -> None:
            batches.append(len(made))
            if sum(batches) < 10 * BATCH and len(made) < BATCH + 10:
                server.loop.call_at(server.loop.time(), count)

        server.call(count)
        release.set()
        eventually(lambda: len(made) == BATCH + 10, "all are let in")
        assert BATCH in batches


# --- once, and the end


def test_once_lets_one_client_in_and_ends_with_it() -> None:
    with serving(once=True) as (server, address):
        with connect(address) as sock:
            echo(sock, b"x")
            with pytest.raises(ConnectionRefusedError):
                connect(address)
        assert server.outcome.result(PATIENCE) == 0


def test_once_ends_with_the_code_of_its_clients_failure() -> None:
    with serving(once=True) as (server, address):
        sock = connect(address)
        echo(sock, b"x")
        reset(sock)
        assert server.outcome.result(PATIENCE) == NETWORK


def test_whom_once_turns_away_does_not_count() -> None:
    turns = iter([False, True])
    with serving(once=True, admits=lambda host: next(turns)) as (server, address):
        with connect(address) as sock:
            assert receive_all(sock) == b""
        with connect(address) as sock:
            echo(sock, b"x")
        assert server.outcome.result(PATIENCE) == 0


def test_stopping_closes_every_client_and_keeps_the_counts() -> None:
    with serving() as (server, address), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(5)]
        for sock in clients:
            echo(sock, b"abc")
        assert server.stop(INTERRUPTED) == INTERRUPTED
        assert [receive_all(sock) for sock in clients] == [b""] * 5
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        assert server.server.clients == {}
        counts = server.server.tally.counts()
        assert (counts["now"], counts["total"], counts["sent"], counts["received"]) == (0, 5, 15, 15)


def test_the_first_fault_is_the_one_that_is_raised() -> None:
    with serving() as (server, _):
        fault = Fault("the first")
        server.ask(lambda: server.server.stop(fault=fault))
        with pytest.raises(Fault) as raised:
            server.outcome.result(PATIENCE)
        assert raised.value is fault


def test_the_first_reason_to_stop_gives_the_code() -> None:
    with serving() as (server, _):

        def signal_and_then_the_end_of_the_only_client() -> None:
            server.server.stop(INTERRUPTED)
            server.server.stop()

        server.ask(signal_and_then_the_end_of_the_only_client)
        assert server.outcome.result(PATIENCE) == INTERRUPTED


def test_the_total_time_ends_it_with_code_3() -> None:
    with serving(total=0.05) as (server, address), connect(address) as sock:
        with pytest.raises(Fault, match="total timeout") as raised:
            server.outcome.result(PATIENCE)
        assert raised.value.code == TIMEOUT
        assert receive_all(sock) == b""


# --- descriptors


def test_the_limit_of_descriptors_is_raised_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    for limits, expected in [
        ((64, 64), [(64, 64)]),
        ((64, 4096), [(4096, 4096)]),
        ((64, resource.RLIM_INFINITY), [(1 << 20, resource.RLIM_INFINITY)]),
    ]:
        asked.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        monkeypatch.setattr(resource, "setrlimit", lambda _, pair: asked.append(pair))
        with DescriptorLimit() as raised:
            assert asked == expected
            assert raised.before == limits
        assert asked[-1] == limits


def test_a_system_that_refuses_to_raise_the_limit_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 128))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    with DescriptorLimit():
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (64, 128)
