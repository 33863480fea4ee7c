"""The text of --help: one screen with the most used options, one group, or all of them.

All words about an option come from the table: `common` for the first screen, `help` elsewhere. Neither typer nor
rich is loaded, because help should appear at once.
"""

from __future__ import annotations

from pync.errors import UsageFault
from pync.options import ACTION, GROUPS, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.options import Opt

SUMMARY = "Join stdin and stdout to a TCP, UDP or unix-domain socket."
USAGE = "pync [OPTIONS] HOST PORT... connects; pync -l [OPTIONS] [HOST] PORT listens."
OPERANDS = (
    "HOST is a name, an IPv4 or an IPv6 address; PORT is a number, a range, a list or a service name; HOST:PORT "
    "in one word will do. TIME is 5, 2.5, 500ms, 5s, 1m or 1h; SIZE is 4096, 64k, 1M or 1G."
)
#: A command line, and what it does. A test parses each of them.
EXAMPLES = (
    ("pync -l 10000 > copy", "receive a file; the other side:"),
    ("pync host 10000 < file", "send it, leave when all is across"),
    ("pync -z --wait 30 db:5432", "wait until a service answers"),
)
ALL = "all"
TOPICS = {group.lower().replace(" ", "-"): group for group in GROUPS}

#: The first screen fits a terminal of 80 columns. Lines longer than MOST are hard to read on any terminal.
WIDTH, MOST = 80, 100
LABEL, SPELLED, CELL = 13, 12, 33
#: The column where the sentences of a group begin; the same for a narrow terminal.
HELP_AT, NARROW, NARROW_HELP_AT = 30, 60, 8


def page(topic: str | None, columns: int = 0) -> str:
    """The page for a topic of --help; None: the first screen. `columns` is the width of the terminal, 0 without one.

    Raises:
        UsageFault: no group has that name; the message lists them.
    """
    width, bold = min(columns or WIDTH, MOST), columns > 0
    if topic is None:
        return _first_screen(bold)
    if topic.lower() == ALL:
        return _everything(width, bold)
    group = TOPICS.get(topic.lower().replace(" ", "-"))
    if group is None:
        raise UsageFault(f"--help knows no group '{topic}': {', '.join(TOPICS)} or {ALL}")
    return _joined(_group(group, width, bold))


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _heading(text: str, bold: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if bold else text  # ECMA-48, 8.3.117: SGR


def _first_screen(bold: bool) -> str:
    lines = [USAGE, SUMMARY, ""]
    for group in GROUPS:
        cells = [f"{_short(opt):{SPELLED}}{opt.common}" for opt in TABLE if opt.group == group and opt.common]
        for index in range(0, len(cells), 2):
            label = _heading(f"{'' if index else group:{LABEL}}", bold)
            lines.append(label + "".join(f"{cell:{CELL}}" for cell in cells[index : index + 2]).rstrip())
    lines.append("")
    lines += [f"{typed:28}{what}" for typed, what in EXAMPLES]
    lines += _wrapped(f"More: pync --help {ALL}, man pync, or pync --help GROUP: {', '.join(TOPICS)}", WIDTH)
    return _joined(lines)


def _short(opt: Opt) -> str:
    """`-q TIME`, or `--wait TIME` for an option without a letter."""
    return f"{opt.spellings()[0]} {opt.kind.metavar}".rstrip()


def _everything(width: int, bold: bool) -> str:
    lines = [USAGE, SUMMARY, "", *_wrapped(OPERANDS, width)]
    for group in GROUPS:
        lines += ["", *_group(group, width, bold)]
    return _joined(lines)


def _group(group: str, width: int, bold: bool) -> list[str]:
    lines = [_heading(group, bold)]
    for opt in TABLE:
        if opt.group == group:
            lines += _row(opt, width)
    return lines


def _row(opt: Opt, width: int) -> list[str]:
    metavar = "[GROUP]" if opt.kind is ACTION and opt.name == "help" else opt.kind.metavar
    spelled = f"  {', '.join(opt.spellings())} {metavar}".rstrip()
    indent = HELP_AT if width >= NARROW else NARROW_HELP_AT
    first, *others = _wrapped(opt.help, max(1, width - indent))
    begin = [f"{spelled:{indent}}{first}"] if len(spelled) < indent else [spelled, " " * indent + first]
    return begin + [" " * indent + line for line in others]


def _wrapped(text: str, width: int) -> list[str]:
    """Like textwrap.wrap for words shorter than a line, without its regular expressions, which are slow."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
