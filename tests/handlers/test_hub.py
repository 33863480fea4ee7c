"""Plain -l -k from the inside: one output and one input for many clients, on a clock that the test moves.

Clients are socket pairs, our input and output pipes in the test's hand. The same with the installed
command and real networks' sockets is in cli/test_keep_open, the shared ends by themselves in test_shared.
"""

from __future__ import annotations

import contextlib
import io
import os
import pty
import random
import select
import socket
import struct
import tty
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.console import Console
from pync.errors import NETWORK, TIMEOUT, Fault
from pync.handlers.hub import LONGEST_LINE, STALL, Hub
from pync.handlers.shared import MOST_PIECES, MOST_WAITING
from tests.engine.test_flow import JumpingLoop
from tests.plans import planned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pync.handlers.hub import HubClient

PLENTY = 1 << 24


class Guest:
    """A client: the hub's side of it, and the other end in the test's hand."""

    def __init__(self, scene: Scene, number: int) -> None:
        near, self.sock = socket.socketpair()
        for sock in (near, self.sock):
            sock.setblocking(False)
        self._near = near
        self._scene = scene
        self.ends: list[Fault | None] = []
        self.client = scene.hub.client(near, f"guest {number}", self._over)
        self.client.start()
        scene.loop.settle()

    def _over(self, client: HubClient, fault: Fault | None) -> None:
        assert client is self.client
        self.ends.append(fault)

    def send(self, data: bytes) -> None:
        assert self.sock.send(data) == len(data)
        self._scene.loop.settle()

    def received(self, most: int = PLENTY) -> bytes | None:
        """What has come since it looked, b"" at our FIN, None where there is nothing."""
        pieces: list[bytes] = []
        while most > 0:
            try:
                pieces.append(self.sock.recv(min(most, 1 << 16)))
            except BlockingIOError:
                break
            if not pieces[-1]:
                break
            most -= len(pieces[-1])
            self._scene.loop.settle()
        return b"".join(pieces) if pieces else None

    def end(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)
        self._scene.loop.settle()

    def leave(self) -> None:
        self.sock.close()
        self._scene.loop.settle()

    def reset(self) -> None:
        """Close with unread data: for a unix pair that is a reset."""
        self._near.send(b"never read")
        self.leave()

    @property
    def there(self) -> bool:
        return not self.ends

    def close(self) -> None:
        self.sock.close()
        self._near.close()


class Scene:
    """A hub between an input pipe, an output pipe and its guests."""

    def __init__(self, stdin: int | None = -1, stdout: int | None = -1, **plan: Any) -> None:
        self.loop = JumpingLoop()
        self._to_close: list[int] = []
        self.input = self.output = -1
        if stdin == -1:
            stdin, self.input = self._pipe()
        if stdout == -1:
            self.output, stdout = self._pipe()
            os.set_blocking(self.output, False)
        self.said = io.StringIO()
        self.stops: list[Fault | None] = []
        console = self.console = Console(stdin, stdout, self.said)
        self.hub = Hub(self.loop, planned(listen=True, keep_open=True, **plan), console, self._stop)
        self.guests: list[Guest] = []
        self.loop.settle()

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._to_close.extend(ends)
        return ends

    def _stop(self, fault: Fault | None) -> None:
        """As the server does, which leaves the loop."""
        self.stops.append(fault)
        self.loop.readers.clear()

    def guest(self) -> Guest:
        self.guests.append(Guest(self, len(self.guests) + 1))
        return self.guests[-1]

    def type(self, data: bytes) -> None:
        """Our input gets this, a pipeful at a time."""
        rest = memoryview(data)
        os.set_blocking(self.input, False)
        while rest:
            try:
                rest = rest[os.write(self.input, rest) :]
            except BlockingIOError:
                pytest.fail("our input is not read any more")
            self.loop.settle()

    def type_until_full(self) -> int:
        """As much as our input takes; how much that was."""
        os.set_blocking(self.input, False)
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                count += os.write(self.input, bytes(1 << 16))
                self.loop.settle()
        return count

    def end_input(self) -> None:
        self._to_close.remove(self.input)
        os.close(self.input)
        self.loop.settle()

    def shown(self) -> bytes:
        """What has come out of our output since we looked."""
        pieces = []
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.output, 1 << 20):
                pieces.append(piece)
                self.loop.settle()
        return b"".join(pieces)

    def stall_output(self) -> int:
        """Fill the pipe of our output; how many bytes of ours that took."""
        count = 0
        filler = self.guest()
        with contextlib.suppress(BlockingIOError):
            while True:
                count += filler.sock.send(bytes(1 << 16))
                self.loop.settle()
        return count

    def close(self) -> None:
        if self.output >= 0 and self.hub.output.unwritten:
            self.shown()
        for guest in self.guests:
            guest.client.close()
            guest.close()
        self.hub.close()
        for fd in self._to_close:
            os.close(fd)
        assert self.loop.empty, "somebody still waits"


