"""The quick parser: it accepts or declines, and what it accepts is what typer makes of the words.

4,000 random command lines, built from the table, go through both. How typer words a complaint is
tested in test_command.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pync.cli.argv import parse
from pync.cli.command import parse_with_typer
from pync.options import TABLE, Options

if TYPE_CHECKING:
    from pync.options import Opt

LINES = 4000

GOOD = {
    "TIME": ["5", "2.5", "500ms", "1m", "1H", ".5"],
    "SIZE": ["4096", "64k", "1M", "1.5g"],
    "N": ["1", "7", "255"],
    "WORD": ["ef", "lowdelay", "0x10", "16", "AF21"],
    "TIMES": ["60", "60,10", "60,10,3"],
    "ADDR": ["127.0.0.1", "::1", "host", "-4"],
    "PORT": ["10000", "0", "http", "70000"],
    "NAME": ["sha256", "eth0", "--"],
    "LOOP": ["quick", "asyncio", "uvloop"],
    "VERSION": ["1", "2"],
    "FILE": ["/tmp/a", "-", "a=b", "a b", "é"],
    "DIR": ["/tmp", ".", "..", "a b/", "-d"],
    "RULES": ["192.0.2.7", "192.0.2.0/24,host.example", "192.0.*.*", "2001:db8::/32", "192.0.2.7-20"],
    "CMD": ["sort -u", "/bin/cat", "echo 'a b' >&2; exit 3", "--", "-l"],
    "TEXT": ["postgres", "-", "a b", "é", "[x]"],
    "PID": ["1", "4194304"],
}
ODD = ["-1", "-1ms", "-0", "0", "", "-", "--", "=5", "abc", "-l", "--udp", "nan", "٣", "256", "1e5", "[x]", "\udcff"]
OPERANDS = [
    "host",
    "80",
    "20-30",
    "22,80",
    "::1",
    "[::1]:80",
    "host:80",
    "",
    "-",
    "a b",
    "é",
    "=",
    "h=1",
    "[/]",
    "\udcff",
]
STRAYS = [
    "--", "--", "-Z", "-j", "-%", "-é", "--nonesuch", "--nonesuch=5", "---", "--=", "--=5", "-=", "-lé", "--Listen",
    "--listen=", "--listen=1", "--udp=yes", "-l=", "--help", "-h", "-lh", "--version", "--no-listen", "--words", "-vV",
    "--listen ", "+l", "/l",
]  # fmt: skip


def values(opt: Opt) -> st.SearchStrategy[str]:
    """Mostly what the option takes, now and then what it does not."""
    good = st.sampled_from(GOOD[opt.kind.metavar])
    return st.one_of(good, good, good, good, st.sampled_from(ODD))


@st.composite
def long_option(draw: st.DrawFn) -> list[str]:
    """`--name`, `--name=value`, `--name value`; now and then cut short, or without its value."""
    opt = draw(st.sampled_from(TABLE))
    name = draw(st.sampled_from([spelling for spelling in opt.spellings() if spelling.startswith("--")]))
    name = name[: draw(st.sampled_from([len(name)] * 12 + [-1, -3]))]
    if not opt.takes_value:
        return [name]
    value = draw(values(opt))
    return draw(st.sampled_from([[f"{name}={value}"], [name, value], [name, value], [f"{name}={value}"], [name]]))


@st.composite
def cluster(draw: st.DrawFn) -> list[str]:
    """`-l`, `-lvp 10000`, `-vvq-1`, `-w5`: switches, at the end perhaps a letter with its value."""
    switches = [opt.short for opt in TABLE if opt.short and not opt.takes_value and opt.short != "h"]
    word = "-" + "".join(draw(st.lists(st.sampled_from(switches), max_size=3)))
    if draw(st.booleans()) or word == "-":
        opt = draw(st.sampled_from([opt for opt in TABLE if opt.short and opt.takes_value]))
        value = draw(values(opt))
        return draw(st.sampled_from([[f"{word}{opt.short}{value}"], [f"{word}{opt.short}", value]]))
    return [word]


OPERAND = st.sampled_from(OPERANDS).map(lambda word: [word])
STRAY = st.sampled_from(STRAYS).map(lambda word: [word])
PARTS = st.one_of(
    cluster(), cluster(), cluster(), cluster(), long_option(), long_option(), OPERAND, OPERAND, OPERAND, STRAY
)
COMMAND_LINES = st.lists(PARTS, max_size=6).map(lambda parts: [word for part in parts for word in part])


@pytest.mark.slow
def test_what_the_quick_parser_accepts_is_what_typer_makes_of_the_words() -> None:
    accepted = 0

    @settings(max_examples=LINES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(COMMAND_LINES)
    def compare(argv: list[str]) -> None:
        nonlocal accepted
        before = list(argv)
        options = parse(argv)
        assert argv == before
        if options is not None:
            accepted += 1
            answer = parse_with_typer(argv)
            assert answer == options
            assert repr(answer) == repr(options)  # True is not 1 here, and 5.0 not 5

    compare()
    assert accepted > LINES / 4


@pytest.mark.slow
@given(st.lists(st.text(st.characters(), max_size=8) | st.sampled_from(STRAYS + ODD)))
def test_no_words_make_it_raise(argv: list[str]) -> None:
    assert isinstance(parse(argv), Options | None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Options([])),
        ("host 80", Options(["host", "80"])),
        ("host:80", Options(["host:80"])),
        ("-l 10000", Options(["10000"], listen=True)),
        ("-lp 10000", Options([], listen=True, source_port="10000")),
        ("-lvp 10000", Options([], listen=True, verbose=1, source_port="10000")),
        ("-lvvp10000", Options([], listen=True, verbose=2, source_port="10000")),
        ("-l -p 10000", Options([], listen=True, source_port="10000")),
        ("-lkv 10000", Options(["10000"], listen=True, keep_open=True, verbose=1)),
        ("-l host 10000", Options(["host", "10000"], listen=True)),
        ("-l -s 127.0.0.1 10000", Options(["10000"], listen=True, source="127.0.0.1")),
        ("-nvlp 10000 -s ::1", Options([], nodns=True, verbose=1, listen=True, source_port="10000", source="::1")),
        ("host 80 -v", Options(["host", "80"], verbose=1)),
        ("host -v 80 -w 5", Options(["host", "80"], verbose=1, timeout=5.0)),
        ("-w5 host 80", Options(["host", "80"], timeout=5.0)),
        ("-w 2.5 host 80", Options(["host", "80"], timeout=2.5)),
        ("-q -1 host 80", Options(["host", "80"], quit_after=-1.0)),
        ("-q-1 host 80", Options(["host", "80"], quit_after=-1.0)),
        ("-q 0 host 80", Options(["host", "80"], quit_after=0.0)),
        ("-Nq1 host 80", Options(["host", "80"], shutdown=True, quit_after=1.0)),
        ("-u -w1 host 53", Options(["host", "53"], udp=True, timeout=1.0)),
        ("-luk 514", Options(["514"], listen=True, udp=True, keep_open=True)),
        ("-U /tmp/socket", Options(["/tmp/socket"], unix=True)),
        ("-lU /tmp/socket", Options(["/tmp/socket"], listen=True, unix=True)),
        ("--listen --port-file=p 0", Options(["0"], listen=True, port_file="p")),
        ("--rate 1M --hash sha256 host 80", Options(["host", "80"], rate=1 << 20, hash="sha256")),
        ("-- -host 80", Options(["-host", "80"])),
        ("-v -- host -- 80", Options(["host", "--", "80"], verbose=1)),
        ("-4 -6 host 80", Options(["host", "80"], ipv4=True, ipv6=True)),
        ("-w 1 -w 2 host 80", Options(["host", "80"], timeout=2.0)),
        ("-o - host 80", Options(["host", "80"], output="-")),
        ("-lke cat 10000", Options(["10000"], listen=True, keep_open=True, exec="cat")),
        ("-lp 10000 -c date", Options([], listen=True, source_port="10000", sh_exec="date")),
        ("-l 10000 -e /bin/sh", Options(["10000"], listen=True, exec="/bin/sh")),
        ("-lk --http 0.0.0.0 8000", Options(["0.0.0.0", "8000"], listen=True, keep_open=True, http=True)),
        ("-l --http-root=. 8000", Options(["8000"], listen=True, http_root=".")),
        ("--ports", Options([], ports=True)),
        ("--ports 22 80-90 --pid 1 --name=ssh", Options(["22", "80-90"], ports=True, pid=1, name="ssh")),
        ("--ports --watch 2s -v", Options([], ports=True, watch=2.0, verbose=1)),
        (
            "-lk --allow 192.0.2.0/24,::1 10000",
            Options(["10000"], listen=True, keep_open=True, allow=("192.0.2.0/24,::1",)),
        ),
        ("--progress --size 1G host 80", Options(["host", "80"], progress=True, size=1 << 30)),
    ],
)
def test_ordinary_lines_go_the_quick_way(line: str, expected: Options) -> None:
    assert parse(line.split()) == expected
    assert parse_with_typer(line.split()) == expected


@pytest.mark.parametrize(
    "line",
    [
        "--help", "-h", "-lh", "host 80 --help", "--version", "-l --version",
        "--nonesuch", "-Z", "-lZ 10000", "--list 10000", "--listen=yes", "-w", "host 80 -w", "--timeout",
        "-w abc host 80", "-w 0 host 80", "--timeout= host 80", "-M 256 host 80", "-T nonesuch host 80", "-wl 10000",
        "-l 10000 -e", "-l --http=. 8000", "--ports --pid 0", "--ports --pid sshd", "-l --allow= 10000",
        "-l --echo=1 7",
    ],
)  # fmt: skip
def test_what_typer_must_speak_about_is_declined(line: str) -> None:
    assert parse(line.split()) is None


@pytest.mark.parametrize("opt", TABLE, ids=lambda opt: opt.name)
def test_no_abbreviation_is_accepted(opt: Opt) -> None:
    spellings = {spelling for row in TABLE for spelling in row.spellings()}
    cut = [opt.name[:end] for end in range(1, len(opt.name)) if f"--{opt.name[:end]}" not in spellings]
    assert [name for name in cut if parse([f"--{name}", "1"]) is not None] == []
