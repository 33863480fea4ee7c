"""The records of a plan: made when they are asked for, never changed."""

from __future__ import annotations

import pytest

from pync.options import ROWS, Options
from pync.plan import Plan
from tests.test_options import options_with


def test_a_record_is_made_when_it_is_asked_for_and_once() -> None:
    plan = Plan(Options(["host", "80"], rate=5))
    assert "pipeline" not in vars(plan)
    assert plan.pipeline is plan.pipeline
    assert plan.pipeline.rate == 5


def test_another_plan_leaves_the_first_as_it_is() -> None:
    plan = Plan(Options(connect_timeout=9.0, idle_timeout=4.0))
    other = plan.changed(limits=plan.limits.within(2.0))
    assert (plan.limits.connect, other.limits.connect, other.limits.idle) == (9.0, 2.0, 4.0)
    assert other.names.numeric is False


@pytest.mark.parametrize("name", ["crlf", "output", "hash", "rate", "quit_after", "send_only", "timeout", "progress"])
def test_what_looks_at_bytes_keeps_a_program_from_the_socket(name: str) -> None:
    assert Plan(options_with(ROWS[name])).seen
    assert not Plan(Options(verbose=1, keep_open=True)).seen


@pytest.mark.parametrize("name", ["recv_limit", "hex_dump", "rate", "delay", "lines", "stamp", "output_dir"])
def test_what_counts_datagrams_needs_their_borders(name: str) -> None:
    assert Plan(options_with(ROWS[name])).borders
    assert not Plan(Options(hash="sha256", crlf=True)).borders
