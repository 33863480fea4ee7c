"""The man page: that mandoc finds nothing to complain about, and that it tells what the tables hold.

It is read as a reader sees it, rendered by mandoc. Whether the file is up to date is not asked
here: that is test_generated.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pync.cli import argv, man
from pync.combinations import RULES, check
from pync.errors import EXIT_CODES
from pync.options import GROUPS, ROWS, TABLE, Opt, Options
from pync.outcome import EVENTS, Outcome
from pync.ports.plain import DOCUMENT
from pync.serving.tally import Tally
from pync.wire.digest import Digest
from tests.running import PATIENCE, peer

PAGE = Path(__file__).resolve().parents[2] / "man" / "pync.1"
PAGES = [PAGE, PAGE.with_name("pync-recipes.7")]


def mandoc(*argv: str, page: str | None = None) -> str:
    """What mandoc prints; of the page's own file, or of a page given as text."""
    text = PAGE.read_text("utf-8") if page is None else page
    done = subprocess.run(
        [peer("mandoc"), *argv], input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stderr == ""
    return re.sub(".\b", "", done.stdout)  # what is bold is printed twice


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """The page on paper so wide that no line is broken."""
    return mandoc("-T", "utf8", "-O", "width=1000").splitlines()


def about(opt: Opt, lines: list[str]) -> str:
    """What stands below the spellings of an option, or beside them where they are short."""
    value = f" {opt.kind.metavar}" if opt.takes_value else ""
    spelled = "     " + ", ".join(opt.spellings()) + value
    for line, below in itertools.pairwise(lines):
        if line == spelled:
            return below.strip()
        if line.startswith(f"{spelled}  "):
            return line.removeprefix(spelled).strip()
    return pytest.fail(f"{spelled.strip()} is not on the page")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_nothing_to_complain_about(page: Path) -> None:
    assert mandoc("-T", "lint", "-W", "warning", page=page.read_text("utf-8")) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_nothing_to_say_about_the_style_either(page: Path) -> None:
    """But for the pages that are referred to, which not every machine has."""
    complaints = subprocess.run([peer("mandoc"), "-T", "lint", page], capture_output=True, text=True, check=False)
    said = (complaints.stdout + complaints.stderr).splitlines()
    assert [line for line in said if "referenced manual not found" not in line and "mandoc.db" not in line] == []


def test_a_terminal_of_80_columns_is_wide_enough() -> None:
    assert [line for line in mandoc("-T", "utf8").splitlines() if len(line) > 80] == []


def test_every_row_of_the_table_is_explained_with_its_help_and_detail(lines: list[str]) -> None:
    for opt in TABLE:
        text = " ".join(about(opt, lines).split())
        assert opt.help[1:] in text, opt.name
        assert re.sub("`([^`]+)`", "\u2018\\1\u2019", opt.detail) in text, opt.name


def test_every_row_names_what_it_needs_and_what_it_does_not_go_with(lines: list[str]) -> None:
    for opt in TABLE:
        _, _, needs = about(opt, lines).partition("Needs ")
        assert set(opt.needs) <= {ROWS[name].attribute for name in named(needs)}, opt.name
        _, _, excluded = about(opt, lines).partition("Does not go with ")
        for other in opt.excludes:
            assert other in named(excluded), opt.name
            assert opt.attribute in named(about(ROWS[other], lines)), other


def named(text: str) -> set[str]:
    """The rows whose spellings stand in the text."""
    words = set(re.findall(r"(?<![\w-])-[\w-]+", text))
    return {opt.attribute for opt in TABLE if words.intersection(opt.spellings())}


def test_every_group_has_its_heading_and_nothing_but_its_rows(lines: list[str]) -> None:
    sections = "\n".join(lines).partition("\nOPTIONS\n")[2].partition("\nEND OF DATA\n")[0]
    for group, following in zip(GROUPS, [*GROUPS[1:], "What does not go together"], strict=True):
        _, heading, section = sections.partition(f"\n   {group}\n")
        assert heading, group
        section = section.partition(f"\n   {following}\n")[0]
        heads = re.findall(r"^     (-.*)", section, re.MULTILINE)
        assert [head.split(",")[0].split()[0] for head in heads] == [
            opt.spellings()[0] for opt in TABLE if opt.group == group
        ]


def test_each_rule_between_groups_of_options_is_a_paragraph(lines: list[str]) -> None:
    section = "\n".join(lines).partition("\n   What does not go together\n")[2].partition("\nEND OF DATA\n")[0]
    assert len(section.strip().split("\n\n")) == len(RULES)


def test_every_exit_code_is_explained(lines: list[str]) -> None:
    section = lines[lines.index("EXIT STATUS") : lines.index("EXAMPLES")]
    told = {int(code): text for code, text in (line.split(maxsplit=1) for line in section if line[5:6].isdigit())}
    assert {code: text[:1].lower() + text[1:].rstrip(".") for code, text in told.items()} == {
        code: text[:1].lower() + text[1:] for code, text in EXIT_CODES.items()
    }


def test_every_key_of_the_json_documents_is_described(lines: list[str]) -> None:
    begin, end = lines.index("JSON"), lines.index("EXIT STATUS")
    words = set(re.findall(r"\w[\w-]*", " ".join(lines[begin:end])))
    outcome = Outcome()
    outcome.begin()
    outcome.met("host", ("192.0.2.1", 80))
    outcome.hashed((way, Digest("sha256"), None) for way in ("sent", "received"))
    keys = {path.rpartition(".")[2].removesuffix("[]") for path in DOCUMENT} | set(EVENTS)
    keys |= keys_in(outcome.summary(0)) | keys_in(Tally().as_json())
    assert {"summary", "name", "listener", "rule"} <= keys
    assert keys - words == set()


def keys_in(value: object) -> set[str]:
    """The keys of an object and of those in it."""
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys_in(inner) for inner in value.values()))


