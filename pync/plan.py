"""From what was typed to what is needed: small records, made once, each for one part of the program.

Options hold the words of the command line; a plan holds their meaning. `combinations` checks which options may be
given together. This file only computes: it opens, looks up and prints nothing.
"""

from __future__ import annotations

from pync.options import BUILT_IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    R = TypeVar("R", bound="Record")

    from pync.options import Options


class Record:
    """A part of the plan. It never changes; `but` makes a changed copy."""

    __slots__: tuple[str, ...] = ()

    def but(self: R, **fields: Any) -> R:
        """A copy of the record with these fields changed."""
        other = type(self).__new__(type(self))
        for name in self.__slots__:
            setattr(other, name, fields[name] if name in fields else getattr(self, name))
        return other


class Operands(Record):
    """The operands, and the options that say how to read them."""

    __slots__ = ("listen", "unix", "words")

    def __init__(self, options: Options) -> None:
        self.listen = options.listen
        self.unix = options.unix
        self.words = options.words


#: The services that speak bytes only; --http needs a directory too.
SERVICES = tuple(name for name in BUILT_IN if not name.startswith("http"))


class Names(Record):
    """How to read hosts and ports, and the local address of our connections.

    `version` is 4, 6, or None for both; `numeric` forbids look-ups of any kind.
    """

    __slots__ = ("datagram", "numeric", "random_ports", "source", "source_port", "version")

    def __init__(self, options: Options) -> None:
        self.version = 4 if options.ipv4 else 6 if options.ipv6 else None
        self.numeric = options.nodns
        self.datagram = options.udp
        self.source = options.source
        self.source_port = options.source_port
        self.random_ports = options.random_ports


class SocketSettings(Record):
    """The settings of each socket before it is bound or connected."""

    __slots__ = (
        "broadcast", "debug", "interface", "keepalive", "keepalive_times", "min_ttl", "recv_buffer", "reuse_port",
        "send_buffer", "tos", "ttl",
    )  # fmt: skip

    def __init__(self, options: Options) -> None:
        self.broadcast = options.broadcast
        self.debug = options.debug_socket
        self.interface = options.interface
        self.keepalive = options.keepalive or options.keepalive_times is not None
        self.keepalive_times = options.keepalive_times
        self.min_ttl = options.min_ttl
        self.recv_buffer = options.recv_buffer
        self.reuse_port = options.reuse_port
        self.send_buffer = options.send_buffer
        self.tos = options.tos
        self.ttl = options.ttl


class Limits(Record):
    """Limits in seconds, None for "no limit": for connecting to an address, for silence, for the whole run.

    `silence` is -w as it was given: how long UDP waits for silence after the end of our input.
    """

    __slots__ = ("connect", "idle", "silence", "total")

    def __init__(self, options: Options) -> None:
        connect = options.timeout if options.connect_timeout is None else options.connect_timeout
        self.total = options.total_timeout
        self.connect = min((seconds for seconds in (connect, self.total) if seconds is not None), default=None)
        self.idle = options.timeout if options.idle_timeout is None else options.idle_timeout
        self.silence = options.timeout

    def within(self, seconds: float) -> Limits:
        """The same limits, with at most `seconds` for connecting."""
        return self.but(connect=seconds if self.connect is None else min(self.connect, seconds))


class Ends(Record):
    """How the ends of data are handled.

    Attributes:
        half_close: False if we never half-close (--no-shutdown).
        at_once: whether to half-close as soon as our input ends (-N).
        hold_empty: whether an empty input delays our FIN until the peer has ended.
    """

    __slots__ = (
        "at_once", "half_close", "hold_empty", "quit_after", "read_limit", "reads_input", "recv_only", "send_only",
    )  # fmt: skip

    def __init__(self, options: Options) -> None:
        self.at_once = options.shutdown
        self.half_close = not options.no_shutdown
        self.hold_empty = options.listen
        self.quit_after = options.quit_after
        self.read_limit = options.recv_limit
        self.reads_input = not (options.no_stdin or options.recv_only)
        self.recv_only = options.recv_only
        self.send_only = options.send_only

    @property
    def any(self) -> bool:
        """Whether one of the settings changes how bytes move."""
        limited = self.quit_after is not None or self.read_limit is not None
        return limited or self.recv_only or self.send_only


class Pipeline(Record):
    """The stages that bytes pass through, and the pacing that delays them."""

    __slots__ = (
        "append_output", "crlf", "datagram_size", "delay", "hash", "hex_dump", "interval", "lines", "output",
        "output_dir", "prefix", "rate", "stamp", "telnet",
    )  # fmt: skip

    def __init__(self, options: Options) -> None:
        self.append_output = options.append_output
        self.crlf = options.crlf
        self.datagram_size = options.datagram_size
        self.delay = options.delay
        self.hash = options.hash
        self.hex_dump = options.hex_dump
        self.interval = options.interval
        self.lines = options.lines
        self.output = options.output
        self.output_dir = options.output_dir
        self.prefix = options.prefix
        self.rate = options.rate
        self.stamp = options.stamp
        self.telnet = options.telnet

    @property
    def any(self) -> bool:
        """Whether bytes are read, changed or delayed on their way."""
        logged = self.output is not None or self.hex_dump is not None or self.hash is not None
        return self.paced or logged or self.crlf or self.telnet

    @property
    def paced(self) -> bool:
        """Whether something holds bytes back."""
        return self.rate is not None or self.delay is not None or self.interval is not None

    @property
    def by_read(self) -> bool:
        """Whether each read of our input matters by itself, or its bytes are read, changed or delayed."""
        return self.any or self.lines

    @property
    def by_peer(self) -> bool:
        """Whether it matters from which peer a datagram came."""
        return self.stamp or self.prefix or self.output_dir is not None

    @property
    def borders(self) -> bool:
        """Whether it matters where a datagram ends."""
        return self.hex_dump is not None or self.rate is not None or self.delay is not None or self.lines