@contextlib.contextmanager
def scene(**given: Any) -> Iterator[Scene]:
    made = Scene(**given)
    try:
        yield made
    finally:
        made.close()


# --- from the clients to our output


def test_what_each_client_says_comes_out_at_once() -> None:
    with scene() as hub:
        first, second = hub.guest(), hub.guest()
        first.send(b"one")
        assert hub.shown() == b"one"
        second.send(b"two")
        assert hub.shown() == b"two"
        first.send(b"three")
        assert hub.shown() == b"three"


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=200)), max_size=30))
def test_every_clients_bytes_come_out_whole_and_in_its_order(turns: list[tuple[int, bytes]]) -> None:
    with scene() as hub:
        guests = [hub.guest() for _ in range(4)]
        for who, data in turns:
            guests[who].send(data)
        assert hub.shown() == b"".join(data for _, data in turns)


def test_clients_who_wait_for_a_slow_reader_of_our_output_have_their_turns() -> None:
    parts = [bytes([letter]) * 300_000 for letter in b"abc"]
    with scene() as hub:
        guests = [hub.guest() for _ in parts]
        rests = [memoryview(part) for part in parts]
        arrived = b""
        while any(rests) or len(arrived) < sum(map(len, parts)):
            for index, guest in enumerate(guests):
                if rests[index]:
                    with contextlib.suppress(BlockingIOError):
                        rests[index] = rests[index][guest.sock.send(rests[index]) :]
            hub.loop.settle()
            with contextlib.suppress(BlockingIOError):
                arrived += os.read(hub.output, 10_000)
            hub.loop.settle()
        assert {letter: arrived.count(letter) for letter in b"abc"} == dict.fromkeys(b"abc", 300_000)
        last = [arrived.rindex(letter) for letter in b"abc"]
        assert min(last) > len(arrived) // 2, "one of them had to wait for all of another's"


def test_a_stopped_output_takes_no_more_than_a_bounded_part_and_then_all() -> None:
    with scene() as hub:
        sent = hub.stall_output()
        assert sent < 1 << 21
        assert hub.hub.output.unwritten <= 1 << 16
        other = hub.guest()
        other.send(b"me too")
        assert hub.hub.output.unwritten <= 1 << 16
        shown = hub.shown()
        assert len(shown) == sent + len(b"me too")
        assert shown.count(b"me too") == 1


@pytest.mark.parametrize("lines", [True, False])
def test_with_lines_two_clients_halves_are_never_mixed(lines: bool) -> None:
    with scene(lines=lines) as hub:
        first, second = hub.guest(), hub.guest()
        first.send(b"AAAA")
        second.send(b"bbbb")
        first.send(b"AAAA\nA")
        second.send(b"bbbb\nb")
        if lines:
            assert hub.shown() == b"AAAAAAAA\nbbbbbbbb\n"
        else:
            assert hub.shown() == b"AAAAbbbbAAAA\nAbbbb\nb"


