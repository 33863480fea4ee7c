"""The rows for programs: one line a row whatever the names, and a JSON document that holds the very texts."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pync.ports import plain
from pync.ports.collect import Snapshot
from pync.ports.records import Owner, Port
from tests.ports.test_table import make, rows


@given(st.lists(rows, max_size=5), st.booleans())
def test_there_is_a_line_for_each_row_with_a_field_for_each_column(ports: list[Port], peers: bool) -> None:
    header, *lines = plain.lines(Snapshot(ports), peers).split("\n")[:-1]
    assert len(lines) == len(ports)
    for line in lines:
        fields = line.split("\t")
        assert len(fields) == len(header.split("\t")) == len(plain.HEADER) + peers
        assert all(field and field.isprintable() for field in fields)


@given(st.lists(rows, max_size=5), st.booleans())
def test_the_document_is_one_line_of_ascii_and_holds_every_text_as_it_is(ports: list[Port], peers: bool) -> None:
    text = plain.document(Snapshot(ports), peers)
    assert text.isascii()
    assert text.isprintable()
    for row, told in zip(ports, json.loads(text)["ports"], strict=True):
        assert (told["address"], told["port"], told["service"]) == (row.address, row.port, row.service)
        assert [owner["program"] for owner in told["owners"]] == [owner.program for owner in row.owners]
        assert ("peers" in told) is peers


def test_a_snapshot_is_partial_when_one_row_is() -> None:
    assert json.loads(plain.document(Snapshot([make(hidden=False), make(hidden=True)]), False))["partial"] is True
    assert json.loads(plain.document(Snapshot([make(hidden=False)]), False))["partial"] is False


def test_several_owners_stand_in_one_field_in_the_same_order() -> None:
    row = make(owners=[Owner(7, "a", "root"), Owner(8, None, "web")])
    fields = dict(zip(plain.HEADER, plain.lines(Snapshot([row]), False).splitlines()[1].split("\t"), strict=True))
    assert (fields["pid"], fields["program"], fields["user"]) == ("7,8", "a,-", "root,web")


def test_an_ipv6_peer_has_brackets() -> None:
    assert plain.endpoint("::1", 80) == "[::1]:80"
    assert plain.endpoint("127.0.0.1", 80) == "127.0.0.1:80"
