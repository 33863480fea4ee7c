"""Tests of the table itself: its rows are sound, complete and documented, and `check` reads them all.

Every `needs` and `excludes` cell is tried, read from the table like everything else that is made of
it. What an option does when it is given is tested where it is done.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from pync.errors import USAGE, UsageFault
from pync.options import (
    ACTION,
    BUILT_IN,
    COUNTED,
    DEFAULTS,
    FLAG,
    GROUPS,
    OF_PORTS,
    OF_STREAMS,
    PROGRAMS,
    ROWS,
    RUN,
    SERVICE,
    TABLE,
    Opt,
    Options,
    any_of,
    check,
    given,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def label(opt: Opt) -> str:
    return f"-{opt.short}/--{opt.name}" if opt.short else f"--{opt.name}"


def fault(options: Options) -> str:
    with pytest.raises(UsageFault) as caught:
        check(options)
    assert caught.value.code == USAGE
    return caught.value.text


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


@for_all(st.lists(st.sampled_from(WITHOUT_ACTIONS), unique=True), st.lists(st.sampled_from(WITHOUT_ACTIONS)))
def test_any_of_says_whether_one_of_the_names_was_given(rows: list[Opt], asked: list[Opt]) -> None:
    options = options_with(*rows)
    assert any_of(options, tuple(opt.attribute for opt in asked)) is not set(rows).isdisjoint(asked)


@pytest.mark.parametrize("opt", CELLS_NEEDS, ids=names)
def test_an_option_without_what_it_needs_is_refused_in_one_shape(opt: Opt) -> None:
    needed = " or ".join(label(ROWS[need]) for need in opt.needs)
    assert fault(options_with(opt)) == f"{label(opt)} needs {needed}"


@pytest.mark.parametrize("pair", [(opt, ROWS[need]) for opt in CELLS_NEEDS for need in opt.needs], ids=names)
def test_any_one_of_what_an_option_needs_will_do(pair: tuple[Opt, Opt]) -> None:
    check(options_with(*pair, *needed(pair[1])))


@pytest.mark.parametrize("pair", CELLS_EXCLUDES, ids=names)
def test_an_option_with_what_it_excludes_is_refused_in_one_shape(pair: tuple[Opt, Opt]) -> None:
    rows = {opt.attribute: opt for opt in pair}
    rows |= {need.attribute: need for opt in pair for need in needed(opt)}
    text = fault(options_with(*rows.values()))
    first, second = (label(opt) for opt in pair)
    assert text in (f"{first} does not go with {second}", f"{second} does not go with {first}")


@pytest.mark.parametrize("opt", WITHOUT_ACTIONS, ids=names)
def test_an_option_with_what_it_needs_and_nothing_else_is_accepted(opt: Opt) -> None:
    check(options_with(opt, *needed(opt)))


def test_a_list_of_excluded_rows_may_hold_the_row_itself() -> None:
    class Table:
        one = Opt("", "the first", group=SERVICE, excludes=("one", "other_one"))
        other_one = Opt("", "the second", group=SERVICE, excludes=("one", "other_one"))

    assert (Table.one.excludes, Table.other_one.excludes) == (("other_one",), ("one",))


def test_the_rows_of_the_groups_service_and_run_are_the_built_in_services_and_the_programs() -> None:
    assert tuple(opt.attribute for opt in TABLE if opt.group == SERVICE) == BUILT_IN
    assert tuple(opt.attribute for opt in TABLE if opt.group == RUN) == PROGRAMS


@pytest.mark.parametrize("pair", list(combinations((*BUILT_IN, *PROGRAMS), 2)), ids="-".join)
def test_a_client_is_served_in_one_way_only(pair: tuple[str, str]) -> None:
    options = options_with(ROWS["listen"], *(ROWS[name] for name in pair))
    if pair == ("http", "http_root"):  # the second one only says which directory
        check(options)
        return
    assert " does not go with " in fault(options)


@pytest.mark.parametrize("service", BUILT_IN)
@pytest.mark.parametrize("stream", OF_STREAMS)
def test_what_shapes_our_own_input_and_output_does_not_go_with_a_service(stream: str, service: str) -> None:
    rows = [ROWS["listen"], ROWS["keep_open"], ROWS[stream], ROWS[service]]
    rows += [ROWS["udp"]] * ("udp" in ROWS[stream].needs)
    clashing = [opt for opt in rows if {other.attribute for other in rows} & set(opt.excludes)]
    if clashing:  # a cell of the table says so before: --http with -u, --progress with -k
        assert fault(options_with(*rows)).startswith(f"{label(first_in_table(clashing))} does not go with ")
        return
    assert (
        fault(options_with(*rows)) == f"{label(ROWS[stream])} does not go with a service such as --{ROWS[service].name}"
    )


ANY_ROWS = st.lists(st.sampled_from(WITHOUT_ACTIONS), unique=True, max_size=12)
LABEL = r"(-\w/)?--[a-z0-9-]+"
SHAPE = re.compile(rf"{LABEL} (needs {LABEL}( or {LABEL})*|does not go with (a service such as )?{LABEL})")


def first_in_table(rows: Iterable[Opt]) -> Opt:
    return min(rows, key=TABLE.index)


@for_all(ANY_ROWS, st.randoms(use_true_random=False))
def test_a_complaint_depends_on_what_was_given_and_not_on_its_order(rows: list[Opt], random: Any) -> None:
    first = complaint(rows)
    random.shuffle(rows)
    assert complaint(rows) == first
    assert first is None or SHAPE.fullmatch(first)


@for_all(ANY_ROWS)
def test_check_complains_exactly_when_a_cell_says_so_and_of_the_first_row_in_the_table(rows: list[Opt]) -> None:
    present = {opt.attribute for opt in rows}
    lacking = {opt for opt in rows if opt.needs and present.isdisjoint(opt.needs)}
    clashing = {opt for opt in rows if not present.isdisjoint(opt.excludes)}
    of_streams = {opt for opt in rows if opt.attribute in OF_STREAMS and not present.isdisjoint(BUILT_IN)}
    of_ports = {opt for opt in rows if "ports" in present and opt.attribute not in OF_PORTS}
    wrong = lacking | clashing or of_ports or of_streams  # the last are only looked at when all cells agree
    text = complaint(rows)
    assert (text is None) == (not wrong)
    assert text is None or text.startswith(f"{label(first_in_table(wrong))} ")


def complaint(rows: list[Opt]) -> str | None:
    try:
        check(options_with(*rows))
    except UsageFault as refused:
        return refused.text
    return None


@pytest.mark.parametrize("opt", [opt for opt in TABLE if opt.takes_value and opt.attribute not in OF_PORTS], ids=names)
def test_what_ports_has_no_use_for_is_refused_with_it(opt: Opt) -> None:
    options = Options([], ports=True, **{opt.attribute: sample(opt)})
    with pytest.raises(UsageFault):
        check(options)