def test_a_terminal_gets_whole_lines_without_being_asked() -> None:
    read, given = pty.openpty()
    tty.setraw(given)
    os.set_blocking(read, False)
    try:
        with scene(stdout=given) as hub:
            first, second = hub.guest(), hub.guest()
            first.send(b"AA")
            second.send(b"bb")
            second.send(b"bb\n")
            assert os.read(read, 100) == b"bbbb\n"
            first.send(b"AA\nlast")
            assert os.read(read, 100) == b"AAAA\n"
            first.end()
            assert os.read(read, 100) == b"last\n"  # nobody else shall begin in the middle of a line
    finally:
        os.close(read)
        os.close(given)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.text("ab\n", min_size=1, max_size=12).map(str.encode)), min_size=1, max_size=30
    )
)
def test_lines_stay_whole_however_they_are_cut(turns: list[tuple[int, bytes]]) -> None:
    """Each client marks its own bytes: no line may hold marks of two."""
    with scene(lines=True) as hub:
        guests = [hub.guest() for _ in range(3)]
        said = [b"", b"", b""]
        for who, text in turns:
            data = text.replace(b"a", b"%d" % who).replace(b"b", b"%d" % who)
            guests[who].send(data)
            said[who] += data
        lines = hub.shown().splitlines(keepends=True)
        assert all(len(set(line.strip())) <= 1 and line.endswith(b"\n") for line in lines)
        for guest in guests:
            guest.end()
        together = b"".join(lines) + hub.shown()
        assert all(len(set(line)) <= 1 for line in together.split(b"\n"))
        for who in range(3):
            assert together.count(b"%d" % who) == said[who].count(b"%d" % who)
        unended = sum(not text.endswith(b"\n") for text in said if text)
        assert together.count(b"\n") == b"".join(said).count(b"\n") + unended


def test_a_rate_cuts_no_line() -> None:
    with scene(lines=True, rate=100) as hub:
        first, second = hub.guest(), hub.guest()
        for _ in range(3):
            first.send(b"A" * 60 + b"\n")
            second.send(b"b" * 60 + b"\n")
        shown = hub.shown()
        before = hub.loop.now
        while len(shown) < 6 * 61:
            hub.loop.advance(0.1)
            shown += hub.shown()
        assert {line.count(line[:1]) for line in shown.splitlines()} == {60}
        assert 1.0 <= hub.loop.now - before <= 3.0  # 183 bytes of each, 100 a second


def test_a_line_that_never_ends_goes_on_in_pieces_and_no_other_client_goes_on_in_it() -> None:
    with scene(lines=True) as hub:
        guest, other = hub.guest(), hub.guest()
        guest.send(b"x" * (LONGEST_LINE - 1))
        assert hub.shown() == b""
        guest.send(b"xx")
        assert hub.shown() == b"x" * LONGEST_LINE
        guest.send(b"\n")
        assert hub.shown() == b"x\n"
        guest.send(b"y" * LONGEST_LINE)
        other.send(b"other\n")
        guest.send(b"z" * LONGEST_LINE)
        guest.reset()
        assert hub.shown() == b"y" * LONGEST_LINE + b"\nother\n" + b"z" * LONGEST_LINE + b"\n"


