"""The man page pync(1), in mdoc(7): prose from man/*.txt, options and exit codes from their tables.

The texts are plain. `prose()` turns every option, every placeholder such as FILE and every `literal` into its
macro, and does all the escaping. It raises an error for an option that is not in the table, so that the page
cannot contain a misspelt one. Only the generator imports this file, because the texts are not installed.
"""

from __future__ import annotations

import re
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from pync.cli.complete import rivals
from pync.combinations import RULES
from pync.errors import EXIT_CODES
from pync.options import GROUPS, ROWS, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pync.options import Opt

#: The day when the texts were last revised, because mdoc requires a date. Change it with the texts.
REVISED = "November 20, 2026"

WIDTH = 78
SPELLINGS = {spelling for opt in TABLE for spelling in opt.spellings()}
PLACEHOLDERS = {"HOST", "PATH", "PORT"} | {opt.kind.metavar for opt in TABLE if opt.takes_value}

SEE_ALSO = [
    ("nc", 1),
    ("ncat", 1),
    ("socat", 1),
    ("services", 5),
    ("ip", 7),
    ("pync-recipes", 7),
    ("tcp", 7),
    ("udp", 7),
    ("unix", 7),
]


def page(texts: Path) -> str:
    """The whole page, with a section for each file in `texts`."""

    def section(name: str) -> list[str]:
        return sections((texts / f"{name}.txt").read_text("utf-8"))

    lines = [
        '.\\" Made by `python -m pync.cli.generate` from pync/options.py and man/*.txt: do not edit.',
        f".Dd {REVISED}",
        ".Dt PYNC 1",
        ".Os",
        *[".Sh NAME", ".Nm pync", ".Nd join standard input and output to a TCP, UDP or unix-domain socket"],
        *[".Sh SYNOPSIS", *SYNOPSIS],
        *[".Sh DESCRIPTION", *section("description")],
        *[".Sh OPTIONS", *section("options"), *_options()],
        *[".Sh END OF DATA", *section("end-of-data")],
        *[".Sh JSON", *section("json")],
        *[".Sh EXIT STATUS", *_exit_status()],
        *[".Sh EXAMPLES", *section("examples")],
        *[".Sh SEE ALSO", *_see_also()],
        *[".Sh STANDARDS", *section("standards")],
    ]
    return "\n".join(lines) + "\n"


#: A group with at least this many options holds all those that a mode cannot use.
MANY, ANY_OTHER = 30, "Any option but those named under --ports"
#: The headings of pync-recipes(7), and the files of their texts.
RECIPES = {
    "FILES AND DIRECTORIES": "recipes-files",
    "SCRIPTS": "recipes-scripts",
    "SERVERS": "recipes-services",
    "LINES AND DATAGRAMS": "recipes-lines",
    "PROTOCOLS BY HAND": "recipes-protocols",
}


def recipes(texts: Path) -> str:
    """The page of the longer recipes, made from the files in `texts`."""
    lines = [
        '.\\" Made by `python -m pync.cli.generate` from man/recipes-*.txt: do not edit.',
        *[f".Dd {REVISED}", ".Dt PYNC-RECIPES 7", ".Os"],
        *[".Sh NAME", ".Nm pync-recipes", ".Nd what pync is used for, as commands to type"],
        *[".Sh DESCRIPTION", "Every option is explained in", ".Xr pync 1 ."],
        *prose("A prompt tells the machine where a command is typed, or whether it needs the rights of root."),
    ]
    for heading, name in RECIPES.items():
        told = sections((texts / f"{name}.txt").read_text("utf-8"))
        lines += [f".Sh {heading}", *(re.sub(r"^(\..*)\bNm\b", r"\1Nm pync", line) for line in told)]
    return "\n".join([*lines, ".Sh SEE ALSO", ".Xr pync 1"]) + "\n"


SYNOPSIS = [
    *[".Nm", ".Op Ar options", ".Ar HOST", ".Ar PORT ..."],
    *[".Nm", ".Fl l", ".Op Ar options", ".Op Ar HOST", ".Ar PORT"],
    *[".Nm", ".Fl U", ".Op Fl l", ".Op Ar options", ".Ar PATH"],
    *[".Nm", ".Fl \\-ports", ".Op Ar options", ".Op Ar PORT ..."],
]


def _options() -> list[str]:
    lines: list[str] = []
    for group in GROUPS:
        rows = [opt for opt in TABLE if opt.group == group]
        lines += [f".Ss {group}", *_list(([_head(opt)], _about(opt)) for opt in rows)]
    lines.append(".Ss What does not go together")
    return lines + [line for sentence in _between_groups() for line in (".Pp", *prose(sentence))][1:]


def _between_groups() -> Iterator[str]:
    """A sentence for each rule between groups of options."""
    for rule in RULES:
        groups = [_any_of(ROWS[name] for name in group) if len(group) < MANY else ANY_OTHER for group in rule.when]
        text = re.sub(r"(-\w)/--[\w-]+", r"\1", rule.sentence.format(*groups))  # the page needs one spelling
        yield text[:1].upper() + text[1:] + "."


def _head(opt: Opt) -> str:
    """`.It Fl q , Fl \\-quit\\-after Ar TIME`."""
    flags = ".It " + " , ".join(_flag(spelling) for spelling in opt.spellings())
    return f"{flags} Ar {opt.kind.metavar}" if opt.takes_value else flags


