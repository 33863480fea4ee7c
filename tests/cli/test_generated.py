"""The files made from the option table: that they are up to date, and that stale ones are noticed.

What the man page says and what the shells offer is asked in test_man and test_completions.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.cli import generate
from pync.errors import EXIT_CODES, Fault
from pync.options import GROUPS, TABLE
from tests.running import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = [*generate.FILES, generate.README]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of everything that is generated, and of the texts it is made from."""
    texts = (str(path.relative_to(ROOT)) for path in (ROOT / "man").glob("*.txt"))
    for name in (*PRODUCTS, *texts):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_what_is_generated_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], ROOT) == 0, capsys.readouterr().err
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "surroundings", [{"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "TZ": "UTC-9"}]
)
def test_the_same_table_gives_the_same_bytes_whatever_the_surroundings(surroundings: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pync.cli.generate", "--check"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | surroundings, capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_stale_file_is_named_by_check_and_mended_without(
    tree: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    right = (tree / name).read_bytes()
    wrong = right.replace(b"do not edit", b"edit").replace(b"datagram-size", b"data-size")
    assert wrong != right
    (tree / name).write_bytes(wrong)

    assert generate.main(["--check"], tree) == 1
    assert capsys.readouterr() == ("", f"{name} is stale: run python -m pync.cli.generate\n")
    assert (tree / name).read_bytes() == wrong

    assert generate.main([], tree) == 0
    assert capsys.readouterr() == (f"wrote {name}\n", "")
    assert (tree / name).read_bytes() == right


@pytest.mark.parametrize("name", generate.FILES)
def test_a_missing_file_is_stale(tree: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / name).unlink()
    assert generate.main(["--check"], tree) == 1
    assert capsys.readouterr().err == f"{name} is stale: run python -m pync.cli.generate\n"
    assert generate.main([], tree) == 0
    assert (tree / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.parametrize("missing", ["man/pync.1", "completions/_pync", "README.md"])
def test_without_a_source_tree_around_it_the_error_says_so(
    tree: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tree / Path(missing).parts[0]
    place.unlink() if place.is_file() else shutil.rmtree(place)
    for argv in ([], ["--check"]):
        assert generate.main(argv, tree) == 2
        assert f"{tree} is no source tree of pync" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != "man/pync-recipes.7"])
def test_every_row_of_the_table_appears_in_every_product_that_is_made_from_it(name: str) -> None:
    text = (ROOT / name).read_text("utf-8").replace("\\-", "-")
    words = set(re.findall(r"[\w-]+", text))
    for opt in TABLE:
        for long_name in (opt.name, *opt.aliases):
            assert words & {long_name, f"--{long_name}", f"-{long_name}"}, long_name


def test_the_readme_has_a_row_for_every_option_below_its_group() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    table = text.partition("<details>")[2].partition("</details>")[0]
    rows = [re.sub("</?(code|t[hd])[^>]*>", "", row) for row in re.findall("<tr>(.*?)</tr>", table)]
    expected = []
    for group in GROUPS:
        expected.append(group)
        for opt in (opt for opt in TABLE if opt.group == group):
            value = f" {opt.kind.metavar}" if opt.takes_value else ""
            expected.append(html.escape(f"{', '.join(opt.spellings())}{value}{opt.help}", quote=False))
    assert rows == expected


def test_a_text_of_the_man_page_that_changes_makes_the_page_stale(tree: Path) -> None:
    (tree / "man" / "standards.txt").write_text("There is none.\n")
    assert list(generate.stale(tree)) == ["man/pync.1"]


def test_the_readme_has_a_line_for_every_exit_code() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in [line.replace("`", "") for line in lines]


MARKED = """<!-- generated: options -->
{}<!-- end of generated: options -->{}<!-- generated: exit codes -->
{}<!-- end of generated: exit codes -->"""


@settings(deadline=None)
@given(before=st.text(), old=st.text("ab|\n"), between=st.text(), after=st.text())
def test_the_rest_of_the_readme_stays_as_it_is(before: str, old: str, between: str, after: str) -> None:
    made = generate.readme(before + MARKED.format(old, between, old) + after)
    assert made.startswith(f"{before}<!-- generated: options -->\n")
    assert f"<!-- end of generated: options -->{between}<!-- generated: exit codes -->" in made
    assert made.endswith(f"<!-- end of generated: exit codes -->{after}")
    assert generate.readme(made) == made


@pytest.mark.parametrize(
    "text",
    [
        "# pync\n",
        MARKED.partition("<!-- generated: exit codes -->")[0],
        MARKED.replace("<!-- end of generated: options -->", ""),
        MARKED + "\n" + MARKED,
    ],
)
def test_a_readme_without_its_marks_is_refused(text: str) -> None:
    with pytest.raises(Fault, match=r"must hold the lines '<!-- generated: .*once each"):
        generate.readme(text)
