"""What completions offer, derived from the table for every shell.

`offer()` decides what may follow an option, and `beside()` which options are useful in a mode. `bash`, `zsh` and
`fish` put that into the language of their shell.
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

#: Offers: nothing, because the value cannot be guessed, or one of the lists that the shell itself knows.
NOTHING: tuple[str, ...] = ()
FILES: tuple[str, ...] = ("FILES",)
DIRECTORIES: tuple[str, ...] = ("DIRECTORIES",)
COMMANDS: tuple[str, ...] = ("COMMANDS",)

#: The kinds of values that name a file of a special sort.
KINDS = {DIRECTORY: DIRECTORIES, COMMAND: COMMANDS}

#: The rows with a list of possible values. hashlib's guaranteed names are the same in every Python.
WORDS = {
    "tos": tuple(TOS_WORDS),
    "loop": LOOPS,
    "hash": tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_"))),
}


#: The topics that may follow --help.
HELP_TOPICS = (*TOPICS, ALL)

#: Modes in which most options are useless, with the groups that are offered beside each.
MODES = {"zero": OF_PROBE, "ports": OF_PORTS}


def beside(mode: str) -> list[Opt]:
    """The rows that are useful with a mode, and the actions (--help, --version)."""
    return [opt for opt in TABLE if opt.attribute in MODES[mode] or opt.kind is ACTION]


def offer(opt: Opt) -> tuple[str, ...]:
    """What may follow an option that takes a value: FILES, DIRECTORIES, COMMANDS, NOTHING or a list of words."""
    if opt.kind in KINDS:
        return KINDS[opt.kind]
    return FILES if opt.kind.names_file else WORDS.get(opt.attribute, NOTHING)


def rivals(opt: Opt) -> list[Opt]:
    """The rows that cannot be given with this one, by either of the two rows."""
    return [other for other in TABLE if other.attribute in opt.excludes or opt.attribute in other.excludes]


def spellings_of(opts: Iterable[Opt]) -> list[str]:
    return [spelling for opt in opts for spelling in opt.spellings()]


def fill(template: str, **parts: str) -> str:
    """Replace each `@NAME@`. str.format is no choice, because shells use braces and dollars themselves."""
    for name, part in {"NOTICE": NOTICE, **parts}.items():
        template = template.replace(f"@{name}@", part)
    return template
