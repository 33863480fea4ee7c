"""results.svg: the rows of results.md that nc.openbsd is in, as times as quick as nc.openbsd is.

`python -m tests.bench.chart` draws it from results.md beside this file, as `python -m tests.bench --write` does.
A bar is pync, a dot another netcat, an upright line the limit: a bare C loop. The scale is logarithmic.
"""

from __future__ import annotations

import math
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).with_name("results.md")
CHART = Path(__file__).with_name("results.svg")

REFERENCE, OWN, LIMIT = "nc.openbsd", "pync", "bare C"
DOTS = {"ncat": "#d1495b", "socat": "#edae49", "socat -b 1M": "#66a182", "nc.traditional": "#8d96a3"}
OWN_COLOUR, INK, PAPER, GRID = "#00798c", "#1f2328", "#ffffff", "#d0d7de"
#: Pixels: the text on the left, the scale, the figures on the right; a row, what is above and below the rows.
LEFT, SCALE, RIGHT, ROW, TOP, BOTTOM = 240, 480, 70, 30, 44, 30
#: The ends of the scale, and the marks on it. What lies beyond is drawn at the end.
LEAST, MOST = 1 / 16, 8
MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)


class Line(NamedTuple):
    """A row: its title, and for each program how many times as quick as nc.openbsd it is."""

    title: str
    ratios: dict[str, float]

    def limit(self) -> float | None:
        """The best of the bare loops, where there is one."""
        return max((ratio for name, ratio in self.ratios.items() if name.startswith(LIMIT)), default=None)


def lines(results: str) -> list[Line]:
    """What results.md tells of the rows in which both pync and nc.openbsd arrived."""
    found = []
    for section in results.split("\n## ")[1:]:
        title, _, rest = section.partition("\n")
        rate = re.search(r"^\|  \| median \S*/s \|", rest, re.MULTILINE) is not None
        cells = re.findall(r"^\| ([^|]+?) \| ([\d.,]+) \|", rest, re.MULTILINE)
        medians = {name: float(median.replace(",", "")) for name, median in cells}
        if {REFERENCE, OWN} <= medians.keys():
            base = medians[REFERENCE]
            found.append(Line(title, {name: at / base if rate else base / at for name, at in medians.items()}))
    return found


def svg(results: str) -> str:
    """The whole picture."""
    rows = lines(results)
    width, height = LEFT + SCALE + RIGHT, TOP + ROW * len(rows) + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="sans-serif" font-size="12" role="img" aria-label="Times as quick as nc.openbsd">',
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
            *_legend(),
            *_scale(height),
            *(piece for number, row in enumerate(rows) for piece in _row(row, TOP + ROW * number)),
            "</svg>",
            "",
        ]
    )


def _legend() -> Iterator[str]:
    at = 12.0
    yield f'<rect x="{at}" y="12" width="18" height="10" fill="{OWN_COLOUR}"/>'
    for name, colour in {OWN: "", **DOTS, LIMIT: ""}.items():
        if name in DOTS:
            yield f'<circle cx="{at + 9}" cy="17" r="4.5" fill="{colour}"/>'
        elif name == LIMIT:
            yield f'<path d="M{at + 9} 9v16" stroke="{INK}" stroke-width="2.5"/>'
        label = f"{name} (the limit)" if name == LIMIT else name
        yield _text(at + 24, 21, label)
        at += 38 + 6.6 * len(label)
    yield _text(LEFT + SCALE + RIGHT - 8, 21, "times as quick as nc.openbsd", "end")


def _scale(height: int) -> Iterator[str]:
    for mark in MARKS:
        x, bold = _x(mark), 1.5 if mark == 1 else 0.5
        colour = INK if mark == 1 else GRID
        yield f'<path d="M{x:.1f} {TOP - 6}V{height - BOTTOM + 4}" stroke="{colour}" stroke-width="{bold}"/>'
        yield _text(x, height - BOTTOM + 18, f"{mark:g}" if mark >= 1 else f"1/{1 / mark:g}", "middle")


def _row(row: Line, y: int) -> Iterator[str]:
    middle, own = y + ROW / 2, row.ratios[OWN]
    begin, end = sorted((_x(1), _x(own)))
    yield _text(LEFT - 12, middle + 4, row.title, "end")
    yield f'<rect x="{begin:.1f}" y="{middle - 7}" width="{end - begin:.1f}" height="14" fill="{OWN_COLOUR}"/>'
    limit = row.limit()
    if limit is not None:
        yield f'<path d="M{_x(limit):.1f} {middle - 11}v22" stroke="{INK}" stroke-width="2.5"/>'
    for name, colour in DOTS.items():
        if name in row.ratios:
            yield (
                f'<circle cx="{_x(row.ratios[name]):.1f}" cy="{middle}" r="4.5" fill="{colour}" stroke="{PAPER}">'
                f"<title>{escape(name)}: {row.ratios[name]:.2g}</title></circle>"
            )
    yield _text(LEFT + SCALE + RIGHT - 8, middle + 4, f"{own:,.0f} x" if own >= 10 else f"{own:.2g} x", "end")


def _x(ratio: float) -> float:
    """Where on the scale a ratio is."""
    share = math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + SCALE * share


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" fill="{INK}">{escape(text)}</text>'


def write() -> None:
    """Draw results.md."""
    CHART.write_text(svg(RESULTS.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
