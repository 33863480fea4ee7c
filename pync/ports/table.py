"""The rows for people: a table that fits the terminal, drawn by rich, with changes marked.

Rows and a width go in, a text with colours comes out. Long values are folded and never cut off. If the table is
still too wide, the least important columns are left out.
"""

from __future__ import annotations

from pync.ports import records
from pync.ports.plain import NOTHING, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.table import Table
    from rich.text import Text

    from pync.ports.records import Peer, Port

#: At most this many owners of a socket are named and the others counted, because a server may have hundreds of workers.
MOST_OWNERS = 8
#: The width of the port alone; a narrower table would not be readable.
NARROWEST = 5
#: The width of a mark and a space.
MARK_WIDTH = 2

NEW, GONE, CHANGED = "+", "-", "*"
STYLES = {NEW: "bold green", GONE: "dim red", CHANGED: "", "": ""}


class Column:
    """A column. It is folded down to `least` (None: never folded); the lowest `rank` is left out first."""

    __slots__ = ("header", "least", "name", "rank", "right", "text")

    def __init__(
        self,
        name: str,
        header: str,
        text: Callable[[Port], str],
        rank: int,
        least: int | None = None,
        right: bool = False,
    ) -> None:
        self.name = name
        self.header = header
        self.text = text
        self.rank = rank
        self.least = least
        self.right = right


def _address(row: Port) -> str:
    return field(row.address) + (" (dual)" if row.dual_stack else "")


def _owner(row: Port) -> str:
    shown = [f"{owner.pid} {field(owner.program)} ({field(owner.user)})" for owner in row.owners[:MOST_OWNERS]]
    if len(row.owners) > MOST_OWNERS:
        shown.append(f"and {len(row.owners) - MOST_OWNERS} more")
    return "\n".join(shown) or NOTHING


def _count(state: str) -> Callable[[Port], str]:
    return lambda row: field(row.connections.get(state))


def _queue(row: Port) -> str:
    return NOTHING if row.queue is None else f"{row.queue[0]}/{row.queue[1]}"


COLUMNS = (
    Column("protocol", "proto", lambda row: row.protocol, 9),
    Column("address", "address", _address, 11, least=9),
    Column("port", "port", lambda row: field(row.port), 12, right=True),
    Column("service", "service", lambda row: field(row.service), 1, least=7),
    Column("owner", "owner", _owner, 10, least=10),
    Column(records.ESTABLISHED, "estab", _count(records.ESTABLISHED), 8, right=True),
    Column(records.SYN_RECV, "syn\nrecv", _count(records.SYN_RECV), 6, right=True),
    Column(records.CLOSE_WAIT, "close\nwait", _count(records.CLOSE_WAIT), 5, right=True),
    Column(records.FIN_WAIT, "fin\nwait", _count(records.FIN_WAIT), 4, right=True),
    Column(records.TIME_WAIT, "time\nwait", _count(records.TIME_WAIT), 3, right=True),
    Column("queue", "queue", _queue, 2, right=True),
)


class Line:
    """A line of the table: cells by column, a mark in front, and the columns that have changed."""

    __slots__ = ("cells", "changed", "mark")

    def __init__(self, cells: dict[str, str], mark: str = "", changed: frozenset[str] = frozenset()) -> None:
        self.cells = cells
        self.mark = mark
        self.changed = changed


def _cells(row: Port) -> dict[str, str]:
    return {column.name: column.text(row) for column in COLUMNS}


def _peer_cells(peer: Peer) -> dict[str, str]:
    """A peer in the columns of its port, with its state in the column of the owner."""
    return {"address": f"< {field(peer.address)}", "port": str(peer.port), "owner": peer.state}


def unmarked(rows: Iterable[Port]) -> list[Line]:
    """The lines of a first snapshot: each row, with its peers below it."""
    return [line for row in rows for line in _with_peers(row, Line(_cells(row)))]


def _with_peers(row: Port, line: Line) -> list[Line]:
    return [line, *(Line(_peer_cells(peer)) for peer in row.peers)]


def marked(rows: Iterable[Port], before: Iterable[Port]) -> list[Line]:
    """The lines with all changes since `before` marked; rows that have gone stand at the end, once."""
    old = {row.key: _cells(row) for row in before}
    lines: list[Line] = []
    for row in rows:
        lines += _with_peers(row, _compared(_cells(row), old.pop(row.key, None)))
    return lines + [Line(cells, GONE) for cells in old.values()]


def _compared(cells: dict[str, str], before: dict[str, str] | None) -> Line:
    if before is None:
        return Line(cells, NEW)
    changed = frozenset(name for name, text in cells.items() if before[name] != text)
    return Line(cells, CHANGED if changed else "", changed)


def render(lines: Sequence[Line], width: int, marks: bool = False) -> str:
    """The table; no line is wider than `width` (at least NARROWEST). With `marks`, the marks stand in front."""
    import io

    from rich.console import Console

    width = max(width, NARROWEST)
    marks = marks and width > NARROWEST + MARK_WIDTH
    console = Console(file=io.StringIO(), width=width, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(_table(lines, fit(lines, width - MARK_WIDTH * marks), marks), highlight=False)
    return "".join(line.rstrip(" ") + "\n" for line in capture.get().splitlines())


def fit(lines: Sequence[Line], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width` with a space between them, each with its width."""
    from rich.cells import cell_len

    def natural(column: Column) -> int:
        texts = [column.header, *(line.cells.get(column.name, "") for line in lines)]
        return max(cell_len(part) for text in texts for part in text.split("\n"))

    widths = {column.name: natural(column) for column in COLUMNS}
    columns = list(COLUMNS)
    if _needed(columns, widths) > width and all(line.cells.get("service", NOTHING) == NOTHING for line in lines):
        columns = [column for column in columns if column.name != "service"]
    while True:
        _shrink(columns, widths, width)
        if len(columns) == 1 or _needed(columns, widths) <= width:
            return [(column, min(widths[column.name], width)) for column in columns]
        columns.remove(min(columns, key=lambda column: column.rank))


def _needed(columns: Sequence[Column], widths: dict[str, int]) -> int:
    return sum(widths[column.name] for column in columns) + len(columns) - 1


def _shrink(columns: Sequence[Column], widths: dict[str, int], width: int) -> None:
    """Narrow the widest foldable column, again and again, until all fit or none can be narrowed."""
    while (excess := _needed(columns, widths) - width) > 0:
        givers = [column for column in columns if column.least is not None and widths[column.name] > column.least]
        if not givers:
            return
        widest, *rest = sorted(givers, key=lambda column: widths[column.name], reverse=True)
        floor = max([widest.least or 0, *(widths[column.name] - 1 for column in rest[:1])])
        widths[widest.name] = max(floor, widths[widest.name] - excess)


def _table(lines: Sequence[Line], columns: Sequence[tuple[Column, int]], marks: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    if marks:
        table.add_column("", width=MARK_WIDTH - 1, no_wrap=True)
    for column, width in columns:
        table.add_column(
            column.header, width=width, overflow="fold", vertical="top", justify="right" if column.right else "left"
        )
    for line in lines:
        cells = [_cell(line, column.name) for column, _ in columns]
        table.add_row(*([line.mark] if marks else []), *cells, style=STYLES[line.mark])
    return table


def _cell(line: Line, name: str) -> Text:
    from rich.text import Text

    text = line.cells.get(name, "")
    if name in line.changed:
        return Text(text, "bold yellow")
    return Text(text, "dim" if text in ("0", NOTHING) else "")
