"""--help: a first screen that fits, a group, everything; quick, plain, and made of the table.

The first screen is read off the installed command, in a pipe and on a terminal; the others are asked for here.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios

import pytest

from pync.cli.argv import parse
from pync.cli.help import EXAMPLES, TOPICS, page
from pync.combinations import check
from pync.options import GROUPS, TABLE, Opt
from tests.house.test_startup import MAIN, loaded
from tests.running import PYNC, run_pync, running

COMMON = [opt for opt in TABLE if opt.common]


def help_page() -> str:
    """The first screen, of the installed command."""
    code, stdout, stderr = run_pync("--help")
    assert (code, stderr) == (0, [])
    return stdout.decode()


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_the_first_screen_fits_the_smallest_terminal_with_the_prompt_below_it() -> None:
    lines = help_page().splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)


def test_the_first_screen_has_the_common_options_in_their_groups_and_no_others() -> None:
    text = help_page()
    assert 18 <= len(COMMON) <= 26
    for opt in COMMON:
        assert f" {opt.spellings()[0]} {opt.kind.metavar}".rstrip() in text
        assert f" {opt.common}" in text
        assert len(opt.common) <= 20 or COMMON.index(opt) % 2
    left = [line.split("  ")[0] for line in text.splitlines()]
    used = [group for group in GROUPS if any(opt.group == group for opt in COMMON)]
    assert [label for label in left if label in GROUPS] == used


def test_the_examples_of_the_first_screen_can_be_typed() -> None:
    text = help_page()
    for typed, what in EXAMPLES:
        assert f"{typed} " in text
        assert what in text
        options = parse(re.split("[<>]", typed)[0].split()[1:])
        assert options is not None
        check(options)


@pytest.mark.parametrize("opt", TABLE, ids=lambda opt: opt.name)
def test_every_option_is_shown_whole_in_its_group_and_nowhere_else(opt: Opt) -> None:
    spelled = f"  {', '.join(opt.spellings())}"
    for topic, group in TOPICS.items():
        text = page(topic)
        assert bool(re.search(rf"^{re.escape(spelled)}(?= |$)", text, re.MULTILINE)) == (group == opt.group)
    text = page(opt.group)
    assert squeezed(spelled + " " + opt.kind.metavar + opt.help) in squeezed(text).replace("[GROUP]", "")


def test_everything_is_every_group_in_the_order_of_the_table() -> None:
    text = page("all")
    assert max(map(len, text.splitlines())) <= 80
    assert [line for line in text.splitlines() if line in GROUPS] == list(GROUPS)
    assert all(page(topic) in text for topic in TOPICS)


@pytest.mark.parametrize("words", [["-h"], ["-lh"], ["-l", "--udp", "host", "80", "81", "--help"], ["-h", "-v"]])
def test_help_is_given_whatever_else_the_line_says(words: list[str]) -> None:
    assert run_pync(*words) == (0, page(None).encode(), [])


@pytest.mark.parametrize("words", [["--help=time"], ["-h", "TIME"], ["-vh", "Time"], ["-l", "--help", "time", "x"]])
def test_a_group_may_be_written_in_several_ways(words: list[str]) -> None:
    assert run_pync(*words) == (0, page("time").encode(), [])
    assert page("End of data") == page("end-of-data")


@pytest.mark.parametrize("word", ["nonesuch", "ti", "10000"])
def test_an_unknown_group_is_an_error_that_lists_the_groups(word: str) -> None:
    code, stdout, [line] = run_pync("--help", word)
    assert (code, stdout) == (2, b"")
    assert line == f"pync: --help knows no group '{word}': {', '.join(TOPICS)} or all"


@pytest.mark.parametrize("words", [["--help"], ["--help", "all"], ["--version"]], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    with running(sys.executable, "-c", MAIN, *words) as client:
        assert client.finish()[0] == 0
    assert loaded(client.messages[-1]) == set()


@pytest.mark.parametrize("columns", [0, 40, 80, 250])
def test_on_a_terminal_headings_are_bold_and_lines_no_longer_than_it_is_wide(columns: int) -> None:
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with running(PYNC, "--help", "all", stdout=terminal) as client:
        os.close(terminal)
        shown = b""
        while piece := _read(ours):
            shown += piece
        assert client.code() == 0
    os.close(ours)
    lines = shown.decode().replace("\x1b[0m", "").splitlines()
    assert "\x1b[1mEnd of data" in lines
    described = [line for line in lines if line.startswith("  ")]
    assert max(map(len, described)) <= min(columns or 80, 100)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: its other end has been closed
        return b""
