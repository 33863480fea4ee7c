"""Plain records of a socket, its owner and a port.

`netlink` and `portable` fill in `Socket`, `collect` makes `Port` records of them, and the views read `Port`.
`harmless`, which every view needs for foreign text, stands here too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: The state of a socket: accepting connections, only holding its port, or one of the states of a connection.
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
#: The protocols without connections.
DATAGRAMS = (UDP, UNIX_DATAGRAM)


class Socket:
    """One socket as the system describes it.

    Attributes:
        address: numeric, with `%interface` behind it if the socket is bound to one; the path of a unix-domain
            socket, which has port 0.
        inode: identifies the socket on Linux; 0 if it has none, and on other systems.
        pids: the processes that hold it, filled in at once on systems without inodes.
        dual_stack: whether an IPv6 socket takes IPv4 too; None if unknown.
        queue: (waiting, limit) of a listener, or None.
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
    """A process that holds a socket. Its program and user are None if unknown, for example if it has just ended."""

    __slots__ = ("pid", "program", "user")

    def __init__(self, pid: int, program: str | None = None, user: str | None = None) -> None:
        self.pid = pid
        self.program = program
        self.user = user


class Peer:
    """The other end of a connection, and the state of the connection."""

    __slots__ = ("address", "port", "state")

    def __init__(self, address: str, port: int, state: str) -> None:
        self.address = address
        self.port = port
        self.state = state


class Port:
    """A row: a protocol, an address and a port with all sockets there.

    Attributes:
        address: numeric; the path of a unix-domain socket.
        port: None for a unix-domain socket.
        bound: False if only connections are left.
        connections: the number in each of STATES; empty for a protocol without connections.
        queue: the sum over the sockets that share the port.
        hidden: whether some owner is hidden from us.
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
        """Identifies the row from one snapshot to the next."""
        return self.protocol, self.address, self.port


def harmless(text: str) -> str:
    """The text with its control characters replaced, because a program may give itself any name (CWE-150)."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in valid(text))


def valid(text: str) -> str:
    """The text with non-UTF-8 bytes as `\\xff`, because strict readers of JSON refuse lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
