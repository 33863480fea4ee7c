"""Tests of the table itself: its rows are sound, complete and documented, and `check` reads them all.

Every `needs` and `excludes` cell is tried, read from the table like everything else that is made of
it. What an option does when it is given is tested where it is done.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from pync.options import (
    ACTION,
    BUILT_IN,
    COUNTED,
    DEFAULTS,
    FLAG,
    GROUPS,
    PROGRAMS,
    ROWS,
    RUN,
    SERVICE,
    TABLE,
    Opt,
    Options,
    given,
)

if TYPE_CHECKING:
    pass

#: A value that each metavar stands for. "TIME" covers both kinds of times.
SAMPLES = {
    "TIME": "5",
    "SIZE": "64k",
    "N": "7",
    "WORD": "ef",
    "TIMES": "60,10,3",
    "ADDR": "127.0.0.1",
    "PORT": "10000",
    "NAME": "sha256",
    "LOOP": "asyncio",
    "VERSION": "2",
    "FILE": "session.log",
    "DIR": "public",
    "RULES": "192.0.2.0/24,host.example",
    "CMD": "sort -u",
    "TEXT": "postgres",
    "PID": "1",
}

#: What the issues want of the manual: letter and name.
DOCUMENTED = {
    "Mode": ["-l --listen", "-k --keep-open", "-u --udp", "-U --unix", "-z --zero", "--ports"],
    "Address": [
        "-4 --ipv4", "-6 --ipv6", "-n --nodns", "-s --source", "-p --source-port", "-r --random-ports",
        "-b --broadcast",
    ],
    "End of data": [
        "-N --shutdown", "--no-shutdown", "-q --quit-after", "-d --no-stdin", "--send-only", "--recv-only",
        "-W --recv-limit",
    ],
    "Time": [
        "-w --timeout", "--connect-timeout", "--idle-timeout", "--total-timeout", "-i --interval", "--delay", "--rate",
    ],
    "Data": [
        "-C --crlf", "-t --telnet", "--lines", "--datagram-size", "-o --output", "--hex-dump", "--append-output",
        "--hash",
    ],
    "Socket": [
        "-I --recv-buffer", "-O --send-buffer", "-T --tos", "-M --ttl", "-m --min-ttl", "-D --debug-socket",
        "--keepalive", "--interface",
    ],
    "Listen": [
        "--port-file", "--max-conns", "--allow", "--deny", "--allowfile", "--denyfile", "--backlog", "--reuse-port",
        "--workers",
    ],
    "Run": ["-e --exec", "-c --sh-exec"],
    "Service": [
        "--echo", "--hello", "--discard", "--chargen", "--daytime", "--time", "--upper", "--http", "--http-root",
    ],
    "Http": ["--http-upload", "--overwrite", "--max-upload", "--auth"],
    "Probe": ["--wait", "--until-closed", "--retry", "--parallel", "--banner"],
    "See": [
        "--watch", "--pid", "--name", "--progress", "--size", "--json", "-v --verbose", "--version", "-h --help",
    ],
}  # fmt: skip

CELLS_NEEDS = [opt for opt in TABLE if opt.needs]
CELLS_EXCLUDES = [(opt, ROWS[other]) for opt in TABLE for other in opt.excludes]
WITHOUT_ACTIONS = [opt for opt in TABLE if opt.kind is not ACTION]


def needed(opt: Opt) -> list[Opt]:
    """What the option needs, what that needs, and so on, where there is a choice the first."""
    found = [ROWS[need] for need in opt.needs[:1]]
    return [*found, *(further for row in found for further in needed(row))]


def sample(opt: Opt) -> Any:
    """What the attribute holds when the option was given."""
    if opt.kind is FLAG:
        return True
    if opt.kind is COUNTED:
        return 1
    assert opt.kind.parse is not None
    value = opt.kind.parse(SAMPLES[opt.kind.metavar])
    return (value,) if opt.kind.repeats else value


def options_with(*rows: Opt) -> Options:
    return Options(["host", "80"], **{opt.attribute: sample(opt) for opt in rows})


def names(rows: Any) -> Any:
    """A test's name: the options' names."""
    return "-".join(opt.name for opt in rows) if isinstance(rows, tuple) else rows.name


def test_no_spelling_is_given_twice() -> None:
    counted = Counter(chain.from_iterable(opt.spellings() for opt in TABLE))
    assert [spelling for spelling, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("program", ["nc", "ncat"])
def test_no_letter_of_another_netcat_means_two_options(program: str) -> None:
    counted = Counter(letter for opt in TABLE if (letter := getattr(opt, program)))
    assert [letter for letter, count in counted.items() if count > 1] == []


def test_letters_are_single_and_names_are_plain_words() -> None:
    for opt in TABLE:
        assert re.fullmatch(r"[A-Za-z0-9]?", opt.short)
        assert re.fullmatch(r"[A-Za-z0-9]?", opt.nc)
        assert re.fullmatch(r"[A-Za-z0-9]?", opt.ncat)
        assert all(re.fullmatch(r"[a-z][a-z0-9]+(-[a-z0-9]+)*", name) for name in (opt.name, *opt.aliases))


@pytest.mark.parametrize("opt", TABLE, ids=names)
def test_a_row_names_only_rows_that_exist_and_never_itself(opt: Opt) -> None:
    assert {*opt.needs, *opt.excludes} <= set(ROWS) - {opt.attribute}
    assert not set(opt.needs) & set(opt.excludes)


@pytest.mark.parametrize("opt", TABLE, ids=names)
def test_a_row_has_a_known_group_and_a_help_that_reads_like_the_others(opt: Opt) -> None:
    assert opt.group in GROUPS
    assert opt.help == opt.help.strip()
    assert 5 < len(opt.help) < 80
    assert not opt.help.endswith(".")
    assert opt.detail == "" or opt.detail.endswith(".")


@pytest.mark.parametrize("opt", TABLE, ids=names)
def test_switches_and_only_switches_lack_a_metavar(opt: Opt) -> None:
    switch = opt.kind in (FLAG, COUNTED, ACTION)
    assert opt.takes_value is not switch
    assert re.fullmatch(r"[A-Z]+", opt.kind.metavar) if opt.takes_value else opt.kind.metavar == ""
    assert opt.kind.names_file is (opt.kind.metavar in ("FILE", "DIR"))


def test_the_rows_of_a_group_stand_together_and_the_groups_in_their_order() -> None:
    seen = list(dict.fromkeys(opt.group for opt in TABLE))
    assert [opt.group for opt in TABLE] == sorted((opt.group for opt in TABLE), key=seen.index)
    assert tuple(seen) == tuple(group for group in GROUPS if group in seen)


@pytest.mark.parametrize("group", DOCUMENTED)
def test_every_documented_option_is_there_with_its_letter_and_in_its_group(group: str) -> None:
    present = {" ".join(opt.spellings()[: 2 if opt.short else 1]) for opt in TABLE if opt.group == group}
    assert sorted(set(DOCUMENTED[group]) - present) == []


def test_the_issues_leave_no_group_out() -> None:
    assert tuple(DOCUMENTED) == GROUPS


def test_unixsock_is_another_name_of_unix() -> None:
    assert ROWS["unix"].spellings() == ["-U", "--unix", "--unixsock"]


def test_options_start_with_every_default_and_no_words() -> None:
    options = Options()
    assert options.words == []
    assert {name: value for name, value in vars(options).items() if name != "words"} == DEFAULTS
    assert all(value in (False, 0, None) for value in DEFAULTS.values())
    assert list(given(options)) == []


def test_options_are_equal_when_all_their_values_are() -> None:
    assert Options(["h"], udp=True) == Options(["h"], udp=True)
    assert Options(["h"], udp=True) != Options(["h"])
    assert Options(["h"]) != Options(["i"])
    assert Options() != "Options()"


def test_two_options_share_no_list_of_words() -> None:
    Options().words.append("h")
    assert Options().words == []


def test_the_repr_shows_what_was_given() -> None:
    assert (
        repr(Options(["h", "80"], udp=True, quit_after=0.0)) == "Options(udp=True, quit_after=0.0, words=['h', '80'])"
    )


@pytest.mark.parametrize("opt", WITHOUT_ACTIONS, ids=names)
def test_every_option_counts_as_given_when_it_was(opt: Opt) -> None:
    assert list(given(options_with(opt))) == [opt]


def test_a_time_of_zero_counts_as_given() -> None:
    assert list(given(Options(quit_after=0.0))) == [ROWS["quit_after"]]


def test_a_list_of_excluded_rows_may_hold_the_row_itself() -> None:
    class Table:
        one = Opt("", "the first", group=SERVICE, excludes=("one", "other_one"))
        other_one = Opt("", "the second", group=SERVICE, excludes=("one", "other_one"))

    assert (Table.one.excludes, Table.other_one.excludes) == (("other_one",), ("one",))


def test_the_rows_of_the_groups_service_and_run_are_the_built_in_services_and_the_programs() -> None:
    assert tuple(opt.attribute for opt in TABLE if opt.group == SERVICE) == BUILT_IN
    assert tuple(opt.attribute for opt in TABLE if opt.group == RUN) == PROGRAMS