class Access(Record):
    """The rules about which clients may connect, and files of rules, as they were given."""

    __slots__ = ("allow", "allowfile", "deny", "denyfile", "numeric", "proxies")

    def __init__(self, options: Options) -> None:
        self.allow = options.allow
        self.allowfile = options.allowfile
        self.deny = options.deny
        self.denyfile = options.denyfile
        self.numeric = options.nodns
        self.proxies = options.proxy_protocol_from

    @property
    def any(self) -> bool:
        return any(rules is not None for rules in (self.allow, self.allowfile, self.deny, self.denyfile))


class Serving(Record):
    """How a listener accepts clients. `backlog` None: the default of the mode; `max_conns` None: that of the work.

    `told`: a proxy tells first who the client is (--proxy-protocol).
    """

    __slots__ = ("backlog", "keep_open", "listen", "loop", "max_conns", "port_file", "told", "workers")

    def __init__(self, options: Options) -> None:
        self.backlog = options.backlog
        self.keep_open = options.keep_open
        self.listen = options.listen
        self.loop = options.loop
        self.max_conns = options.max_conns
        self.port_file = options.port_file
        self.told = options.proxy_protocol
        self.workers = options.workers


class Via(Record):
    """What a connection of ours begins with, before any data: a PROXY header of version `header`, or None."""

    __slots__ = ("header",)

    def __init__(self, options: Options) -> None:
        self.header = options.send_proxy


class Work(Record):
    """What we do with a connection instead of relaying it to our input and output.

    Attributes:
        service: the name of a built-in service that needs no files.
        root: the directory of --http.
        upload: whether clients may send files.
        max_upload: the most bytes of such a file; None: as many as leave 5 % of the file system free.
    """

    __slots__ = ("auth", "exec", "max_upload", "overwrite", "root", "service", "sh_exec", "upload")

    def __init__(self, options: Options) -> None:
        self.exec = options.exec
        self.sh_exec = options.sh_exec
        self.service = next((name for name in SERVICES if getattr(options, name)), None)
        self.root = options.http_root or ("." if options.http else None)
        self.auth = options.auth
        self.upload = options.http_upload
        self.max_upload = options.max_upload
        self.overwrite = options.overwrite

    @property
    def program(self) -> bool:
        """Whether a program of the user serves the connection."""
        return self.exec is not None or self.sh_exec is not None

    @property
    def answered(self) -> bool:
        """Whether a built-in service answers the connection."""
        return self.service is not None or self.root is not None

    @property
    def private(self) -> bool:
        """Whether to listen on the loopback only by default, because programs and files are private."""
        return self.program or self.root is not None


class Probing(Record):
    """The settings of -z, --wait and --retry."""

    __slots__ = ("banner", "interval", "parallel", "retry", "until_closed", "wait", "zero")

    def __init__(self, options: Options) -> None:
        self.banner = options.banner
        self.interval = options.interval
        self.parallel = options.parallel
        self.retry = options.retry
        self.until_closed = options.until_closed
        self.wait = options.wait
        self.zero = options.zero


class View(Record):
    """What to show of a run, and of the ports of the machine."""

    __slots__ = ("all", "json", "name", "pid", "ports", "progress", "size", "verbose", "watch")

    def __init__(self, options: Options) -> None:
        self.all = options.all
        self.json = options.json
        self.name = options.name
        self.pid = options.pid
        self.ports = options.ports
        self.progress = options.progress
        self.size = options.size
        self.verbose = options.verbose
        self.watch = options.watch


RECORDS: dict[str, Callable[[Options], Any]] = {
    "access": Access, "ends": Ends, "limits": Limits, "names": Names, "operands": Operands, "pipeline": Pipeline,
    "probing": Probing, "serving": Serving, "sockets": SocketSettings, "via": Via, "view": View,
    "work": Work,
}  # fmt: skip


class Plan:
    """The records of a run. Each is made when it is first used, because no mode needs them all."""

    access: Access
    ends: Ends
    limits: Limits
    names: Names
    operands: Operands
    pipeline: Pipeline
    probing: Probing
    serving: Serving
    sockets: SocketSettings
    via: Via
    view: View
    work: Work

    def __init__(self, options: Options) -> None:
        self._options = options

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            record = RECORDS[name](self._options)
            setattr(self, name, record)
            return record

    def changed(self, **records: Any) -> Plan:
        """A copy of the plan with these records replaced."""
        plan = Plan(self._options)
        plan.__dict__.update({**self.__dict__, **records})
        return plan

    @property
    def seen(self) -> bool:
        """Whether the bytes must pass through our hands, so that a program may not have the socket itself."""
        return self.pipeline.any or self.ends.any or self.limits.idle is not None or self.view.progress

    @property
    def borders(self) -> bool:
        """Whether it matters where a datagram ends."""
        return self.pipeline.borders or self.pipeline.by_peer or self.ends.read_limit is not None
