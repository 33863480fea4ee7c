"""The words of the house: riddles may not come back, and the walk through the program stays true.

Style that needs a reader is not tested here, and neither is grammar.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import pync
from pync import app

ROOT = Path(pync.__file__).parent
#: Words that hide who does something. A sentence names the client, the peer, the reader or the caller.
RIDDLES = re.compile(r"\b(?:whoever|nobody|somebody|whose)\b", re.IGNORECASE)
#: Where they are gone: rooms and files of the package, and below `..` the texts of the man page.
DONE = [
    "wire", "ports", "meter", "cli", "probe", "processes",
    "__init__.py", "__main__.py", "app.py", "combinations.py", "console.py", "errors.py", "library.py", "options.py",
    "outcome.py", "plan.py", "values.py", "../man", "../README.md",
]  # fmt: skip
NAME = re.compile(r"`(pync\.[\w.]+)`")


def files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted([*path.rglob("*.py"), *path.rglob("*.txt")])


@pytest.mark.parametrize("place", DONE)
def test_no_sentence_hides_who_does_it(place: str) -> None:
    assert files(place), "the list names a place that is gone"
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in files(place)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if RIDDLES.search(line)
    ]
    assert found == []


def resolve(name: str) -> object:
    """What a dotted name stands for: modules as far as they go, then attributes."""
    first, *rest = name.split(".")
    found: object = importlib.import_module(first)
    for index, part in enumerate(rest, 1):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(".".join([first, *rest[:index]]))
    return found


def test_every_name_on_the_walk_through_the_program_exists() -> None:
    names = NAME.findall(app.__doc__ or "")
    assert len(names) >= 15
    for name in names:
        assert resolve(name) is not None, name