@pytest.mark.parametrize("way", ["end", "leave", "reset"])
def test_last_words_get_their_newline_in_the_output_and_in_no_log(way: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with scene(lines=True, output=str(log)) as hub:
        guest = hub.guest()
        guest.send(b"line\nlast words")
        assert hub.shown() == b"line\n"
        getattr(guest, way)()
        assert hub.shown() == b"last words\n"
        assert log.read_bytes() == b"line\nlast words"
        assert guest.client.received == len(b"line\n") + (0 if way == "reset" else len(b"last words"))


def test_resets_while_our_output_is_stopped_do_not_fill_our_memory() -> None:
    with scene(lines=True) as hub:
        hub.guest().send(b"x\n" * 90_000)  # more than a pipe holds
        assert hub.hub.output.unwritten
        for _ in range(100):
            guest = hub.guest()
            guest.send(b"y" * (LONGEST_LINE - 1))
            guest.reset()
            assert not guest.there
        assert hub.hub.output.unwritten <= MOST_PIECES * LONGEST_LINE
        assert "guest 100" in hub.said.getvalue()
        assert "lost" in hub.said.getvalue()
        shown = hub.shown()
        assert shown.count(b"x\n") == 90_000
        assert 10 <= shown.count(b"y" * (LONGEST_LINE - 1)) < 100


def test_a_clients_reset_touches_no_other() -> None:
    with scene() as hub:
        guests = [hub.guest() for _ in range(3)]
        guests[1].reset()
        assert isinstance(guests[1].ends[0], Fault)
        guests[0].send(b"still here")
        hub.type(b"to all")
        assert hub.shown() == b"still here"
        assert guests[0].received() == guests[2].received() == b"to all"
        assert hub.stops == []


def test_the_reader_of_our_output_leaves_even_while_nothing_is_said() -> None:
    with scene() as hub:
        hub.guest()
        hub._to_close.remove(hub.output)
        os.close(hub.output)
        hub.loop.settle()
        assert hub.stops == [None]


def test_an_output_without_space_is_one_fault() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    given = os.open("/dev/full", os.O_WRONLY)
    try:
        with scene(stdout=given) as hub:
            first, second = hub.guest(), hub.guest()
            first.send(b"x")
            second.send(b"y")
            assert [stop.text for stop in hub.stops if stop] == ["write to standard output: No space left on device"]
            assert hub.stops[0] is not None
            assert hub.stops[0].code == NETWORK
    finally:
        os.close(given)


# --- from our input to the clients


def test_our_input_waits_for_the_first_client() -> None:
    with scene() as hub:
        hub.type(b"early ")
        assert select.select([], [hub.input], [], 0)[1]
        hub.loop.run_out()
        first = hub.guest()
        assert first.received() == b"early "


def test_our_input_is_copied_to_all_and_a_late_client_gets_what_comes_from_then_on() -> None:
    with scene() as hub:
        first = hub.guest()
        hub.type(b"one ")
        second = hub.guest()
        hub.type(b"two ")
        first.leave()
        hub.type(b"three ")
        assert second.received() == b"two three "


def test_without_any_client_our_input_is_kept_for_the_next() -> None:
    with scene() as hub:
        first = hub.guest()
        hub.type(b"one ")
        assert first.received() == b"one "
        first.end()
        assert first.there  # it may still want to listen
        first.leave()
        hub.type(b"lost ")  # how it shows that nobody is there
        hub.type(b"kept ")
        assert not first.there
        assert hub.guest().received() == b"kept "


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=300_000), st.integers(0, 2)), max_size=14))
def test_every_client_gets_the_same_whatever_its_pace(turns: list[bytes | int]) -> None:
    """Bytes are typed; a number says which client reads some of what it has got."""
    with scene() as hub:
        guests = [hub.guest() for _ in range(3)]
        got = [b"", b"", b""]
        for turn in turns:
            if isinstance(turn, bytes):
                hub.type(turn)
            else:
                got[turn] += guests[turn].received(100_000) or b""
        for who, guest in enumerate(guests):
            got[who] += guest.received() or b""
        typed = b"".join(turn for turn in turns if isinstance(turn, bytes))
        assert got == [typed] * 3


@pytest.mark.parametrize("step", [1 << 12, 1 << 16, 300_000])
def test_a_client_at_the_bound_and_a_quick_one_both_get_every_byte_right(step: int) -> None:
    """Room at the one, and so news for the other, while the first is being served from a shared buffer."""
    data = random.Random(step).randbytes(3 * MOST_WAITING)
    with scene() as hub:
        slow, quick = hub.guest(), hub.guest()
        got = {slow: b"", quick: b""}
        rest = memoryview(data)
        os.set_blocking(hub.input, False)
        while rest or len(got[slow]) < len(data):
            with contextlib.suppress(BlockingIOError):
                while rest:
                    rest = rest[os.write(hub.input, rest[: 1 << 16]) :]
                    hub.loop.settle()
                    got[quick] += quick.received() or b""
            got[slow] += slow.received(step) or b""
            got[quick] += quick.received() or b""
        assert got[quick] == data
        assert got[slow] == data
        assert slow.there
        assert quick.there


def test_a_client_who_takes_nothing_is_dropped_and_named_and_the_others_go_on() -> None:
    with scene() as hub:
        deaf, listening = hub.guest(), hub.guest()
        count = 0
        os.set_blocking(hub.input, False)
        while deaf.there and count < 4 * MOST_WAITING:
            try:
                count += os.write(hub.input, bytes(1 << 16))
                hub.loop.settle()
                listening.received()
            except BlockingIOError:
                assert deaf.client.copies.waiting <= MOST_WAITING + (1 << 19)
                hub.loop.advance(STALL / 2)
        assert MOST_WAITING < count < 2 * MOST_WAITING
        (fault,) = deaf.ends
        assert fault is not None
        assert fault.code == TIMEOUT
        assert fault.text.startswith("guest 1: takes nothing for 1 s: dropped, ")
        hub.type(b"the end")
        assert (listening.received() or b"").endswith(b"the end")
        assert listening.there


