"""The pictures that the README shows: that they are there, and that the chart is of the results beside it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import pictures
from tests.bench import chart

ROOT = Path(__file__).resolve().parents[1]
SHOWN = re.findall(r"!\[[^\]]+\]\(([^)]+\.svg)\)", (ROOT / "README.md").read_text("utf-8"))


def test_the_readme_shows_the_chart_and_every_picture() -> None:
    made = [chart.CHART, *(pictures.PICTURES / f"{name}.svg" for name in pictures.SCENES)]
    assert sorted(SHOWN) == sorted(str(path.relative_to(ROOT)) for path in made)


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_is_svg_and_fetches_nothing(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    ElementTree.fromstring(text)
    assert re.findall(r"(?:href=|url\(|@import)[\"']?\s*http[^\"')]*", text) == []


def test_the_readme_is_short_and_begins_with_something_to_run() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) < 200
    assert any(line.startswith("pync ") for line in lines[:12])


def test_the_chart_is_drawn_from_the_results_as_they_are() -> None:
    assert chart.svg(chart.RESULTS.read_text("utf-8")) == chart.CHART.read_text("utf-8")


def test_a_rate_is_better_when_more_and_a_time_when_less() -> None:
    head = "\n\n|  | median {} | min |\n|---|--:|--:|\n| pync | 2,000 | 1 |\n| nc.openbsd | 1,000 | 1 |\n"
    found = chart.lines("\n## one" + head.format("s") + "\n## two" + head.format("datagrams/s"))
    assert [(line.title, line.ratios["pync"]) for line in found] == [("one", 0.5), ("two", 2.0)]
