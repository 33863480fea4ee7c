"""A plan for a test that calls a module directly: made from options, as the command line makes it."""

from __future__ import annotations

from typing import Any

from pync.options import Options
from pync.plan import Plan


def planned(words: list[str] | None = None, **given: Any) -> Plan:
    """The plan of these operand words and options."""
    return Plan(Options(words, **given))
