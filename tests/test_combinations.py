"""What goes together: every cell of the table, and every rule between groups of options.

The rows themselves are tested in test_options, how they are written in cli/.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from pync.combinations import OF_PORTS, OF_STREAMS, OF_STREAMS_ONLY, RULES, check
from pync.errors import USAGE, UsageFault
from pync.options import BUILT_IN, PROGRAMS, ROWS, TABLE, Opt, Options
from tests.test_options import CELLS_EXCLUDES, CELLS_NEEDS, WITHOUT_ACTIONS, names, needed, options_with, sample

if TYPE_CHECKING:
    from collections.abc import Iterable


def label(opt: Opt) -> str:
    return f"-{opt.short}/--{opt.name}" if opt.short else f"--{opt.name}"


def fault(options: Options) -> str:
    with pytest.raises(UsageFault) as caught:
        check(options)
    assert caught.value.code == USAGE
    return caught.value.text


@pytest.mark.parametrize("opt", CELLS_NEEDS, ids=names)
def test_an_option_without_what_it_needs_is_refused_in_one_shape(opt: Opt) -> None:
    needed = " or ".join(label(ROWS[need]) for need in opt.needs)
    assert fault(options_with(opt)) == f"{label(opt)} needs {needed}"


@pytest.mark.parametrize("pair", [(opt, ROWS[need]) for opt in CELLS_NEEDS for need in opt.needs], ids=names)
def test_any_one_of_what_an_option_needs_will_do(pair: tuple[Opt, Opt]) -> None:
    check(options_with(*pair, *needed(pair[1]), *more_for(pair[0])))


def more_for(opt: Opt) -> list[Opt]:
    """What a rule between groups asks for besides."""
    return [ROWS["listen"], ROWS["echo"]] if opt.attribute == "workers" else []


@pytest.mark.parametrize("pair", CELLS_EXCLUDES, ids=names)
def test_an_option_with_what_it_excludes_is_refused_in_one_shape(pair: tuple[Opt, Opt]) -> None:
    rows = {opt.attribute: opt for opt in pair}
    rows |= {need.attribute: need for opt in pair for need in needed(opt)}
    text = fault(options_with(*rows.values()))
    first, second = (label(opt) for opt in pair)
    assert text in (f"{first} does not go with {second}", f"{second} does not go with {first}")


@pytest.mark.parametrize("opt", WITHOUT_ACTIONS, ids=names)
def test_an_option_with_what_it_needs_and_nothing_else_is_accepted(opt: Opt) -> None:
    check(options_with(opt, *needed(opt), *more_for(opt)))


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


SHAPE = re.compile(
    rf"{LABEL} (needs {LABEL}( or {LABEL})*|does not go with (a service such as )?{LABEL}"
    rf"|does not go with a program over datagrams|with a service needs {LABEL}"
    rf"|needs a service, -e or -c: .*|with {LABEL} needs {LABEL}: .*)"
)


def first_in_table(rows: Iterable[Opt]) -> Opt:
    return min(rows, key=TABLE.index)


@for_all(ANY_ROWS, st.randoms(use_true_random=False))
def test_a_complaint_depends_on_what_was_given_and_not_on_its_order(rows: list[Opt], random: Any) -> None:
    first = complaint(rows)
    random.shuffle(rows)
    assert complaint(rows) == first
    assert first is None or SHAPE.fullmatch(first)


def between_groups(present: set[str]) -> set[str]:
    """The options that a rule between groups refuses, said once more in other words than the table's."""
    wrong = set()
    served = not present.isdisjoint(BUILT_IN)
    programs = not present.isdisjoint(PROGRAMS)
    if served and "udp" not in present:
        wrong.add("recv_limit")
    if programs and "udp" in present:
        wrong |= set(OF_STREAMS_ONLY)
    if not served and not programs:
        wrong.add("workers")
    if "udp" in present and present.isdisjoint({"zero", "until_closed"}):
        wrong.add("wait")
    return wrong


@for_all(ANY_ROWS)
def test_check_complains_exactly_when_a_cell_says_so_and_of_the_first_row_in_the_table(rows: list[Opt]) -> None:
    present = {opt.attribute for opt in rows}
    lacking = {opt for opt in rows if opt.needs and present.isdisjoint(opt.needs)}
    clashing = {opt for opt in rows if not present.isdisjoint(opt.excludes)}
    of_streams = {opt for opt in rows if opt.attribute in OF_STREAMS and not present.isdisjoint(BUILT_IN)}
    of_ports = {opt for opt in rows if "ports" in present and opt.attribute not in OF_PORTS}
    wrong = lacking | clashing or of_ports or of_streams  # the last are only looked at when all cells agree
    if not wrong and not present.isdisjoint(between_groups(present)):
        assert complaint(rows) is not None
        return
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


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.sentence)
def test_a_rule_between_groups_names_known_options_and_only_what_was_given(rule: Any) -> None:
    assert {name for group in (*rule.when, rule.unless) for name in group} <= set(ROWS)
    assert rule.sentence.count("{") <= len(rule.when)
