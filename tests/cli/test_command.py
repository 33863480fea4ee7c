"""The installed command where typer speaks: --help, --version and what is wrong with a command line.

Everything is read off the process: exit code, stdout, stderr. Which lines get this far is tested in
test_argv.py.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache

import pytest

import pync
from pync.cli.command import parse_with_typer
from pync.errors import USAGE, UsageFault
from pync.options import GROUPS, TABLE, Opt
from tests.running import PYNC, run_pync

#: Nothing that makes rich believe in a terminal, a colour or a CI system of its own.
PLAIN = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}

WITH_VALUE = [opt for opt in TABLE if opt.takes_value]
#: Kinds that take any text but none at all.
TEXTS = ("ADDR", "PORT", "NAME", "FILE", "DIR", "RULES", "CMD", "TEXT")


@cache
def help_boxes(columns: int) -> dict[str, str]:
    """The text of each group's box in --help on a terminal of so many columns."""
    code, stdout, stderr = run_pync("--help", env={**PLAIN, "COLUMNS": str(columns)})
    assert (code, stderr) == (0, [])
    text = stdout.decode()
    assert max(map(len, text.splitlines())) <= columns
    boxes = re.findall(r"^╭─ (.+?) ─+╮\n(.*?)^╰─+╯$", text, re.DOTALL | re.MULTILINE)
    return {group: re.sub(r"^│ | +│$", "", box, flags=re.MULTILINE) for group, box in boxes}


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_the_help_has_a_box_for_each_group_in_the_order_of_the_table() -> None:
    used = [group for group in GROUPS if any(opt.group == group for opt in TABLE)]
    assert list(help_boxes(100)) == used


@pytest.mark.parametrize("opt", TABLE, ids=lambda opt: opt.name)
@pytest.mark.parametrize("columns", [80, 100])
def test_the_help_shows_every_spelling_of_an_option_in_its_group_and_no_other(opt: Opt, columns: int) -> None:
    for group, box in help_boxes(columns).items():
        # The spellings stand in the columns on the left; a help text may speak of other options.
        left = {word for line in box.splitlines() for word in line.strip().split("  ")[0].split(",")}
        assert (f"--{opt.name}" in left) == (group == opt.group)
    row = next(line for line in help_boxes(columns)[opt.group].splitlines() if line.startswith(f"--{opt.name}"))
    assert set(opt.spellings()) <= set(re.split(r"[ ,]+", row))
    assert f" {opt.kind.metavar} " in row


@pytest.mark.parametrize("opt", TABLE, ids=lambda opt: opt.name)
def test_the_help_shows_the_whole_sentence_of_an_option(opt: Opt) -> None:
    assert squeezed(opt.help) in squeezed(help_boxes(80)[opt.group])


@pytest.mark.parametrize("spelling", ["-h", "--help", "-lh"])
def test_every_spelling_of_help_shows_the_same(spelling: str) -> None:
    environment = {**PLAIN, "COLUMNS": "100"}
    assert run_pync(spelling, env=environment) == run_pync("--help", env=environment)


def test_help_is_given_whatever_else_the_line_says() -> None:
    code, stdout, stderr = run_pync("-l", "--udp", "host", "80", "81", "--help", env=PLAIN)
    assert (code, stderr) == (0, [])
    assert b"Usage: pync" in stdout


