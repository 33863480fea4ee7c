"""The table: every option of pync, declared once.

A row holds name, letter, kind of value, group, help, and the options that it needs and excludes. The quick
parser, the typer command, `--help`, the man page, the completions and the README are made from it.
This file only declares options; `plan` says what they mean. It imports nothing outside its floor.
"""

from __future__ import annotations

from pync.values import (
    parse_count,
    parse_hops,
    parse_keepalive,
    parse_loop,
    parse_proxy_version,
    parse_signed_time,
    parse_size,
    parse_text,
    parse_time,
    parse_tos,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MODE, ADDRESS, END, TIME, DATA, SOCKET, LISTEN, RUN, SERVICE, HTTP, PROBE, SEE = GROUPS = (
    "Mode",
    "Address",
    "End of data",
    "Time",
    "Data",
    "Socket",
    "Listen",
    "Run",
    "Service",
    "Http",
    "Probe",
    "See",
)


class Kind:
    """A kind of value: its parser, its placeholder in the help, and whether it names a file.

    The values of a kind that `repeats` are collected in a tuple; of any other kind the last value counts.
    """

    __slots__ = ("metavar", "names_file", "parse", "repeats")

    def __init__(
        self, metavar: str, parse: Callable[[str], Any] | None, names_file: bool = False, repeats: bool = False
    ) -> None:
        self.metavar = metavar
        self.parse = parse
        self.names_file = names_file
        self.repeats = repeats


FLAG = Kind("", None)  # given or not
COUNTED = Kind("", None)  # how many times given
ACTION = Kind("", None)  # answered at once by the command itself: --help, --version
TIME_VALUE = Kind("TIME", parse_time)
SIGNED_TIME = Kind("TIME", parse_signed_time)
SIZE = Kind("SIZE", parse_size)
COUNT = Kind("N", parse_count)
HOPS = Kind("N", parse_hops)
TOS = Kind("WORD", parse_tos)
KEEPALIVE = Kind("TIMES", parse_keepalive)
ADDR = Kind("ADDR", parse_text)
PORT = Kind("PORT", parse_text)
NAME = Kind("NAME", parse_text)
FILE = Kind("FILE", parse_text, names_file=True)
DIRECTORY = Kind("DIR", parse_text, names_file=True)
RULES = Kind("RULES", parse_text, repeats=True)
RULES_FILE = Kind("FILE", parse_text, names_file=True, repeats=True)
LOOP = Kind("LOOP", parse_loop)
PROXY_VERSION = Kind("VERSION", parse_proxy_version)
COMMAND = Kind("CMD", parse_text)
TEXT = Kind("TEXT", parse_text)
PID = Kind("PID", parse_count)

#: Services: what a listener does with a client instead of relaying. At most one may be given.
BUILT_IN = ("echo", "hello", "discard", "chargen", "daytime", "time", "upper", "http", "http_root")
PROGRAMS = ("exec", "sh_exec")


class Opt:
    """One row. `short` is a letter without its dash, `aliases` further long names without dashes.

    `needs` lists alternatives: one of them must be given too. `implies` lists flags that are set with it.
    `excludes` lists what may not be given with it. `common`: its few words on the first screen of --help, for
    the options that most people use. `nc` and `ncat` hold the letters that those programs give the same meaning, where
    they differ from `short`.
    """

    __slots__ = (
        "aliases",
        "attribute",
        "common",
        "detail",
        "excludes",
        "group",
        "help",
        "implies",
        "kind",
        "name",
        "nc",
        "ncat",
        "needs",
        "short",
    )

    def __init__(
        self,
        short: str,
        help: str,
        *,
        group: str,
        kind: Kind = FLAG,
        detail: str = "",
        needs: tuple[str, ...] = (),
        implies: tuple[str, ...] = (),
        excludes: tuple[str, ...] = (),
        aliases: tuple[str, ...] = (),
        common: str = "",
        nc: str | None = None,
        ncat: str | None = None,
    ) -> None:
        self.name = self.attribute = ""
        self.short = short
        self.help = help
        self.group = group
        self.kind = kind
        self.detail = detail
        self.needs = needs
        self.implies = implies
        self.excludes = excludes
        self.aliases = aliases
        self.common = common
        self.nc = short if nc is None else nc
        self.ncat = short if ncat is None else ncat

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = attribute.replace("_", "-")
        self.excludes = tuple(other for other in self.excludes if other != attribute)  # a list may hold its own row

    @property
    def takes_value(self) -> bool:
        return self.kind.parse is not None

    @property
    def default(self) -> Any:
        if self.kind is FLAG:
            return False
        return 0 if self.kind is COUNTED else None

    def spellings(self) -> list[str]:
        """All ways to write it, the letter first: ["-l", "--listen"]."""
        letter = [f"-{self.short}"] if self.short else []
        return letter + [f"--{name}" for name in (self.name, *self.aliases)]


def row(short: str, help: str, **columns: Any) -> Any:
    """A row of the table. Its type is Any, because the attribute has the type of the option's value."""
    return Opt(short, help, **columns)


def service(help: str, **columns: Any) -> Any:
    """The row of a built-in service that speaks TCP and UDP."""
    return row("", help, group=SERVICE, needs=("listen",), excludes=(*BUILT_IN, *PROGRAMS), **columns)


class Options:
    """What the user typed: an attribute for each row, and the operand words.

    The class body below is the table; an instance starts with every row's default.
    """

    # --- Mode
    listen: bool = row("l", "wait for a connection instead of making one", group=MODE, common="wait for clients")
    keep_open: bool = row(
        "k",
        "with -l: serve many connections at the same time; else it changes nothing",
        group=MODE,
        detail="Without -k a listener serves one connection and exits. With -k every client's bytes go to standard "
        "output, and standard input is copied to every client.",
        common="with -l: many clients",
    )
    udp: bool = row("u", "datagrams instead of a stream", group=MODE, common="datagrams")
    unix: bool = row(
        "U",
        "unix-domain socket: the operand is a path, @name an abstract one",
        group=MODE,
        aliases=("unixsock",),
        excludes=(
            "ipv4", "ipv6", "source_port", "random_ports", "broadcast", "tos", "ttl", "min_ttl",
            "interface", "keepalive", "keepalive_times", "port_file",
        ),
        detail="With -u the socket is a datagram socket. A stale path is replaced, a path in use is an error, "
        "and a listener removes its path when it ends.",
        common="unix socket at PATH",
    )  # fmt: skip
    zero: bool = row(
        "z",
        "probe ports, exchange no data; 0 when a port is open",
        group=MODE,
        excludes=("listen",),
        detail="Ports, ranges and lists are probed at the same time, over every address of the host, each for 3 "
        "seconds at most or the time of -w. Open ports are named in their order, with -v the others too. "
        "HOST may be a list, and a block such as `192.0.2.0/24`; with -U a path is open when a connect succeeds. "
        "With -u a port is open when a datagram comes back, closed when the host says so, and may be either "
        "when it is silent: then the exit code is 4.",
        common="is a port open?",
    )
    ports: bool = row(
        "",
        "show this machine's bound ports; 1 when none of those asked for is bound",
        group=MODE,
        excludes=("listen", "zero"),
        detail="Each port is shown with its owners and the number of its connections. Operands are port numbers, "
        "names and ranges to show; further filters are -4, -6, -u, -U, --pid and --name. With -v the peers of each "
        "port are shown too.",
        common="who holds which port",
    )
    # --- Address
    ipv4: bool = row("4", "IPv4 only", group=ADDRESS, excludes=("ipv6",), common="IPv4 only")
    ipv6: bool = row("6", "IPv6 only", group=ADDRESS, excludes=("ipv4",), common="IPv6 only")
    nodns: bool = row("n", "numeric addresses and ports only, no look-up", group=ADDRESS)
    source: str | None = row(
        "s", "local address; with -l the address to bind, with -U the local path", group=ADDRESS, kind=ADDR
    )
    source_port: str | None = row("p", "local port; with -l the port to listen on", group=ADDRESS, kind=PORT)
    random_ports: bool = row(
        "r", "take the ports of a range in random order", group=ADDRESS, excludes=("listen",), ncat=""
    )
    broadcast: bool = row("b", "allow sending to a broadcast address", group=ADDRESS, needs=("udp",), ncat="")
    send_proxy: int | None = row(
        "",
        "begin with a PROXY header of version 1 or 2, which tells our address",
        group=ADDRESS,
        kind=PROXY_VERSION,
        excludes=("listen", "udp", "zero", "until_closed"),
        detail="For servers that expect one: HAProxy with accept-proxy, nginx with proxy_protocol, pync with "
        "--proxy-protocol.",
    )
    # --- End of data
    shutdown: bool = row(
        "N",
        "half-close as soon as our input ends (by default: nearly always)",
        group=END,
        excludes=("no_shutdown",),
        ncat="",
        detail="By default our side stays open until an HTTP/1 request is answered, and in a listener with an "
        "empty input, until the peer has ended. With -d or --recv-only it is closed at the start.",
    )
    no_shutdown: bool = row("", "never half-close; leave on the peer's end of data, or by -q", group=END)
    quit_after: float | None = row(
        "q",
        "leave TIME after our input ended; negative: wait for ever",
        group=END,
        kind=SIGNED_TIME,
        detail="Over TCP and unix streams the default is to wait until the peer ends too. With UDP the TIME is one "
        "of silence and defaults to that of -w, or to 1 second. When the peer has ended but our input is "
        "silent, TIME of that silence ends the session as well.",
        common="leave after our end",
    )
    no_stdin: bool = row(
        "d", "do not read standard input", group=END, excludes=("send_only",), ncat="", common="do not read stdin"
    )
    send_only: bool = row("", "send only: what arrives is thrown away", group=END, excludes=("recv_only",))
    recv_only: bool = row("", "receive only: standard input is not read", group=END, excludes=("send_only",))
    recv_limit: int | None = row(
        "W", "leave after N received packets (UDP) or reads (TCP)", group=END, kind=COUNT, ncat=""
    )
    # --- Time
    timeout: float | None = row(
        "w",
        "limit for the look-up, for connecting to each address, and for silence later",
        group=TIME,
        kind=TIME_VALUE,
        ncat="",
        detail="Short for --connect-timeout and --idle-timeout together; either of them overrules it.",
        common="time limits",
    )
    connect_timeout: float | None = row(
        "",
        "limit for the look-up, and for connecting to each address",
        group=TIME,
        kind=TIME_VALUE,
        excludes=("listen",),
        ncat="w",
    )
    idle_timeout: float | None = row(
        "", "end with exit code 3 after TIME without a byte either way", group=TIME, kind=TIME_VALUE, ncat="i"
    )
    total_timeout: float | None = row(
        "",
        "end with exit code 3 after TIME in all",
        group=TIME,
        kind=TIME_VALUE,
        detail="With -z, the ports that have not answered by then count as timed out.",
    )
    interval: float | None = row(
        "i", "pause TIME between lines sent, and between ports", group=TIME, kind=TIME_VALUE, ncat=""
    )
    delay: float | None = row("", "pause TIME between reads and writes", group=TIME, kind=TIME_VALUE, ncat="d")
    rate: int | None = row(
        "", "at most SIZE bytes a second, each direction", group=TIME, kind=SIZE, common="bytes a second"
    )
    # --- Data
    crlf: bool = row("C", "send LF as CRLF; CRLF stays CRLF", group=DATA, common="send LF as CRLF")
    telnet: bool = row(
        "t", "refuse telnet options; remove telnet commands from the output", group=DATA, excludes=("udp",)
    )
    lines: bool = row(
        "",
        "UDP: a line of input is a datagram; with -l -k: clients' lines are kept whole",
        group=DATA,
        needs=("udp", "keep_open"),
        detail="A client's last line, and each datagram that a listener receives, gets its newline in the output where "
        "it has none; what -o, --hex-dump and --hash see stays as it came.",
    )
    datagram_size: int | None = row(
        "",
        "UDP: cut input into datagrams of at most SIZE bytes",
        group=DATA,
        kind=SIZE,
        needs=("udp",),
        detail="The default is a datagram for each read, at most 65507 bytes.",
    )
    output: str | None = row(
        "o",
        "write the session's bytes, both directions, to FILE",
        group=DATA,
        kind=FILE,
        nc="",
        common="keep the bytes",
    )
    hex_dump: str | None = row(
        "",
        "write the session to FILE as hex, with direction, offset and text",
        group=DATA,
        kind=FILE,
        nc="",
        ncat="x",
    )
    append_output: bool = row("", "append to the files of -o and --hex-dump", group=DATA, needs=("output", "hex_dump"))
    stamp: bool = row(
        "",
        "begin each line of the output and of the logs with the time and the client",
        group=DATA,
        excludes=("exec", "sh_exec"),
        detail="As in `2026-07-01T12:00:00.123+02:00 127.0.0.1:53412 text`: local time, and the other end; a client "
        "of a unix socket is client-1, client-2 and so on. In the logs, what we sent ourselves has - for the client. "
        "With -l -k the lines of clients are kept whole; with -u each datagram begins a line. Digests are those of the "
        "bytes without it.",
    )
    prefix: bool = row(
        "",
        "the same with the client only",
        group=DATA,
        excludes=("exec", "sh_exec"),
    )
    output_dir: str | None = row(
        "",
        "write what each client sends to a file of its own in DIR, not to stdout",
        group=DATA,
        kind=DIRECTORY,
        needs=("listen",),
        excludes=("exec", "sh_exec", "send_only"),
        detail="The files are called ADDRESS-PORT, as in `192.0.2.7-53412` (an IPv6 address has _ for its colons), "
        "and have a number behind that where the name is taken: no file is ever written over. A file is made when a "
        "client's first byte comes. When DIR holds 100000 files, new clients get none.",
    )
    hash: str | None = row(
        "",
        "print the digest of what went each way at the end, such as sha256",
        group=DATA,
        kind=NAME,
        detail="Any name that Python's hashlib knows and that has a fixed length. A direction without a byte has no "
        "line. Where a file holds exactly the bytes of a direction (standard input or output, or --output), the line "
        "is one that sha256sum(1) -c and its like check.",
        common="digests at the end",
    )
    # --- Socket
    recv_buffer: int | None = row("I", "receive buffer of the socket", group=SOCKET, kind=SIZE, ncat="")
    send_buffer: int | None = row("O", "send buffer of the socket", group=SOCKET, kind=SIZE, ncat="")
    tos: int | None = row(
        "T", "type of service: lowdelay, ef, af21, cs3, ... or 0x00 to 0xff", group=SOCKET, kind=TOS, ncat=""
    )
    ttl: int | None = row("M", "TTL or hop limit of what we send", group=SOCKET, kind=HOPS, ncat="")
    min_ttl: int | None = row("m", "drop packets that arrive with a lower TTL", group=SOCKET, kind=HOPS, ncat="")
    debug_socket: bool = row("D", "set SO_DEBUG", group=SOCKET, ncat="")
    keepalive: bool = row("", "let the system check that a silent peer still lives", group=SOCKET, excludes=("udp",))
    keepalive_times: tuple[float, ...] | None = row(
        "",
        "the same, with its times: IDLE[,INTERVAL[,COUNT]]",
        group=SOCKET,
        kind=KEEPALIVE,
        excludes=("udp",),
    )
    interface: str | None = row("", "use only the network interface NAME", group=SOCKET, kind=NAME)
    # --- Listen
    port_file: str | None = row(
        "",
        "write the bound port to FILE before accepting",
        group=LISTEN,
        kind=FILE,
        needs=("listen",),
        detail="The file appears complete or not at all. With port 0 this is how a script learns the number.",
    )
    max_conns: int | None = row(
        "",
        "serve at most N clients at once; one more is closed at once",
        group=LISTEN,
        kind=COUNT,
        needs=("keep_open",),
        ncat="m",
        detail="The default is 100 with -e and -c, and otherwise what the limit of open files allows.",
    )
    allow: tuple[str, ...] | None = row(
        "",
        "serve only clients that match: addresses, networks, ranges, names",
        group=LISTEN,
        kind=RULES,
        needs=("listen",),
        excludes=("unix",),
        detail="RULES are separated by commas: `192.0.2.7`, `192.0.2.0/24`, `192.0.2.7-192.0.2.20`, `2001:db8::/32`, "
        "`192.0.2.7-20`, `192.0.*.*`, `host.example`. Names are looked up once, at the start. An IPv4 address that "
        "arrives mapped into IPv6 counts as IPv4.",
    )
    deny: tuple[str, ...] | None = row(
        "",
        "turn away clients that match, even where --allow lets them in",
        group=LISTEN,
        kind=RULES,
        needs=("listen",),
        excludes=("unix",),
    )
    allowfile: tuple[str, ...] | None = row(
        "",
        "as --allow, from a file: rules on each line, # begins a comment",
        group=LISTEN,
        kind=RULES_FILE,
        needs=("listen",),
        excludes=("unix",),
        detail="An empty file admits no client.",
    )
    denyfile: tuple[str, ...] | None = row(
        "", "as --deny, from a file", group=LISTEN, kind=RULES_FILE, needs=("listen",), excludes=("unix",)
    )
    proxy_protocol: bool = row(
        "",
        "each connection begins with a PROXY header: the address in it is the client's",
        group=LISTEN,
        needs=("listen",),
        excludes=("udp",),
        detail="Versions 1 and 2, as HAProxy's send-proxy and nginx's proxy_protocol send them. The told address "
        "counts for --allow and --deny, in messages, logs and files, and in the environment of programs. A connection "
        "that does not begin with a whole header within 3 seconds is closed.",
    )
    proxy_protocol_from: tuple[str, ...] | None = row(
        "",
        "with --proxy-protocol: accept connections of these proxies only",
        group=LISTEN,
        kind=RULES,
        needs=("proxy_protocol",),
        excludes=("unix",),
        detail="Without it, every peer that can connect can claim any address.",
    )
    backlog: int | None = row(
        "",
        "clients that may queue for being accepted",
        group=LISTEN,
        kind=COUNT,
        needs=("listen",),
        excludes=("udp",),
        detail="The default is 1, and 4096 with -k; the system may cap it.",
    )
    reuse_port: bool = row(
        "", "let other listeners of the same user share the port", group=LISTEN, needs=("listen",), excludes=("unix",)
    )
    workers: int | None = row(
        "",
        "serve with N processes that share the port",
        group=LISTEN,
        kind=COUNT,
        needs=("keep_open",),
        excludes=("unix", "udp", "output", "hex_dump", "hash"),
        detail="With a service or a program. A process that dies is replaced.",
    )
    loop: str | None = row(
        "",
        "event loop of -k and of services: quick, asyncio, or uvloop",
        group=LISTEN,
        kind=LOOP,
        needs=("listen",),
        excludes=("udp",),
        detail="The default is quick, our own. `pip install 'pync-netcat[fast]'` brings uvloop.",
    )
    # --- Run
    exec: str | None = row(
        "e",
        "run CMD for the connection, with it as standard input and output",
        group=RUN,
        kind=COMMAND,
        excludes=("sh_exec", "zero", "ports"),
        nc="",
        detail="CMD is split into words as a shell would, but run without one. Its environment tells of the "
        "connection: `PYNC_REMOTE_ADDR`, `PYNC_REMOTE_PORT`, `PYNC_LOCAL_ADDR`, `PYNC_LOCAL_PORT`, `PYNC_PROTO`, and "
        "the same with `NCAT_`. A listener without a HOST is bound to the loopback then.",
        common="run for each client",
    )
    sh_exec: str | None = row(
        "c",
        "the same, CMD being a line for /bin/sh",
        group=RUN,
        kind=COMMAND,
        excludes=("exec", "zero", "ports"),
        nc="",
        common="a shell's line",
    )
    # --- Service
    echo: bool = service("send back what arrives (RFC 862)", common="send all back")
    hello: bool = service(
        "greet: a line NAME is answered with Hello, NAME!",
        detail="The client gets Welcome! first. A text without a newline counts as a line when nothing "
        "follows for 100 ms; exit closes.",
    )
    discard: bool = service("throw away what arrives (RFC 863)")
    chargen: bool = service("send lines of printable characters (RFC 864)")
    daytime: bool = service("tell date and time as text (RFC 867)")
    time: bool = service("tell the time as the seconds since 1900, four bytes (RFC 868)")
    upper: bool = service("send back the text in capitals")
    http: bool = row(
        "",
        "serve the files of the current directory to browsers",
        group=SERVICE,
        implies=("listen", "keep_open"),
        excludes=("udp", *(name for name in (*BUILT_IN, *PROGRAMS) if not name.startswith("http"))),
        detail="Without a HOST the listener is bound to the loopback, and without a port to 8000 or the next free one. "
        "The URL to open is printed at the start.",
        common="serve files",
    )
    http_root: str | None = row(
        "",
        "the same, with the files of DIR",
        group=SERVICE,
        kind=DIRECTORY,
        implies=("listen", "keep_open"),
        excludes=("udp", *(name for name in (*BUILT_IN, *PROGRAMS) if not name.startswith("http"))),
    )
    # --- Http
    http_upload: bool = row(
        "",
        "let clients of --http send files: a form in the listing, or curl -T FILE",
        group=HTTP,
        needs=("http", "http_root"),
        detail="A file appears when it is whole, and never over another one. `curl -T FILE http://HOST/DIR/` sends one "
        "too. Names that begin with a dot are refused, and so is what a page of another site tells a browser to send. "
        "Everyone who can connect can write: think of --auth.",
    )
    overwrite: bool = row("", "with --http-upload: replace files of the same name", group=HTTP, needs=("http_upload",))
    max_upload: int | None = row(
        "",
        "with --http-upload: take files of at most SIZE bytes",
        group=HTTP,
        kind=SIZE,
        needs=("http_upload",),
        detail="The default is what leaves 5 % of the file system free.",
    )
    auth: str | None = row(
        "",
        "with --http: ask for name and password, USER:PASS",
        group=HTTP,
        kind=TEXT,
        needs=("http", "http_root"),
        detail="HTTP's Basic scheme, which anyone on the network path can read. The environment variable `PYNC_AUTH` "
        "does the same, and hides the password from other users of this machine.",
    )
    # --- Probe
    wait: float | None = row(
        "",
        "keep trying until it answers, or TIME is over",
        group=PROBE,
        kind=TIME_VALUE,
        excludes=("listen",),
        ncat="",
        detail="Refused, unreachable, silent, names not known and paths not there yet are all tried again; "
        "then pync goes on as usual. Input is not touched before. With -z several HOST:PORT words and "
        "paths are all waited for.",
        common="until it answers",
    )
    until_closed: bool = row(
        "", "with --wait: until nothing answers any more; no data is exchanged", group=PROBE, needs=("wait",)
    )
    retry: int | None = row(
        "",
        "connect again up to N times, after 1 s, 2 s, 4 s, ... at most 30 s",
        group=PROBE,
        kind=COUNT,
        excludes=("listen", "zero", "udp", "wait"),
        detail="Only the connecting: a session that broke is never begun anew.",
    )
    parallel: int | None = row(
        "", "with -z: ports probed at once, 256 unless said otherwise", group=PROBE, kind=COUNT, needs=("zero",)
    )
    banner: bool = row(
        "",
        "with -z: show what a service says, asked or not",
        group=PROBE,
        needs=("zero",),
        excludes=("udp",),
        detail="The first line of its greeting. A service that is silent for 300 ms is asked for its HTTP head, and "
        "where it does not answer, as Redis and memcached are, each over a fresh connection. Of HTTP the status line "
        "and the name of the server are shown. Ports 9100 to 9107 are not asked, because printers print what comes.",
        common="what a port says",
    )
    # --- See
    watch: float | None = row(
        "",
        "with --ports: show them again every TIME, at most once a second",
        group=SEE,
        kind=TIME_VALUE,
        needs=("ports",),
    )
    all: bool = row(
        "",
        "with --ports: also what holds a port without listening on it",
        group=SEE,
        needs=("ports",),
        detail="TCP sockets that are only bound, connected UDP sockets, and connections that were made from here or "
        "have lost their listener. Operands show these for their ports; --all shows them for all ports.",
    )
    pid: int | None = row("", "with --ports: only what this process owns", group=SEE, kind=PID, needs=("ports",))
    name: str | None = row(
        "", "with --ports: only where the program's name contains TEXT", group=SEE, kind=TEXT, needs=("ports",)
    )
    progress: bool = row(
        "",
        "show how far the transfer is: bytes, rate, time, on stderr",
        group=SEE,
        excludes=("zero", "ports", "keep_open"),
        detail="With percentage and time left where the size is known. On a terminal a bar, "
        "else a line every 5 seconds.",
        common="show how far it is",
    )
    size: int | None = row(
        "",
        "with --progress: how many bytes will be sent; received, where nothing is",
        group=SEE,
        kind=SIZE,
        needs=("progress",),
    )
    json: bool = row(
        "",
        "results as JSON: -z and --ports on stdout, messages and a summary on stderr",
        group=SEE,
        common="results for programs",
    )
    verbose: int = row("v", "say on stderr what happens", group=SEE, kind=COUNTED, common="say what happens")
    version: bool = row("", "show the version and exit", group=SEE, kind=ACTION)
    help: bool = row("h", "show the most used options, all of a group, or all", group=SEE, kind=ACTION)

    words: list[str]

    def __init__(self, words: list[str] | None = None, **given: Any) -> None:
        self.__dict__.update(DEFAULTS)
        self.__dict__.update(given)
        self.words = [] if words is None else words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # it changes while it is parsed

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self.__dict__.items() if value != DEFAULTS.get(name)]
        return f"Options({', '.join(given)})"


#: The rows in the order of declaration, which is the order of the documentation.
TABLE: tuple[Opt, ...] = tuple(value for value in vars(Options).values() if isinstance(value, Opt))
ROWS: dict[str, Opt] = {opt.attribute: opt for opt in TABLE}
DEFAULTS: dict[str, Any] = {opt.attribute: opt.default for opt in TABLE if opt.kind is not ACTION}


def given(options: Options) -> Iterator[Opt]:
    """The rows that differ from their default, because the command line has set them."""
    values = vars(options)
    return (ROWS[name] for name, default in DEFAULTS.items() if values[name] != default)


def imply(options: Options) -> None:
    """Set the flags of the `implies` column."""
    for opt in list(given(options)):
        for name in opt.implies:
            setattr(options, name, True)
