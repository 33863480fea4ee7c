"""The rows for programs: tab-separated lines under a header, or a JSON document with a stable schema.

A snapshot goes in, a text comes out. In the lines, foreign text is made harmless, and `-` stands for an unknown or
missing value. JSON has the text itself, and null for such a value. DOCUMENT is the schema.
"""

from __future__ import annotations

from pync.ports import records
from pync.ports.records import harmless, valid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pync.ports.collect import Snapshot
    from pync.ports.records import Port

NOTHING = "-"

#: Every key of the document and its meaning. Keys may be added, but never change.
DOCUMENT = {
    "ports": "a list with an object for each bound port",
    "ports[].protocol": "tcp, udp, unix, unix-dgram or unix-seqpacket",
    "ports[].address": "the local address, numeric, with %interface where it is bound to one; a unix socket's path",
    "ports[].port": "the number; null for a unix-domain socket",
    "ports[].bound": "false if no socket listens any more and only connections are left",
    "ports[].dual_stack": "whether the IPv6 socket takes IPv4 too; null if the system does not tell",
    "ports[].service": "the name of the port, or null",
    "ports[].owners": "a list with an object for each process that holds the socket; empty if none can be seen",
    "ports[].owners[].pid": "the number of the process",
    "ports[].owners[].program": "its name; null if it could not be read",
    "ports[].owners[].user": "its user; null if it could not be read",
    "ports[].connections": "the number of connections in each state: established, syn_recv, close_wait, fin_wait, "
    "time_wait and other; an empty object for a protocol without connections",
    "ports[].queue": "a listener's queue; null if there is none or the system does not tell",
    "ports[].queue.length": "connections that wait to be accepted",
    "ports[].queue.limit": "how many may wait",
    "ports[].peers": "only with -v: a list with an object for each connection",
    "ports[].peers[].address": "the address of the other end",
    "ports[].peers[].port": "its port",
    "ports[].peers[].state": "the state of the connection, one of the names above",
    "partial": "true if the owner of some port could not be seen",
}


def document(snapshot: Snapshot, peers: bool) -> str:
    """The snapshot as one line of JSON."""
    import json

    return json.dumps(
        {"ports": [_object(row, peers) for row in snapshot.ports], "partial": snapshot.partial}, ensure_ascii=True
    )


def _object(row: Port, peers: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "protocol": row.protocol,
        "address": valid(row.address),
        "port": row.port,
        "bound": row.bound,
        "dual_stack": row.dual_stack,
        "service": row.service,
        "owners": [{"pid": owner.pid, "program": owner.program, "user": owner.user} for owner in row.owners],
        "connections": row.connections,
        "queue": None if row.queue is None else {"length": row.queue[0], "limit": row.queue[1]},
    }
    if peers:
        made["peers"] = [{"address": peer.address, "port": peer.port, "state": peer.state} for peer in row.peers]
    return made


#: The columns of the tab-separated lines.
HEADER = (
    "protocol", "address", "port", "dual_stack", "service", "pid", "program", "user", *records.STATES, "queue", "limit",
)  # fmt: skip


def lines(snapshot: Snapshot, peers: bool) -> str:
    """A header and a line for each row. With `peers`, a last column names the peers, separated by commas."""
    table = [[*HEADER, "peers"] if peers else HEADER]
    table += [_fields(row, peers) for row in snapshot.ports]
    return "".join("\t".join(fields) + "\n" for fields in table)


def _fields(row: Port, peers: bool) -> list[str]:
    length, limit = row.queue or (None, None)
    values: list[object] = [
        row.protocol,
        row.address,
        row.port,
        {True: "yes", False: "no", None: None}[row.dual_stack],
        row.service,
        _joined(owner.pid for owner in row.owners),
        _joined(owner.program for owner in row.owners),
        _joined(owner.user for owner in row.owners),
        *(row.connections.get(state) for state in records.STATES),
        length,
        limit,
    ]
    if peers:
        values.append(_joined(f"{endpoint(peer.address, peer.port)}/{peer.state}" for peer in row.peers))
    return [field(value) for value in values]


def field(value: object) -> str:
    """A value as text for a line."""
    return NOTHING if value is None or value == "" else harmless(str(value))


def _joined(values: Iterable[object]) -> str:
    return ",".join(field(value) for value in values)


def endpoint(address: str, port: int) -> str:
    """`address:port`, with brackets around an IPv6 address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
