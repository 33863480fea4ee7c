"""The floors of the house: who may import whom, read from the source and not from a run.

Imports inside functions and under TYPE_CHECKING count like all others. Names and opening docstrings
of files are held here too; what a start really loads is test_startup.py's.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pync

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(pync.__file__).parent
TESTS = Path(__file__).parents[1]

FLOORS = {
    "__init__": 0, "errors": 0, "values": 0, "options": 0, "combinations": 0, "plan": 0,
    "wire": 1, "net": 2, "processes": 2, "console": 2,
    "outcome": 2, "engine": 3, "serving": 4, "handlers": 4, "probe": 4, "ports": 4, "meter": 4, "cli": 5,
    "app": 6, "library": 6, "__main__": 6,
}  # fmt: skip
#: Rooms of the fourth floor know nothing of each other, but for these: (who imports, what).
DOORS = {("serving", "handlers"), ("serving", "probe")}
#: Rooms that show what there is and know only the ground floor: any program could use them.
VIEWS = {"ports", "meter", "cli"}
#: On the ground floor the order is fixed: each file may import those before it.
GROUND = ["errors", "values", "options", "combinations", "plan"]
#: Bytes apart from sockets: what floor 1 may never import.
WORLD = {"asyncio", "os", "select", "selectors", "signal", "socket", "ssl", "subprocess", "threading", "time"}
VAGUE = {"common", "helper", "helpers", "misc", "tools", "util", "utils"}

MODULES = {path.relative_to(SOURCE).with_suffix("").as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}


def room(module: str) -> str:
    """The file or folder that a module belongs to: `wire/telnet` → `wire`."""
    return module.partition("/")[0]


def imports(path: Path) -> Iterator[str]:
    """Every name that a file imports anywhere, dotted: `pync.net.dial`, `socket`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """The modules of pync that a module imports, by their place in the source."""
    return {place(name) for name in imports(MODULES[module]) if name.partition(".")[0] == "pync"}


def place(name: str) -> str:
    """`pync.net.dial.connect` → `net/dial`. Of the package itself nothing but the version may be used."""
    path = name.replace(".", "/").removeprefix("pync").removeprefix("/")
    for known in (path, f"{path}/__init__", path.rpartition("/")[0]):
        if known in MODULES:
            return known
    assert name in ("pync", "pync.__version__"), f"{name}: import it from where it lives"
    return "__init__"


def may_import(importer: str, imported: str) -> bool:
    """Downward and within a room; on the two lowest floors also next door, on the fourth only by a known door."""
    floor, other = FLOORS[importer], FLOORS[imported]
    if importer == imported or other == 0:
        return True
    if floor == other:
        return floor in (2, 6) or (importer, imported) in DOORS
    return other < floor and (floor == 6 or importer not in VIEWS)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_no_module_imports_from_a_floor_above(module: str) -> None:
    assert {name for name in own_imports(module) if not may_import(room(module), room(name))} == set()


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_imports_only_what_lies_before_it(module: str) -> None:
    assert own_imports(module) <= set(GROUND[: GROUND.index(module)])


def test_no_circle_ties_modules_together() -> None:
    """Types that are named for the checker only count too: who needs them depends on them."""
    order = graphlib.TopologicalSorter(
        {name: own_imports(name) - {"__init__"} for name in MODULES if name != "__init__"}
    )
    order.prepare()  # raises CycleError, which names the circle


def test_the_package_itself_imports_nothing_but_names_for_the_type_checker() -> None:
    tree = ast.parse(MODULES["__init__"].read_text("utf-8"))
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["from __future__ import annotations"]


@pytest.mark.parametrize("module", [name for name in MODULES if FLOORS.get(room(name)) == 1])
def test_the_floor_of_bytes_knows_no_socket_no_clock_and_no_loop(module: str) -> None:
    assert {name.split(".")[0] for name in imports(MODULES[module])} & WORLD == set()


@pytest.mark.parametrize("module", [name for name in MODULES if FLOORS[room(name)] < 5])
def test_only_the_upper_floors_may_know_typer(module: str) -> None:
    assert {name.split(".")[0] for name in imports(MODULES[module])} & {"typer", "click"} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if FLOORS[room(name)] < 4])
def test_only_the_views_and_the_floors_above_them_may_know_rich(module: str) -> None:
    assert {name.split(".")[0] for name in imports(MODULES[module])} & {"rich"} == set()


@pytest.mark.parametrize("module", MODULES)
def test_only_the_standard_library_and_the_declared_dependencies_are_imported(module: str) -> None:
    foreign = {name.split(".")[0] for name in imports(MODULES[module])} - sys.stdlib_module_names
    assert foreign <= {"h11", "pync", "typer", "psutil", "rich", "uvloop"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_at_its_head_what_belongs_in_it(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    text = ast.get_docstring(tree)
    assert text is not None
    only_a_docstring = len(tree.body) == 1
    assert only_a_docstring or len(text.splitlines()) >= 3


@pytest.mark.parametrize("path", [*MODULES.values(), *TESTS.rglob("*.py")], ids=lambda path: path.name)
def test_no_file_has_a_name_that_says_nothing(path: Path) -> None:
    assert path.stem.removeprefix("test_") not in VAGUE


@pytest.mark.parametrize(
    "folder", ["wire", "wire/http", "net", "processes", "engine", "serving", "handlers", "probe", "ports", "meter"]
)
def test_every_test_file_mirrors_a_module(folder: str) -> None:
    tested = {f"{folder}/{path.stem.removeprefix('test_')}" for path in (TESTS / folder).glob("test_*.py")}
    assert tested - set(MODULES) == set()