def test_a_client_who_takes_little_is_slow_and_not_dropped() -> None:
    with scene() as hub:
        slow = hub.guest()
        hub.type_until_full()
        for _ in range(10):
            hub.loop.advance(STALL * 0.9)
            assert slow.received(300_000)
            hub.type_until_full()
        assert slow.there
        hub.loop.advance(3 * STALL)
        assert not slow.there


def test_a_client_that_comes_while_another_is_judged_gets_all_from_then_on() -> None:
    with scene() as hub:
        deaf = hub.guest()
        hub.type_until_full()
        late = hub.guest()
        hub.loop.advance(2 * STALL)
        assert not deaf.there
        late.received()
        hub.type(b"fresh")
        assert (late.received() or b"").endswith(b"fresh")


# --- the end of our input


def test_when_our_input_ends_the_clients_get_the_end_and_go_on_sending() -> None:
    with scene() as hub:
        first, second = hub.guest(), hub.guest()
        hub.type(b"all there is")
        hub.end_input()
        for guest in (first, second):
            assert guest.received() == b"all there is"
            assert guest.received() == b""
            guest.send(b"thanks ")
        assert hub.shown() == b"thanks thanks "
        first.end()
        assert first.ends == [None]
        assert second.there


def test_a_client_that_came_too_late_for_any_byte_gets_the_end_too() -> None:
    with scene() as hub:
        first = hub.guest()
        hub.type(b"early")
        late = hub.guest()
        hub.end_input()
        assert first.received() == b"early"
        assert first.received() == late.received() == b""


def test_a_client_who_comes_after_the_end_is_not_half_closed_until_it_ends() -> None:
    with scene() as hub:
        first = hub.guest()
        hub.type(b"x")
        hub.end_input()
        late = hub.guest()
        assert late.received() is None
        late.send(b"late")
        assert hub.shown() == b"late"
        assert late.received() is None
        late.end()
        assert late.received() == b""
        assert late.ends == [None]
        assert first.there


def test_an_input_without_a_byte_ends_nobodys_reading() -> None:
    with scene() as hub:
        hub.end_input()
        guest = hub.guest()
        assert guest.received() is None
        guest.send(b"hello")
        assert hub.shown() == b"hello"
        guest.end()
        assert guest.ends == [None]


