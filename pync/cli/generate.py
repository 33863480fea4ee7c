"""Writes the files that are made from the option table and man/*.txt: man page, completions, the README's tables.

`python -m pync.cli.generate` writes the files; with `--check` it only names the stale ones. The same sources
always give the same bytes, independent of time, machine and user.
"""

from __future__ import annotations

import argparse
import html
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pync.cli import bash, fish, man, zsh
from pync.errors import EXIT_CODES, NETWORK, OK, USAGE, Fault
from pync.options import GROUPS, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pync.options import Opt

ROOT = Path(__file__).resolve().parents[2]

#: The files that are generated as a whole, each with the function that makes it from a source tree.
FILES: dict[str, Callable[[Path], str]] = {
    "man/pync.1": lambda root: man.page(root / "man"),
    "man/pync-recipes.7": lambda root: man.recipes(root / "man"),
    "completions/pync.bash": lambda _: bash.script(),
    "completions/_pync": lambda _: zsh.script(),
    "completions/pync.fish": lambda _: fish.script(),
}
README = "README.md"


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the stale files below `root`, or with --check name them; returns the exit code."""
    parser = argparse.ArgumentParser("python -m pync.cli.generate", description="Write what the option table makes.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    checking = parser.parse_args(argv).check
    try:
        changed = stale(root)
    except Fault as fault:
        print(f"{parser.prog}: {fault.text}", file=sys.stderr)
        return fault.code
    for name, text in changed.items():
        if checking:
            print(f"{name} is stale: run {parser.prog}", file=sys.stderr)
        else:
            (root / name).write_bytes(text.encode())
            print(f"wrote {name}")
    return NETWORK if checking and changed else OK


def stale(root: Path) -> dict[str, str]:
    """The stale files below `root`, each with its right content.

    Raises:
        Fault: `root` is no source tree, or its README lacks the marks.
    """
    if not (root / README).is_file() or not all((root / name).parent.is_dir() for name in FILES):
        raise Fault(f"{root} is no source tree of pync (no man/, completions/ and {README} there)", USAGE)
    wanted = {name: make(root) for name, make in FILES.items()} | {README: readme((root / README).read_text("utf-8"))}
    return {name: text for name, text in wanted.items() if _current(root / name) != text.encode()}


def _current(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


# --- the README


def readme(text: str) -> str:
    """The README with its generated parts replaced.

    Raises:
        Fault: the marks of a part are missing or appear more than once.
    """
    for name, lines in {"options": option_table(), "exit codes": exit_code_table()}.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of generated: {name} -->"
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found and found_end) or begin in rest:
            raise Fault(f"{README} must hold the lines '{begin.strip()}' and '{end}' once each, in this order", USAGE)
        text = before + begin + "\n".join(["", *lines, "", ""]) + end + after
    return text


def option_table() -> list[str]:
    """A folded table with a row for each option. Each group is one line of HTML, to keep the README short."""
    lines = ["<details><summary>All options, by group</summary>", "", "<table>"]
    for group in GROUPS:
        rows = [opt for opt in TABLE if opt.group == group]
        cells = (f"<tr><td>{_spelled(opt)}</td><td>{_marked(opt.help)}</td></tr>" for opt in rows)
        lines.append(f'<tr><th colspan="2" align="left">{group}</th></tr>{"".join(cells)}')
    return [*lines, "</table>", "", "</details>"]


def exit_code_table() -> list[str]:
    """The exit codes with their meanings."""
    return ["| Code | Meaning |", "|--:|---|", *(f"| {code} | {_cell(text)} |" for code, text in EXIT_CODES.items())]


def _spelled(opt: Opt) -> str:
    *others, last = opt.spellings()
    value = f" {opt.kind.metavar}" if opt.takes_value else ""
    return ", ".join(f"<code>{spelling}</code>" for spelling in [*others, last + value])


#: An option within a sentence.
OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def _marked(text: str) -> str:
    """Text for a cell of an HTML table, with its options set as code."""
    return OPTION.sub(r"<code>\g<0></code>", html.escape(text, quote=False))


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table, with its options set as code."""
    return OPTION.sub(r"`\g<0>`", text).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
