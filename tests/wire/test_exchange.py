"""The exchange itself, with steps made up here: cuts, leftovers, bounds.

What real protocols say over it is in test_proxyheader and its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import Fault
from pync.wire.exchange import LONGEST, Exchange

if TYPE_CHECKING:
    from pync.wire.exchange import Step


def greeting(exchange: Exchange) -> Step[tuple[bytes, bytes, bytes]]:
    """A made-up protocol: a line, then two bytes that are looked at before they are taken."""
    exchange.send(b"hello\n")
    line = yield from exchange.until(b"\n", 80)
    exchange.send(b"go on\n")
    seen = yield from exchange.peek(2)
    return line, seen, (yield from exchange.exactly(2))


@given(st.lists(st.integers(0, 13), max_size=6))
def test_however_the_network_cuts_it_the_result_and_the_rest_are_the_same(cuts: list[int]) -> None:
    exchange = Exchange(greeting)
    sent = exchange.feed(b"")
    data, rest = b"some line\nabREST", b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        if exchange.done:
            rest += data[start:end]  # what comes next is read by others
        else:
            sent += exchange.feed(data[start:end])
    assert (sent, exchange.done, exchange.result) == (b"hello\ngo on\n", True, (b"some line", b"ab", b"ab"))
    assert exchange.rest + rest == b"REST"


def test_nothing_is_left_over_before_the_end() -> None:
    exchange = Exchange(greeting)
    exchange.feed(b"some")
    assert (exchange.done, exchange.rest) == (False, b"")


def test_a_line_that_does_not_end_is_a_fault() -> None:
    exchange = Exchange(greeting)
    exchange.feed(b"x" * 79)
    with pytest.raises(Fault, match="80 bytes"):
        exchange.feed(b"x")


def test_an_exchange_keeps_no_more_than_its_bound() -> None:
    def endless(exchange: Exchange) -> Step[bytes]:
        return (yield from exchange.exactly(1 << 30))

    exchange = Exchange(endless)
    exchange.feed(bytes(LONGEST - 1))
    with pytest.raises(Fault, match="no end of the handshake"):
        exchange.feed(b"x")


def test_an_end_before_the_end_is_a_fault_that_counts_what_was_there() -> None:
    exchange = Exchange(greeting)
    exchange.feed(b"some")
    with pytest.raises(Fault, match="after 4 unread bytes"):
        exchange.end()
