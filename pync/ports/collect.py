"""From sockets to rows: selects the ports that are asked for, counts their connections, finds their owners.

`netlink` (or psutil, by `portable`) reads the system; `table` and `plain` draw the rows. A row is one protocol,
address and port. A socket that several processes have inherited is one row; so is a group made with SO_REUSEPORT,
because its connections cannot be told apart.
"""

from __future__ import annotations

import socket

from pync.errors import UsageFault
from pync.ports import netlink, owners, portable, records
from pync.ports.records import Peer, Port, Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pync.plan import Plan

#: The ports to read with --all.
EVERY_PORT = range(1 << 16)
#: Where a connection to an address belongs if no socket listens on that very address.
WILDCARDS = {4: ("0.0.0.0", "::"), 6: ("::",)}


class Wanted:
    """What to show. `ports` and `paths` are None for all.

    `every` (--all) shows each port as if the user had named it.
    """

    def __init__(self, protocols: tuple[str, ...] = (records.TCP, records.UDP)) -> None:
        self.protocols = protocols
        self.version: int | None = None
        self.ports: set[int] | None = None
        self.paths: set[str] | None = None
        self.every = False
        self.pid: int | None = None
        self.program: str | None = None
        self.peers = False
        self.services = True

    @property
    def idle(self) -> bool:
        """Whether to show also sockets that hold a port without listening, and connections without a listener."""
        return self.every or self.ports is not None or self.paths is not None

    @property
    def local_ports(self) -> Collection[int] | None:
        """The local ports to read sockets of; None: those that are bound."""
        return EVERY_PORT if self.idle and self.ports is None else self.ports

    def takes(self, entry: Socket) -> bool:
        if self.paths is not None:
            return entry.address in self.paths
        return self.ports is None or entry.port in self.ports


class Snapshot:
    """The rows at one moment, in order; `partial`: the owner of some socket is hidden from us."""

    def __init__(self, ports: list[Port]) -> None:
        self.ports = ports

    @property
    def partial(self) -> bool:
        return any(port.hidden for port in self.ports)


def wanted(asked: Iterable[int | str], plan: Plan) -> Wanted:
    """What the command line asks for; `asked` are the ports of its operands, numbers and names of services.

    Raises:
        UsageFault: no service has one of the names.
    """
    what = Wanted(_protocols(plan))
    ports = {number for port in asked for number in _numbers(port)}
    if plan.operands.unix:
        what.paths = set(plan.operands.words) if plan.operands.words else None
    else:
        what.ports = ports if plan.operands.words else None
    what.every = plan.view.all
    what.version = plan.names.version
    what.pid, what.program = plan.view.pid, plan.view.name
    what.peers = plan.view.verbose > 0
    what.services = not plan.names.numeric
    return what


def _protocols(plan: Plan) -> tuple[str, ...]:
    if plan.operands.unix:
        return (records.UNIX_DATAGRAM,) if plan.names.datagram else records.UNIX
    return (records.UDP,) if plan.names.datagram else (records.TCP, records.UDP)


def _numbers(port: int | str) -> set[int]:
    """The numbers of a port; a service may have one for each protocol."""
    if isinstance(port, int):
        return {port}
    found = set()
    for protocol in (records.TCP, records.UDP):
        try:
            found.add(socket.getservbyname(port, protocol))
        except OSError:
            continue
    if not found:
        raise UsageFault(f"unknown service '{port}'")
    return found


def collect(what: Wanted) -> Snapshot:
    """Read the system once.

    Raises:
        Fault: the system does not list its sockets.
    """
    found = [entry for entry in read(what.protocols, what.local_ports) if what.takes(entry)]
    rows, holders = _rows(found, what)
    _own(rows, holders)
    shown = [row for row in rows.values() if _matches(row, what)]
    if what.services:
        _name_services(shown)
    return Snapshot(sorted(shown, key=_order))


def read(protocols: tuple[str, ...], ports: Collection[int] | None = None) -> list[Socket]:
    """The sockets of these protocols, from the best source of the system; it may return more than asked for.

    `ports` are the local ports; None: at least those that are bound.
    """
    try:
        return netlink.sockets(protocols, ports)
    except OSError:
        return portable.sockets(protocols)


Key = tuple[str, str, int | None]


