"""What completions offer, derived from the table for every shell.

What may follow an option is decided once, in `offer()`, and what is of use in a mode in `beside()`; the
shells' own words for it are in `bash`, `zsh` and `fish` beside this file. Nothing is written to disk here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pync.cli.help import ALL, TOPICS
from pync.combinations import OF_PORTS, OF_PROBE
from pync.options import ACTION, COMMAND, DIRECTORY, TABLE, Opt
from pync.values import LOOPS, TOS_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTICE = "# Made from the table in pync/options.py by `python -m pync.cli.generate`: do not edit."

#: What to offer where a value cannot be guessed, and where the shell knows what there is of it.
NOTHING: tuple[str, ...] = ()
FILES: tuple[str, ...] = ("FILES",)
DIRECTORIES: tuple[str, ...] = ("DIRECTORIES",)
COMMANDS: tuple[str, ...] = ("COMMANDS",)

#: The kinds of values that are more than the name of a file.
KINDS = {DIRECTORY: DIRECTORIES, COMMAND: COMMANDS}

#: The rows whose values can be listed. hashlib's guaranteed names are the same in every Python.
WORDS = {
    "tos": tuple(TOS_WORDS),
    "loop": LOOPS,
    "hash": tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_"))),
}


#: What may stand behind --help, which can be without.
HELP_TOPICS = (*TOPICS, ALL)

#: The modes in which other options have no use: what is offered beside each.
MODES = {"zero": OF_PROBE, "ports": OF_PORTS}


def beside(mode: str) -> list[Opt]:
    """The rows that are of use with a mode, or that are answered at once."""
    return [opt for opt in TABLE if opt.attribute in MODES[mode] or opt.kind is ACTION]


def offer(opt: Opt) -> tuple[str, ...]:
    """What may follow an option that takes a value: FILES, DIRECTORIES, COMMANDS, NOTHING or a list of words."""
    if opt.kind in KINDS:
        return KINDS[opt.kind]
    return FILES if opt.kind.names_file else WORDS.get(opt.attribute, NOTHING)


def rivals(opt: Opt) -> list[Opt]:
    """The rows that do not go with this one, whichever of the two says so."""
    return [other for other in TABLE if other.attribute in opt.excludes or opt.attribute in other.excludes]


def spellings_of(opts: Iterable[Opt]) -> list[str]:
    return [spelling for opt in opts for spelling in opt.spellings()]


def fill(template: str, **parts: str) -> str:
    """Put the parts at their `@NAME@`; the braces and dollars are the shell's."""
    for name, part in {"NOTICE": NOTICE, **parts}.items():
        template = template.replace(f"@{name}@", part)
    return template