@pytest.mark.parametrize("how", ["file", "nothing", "directory"])
def test_an_input_that_is_no_pipe_is_copied_too(how: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file" * 1000)
    path = {"file": str(tmp_path / "file"), "nothing": os.devnull, "directory": str(tmp_path)}[how]
    given = os.open(path, os.O_RDONLY)
    try:
        with scene(stdin=given) as hub:
            guest = hub.guest()
            hub.loop.run_out()
            assert guest.received() == (b"from a file" * 1000 if how == "file" else None)
            guest.send(b"hello")
            assert hub.shown() == b"hello"
            said = "pync: read from standard input: Is a directory\n" if how == "directory" else ""
            assert hub.said.getvalue() == said
            guest.end()
            assert guest.ends == [None]
    finally:
        os.close(given)


@pytest.mark.parametrize("words", [{"no_stdin": True}, {"recv_only": True}])
def test_without_an_input_clients_are_only_heard(words: dict[str, bool]) -> None:
    with scene(**words) as hub:
        guest = hub.guest()
        os.write(hub.input, b"nobody reads this")
        guest.send(b"hello")
        assert hub.shown() == b"hello"
        assert guest.received() is None
        guest.end()
        assert guest.ends == [None]


def test_send_only_shows_nothing_and_leaves_when_all_is_sent() -> None:
    with scene(send_only=True) as hub:
        guest = hub.guest()
        guest.send(b"unwanted")
        hub.type(b"news")
        hub.end_input()
        assert hub.shown() == b""
        assert guest.received() == b"news"
        assert guest.received() == b""
        guest.leave()
        assert guest.ends == [None]


def test_a_client_that_half_closed_at_once_still_gets_what_is_copied() -> None:
    with scene() as hub:
        guest = hub.guest()
        guest.end()
        hub.type(b"one ")
        hub.type(b"two")
        assert guest.received() == b"one two"
        hub.end_input()
        assert guest.received() == b""
        assert guest.ends == [None]


# --- options


def test_newlines_are_changed_on_the_way_to_all() -> None:
    with scene(crlf=True) as hub:
        guests = [hub.guest(), hub.guest()]
        hub.type(b"a\nb\r\nc\n")
        assert [guest.received() for guest in guests] == [b"a\r\nb\r\nc\r\n"] * 2


def test_telnet_commands_are_refused_to_each_and_shown_to_nobody() -> None:
    with scene(telnet=True) as hub:
        first, second = hub.guest(), hub.guest()
        first.send(b"a\xff\xfd\x01b")
        second.send(b"\xff\xfb\x03c")
        assert hub.shown() == b"abc"
        assert first.received() == b"\xff\xfc\x01"
        assert second.received() == b"\xff\xfe\x03"


def test_w_ends_each_client_after_its_reads() -> None:
    with scene(recv_limit=2) as hub:
        first, second = hub.guest(), hub.guest()
        first.send(b"1")
        second.send(b"a")
        first.send(b"2")
        assert first.received() == b""
        first.leave()
        assert first.ends == [None]
        assert second.there
        assert hub.shown() == b"1a2"


def test_q_ends_the_clients_a_time_after_our_input() -> None:
    with scene(quit_after=2.0) as hub:
        guest = hub.guest()
        hub.type(b"bye")
        hub.end_input()
        hub.loop.advance(1.9)
        assert guest.there
        hub.loop.advance(0.2)
        assert guest.received() == b"bye"
        guest.leave()
        assert guest.ends == [None]


def test_a_silent_client_is_timed_out_and_the_others_are_not() -> None:
    with scene(idle_timeout=5.0) as hub:
        silent, busy = hub.guest(), hub.guest()
        hub.loop.advance(4)
        busy.send(b"x")
        hub.loop.advance(2)
        (fault,) = silent.ends
        assert fault is not None
        assert (fault.code, fault.text) == (TIMEOUT, "guest 1: no data for 5 s: timed out")
        assert busy.there


def test_a_rate_holds_for_what_we_send_to_all() -> None:
    with scene(rate=1000) as hub:
        first, second = hub.guest(), hub.guest()
        os.write(hub.input, bytes(1000))
        hub.loop.settle()
        assert len(first.received() or b"") <= 100
        hub.loop.advance(0.5)
        assert 300 <= len(second.received() or b"") <= 600
        hub.loop.advance(0.6)
        hub.loop.settle()
        assert len(first.received() or b"") >= 850


def test_the_log_and_the_digest_see_everything_in_the_order_of_our_output(tmp_path: Path) -> None:
    import hashlib

    log, dump = tmp_path / "log", tmp_path / "dump"
    with scene(output=str(log), hex_dump=str(dump), hash="sha256") as hub:
        guests = [hub.guest() for _ in range(3)]
        for turn in range(20):
            guests[turn % 3].send(b"<%d>" % turn)
        shown = hub.shown()
        assert log.read_bytes() == shown == b"".join(b"<%d>" % turn for turn in range(20))
        assert len(dump.read_text().splitlines()) == 20
        hub.type(b"to all")
        assert log.read_bytes() == shown + b"to all"  # once, however many got it
    digests = hub.console.outcome.hashes()
    assert f"sha256 received {hashlib.sha256(shown).hexdigest()}" in digests
    assert f"sha256 sent {hashlib.sha256(b'to all').hexdigest()}" in digests


# --- how it closes


def test_closing_writes_what_was_taken_and_ends_everybody() -> None:
    with scene(lines=True) as hub:
        guest = hub.guest()
        guest.send(b"half a line")
        guest.client.close()
        assert hub.shown() == b"half a line\n"
        assert guest.received() == b""
        assert guest.there  # nobody is told: the server is closing
        guest.client.close()  # again: harmless


def test_a_client_who_is_gone_before_it_is_served_changes_nothing() -> None:
    with scene() as hub:
        near, far = socket.socketpair()
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        ends: list[Fault | None] = []
        client = hub.hub.client(near, "a ghost", lambda _, fault: ends.append(fault))
        client.start()
        hub.loop.settle()
        hub.type(b"x")
        hub.loop.run_out()
        assert len(ends) == 1
        assert not hub.hub.clients
