"""The table for people: it fits any width whatever the names, loses no text, and marks what has changed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pync.ports import records, table
from pync.ports.records import Owner, Peer, Port

names = st.one_of(st.none(), st.text(max_size=30))
numbers = st.integers(0, 10**6)


def make(address: str = "127.0.0.1", port: int | None = 80, protocol: str = "tcp", **more: Any) -> Port:
    row = Port(protocol, address, port)
    for name, value in {"bound": True, **more}.items():
        setattr(row, name, value)
    return row


owners = st.lists(st.builds(Owner, numbers, names, names), max_size=12)
rows = st.builds(
    make,
    st.one_of(st.text(max_size=60), st.ip_addresses().map(str)),
    st.one_of(st.none(), st.integers(0, 65535)),
    st.sampled_from(["tcp", "udp", *records.UNIX]),
    service=names,
    owners=owners,
    dual_stack=st.sampled_from([True, False, None]),
    queue=st.one_of(st.none(), st.tuples(numbers, numbers)),
    connections=st.one_of(st.just({}), st.fixed_dictionaries(dict.fromkeys(records.STATES, numbers))),
    peers=st.lists(st.builds(Peer, st.ip_addresses().map(str), numbers, st.sampled_from(records.STATES)), max_size=3),
)


def plain(text: str) -> list[str]:
    """The lines without their colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


@settings(deadline=None)
@given(st.lists(rows, max_size=6), st.integers(1, 250), st.booleans())
def test_no_line_is_wider_than_the_terminal_and_no_control_character_is_left(
    ports: list[Port], width: int, marks: bool
) -> None:
    for line in plain(table.render(table.unmarked(ports), width, marks)):
        assert cell_len(line) <= max(width, table.NARROWEST)
        assert line.isprintable()


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(60, 250))
def test_what_is_too_long_is_folded_and_not_cut(program: int, address: int, width: int) -> None:
    row = make("Z" * address, owners=[Owner(7, "X" * program, "Q" * 20)])
    text = "".join(plain(table.render(table.unmarked([row]), width)))
    assert (text.count("Z"), text.count("X"), text.count("Q")) == (address, program, 20)


@given(st.lists(rows, max_size=4), st.integers(1, 250))
def test_columns_fit_side_by_side_and_the_port_is_always_there(ports: list[Port], width: int) -> None:
    columns = table.fit(table.unmarked(ports), width)
    assert sum(size for _, size in columns) + len(columns) - 1 <= max(width, 1)
    assert "port" in {column.name for column, _ in columns}


def test_at_80_columns_an_ordinary_row_has_every_column_on_one_line() -> None:
    row = make("127.0.0.1", 8080, owners=[Owner(4242, "nginx", "web")], queue=(0, 511))
    upper, header, line = plain(table.render(table.unmarked([row]), 80))
    assert upper.split() == ["syn", "close", "fin", "time"]
    assert " ".join(header.split()) == "proto address port service owner estab recv wait wait wait queue"
    assert " ".join(line.split()) == "tcp 127.0.0.1 8080 - 4242 nginx (web) 0 0 0 0 0 0/511"


def test_a_column_of_services_without_one_makes_room_for_the_owners() -> None:
    row = make("127.0.0.1", 8080, owners=[Owner(4242, "a-longer-name", "web")], queue=(0, 511))
    _, header, line = plain(table.render(table.unmarked([row]), 80))
    assert "service" not in header
    assert "4242 a-longer-name (web)" in line


def test_a_dual_stack_row_says_so_and_a_service_has_a_column() -> None:
    text = plain(table.render(table.unmarked([make("::", 80, dual_stack=True, service="http")]), 120))
    assert ":: (dual)" in text[-1]
    assert "http" in text[-1]


def test_many_owners_are_counted_and_not_listed() -> None:
    row = make(owners=[Owner(pid) for pid in range(1000, 1200)])
    text = " ".join(plain(table.render(table.unmarked([row]), 120)))
    assert "and 192 more" in text
    assert "1007" in text
    assert "1008" not in text


def test_peers_stand_below_their_port() -> None:
    row = make(peers=[Peer("2001:db8::1", 50000, "close_wait")])
    assert plain(table.render(table.unmarked([row]), 100))[-1].split() == ["<", "2001:db8::1", "50000", "close_wait"]


def marks(now: list[Port], before: list[Port]) -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    lines = table.marked(now, before)
    return {(line.cells["address"], line.cells["port"]): (line.mark, line.changed) for line in lines}


def test_what_is_new_gone_and_changed_is_marked() -> None:
    before = [make("a", 1), make("b", 2), make("c", 3)]
    now = [make("a", 1), make("b", 2, queue=(1, 5), owners=[Owner(7)]), make("d", 4)]
    assert marks(now, before) == {
        ("a", "1"): ("", frozenset()),
        ("b", "2"): ("*", frozenset({"queue", "owner"})),
        ("d", "4"): ("+", frozenset()),
        ("c", "3"): ("-", frozenset()),
    }


@given(st.lists(rows, max_size=5, unique_by=lambda row: row.key))
def test_nothing_is_marked_where_nothing_has_changed(ports: list[Port]) -> None:
    assert {line.mark for line in table.marked(ports, ports)} <= {""}


@pytest.mark.parametrize("mark", ["+", "-", "*"])
def test_a_mark_stands_in_front_and_not_by_colour_alone(mark: str) -> None:
    line = table.Line(table.unmarked([make()])[0].cells, mark, frozenset({"estab"}))
    assert plain(table.render([line], 80, marks=True))[-1].startswith(f"{mark} tcp ")
