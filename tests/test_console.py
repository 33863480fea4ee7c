"""The three standard streams as one object: messages that are harmless, streams that may be missing.

What endpoints make of descriptors is tested in net/test_endpoint, what is said and when in cli/.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync import console as console_module
from pync.console import Console
from pync.errors import NETWORK, Fault
from pync.net.endpoint import FILE, PIPE, TTY

if TYPE_CHECKING:
    from collections.abc import Iterator


def console(stderr: io.TextIOBase | None = None) -> tuple[Console, io.StringIO]:
    said = io.StringIO()
    return Console(None, None, said if stderr is None else stderr), said  # type: ignore[arg-type]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.fixture
def closed() -> int:
    """The number of a descriptor that is not open, and so high that nobody opens it meanwhile."""
    with open(os.devnull, "rb") as null:
        fd = fcntl.fcntl(null.fileno(), fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(fd)
    return fd


# --- messages


def test_what_is_said_is_a_line_and_reaches_the_stream_at_once() -> None:
    class Watched(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Watched()
    talking, _ = console(stream)
    talking.say("Listening on 0.0.0.0 10000")
    assert stream.getvalue() == "Listening on 0.0.0.0 10000\n"
    assert stream.flushed


def test_every_line_of_a_failure_carries_our_name() -> None:
    talking, said = console()
    talking.fail("first\nsecond")
    assert said.getvalue() == "pync: first\npync: second\n"


@pytest.mark.parametrize(("verbose", "expected"), [(0, ""), (1, "a note\n"), (2, "a note\n")])
def test_notes_are_for_those_who_asked(verbose: int, expected: str) -> None:
    talking, said = console()
    talking.verbose = verbose
    talking.note("a note")
    assert said.getvalue() == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("b\xfccher", "b\xfccher"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("a\nb", "a\\nb"),
        ("\x9b31m", "\\x9b31m"),
        ("\udcff", "\\udcff"),
        ("\u202egnp", "\\u202egnp"),
    ],
)
def test_control_characters_never_reach_the_terminal(text: str, shown: str) -> None:
    talking, said = console()
    talking.say(text)
    assert said.getvalue() == shown + "\n"


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_is_said_is_one_printable_line(text: str) -> None:
    talking, said = console()
    talking.say(text)
    line = said.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_without_a_stream_for_messages_nothing_is_said() -> None:
    talking = Console(None, None, None)
    talking.fail("nobody hears")
    talking.verbose = 1
    talking.note("nobody hears")


def test_a_stream_that_is_closed_is_given_up_quietly() -> None:
    stream = io.StringIO()
    talking, _ = console(stream)
    stream.close()
    talking.say("nobody hears")
    talking.say("nobody hears")


def test_a_stream_whose_reader_is_gone_is_given_up_quietly(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    stream = os.fdopen(os.dup(pipe[1]), "w", buffering=1)
    talking, _ = console(stream)
    talking.say("nobody hears")
    talking.say("nobody hears")
    with contextlib.suppress(BrokenPipeError):
        stream.close()


# --- those who follow a run


class Follower:
    """A meter that writes down when it is told something, in between what is said."""

    def __init__(self, said: io.StringIO) -> None:
        self.said = said

    def clear(self) -> None:
        self.said.write("<clear>")

    def close(self) -> None:
        self.said.write("<close>")


def test_a_meter_makes_way_for_every_message() -> None:
    talking, said = console()
    talking.meter = Follower(said)  # type: ignore[assignment]
    talking.say("a message")
    assert said.getvalue() == "<clear>a message\n"


def test_the_summary_is_the_last_word_before_the_meter_is_closed() -> None:
    talking, said = console()
    talking.json = True
    talking.meter = Follower(said)  # type: ignore[assignment]
    talking.outcome.begin()
    talking.close(3)
    line = said.getvalue().removeprefix("<clear>").removesuffix("<close>")
    assert json.loads(line)["summary"]["exit"] == 3


def test_a_run_that_never_began_has_no_summary() -> None:
    talking, said = console()
    talking.json = True
    talking.close(0)
    assert said.getvalue() == ""


# --- messages as objects


def test_an_object_says_the_event_the_facts_and_the_text() -> None:
    talking, said = console()
    talking.json = True
    talking.say("Listening on ::1 80", "listening", ("::1", 80, 0, 0), extra=1)
    assert json.loads(said.getvalue()) == {
        "event": "listening", "address": "::1", "port": 80, "extra": 1, "text": "Listening on ::1 80"
    }  # fmt: skip


def test_the_lines_of_a_failure_are_objects_and_the_outcome_hears_of_it() -> None:
    talking, said = console()
    talking.json = True
    talking.outcome.begin()
    talking.fail("first\nsecond")
    found = [json.loads(line) for line in said.getvalue().splitlines()]
    assert found == [{"event": "error", "text": "first"}, {"event": "error", "text": "second"}]
    summary = talking.outcome.summary(1)
    assert summary is not None
    assert summary["error"] == "first\nsecond"


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_is_said_is_one_line_that_reads_back(text: str) -> None:
    talking, said = console()
    talking.json = True
    talking.say(text)
    line = said.getvalue()
    assert line[:-1].isprintable()
    assert json.loads(line)["text"] == text


# --- a way to stderr that never blocks


def test_the_outlet_of_a_full_pipe_takes_nothing_and_waits_for_nothing(pipe: tuple[int, int]) -> None:
    with os.fdopen(os.dup(pipe[1]), "w") as stream:
        outlet = Console(None, None, stream).outlet()
        while outlet.write(b"x" * 4096) is not None:
            pass
        while outlet.write(b"x") is not None:
            pass
        assert os.get_blocking(pipe[1])
        outlet.close()


def test_the_outlet_of_text_in_memory_is_the_text() -> None:
    talking, said = console()
    outlet = talking.outlet()
    assert outlet.write(b"b\xc3\xbccher\n") == 8
    outlet.close()
    assert said.getvalue() == "b\xfccher\n"
    assert outlet.fd == -1


def test_without_a_stderr_the_outlet_takes_everything() -> None:
    talking = Console(None, None, None)
    assert talking.outlet().write(b"nobody hears") == 12
    assert talking.encoding == "utf-8"


def test_a_terminal_is_told_from_other_outlets_and_its_characters_are_known() -> None:
    master, slave = pty.openpty()
    try:
        with open(slave, "w", encoding="latin-1", closefd=False) as stream:
            talking = Console(None, None, stream)
            outlet = talking.outlet()
            assert (outlet.kind, talking.encoding) == (TTY, "latin-1")
            outlet.close()
    finally:
        os.close(master)
        os.close(slave)


# --- answers


def test_an_answer_goes_to_the_output_whole(pipe: tuple[int, int]) -> None:
    Console(None, pipe[1], None).print("b\xfccher\n")
    assert os.read(pipe[0], 100) == "b\xfccher\n".encode()


def test_an_answer_that_the_output_takes_in_pieces_arrives_whole(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
    Console(None, pipe[1], None).print("0123456789")
    assert os.read(pipe[0], 100) == b"0123456789"


def test_an_answer_whose_reader_has_left_is_no_failure(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    Console(None, pipe[1], None).print("nobody reads")


def test_an_answer_that_finds_no_room_is_a_failure() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(Fault, match="write to standard output: No space left on device") as caught,
    ):
        Console(None, full.fileno(), None).print("answer")
    assert caught.value.code == NETWORK


def test_an_answer_without_an_output_is_a_failure() -> None:
    with pytest.raises(Fault, match="standard output is closed"):
        Console(None, None, None).print("answer")


def test_only_a_terminal_is_a_terminal(pipe: tuple[int, int], closed: int) -> None:
    master, slave = pty.openpty()
    try:
        assert Console(None, slave, None).output_is_terminal()
        assert not Console(None, pipe[1], None).output_is_terminal()
        assert not Console(None, None, None).output_is_terminal()
        assert not Console(None, closed, None).output_is_terminal()
    finally:
        os.close(master)
        os.close(slave)


# --- streams


def test_input_and_output_are_what_the_descriptors_are(pipe: tuple[int, int]) -> None:
    streams = Console(pipe[0], pipe[1], None)
    into, out = streams.input(), streams.output()
    assert into is not None
    assert (into.kind, out.kind) == (PIPE, PIPE)
    assert out.write(b"hello") == 5
    buffer = memoryview(bytearray(10))
    assert into.read_into(buffer) == 5
    into.close()
    out.close()


def test_a_file_and_a_device_may_be_input_and_output() -> None:
    with open(os.devnull, "r+b", buffering=0) as null:
        streams = Console(null.fileno(), null.fileno(), None)
        into, out = streams.input(), streams.output()
    assert into is not None
    assert (into.kind, out.kind) == (FILE, FILE)


def test_a_closed_input_is_none(closed: int) -> None:
    assert Console(None, None, None).input() is None
    assert Console(closed, None, None).input() is None


def test_a_closed_output_is_a_failure(closed: int) -> None:
    for stdout in (None, closed):
        with pytest.raises(Fault, match="standard output is closed"):
            Console(None, stdout, None).output()


def test_a_terminal_in_whose_background_we_run_is_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    try:
        front = Console(slave, None, None).input()
        assert front is not None
        assert front.kind == TTY
        front.close()
        monkeypatch.setattr(console_module, "in_background", lambda fd: True)
        assert Console(slave, None, None).input() is None
    finally:
        os.close(master)
        os.close(slave)


def test_the_number_0_is_a_descriptor_like_any_other(pipe: tuple[int, int]) -> None:
    """It is what the command gets; a test for truth would take it for none."""
    saved = os.dup(0)
    try:
        os.dup2(pipe[0], 0)
        into = Console(0, None, None).input()
        assert into is not None
        into.close()
    finally:
        os.dup2(saved, 0)
        os.close(saved)