def _about(opt: Opt) -> str:
    """The sentences about an option: help, detail, and the options that it needs, implies and excludes."""
    sentences = [opt.help[:1].upper() + opt.help[1:] + ".", opt.detail]
    if opt.needs:
        sentences.append(f"Needs {_any_of(ROWS[need] for need in opt.needs)}.")
    if opt.implies:
        sentences.append(f"Implies {' and '.join(ROWS[name].spellings()[0] for name in opt.implies)}.")
    if rivals(opt):
        sentences.append(f"Does not go with {_any_of(rivals(opt))}.")
    return " ".join(filter(None, sentences))


def _any_of(opts: Iterable[Opt]) -> str:
    *others, last = [opt.spellings()[0] for opt in opts]
    return f"{', '.join(others)} or {last}" if others else last


def _exit_status() -> list[str]:
    return _list((_item(str(code)), f"{text[:1].upper()}{text[1:]}.") for code, text in EXIT_CODES.items())


def _see_also() -> list[str]:
    return [f".Xr {name} {section} ," for name, section in SEE_ALSO[:-1]] + [".Xr {} {}".format(*SEE_ALSO[-1])]


# --- the texts


def sections(text: str) -> list[str]:
    """The lines of mdoc for a file of prose.

    An empty line ends a block. If all lines of a block are indented, it is shown as it stands. If all but the
    first are indented, it is an item of a list with the first line as its head. Any other block is a paragraph.
    """
    lines: list[str] = []
    for kind, blocks in groupby(re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")), _kind):
        if kind == "item":
            parted = (block.split("\n", 1) for block in blocks)
            lines += _list((_item(head), about) for head, about in parted)
            continue
        for block in blocks:
            if kind == "literal":
                typed = textwrap.dedent(block).splitlines()
                lines += [".Bd -literal -offset indent", *(_guarded(_literal(line)) for line in typed), ".Ed"]
            else:
                lines += [*([".Pp"] if lines else []), *prose(block)]
    return lines


def _kind(block: str) -> str:
    first, *others = (line.startswith(" ") for line in block.split("\n"))
    if first and all(others):
        return "literal"
    return "item" if others and all(others) else "paragraph"


def _item(tag: str) -> list[str]:
    """The head of an item; `Xo` prevents its words from being read as macros."""
    lines = prose(tag)
    if len(lines) == 1 and lines[0].startswith("."):
        return [f".It {lines[0][1:]}"]
    return [".It Xo", *lines, ".Xc"]


def _list(items: Iterable[tuple[list[str], str]]) -> list[str]:
    lines = [".Bl -tag -width Ds"]
    for head, text in items:
        lines += [*head, *prose(text)]
    return [*lines, ".El"]


# --- from plain text to mdoc

#: A sentence ends before a word that matches this; "..." does not end one.
SENTENCE_END = re.compile(r".*(?<!\.\.)[.?!] ([A-Z`-]|pync)")
WORD = re.compile(r"[^\s`]*`[^`]+`\S*|\S+")
PARTS = re.compile(r"([(\[]*)(`[^`]+`|.*?)([.,:;?!)\]]*)")


def prose(text: str) -> list[str]:
    """The lines of mdoc for plain text: a new line for each sentence and for each macro.

    Raises:
        ValueError: the text names an option that is not in the table.
    """
    words = WORD.findall(text)
    lines: list[str] = []
    plain: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        macro = _macro(word)
        if macro is None:
            plain.append(_escaped(word))
        if macro is not None or SENTENCE_END.match(f"{word} {following}"):
            lines += _wrapped(plain)
            plain.clear()
        if macro is not None:
            lines.append(macro)
    return lines + _wrapped(plain)


def _macro(word: str) -> str | None:
    """The macro line for a word, None for plain text; punctuation around the word stays outside the macro."""
    match = PARTS.fullmatch(word)
    assert match is not None  # the middle part matches any text
    opening, core, closing = match.groups()
    if core.startswith("`"):
        call = f'Ql "\\&{_literal(core[1:-1])}"'  # \& keeps a word such as "Ar" from being a macro
    elif core in SPELLINGS:
        call = _flag(core)
    elif core in PLACEHOLDERS:
        call = f"Ar {core}"
    elif core == "pync":
        call = "Nm"
    elif re.match("--?[A-Za-z]", core):
        raise ValueError(f"the man page speaks of {core}, which is not in the table: {word!r}")
    else:
        return None
    prefix = ["Pf", opening] if opening else []  # a line that began with a bracket would be no macro
    return "." + " ".join([*prefix, call, *closing])


def _flag(spelling: str) -> str:
    """`-q` → `Fl q`, `--quit-after` → `Fl \\-quit\\-after`: the macro writes the first dash."""
    return "Fl " + spelling[1:].replace("-", "\\-")


def _wrapped(words: list[str]) -> list[str]:
    lines = textwrap.wrap(" ".join(words), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """The line, guarded if it begins with a dot or a quote, because that would make it a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e")


#: Characters that would come out as typographic ones, which could not be pasted into a shell.
EXACT = str.maketrans({"\\": "\\e", '"': "\\(dq", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})


def _literal(text: str) -> str:
    return text.translate(EXACT)
