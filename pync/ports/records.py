"""What is known of a socket, of its owner and of a port: plain records without behaviour.

Whoever reads the system fills in `Socket`; `collect` makes `Port` of them; the views read `Port`.
Here belongs also how a foreign text is made harmless, since every view needs that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a socket is doing: taking connections, merely holding its port, or one of the states of a connection.
LISTENING, BOUND = HELD = ("listening", "bound")
ESTABLISHED, SYN_RECV, CLOSE_WAIT, FIN_WAIT, TIME_WAIT, OTHER = STATES = (
    "established",
    "syn_recv",
    "close_wait",
    "fin_wait",
    "time_wait",
    "other",  # SYN_SENT, LAST_ACK, CLOSING
)

TCP, UDP = "tcp", "udp"
UNIX_STREAM, UNIX_DATAGRAM, UNIX_SEQPACKET = UNIX = ("unix", "unix-dgram", "unix-seqpacket")
#: The protocols that have no connections to count.
DATAGRAMS = (UDP, UNIX_DATAGRAM)


class Socket:
    """One socket as the system tells of it.

    `address` is numeric, with `%interface` behind it where the socket is bound to one; a unix-domain
    socket has its path there and port 0. `inode` identifies it on Linux (0: it has none, or another
    system); elsewhere `pids` are filled in at once. `dual_stack` is None where the system does not
    tell; `queue` is (waiting, limit) of a listener, or None.
    """

    __slots__ = ("address", "dual_stack", "inode", "peer", "pids", "port", "protocol", "queue", "state", "uid")

    def __init__(
        self,
        protocol: str,
        address: str,
        port: int,
        state: str,
        *,
        peer: tuple[str, int] = ("", 0),
        dual_stack: bool | None = False,
        queue: tuple[int, int] | None = None,
        inode: int = 0,
        uid: int | None = None,
        pids: Sequence[int] = (),
    ) -> None:
        self.protocol = protocol
        self.address = address
        self.port = port
        self.state = state
        self.peer = peer
        self.dual_stack = dual_stack
        self.queue = queue
        self.inode = inode
        self.uid = uid
        self.pids = pids


class Owner:
    """A process that holds the socket; None for what could not be learnt, such as when it has just ended."""

    __slots__ = ("pid", "program", "user")

    def __init__(self, pid: int, program: str | None = None, user: str | None = None) -> None:
        self.pid = pid
        self.program = program
        self.user = user


class Peer:
    """The other end of a connection, and the connection's state."""

    __slots__ = ("address", "port", "state")

    def __init__(self, address: str, port: int, state: str) -> None:
        self.address = address
        self.port = port
        self.state = state


class Port:
    """A row: a protocol, an address and a port with all sockets there.

    `port` is None for a unix-domain socket, whose `address` is its path. `bound` is False where only
    connections are left. `connections` has all STATES, or nothing for a protocol without connections.
    `queue` adds up the sockets that share the port. `hidden`: some owner could not be seen.
    """

    __slots__ = (
        "address", "bound", "connections", "dual_stack", "hidden", "owners", "peers", "port", "protocol", "queue",
        "service",
    )  # fmt: skip

    def __init__(self, protocol: str, address: str, port: int | None) -> None:
        self.protocol = protocol
        self.address = address
        self.port = port
        self.bound = False
        self.dual_stack: bool | None = False
        self.service: str | None = None
        self.owners: list[Owner] = []
        self.hidden = False
        self.connections: dict[str, int] = {} if protocol in DATAGRAMS else dict.fromkeys(STATES, 0)
        self.queue: tuple[int, int] | None = None
        self.peers: list[Peer] = []

    @property
    def key(self) -> tuple[str, str, int | None]:
        """What makes it the same row at the next look."""
        return self.protocol, self.address, self.port


def harmless(text: str) -> str:
    """Without control characters: a program may call itself what it likes (CWE-150)."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in valid(text))


def valid(text: str) -> str:
    """Bytes of a path that are no UTF-8 as `\\xff`: a strict reader takes no lone surrogate."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
