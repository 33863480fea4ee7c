"""Tables of results: as text for a terminal, as Markdown for results.md.

Both are made of the same cells. Nothing is measured here, and nothing is rounded before it is shown.
"""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING

from tests.bench import machine
from tests.bench.contestants import LOSES
from tests.bench.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.sample import Result

Table = list[list[str]]
#: The directories of a path. Where things lie on this machine is nobody's business.
PATHS = re.compile(r"(?<!\w)/(?:[^\s/']+/)*(?=[^\s/'])")


def table(result: Result) -> Table:
    """A line for each contestant, below a line of headings."""
    columns = list(dict.fromkeys(name for taker in result.rounds for s in result.samples(taker) for name in s.more))
    heading = ["", f"median {result.row.unit}", "min", "max", "times as good", *columns]
    return [heading, *(_line(result, name, columns) for name in result.rounds)]


def _line(result: Result, name: str, columns: list[str]) -> list[str]:
    samples = result.samples(name)
    ratio = result.ratio(name)
    return [
        name + _lost(result, name),
        *_spread([sample.value for sample in samples]),
        "" if ratio is None or name == "pync" else f"{ratio:.2f}",
        *(_column([s.more[column] for s in samples if column in s.more], column) for column in columns),
    ]


def _lost(result: Result, name: str) -> str:
    if lost := len(_lost_runs(result, name)):
        return f": lost {lost} of {len(result.rounds[name])}"
    absent = result.troubles(name)
    return f": {absent[0]}" if absent else ""


def _spread(values: list[float]) -> list[str]:
    return [_number(pick(values)) if values else "-" for pick in (statistics.median, min, max)]


def _column(values: list[float], name: str) -> str:
    """Of a peak the highest, of everything else the median."""
    if not values:
        return ""
    return _number(max(values) if name.startswith("peak") else statistics.median(values))


def _number(value: float) -> str:
    """Three digits, or whole thousands."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def notes(result: Result) -> list[str]:
    """What is to be known of the figures: the row's own, and whose bytes were lost and how."""
    lost = {name: troubles[0] for name in result.rounds if (troubles := _lost_runs(result, name))}
    own = [result.row.note] if result.row.note else []
    return own + [f"{name}: {LOSES.get(name, PATHS.sub('', trouble))}" for name, trouble in lost.items()]


def _lost_runs(result: Result, name: str) -> list[str]:
    return [trouble for trouble in result.troubles(name) if not trouble.startswith("not ")]


def asked(results: dict[str, Result]) -> Table:
    """What was asked for, what was measured, and whether that is met."""
    lines = [["asked", "measured", ""]]
    for target in TARGETS:
        measured = target.measured(results)
        if measured is not None:
            lines.append([target.asked, f"{measured:.2f}", "met" if target.met(measured) else "**missed**"])
    return lines


def text(lines: Table) -> str:
    """Columns as wide as they must be; all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_padded(line, widths) for line in lines)


def _padded(line: list[str], widths: list[int]) -> str:
    cells = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)]
    return "  ".join([f"  {line[0]:{widths[0]}}", *cells]).rstrip()


def markdown(results: dict[str, Result], date: str, runs: int) -> str:
    """The whole of results.md."""
    return "\n".join(_document(results, date, runs)) + "\n"


def _document(results: dict[str, Result], date: str, runs: int) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    yield from (
        "# What the benchmark measured",
        "",
        f"Written by `python -m tests.bench --write` on {date}, from one run over loopback.",
        "",
        *(f"- {line}" for line in machine.describe()),
        f"- {versions}",
        f"- {runs} rounds, everyone after the other in each of them; medians, with the least and the most",
        "- times as good: pync in comparison with that program, the median of the rounds; below 1 pync is worse",
        "- a run in which bytes were lost is counted as lost, not as fast",
        "- bare C: the same work by a C loop that does nothing else (`bare.c`), the limit",
        "- load %: the share of a core that the load took; at 100 the server may be quicker than the figure",
        "",
        "## Asked and measured",
        "",
        *_markdown_table(asked(results)),
    )
    for name, result in results.items():
        yield from ("", f"## {result.row.title}", "", f"`python -m tests.bench {name}`", "")
        yield from _markdown_table(table(result))
        for line in notes(result):
            yield from ("", line)


def _markdown_table(lines: Table) -> Iterator[str]:
    yield f"| {' | '.join(lines[0])} |"
    yield f"|---|{'--:|' * (len(lines[0]) - 1)}"
    for line in lines[1:]:
        yield f"| {' | '.join(line)} |"
