"""The installed command where typer speaks: what is wrong with a command line; and --version.

Everything is read off the process: exit code, stdout, stderr. Which lines get this far is tested in
test_argv.py.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest

import pync
from pync.cli.command import nearest, parse_with_typer
from pync.errors import USAGE, UsageFault
from pync.options import TABLE, Opt
from tests.running import PYNC, run_pync

WITH_VALUE = [opt for opt in TABLE if opt.takes_value]
#: Kinds that take any text but none at all.
TEXTS = ("ADDR", "PORT", "NAME", "FILE", "DIR", "RULES", "CMD", "TEXT")


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
        (["--lis", "10000"], "No such option: --lis; did you mean --listen"),
        (["--lsiten", "10000"], "No such option: --lsiten; did you mean --listen?"),
        (["--time-out", "5"], "No such option: --time-out; did you mean --timeout"),
        (["--prot", "5"], "No such option: --prot; did you mean --ports, --port-file or --proxy-protocol?"),
        (["--ssl", "h", "80"], "No such option: --ssl; pync does not speak TLS yet"),
        (["-l", "7001", "7002"], "two ports to listen on: '7001' and '7002'; a listener has one"),
        (["7001", "7002"], "'7001' is a port and no host, and stands in front of '7002'"),
        (["-z", "7001", "7002"], "'7001' is a port and no host, and stands in front of '7002'"),
        (["https://x/"], "'https://x/' is a URL: write the host and the port, pync x 443 (without TLS"),
        (["http://[::1]:8080/a"], "'http://[::1]:8080/a' is a URL: write the host and the port, pync [::1] 8080"),
        (["-z", "gopher://h/", "70"], "'gopher://h/' is a URL: write the host and the port, pync h PORT"),
        (["-l", "http://h:99999999/"], "'http://h:99999999/' is a URL"),
        (["fe80::1", "80"], "'fe80::1' is a link-local address: write its interface behind it, as in fe80::1%eth0"),
        (["-z", "[FEBF::1]:80"], "'FEBF::1' is a link-local address"),
        (["-l", "fe80::1", "80"], "'fe80::1' is a link-local address"),
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


@pytest.mark.parametrize("opt", [opt for opt in TABLE if len(opt.name) > 4], ids=lambda opt: opt.name)
def test_the_nearest_name_of_each_long_option_is_its_own_when_two_letters_change_places(opt: Opt) -> None:
    swapped = opt.name[:1] + opt.name[2:3] + opt.name[1:2] + opt.name[3:]
    if f"--{swapped}" not in {spelling for other in TABLE for spelling in other.spellings()}:
        assert f"--{opt.name}" in nearest(f"--{swapped}")


@pytest.mark.parametrize("word", ["\udcff", "a\x1b[31mred", "two\nlines"])
def test_a_hostile_word_reaches_the_terminal_escaped_and_on_one_line(word: str) -> None:
    argv = [f"--{word}".encode("utf-8", "surrogateescape"), b"host", b"80"]
    done = subprocess.run(
        [PYNC.encode(), *argv], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30
    )
    assert done.returncode == USAGE
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.decode().rstrip("\n").isprintable()