def _rows(found: list[Socket], what: Wanted) -> tuple[dict[Key, Port], dict[Key, list[Socket]]]:
    """The rows with their connections, and for each row the sockets that give it its owners."""
    rows: dict[Key, Port] = {}
    holders: dict[Key, list[Socket]] = {}
    others = []
    for entry in found:
        if is_bound(entry, what.idle):
            row = rows.setdefault(_key(entry), Port(*_key(entry)))
            _bind(row, entry)
            holders.setdefault(row.key, []).append(entry)
        elif entry.state in records.STATES:
            others.append(entry)
    for entry in others:
        home = _home(rows, entry)
        if home is None and what.idle:
            home = rows.setdefault(_key(entry), Port(*_key(entry)))
        if home is None:
            continue
        _connect(home, entry, what.peers)
        if not home.bound:
            holders.setdefault(home.key, []).append(entry)
    return rows, holders


def is_bound(entry: Socket, idle: bool = True) -> bool:
    """Whether the socket holds its port; a TCP socket that does not listen counts only with `idle`."""
    if entry.state == records.LISTENING:
        return True
    return entry.state == records.BOUND and (idle or entry.protocol != records.TCP)


def _key(entry: Socket) -> Key:
    return entry.protocol, entry.address, None if entry.protocol in records.UNIX else entry.port


def _bind(row: Port, entry: Socket) -> None:
    row.bound = True
    row.dual_stack = row.dual_stack or entry.dual_stack
    if entry.queue is not None:
        length, limit = row.queue or (0, 0)
        row.queue = (length + entry.queue[0], limit + entry.queue[1])


def _home(rows: dict[Key, Port], entry: Socket) -> Port | None:
    """The row that a connection belongs to. The most exact address wins, as in the system's own look-up."""
    protocol, address, port = _key(entry)
    plain, percent, interface = address.partition("%")
    candidates = [address, plain]
    for wildcard in WILDCARDS[version(plain)] if port is not None else ():
        candidates += [wildcard + percent + interface, wildcard]
    for candidate in candidates:
        row = rows.get((protocol, candidate, port))
        if row is not None and _reaches(row, plain):
            return row
    return None


def _reaches(row: Port, address: str) -> bool:
    """Whether the socket of a row can have accepted a connection to this address; True if unknown."""
    return row.dual_stack is not False or row.port is None or version(row.address) == version(address)


def version(address: str) -> int:
    return 6 if ":" in address else 4


def _connect(row: Port, entry: Socket, peers: bool) -> None:
    if row.connections:
        row.connections[entry.state] += 1
    if peers and row.port is not None and entry.peer[1]:
        row.peers.append(Peer(*entry.peer, entry.state))


def _own(rows: dict[Key, Port], holders: dict[Key, list[Socket]]) -> None:
    """Fill in the owners. A connection without an inode, such as one in TIME_WAIT, belongs to no process."""
    inodes = {entry.inode for entries in holders.values() for entry in entries if entry.inode}
    pids = owners.processes(inodes)
    own = {key: [(pids.get(entry.inode) or entry.pids, entry) for entry in held] for key, held in holders.items()}
    known = owners.identify(pid for pairs in own.values() for found, _ in pairs for pid in found)
    for key, pairs in own.items():
        row = rows[key]
        row.owners = [known[pid] for pid in sorted({pid for found, _ in pairs for pid in found})]
        row.hidden = any(not found and (entry.inode or is_bound(entry)) for found, entry in pairs)


def _matches(row: Port, what: Wanted) -> bool:
    if what.version is not None and row.port is not None:
        both = row.dual_stack is not False
        if version(row.address) != what.version and not both:
            return False
    if what.pid is not None and all(owner.pid != what.pid for owner in row.owners):
        return False
    return what.program is None or any(what.program in (owner.program or "") for owner in row.owners)


def _name_services(rows: list[Port]) -> None:
    names: dict[tuple[int, str], str | None] = {}
    for row in rows:
        if row.port is None:
            continue
        place = (row.port, row.protocol)
        if place not in names:
            names[place] = _service(*place)
        row.service = names[place]


def _service(port: int, protocol: str) -> str | None:
    try:
        return socket.getservbyport(port, protocol)
    except (OSError, OverflowError):
        return None


def _order(row: Port) -> tuple[str, int, bool, str]:
    return row.protocol, row.port or 0, version(row.address) == 6, row.address