def test_every_command_in_the_examples_is_one_that_pync_takes() -> None:
    texts = [PAGE.with_name(f"{name}.txt").read_text("utf-8") for name in ("examples", *man.RECIPES.values())]
    typed = re.findall(r"^    (.*)", "\n".join(texts), re.MULTILINE)
    commands = [command for line in typed for command in re.findall(r"\bpync [^|<>&\n]*", line)]
    assert len(commands) >= 50
    for command in commands:
        options = argv.parse(shlex.split(command)[1:])
        assert isinstance(options, Options), command
        check(options)


def test_a_text_has_paragraphs_lists_and_what_is_shown_as_it_stands() -> None:
    items = "First\n    About it,\n    with -l.\n\nSecond\n    More.\n"
    assert man.sections(f"One paragraph,\ntwo lines.\n\n{items}\n    $ typed\n      more\n") == [
        "One paragraph, two lines.",
        *[".Bl -tag -width Ds", ".It Xo", "First", ".Xc", "About it, with", ".Fl l ."],
        *[".It Xo", "Second", ".Xc", "More.", ".El"],
        *[".Bd -literal -offset indent", "$ typed", "  more", ".Ed"],
    ]


def test_a_bracket_in_front_of_an_option_stays_there() -> None:
    assert man.prose("So it is (-l, or `-p`).") == ["So it is", ".Pf ( Fl l ,", "or", '.Ql "\\&\\-p" ) .']


def test_a_page_refers_to_no_text_that_is_not_there_and_no_text_is_left_out() -> None:
    texts = {path.stem for path in PAGE.parent.glob("recipes-*.txt")}
    assert texts == set(man.RECIPES.values())


def test_an_option_that_is_not_in_the_table_cannot_be_spoken_of() -> None:
    with pytest.raises(ValueError, match="--nonsense, which is not in the table"):
        man.prose("Use --nonsense.")
    with pytest.raises(ValueError, match="-Q, which"):
        man.prose("Use -l (or -Q).")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("aAr.'-\\^~\"&(),%0", min_size=1, max_size=6), min_size=1, max_size=4).map(" ".join))
def test_a_literal_is_shown_as_it_is_whatever_roff_makes_of_such_characters(text: str) -> None:
    head = ".Dd January 1, 2000\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd x\n.Sh DESCRIPTION\n"
    page = head + "\n".join(man.prose(f"it is `{text}` here")) + "\n"
    assert f"it is \u2018{text}\u2019 here\n" in mandoc("-T", "utf8", page=page)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ar.'\\^~\"&(),%0", min_size=1, max_size=6), min_size=1, max_size=30))
def test_prose_is_shown_word_for_word(words: list[str]) -> None:
    head = ".Dd January 1, 2000\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd x\n.Sh DESCRIPTION\n"
    shown = mandoc("-T", "ascii", page=head + "\n".join(man.prose(" ".join(words))) + "\n")
    assert shown.partition("DESCRIPTION\n")[2].split()[: len(words)] == words