def test_version_is_one_line_on_stdout() -> None:
    assert run_pync("--version") == (0, f"pync {pync.__version__}\n".encode(), [])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_reader_that_has_left_hears_no_complaint(option: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stdout:
        done = subprocess.run([PYNC, option], stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=30)
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_an_answer_that_cannot_be_written_is_one_line_and_not_a_traceback(option: str) -> None:
    with open("/dev/full", "wb") as stdout:
        done = subprocess.run([PYNC, option], stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=30)
    assert re.fullmatch(r"pync: .*No space left on device\n", done.stderr.decode())
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--nonesuch", "host", "80"], "No such option: --nonesuch"),
        (["-Z", "host", "80"], "No such option: -Z"),
        (["-lvZ", "10000"], "No such option: -Z"),
        (["--lis", "10000"], "No such option: --lis"),
        (["-w", "abc", "host", "80"], "Invalid value for '-w' / '--timeout': 'abc' is no time"),
        (["-wabc", "host", "80"], "Invalid value for '-w' / '--timeout': 'abc' is no time"),
        (["--timeout=", "host", "80"], "Invalid value for '-w' / '--timeout': '' is no time"),
        (["-w", "0", "host", "80"], "Invalid value for '-w' / '--timeout': '0' must be more than 0"),
        (["-w", "nan", "host", "80"], "Invalid value for '-w' / '--timeout': 'nan' is no time"),
        (["-M", "256", "host", "80"], "Invalid value for '-M' / '--ttl': '256' is no hop count"),
        (["-T", "0x100", "host", "80"], "Invalid value for '-T' / '--tos': '0x100' is no TOS word"),
        (["--rate", "fast", "host", "80"], "Invalid value for '--rate': 'fast' is no size"),
        (["host", "80", "-w"], "Option '-w' requires an argument"),
        (["host", "80", "--timeout"], "Option '--timeout' requires an argument"),
        (["--listen=yes", "80"], "Option '--listen' does not take a value"),
        (["-4", "-6", "host", "80"], "-4/--ipv4 does not go with -6/--ipv6"),
        (["--lines", "host", "80"], "--lines needs -u/--udp"),
        (["--append-output", "host", "80"], "--append-output needs -o/--output or --hex-dump"),
        (["--port-file", "p", "host", "80"], "--port-file needs -l/--listen"),
        (["--hash", "nonesuch", "127.0.0.1", "1"], "Invalid value for '--hash': no digest is called 'nonesuch'"),
        (["127.0.0.1", "65536"], "port '65536' is not in 0 to 65535"),
        (["127.0.0.1", "30-20"], "port range '30-20' runs backwards"),
        (["127.0.0.1", "80x-"], "port '80x-': no such tcp service"),
        (["127.0.0.1", "-p", "1-2", "80"], "'1-2': -p takes one port"),
        (["-l", "70000"], "port '70000' is not in 0 to 65535"),
        (["-l", "20-30"], "'20-30': -l takes one port"),
        (["-n", "127.0.0.1", "http"], "port 'http': a name, but -n allows numbers only"),
        (["host"], "missing port behind host 'host'"),
        ([], "missing operands"),
        (["-l"], "missing port"),
        (["-U"], "a unix-domain socket takes one operand: its path"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_that_names_what_is_wrong_and_code_2(line: list[str], said: str) -> None:
    code, stdout, stderr = run_pync(*line)
    assert (code, stdout, len(stderr)) == (USAGE, b"", 1)
    assert stderr[0].startswith(f"pync: {said}")


@pytest.mark.parametrize("opt", WITH_VALUE, ids=lambda opt: opt.name)
def test_a_bad_value_is_named_together_with_every_spelling_of_its_option(opt: Opt) -> None:
    bad = "" if opt.kind.metavar in TEXTS else "6x%"
    for spelling in opt.spellings():
        with pytest.raises(UsageFault) as caught:
            parse_with_typer([spelling, bad, "host", "80"])
        text = caught.value.text
        assert text.startswith(f"Invalid value for {' / '.join(repr(name) for name in opt.spellings())}: ")
        assert f"'{bad}'" in text or "empty" in text
        assert len(text.splitlines()) == 1


@pytest.mark.parametrize("opt", WITH_VALUE, ids=lambda opt: opt.name)
def test_a_missing_value_is_named_by_the_spelling_that_lacks_it(opt: Opt) -> None:
    for spelling in opt.spellings():
        with pytest.raises(UsageFault, match=f"^Option '{spelling}' requires an argument"):
            parse_with_typer(["host", "80", spelling])


@pytest.mark.parametrize("word", ["\udcff", "a\x1b[31mred", "two\nlines"])
def test_a_hostile_word_reaches_the_terminal_escaped_and_on_one_line(word: str) -> None:
    argv = [f"--{word}".encode("utf-8", "surrogateescape"), b"host", b"80"]
    done = subprocess.run(
        [PYNC.encode(), *argv], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30
    )
    assert done.returncode == USAGE
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.decode().rstrip("\n").isprintable()
