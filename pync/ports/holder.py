"""The processes that hold an address which we could not bind.

They are named behind "Address already in use". If they cannot be found, the message stays as it is.
"""

from __future__ import annotations

from pync.ports import collect, owners, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.ports.records import Owner, Socket

WILDCARDS = ("0.0.0.0", "::")
#: At most this many processes are named; the others are counted.
MOST_NAMED = 3


def in_use_by(protocol: str, address: str, port: int = 0) -> str:
    """The holders of an address in words: `pid 4242, python3`, or `a process of root`; "" if none can be found.

    Args:
        protocol: `tcp`, `udp`; `unix` or `unix-dgram` for the path of a unix-domain socket.
        address: the numeric address that could not be bound, "" for all; or the path.
        port: its number; 0 for a unix-domain socket.

    Raises nothing: an error of the search gives "".
    """
    try:
        return _in_use_by(protocol, address, port)
    except Exception:  # the user should read about the address and not about our search
        return ""


def _in_use_by(protocol: str, address: str, port: int) -> str:
    blocking = holders(protocol, address, port)
    by_inode = owners.processes({entry.inode for entry in blocking if entry.inode})
    pids = {pid for entry in blocking for pid in (*entry.pids, *by_inode.get(entry.inode, ()))}
    if pids:
        return _named([owner for _, owner in sorted(owners.identify(pids).items())])
    users = sorted({owners.user_name(entry.uid) for entry in blocking if entry.uid is not None})
    if users:
        return f"a process of {', '.join(users)}"
    return "a process of another user" if blocking else ""


def _named(found: list[Owner]) -> str:
    words = [f"pid {owner.pid}, {owner.program}" if owner.program else f"pid {owner.pid}" for owner in found]
    more = f"; and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return "; ".join(words[:MOST_NAMED]) + more


def holders(protocol: str, address: str, port: int = 0) -> list[Socket]:
    """The sockets that keep us from binding this address: the bound ones, or else any that use it."""
    entries = [
        entry
        for entry in collect.read((protocol,), {port})
        if entry.port == port and _overlaps(entry, address.partition("%")[0])
    ]
    return [entry for entry in entries if collect.is_bound(entry)] or [entry for entry in entries if entry.inode]


def _overlaps(entry: Socket, address: str) -> bool:
    if entry.protocol in records.UNIX:
        return entry.address == address
    held = entry.address.partition("%")[0]
    if held == address or address == "":
        return True
    if collect.version(held) == collect.version(address):
        return held in WILDCARDS or address in WILDCARDS
    return held == "::" and entry.dual_stack is not False  # our own IPv6 sockets are V6ONLY
