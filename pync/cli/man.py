"""The man page pync(1), in mdoc(7): prose from here, options and exit codes from their tables.

The prose is plain text; `prose()` turns every option, every placeholder such as FILE and every
`literal` in it into the macro for it, and is the only place that escapes anything. An option that is
not in the table cannot be spoken of: that is an error, not a typing mistake in the page.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from pync.cli.complete import rivals
from pync.errors import EXIT_CODES
from pync.options import GROUPS, ROWS, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pync.options import Opt

#: The day the prose below was last revised; change it with the prose. mdoc wants a date.
REVISED = "November 20, 2026"

WIDTH = 78
SPELLINGS = {spelling for opt in TABLE for spelling in opt.spellings()}
PLACEHOLDERS = {"HOST", "PATH", "PORT"} | {opt.kind.metavar for opt in TABLE if opt.takes_value}

#: A paragraph, or a list of (what, what about it).
Block = str | list[tuple[str, str]]

MODES: list[Block] = [
    "pync joins its standard input and output to a network connection. "
    "What it reads from standard input it sends; what it receives it writes to standard output. "
    "It ends when both directions are done, and its exit status tells whether everything went across. "
    "There are two ways to get a connection, and three kinds of it.",
    [
        (
            "Connecting",
            "Without -l, pync connects to PORT at HOST. "
            "All addresses of HOST are tried, IPv6 and IPv4 in turn, a quarter of a second apart or as soon as the "
            "one before has failed; the first one that answers is taken. "
            "When none does, each is named with its own error. "
            "Several ports are connected to one after another, and one that cannot be reached does not count when "
            "another one could.",
        ),
        (
            "Listening",
            "With -l, pync waits for a connection to PORT. "
            "Without HOST it listens on every address of the machine, IPv4 and IPv6; with a name, on every "
            "address of that name. "
            "With port 0 the system picks a number, the same for both families, and pync prints it on standard error. "
            "One connection is served, or with -k many at the same time.",
        ),
        (
            "Many clients",
            "With -l and -k, what any client sends goes to standard output, and standard input is copied to every "
            "client; it is not read before there is one. "
            "A client that takes nothing is waited for 1 second once 4 MiB are waiting for it, and then dropped "
            "with a message; one that takes little by little slows our input down for all. "
            "On a terminal, and with --lines, every client's lines are kept whole. "
            "When there are no descriptors left, clients wait in the queue until others leave.",
        ),
        (
            "Services",
            "With -l and one of the options of that group, pync answers itself, without a child process. "
            "Over TCP one client is served, or with -k many; with -u every datagram is answered until pync is "
            "stopped. "
            "A datagram from a port below 1024, from the number that is served, or to a group of hosts gets no "
            "answer: two services would never stop answering each other.",
        ),
        (
            "Files for browsers",
            "With --http or --http-root, pync serves the files of a directory: pages, images, listings, parts of "
            "files. "
            "Nothing outside of it can be reached, not by a symbolic link either. "
            "A directory without an `index.html` is listed; the listing of the topmost one also tells who is "
            "connected.",
        ),
        (
            "Programs",
            "With -e or -c, a program is run for the connection, accepted or made, which is its standard input and "
            "output. "
            "It has a process group of its own, which is ended when the client goes; when the program exits, the "
            "connection is closed. "
            "Without -k its exit status is that of pync, 128 and the signal's number if one ended it. "
            "With -u a listener runs a program for each peer, a datagram being one read and a write one datagram, "
            "and serves until it is stopped; a peer that is silent for 60 seconds, or the time of -w, has left. "
            "Where bytes must be seen, as with -o or -w, the program gets pipes in place of the socket.",
        ),
        (
            "Bound ports",
            "With --ports, pync shows what is bound on this machine: protocol, address, port, service, who owns "
            "it, and how many connections there are in which state. "
            "`-` stands for what is not known, as the owner is without the rights to see it. "
            "With -U the operands are paths. "
            "The exit status is 1 when ports, --pid or --name were asked for and nothing bound was found; -v says so. "
            "On a terminal there is a table, in a pipe there are lines with tabs. "
            "With --watch the table stays on the screen: `+` in front of a row means new, `*` changed, `-` gone, and "
            "`q` leaves; a TIME under a second counts as one.",
        ),
        (
            "Progress",
            "With --progress, bytes, rate and time are shown on standard error, on a terminal from half a second on, "
            "in a file or pipe every 5 seconds and at the end. "
            "How much is left is told when the input is a file, or --size says how much there will be.",
        ),
        (
            "Datagrams",
            "With -u there is no connection: each read of standard input is sent as a datagram. "
            "A listener takes datagrams from everyone and sends its standard input to whoever wrote last.",
        ),
        (
            "Unix-domain sockets",
            "With -U, the one operand is a PATH in the file system, or `@name` for an abstract socket on Linux. "
            "With -u as well the socket is a datagram socket.",
        ),
        (
            "Probing",
            "With -z nothing is exchanged: pync says which of the ports are open, many of them probed at the same "
            "time, each within its 3 seconds or the time of -w. "
            "A connect tells open, refused, silent and unreachable apart. "
            "With -u a port is sent a question that its service answers (DNS, NTP, SNMP, echo) or an empty datagram: "
            "it is open when something comes back and closed when the host says so; silence may be either.",
        ),
        (
            "Waiting",
            "With --wait, pync tries again until the port answers, and goes on as if it had answered at once; "
            "its input is not touched before. "
            "With -z it waits for every port of every HOST:PORT.",
        ),
    ],
    "The operands and values are written like this. "
    "Options may stand before, between and behind the operands; `--` ends them.",
    [
        (
            "HOST",
            "A name, an IPv4 address or an IPv6 address, as in `example.com`, `192.0.2.1`, `2001:db8::1` or "
            "`fe80::1%eth0`; brackets around it are allowed.",
        ),
        (
            "PORT",
            "A number from 0 to 65535, the name of a service, a range such as `20-30`, or a list such as "
            "`22,80,443`. "
            "Several words add up; with -l there is only one port. "
            "HOST and PORT may also be one word, `example.com:80` or `[2001:db8::1]:80`.",
        ),
        (
            "TIME",
            "Seconds, as in `5` or `2.5`, or with a unit: `500ms`, `5s`, `1m`, `1h`.",
        ),
        (
            "SIZE",
            "Bytes, as in `4096`, or in powers of 1024: `64k`, `1M`, `1G`, `1T`.",
        ),
    ],
]

OPTIONS: list[Block] = [
    "A value may be the next word or stand in the same one: `-o FILE`, `-oFILE`, `--output FILE`, `--output=FILE`. "
    "Letters may be joined, as in `-lvp`.",
]

END_OF_DATA: list[Block] = [
    "A connection has two directions, and each ends on its own.",
    [
        (
            "Our input ends (TCP and unix streams)",
            "What was read is sent to the last byte, then our side of the connection is closed, which tells the peer "
            "that no more will come. "
            "pync reads on until the peer has ended too, and exits. "
            "-q bounds that wait; with --no-shutdown our side stays open.",
        ),
        ("The peer ends after our input did", "Everything received is written out, and pync exits."),
        ("The peer ends while our input is a terminal", "The same: nobody has to press Ctrl-D for it."),
        (
            "The peer ends while our input is a pipe or a file with more to come",
            "pync goes on sending until the input ends or the peer refuses it. "
            "A pipe that is silent cannot be told from one that is slow: -q says how long to wait for it.",
        ),
        (
            "With -l, our input ends before its first byte",
            "A listener that was started with nothing to say, as from `/dev/null`, cron or systemd, does not "
            "close its side until the peer has ended.",
        ),
        (
            "Standard input is closed, unreadable or a terminal in whose background pync runs",
            "The same as with -d.",
        ),
        (
            "With -l and -k, our input ends",
            "The clients that are there are told so and go on sending; those that come later are not.",
        ),
        (
            "With -l and -k, a client ends",
            "It gets what is still copied from our input, unless that has ended or is a terminal. "
            "The system finds out within two minutes when it is not there any more.",
        ),
        ("Whoever reads our standard output leaves", "The connection is closed and pync exits quietly."),
        ("The connection breaks", "pync says so and exits with status 1."),
        (
            "Our input ends (datagrams)",
            "Nothing can be closed, so pync goes on receiving until there was silence for as long as -q says, or -w, "
            "or 1 second. "
            "When the input is a terminal it waits for ever. "
            "An empty datagram is data, not an end.",
        ),
        ("SIGINT (Ctrl-C) or SIGTERM", "Everything is closed in order; the exit status is 130 or 143."),
        (
            "SIGUSR1",
            "A listener goes on, and tells on standard error where it listens, how many connections there are, were "
            "at most and in all, how many were refused, and how much was sent and received. "
            "With -v or --json it tells that at its end too.",
        ),
    ],
]

JSON: list[Block] = [
    "With --json, results are JSON objects, a line each. "
    "Keys may be added, but those that are here stay. "
    "With -z each port is an object on standard output.",
    [
        ("`host`", "The host as it was written."),
        ("`address`", "The numeric address that decided the state."),
        ("`port`, `protocol`, `service`", "The number, `tcp` or `udp`, and the name of the service or null."),
        ("`state`", "`open`, `refused`, `timed out`, `unreachable`, or for datagrams `no answer`."),
        ("`errors`", "For each address that did not answer, why."),
        ("`banner`", "With --banner, the first line the service sent, control characters escaped; else null."),
    ],
    "With --ports there is one object on standard output, with --watch one for each look. "
    "`partial` in it is true when the owner of some port could not be seen, and `ports` is a list of objects.",
    [
        ("`protocol`", "`tcp`, `udp`, `unix`, `unix-dgram` or `unix-seqpacket`."),
        ("`address`, `port`", "The numeric local address and the number; the path and null of a unix-domain socket."),
        ("`bound`", "False where nobody listens any more and only connections are left."),
        ("`dual_stack`", "Whether an IPv6 socket takes IPv4 too; null where the system does not tell."),
        ("`service`", "The name of the port, or null."),
        (
            "`owners`",
            "A list of the processes that hold the socket, each with `pid`, `program` and `user`; the last two are "
            "null where they could not be read.",
        ),
        (
            "`connections`",
            "How many there are in the states `established`, `syn_recv`, `close_wait`, `fin_wait`, `time_wait` and "
            "`other`; empty where there is no such thing.",
        ),
        ("`queue`", "The `length` of a listener's queue and its `limit`; null where the system does not tell."),
        ("`peers`", "Only with -v: the other ends, each with `address`, `port` and `state`."),
    ],
    "A session writes an object `summary` on standard error at its end.",
    [
        (
            "`peer`, `connections`",
            "The last peer, with `name`, `address` and `port`, null where it has none; and how many there were.",
        ),
        ("`sent`, `received`, `seconds`, `rate`", "Bytes each way, for how long, and bytes a second."),
        ("`hash`", "With --hash, `name` and the digests of what was `sent` and `received`; else null."),
        ("`error`, `exit`", "The last failure or null, and the exit status."),
    ],
    "A listener with -k or a service writes an object `listener` on standard error at its end, and when it gets "
    "SIGUSR1.",
    [
        ("`addresses`", "Where it listens, each an address and a port, or a path."),
        (
            "`connections`",
            "How many there are `now`, were there at the same time at `peak` (with --workers at most: the peaks "
            "of all added up), and in `total`.",
        ),
        (
            "`datagrams`",
            "In place of `connections` for a service with -u: how many were `received` and `sent`.",
        ),
        ("`refused`", "How many were turned away by `rule` and by `limit`."),
        (
            "`sent`, `received`, `seconds`",
            "Bytes in all, null where programs hold the connections themselves, and how long it has been listening.",
        ),
    ],
]

#: (What it shows, the lines typed). Every pync in them is parsed by a test.
EXAMPLES: list[tuple[str, str]] = [
    (
        "Send a file to another machine: first the receiver, then the sender. Both exit when it is across.",
        "$ pync -l 10000 > copy.iso\n$ pync host 10000 < original.iso",
    ),
    (
        "Send a directory tree, and see on both sides that the bytes are the same:",
        "$ pync -l 10000 --hash sha256 | tar xf -\n$ tar cf - directory | pync host 10000 --hash sha256",
    ),
    (
        "Ask a web server for a page, or talk to a mail server by hand with the line ends it expects:",
        "$ printf 'GET / HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' host | pync host 80\n$ pync -C mail.example.com smtp",
    ),
    (
        "Try for at most 3 seconds to connect, and leave after 10 seconds of silence:",
        "$ pync --connect-timeout 3 --idle-timeout 10 host 10000",
    ),
    (
        "Exchange datagrams; send one line as a datagram and do not wait for an answer:",
        "$ pync -u -l 10000\n$ echo hello | pync -u -q 0 host 10000",
    ),
    (
        "Use a unix-domain socket: a listener, and a client for a service of the machine:",
        "$ pync -l -U ./socket\n$ printf 'GET /version HTTP/1.0\\r\\n\\r\\n' | pync -U /run/docker.sock",
    ),
    (
        "In a script, let the system pick a port and learn its number from the file, "
        "which appears when clients may come:",
        "pync -l localhost 0 --port-file port > received &\n"
        "until [ -e port ]; do sleep 0.1; done\n"
        'pync localhost "$(cat port)" < data\nwait',
    ),
    (
        "Take what many clients send, such as logs, line by line; show everybody what is typed here:",
        "$ pync -l -k --lines 10000 >> log\n$ pync -l -k 10000",
    ),
    (
        "Have something to talk to: an echo, a greeting, a web server for this directory, for others too:",
        "$ pync -l -k --echo 10000\n$ pync -l -k --hello 10000\n$ pync -l -k --http 0.0.0.0 8000",
    ),
    (
        "Run a program for every client that comes from one network, with two processes to accept them:",
        "$ pync -l -k --allow 192.0.2.0/24 --workers 2 -e sort 10000",
    ),
    (
        "See who listens on a port, in a script: the exit status tells whether anybody does.",
        "$ pync --ports 8080 && echo busy\n$ pync --ports --json | jq .ports",
    ),
    (
        "See which ports of a host are open, and what says its name there:",
        "$ pync -z host 20-1024\n$ pync -z --banner host ssh smtp",
    ),
    (
        "Wait until a database and a queue answer, for half a minute at most; then go on:",
        "$ pync -z --wait 30 db:5432 queue:5672 && ./migrate",
    ),
    (
        "Keep a record of a conversation, with direction, offset and text of every byte:",
        "$ pync --hex-dump session.txt host 10000",
    ),
]

SEE_ALSO = [("nc", 1), ("ncat", 1), ("socat", 1), ("services", 5), ("ip", 7), ("tcp", 7), ("udp", 7), ("unix", 7)]

STANDARDS: list[Block] = [
    "Addresses are raced as RFC 8305 describes (Happy Eyeballs). "
    "What -t does is the least that RFC 854 asks of a host without any telnet options.",
]


def page() -> str:
    """The whole page."""
    lines = [
        '.\\" Made by `python -m pync.cli.generate` from pync/options.py and pync/cli/man.py: do not edit.',
        f".Dd {REVISED}",
        ".Dt PYNC 1",
        ".Os",
        *[".Sh NAME", ".Nm pync", ".Nd join standard input and output to a TCP, UDP or unix-domain socket"],
        *[".Sh SYNOPSIS", *SYNOPSIS],
        *[".Sh DESCRIPTION", *_blocks(MODES)],
        *[".Sh OPTIONS", *_options()],
        *[".Sh END OF DATA", *_blocks(END_OF_DATA)],
        *[".Sh JSON", *_blocks(JSON)],
        *[".Sh EXIT STATUS", *_exit_status()],
        *[".Sh EXAMPLES", *_examples()],
        *[".Sh SEE ALSO", *_see_also()],
        *[".Sh STANDARDS", *_blocks(STANDARDS)],
    ]
    return "\n".join(lines) + "\n"


SYNOPSIS = [
    *[".Nm", ".Op Ar options", ".Ar HOST", ".Ar PORT ..."],
    *[".Nm", ".Fl l", ".Op Ar options", ".Op Ar HOST", ".Ar PORT"],
    *[".Nm", ".Fl U", ".Op Fl l", ".Op Ar options", ".Ar PATH"],
    *[".Nm", ".Fl \\-ports", ".Op Ar options", ".Op Ar PORT ..."],
]


def _options() -> list[str]:
    lines = _blocks(OPTIONS)
    for group in GROUPS:
        rows = [opt for opt in TABLE if opt.group == group]
        lines += [f".Ss {group}", *_list(([_head(opt)], _about(opt)) for opt in rows)]
    return lines


def _head(opt: Opt) -> str:
    """`.It Fl q , Fl \\-quit\\-after Ar TIME`."""
    flags = ".It " + " , ".join(_flag(spelling) for spelling in opt.spellings())
    return f"{flags} Ar {opt.kind.metavar}" if opt.takes_value else flags


def _about(opt: Opt) -> str:
    """The sentences about an option: help, detail, and how it goes with others."""
    sentences = [opt.help[:1].upper() + opt.help[1:] + ".", opt.detail]
    if opt.needs:
        sentences.append(f"Needs {_any_of(ROWS[need] for need in opt.needs)}.")
    if rivals(opt):
        sentences.append(f"Does not go with {_any_of(rivals(opt))}.")
    return " ".join(filter(None, sentences))


def _any_of(opts: Iterable[Opt]) -> str:
    *others, last = [opt.spellings()[0] for opt in opts]
    return f"{', '.join(others)} or {last}" if others else last


def _exit_status() -> list[str]:
    return _list((_item(str(code)), f"{text[:1].upper()}{text[1:]}.") for code, text in EXIT_CODES.items())


def _examples() -> list[str]:
    lines: list[str] = []
    for text, typed in EXAMPLES:
        lines += [*([".Pp"] if lines else []), *prose(text), ".Bd -literal -offset indent"]
        lines += [_guarded(_literal(line)) for line in typed.splitlines()]
        lines.append(".Ed")
    return lines


def _see_also() -> list[str]:
    return [f".Xr {name} {section} ," for name, section in SEE_ALSO[:-1]] + [".Xr {} {}".format(*SEE_ALSO[-1])]


def _blocks(blocks: list[Block]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, str):
            lines += [*([".Pp"] if lines else []), *prose(block)]
        else:
            lines += _list((_item(tag), text) for tag, text in block)
    return lines


def _item(tag: str) -> list[str]:
    """The head of a list's item; `Xo` keeps its words from being taken for macros."""
    lines = prose(tag)
    if len(lines) == 1 and lines[0].startswith("."):
        return [f".It {lines[0][1:]}"]
    return [".It Xo", *lines, ".Xc"]


def _list(items: Iterable[tuple[list[str], str]]) -> list[str]:
    lines = [".Bl -tag -width Ds"]
    for head, text in items:
        lines += [*head, *prose(text)]
    return [*lines, ".El"]


# --- from plain text to mdoc

#: A sentence ends between a word and the next one like this; "..." ends none.
SENTENCE_END = re.compile(r".*(?<!\.\.)[.?!] ([A-Z`-]|pync)")
WORD = re.compile(r"[^\s`]*`[^`]+`\S*|\S+")
PARTS = re.compile(r"([(\[]*)(`[^`]+`|.*?)([.,:;?!)\]]*)")


def prose(text: str) -> list[str]:
    """The lines of mdoc for plain text: a new line for each sentence and for each macro.

    Raises:
        ValueError: the text speaks of an option that is not in the table.
    """
    words = WORD.findall(text)
    lines: list[str] = []
    plain: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        macro = _macro(word)
        if macro is None:
            plain.append(_escaped(word))
        if macro is not None or SENTENCE_END.match(f"{word} {following}"):
            lines += _wrapped(plain)
            plain.clear()
        if macro is not None:
            lines.append(macro)
    return lines + _wrapped(plain)


def _macro(word: str) -> str | None:
    """The macro line for a word that is more than text; punctuation around it stays outside."""
    match = PARTS.fullmatch(word)
    assert match is not None  # the middle part takes anything
    opening, core, closing = match.groups()
    if core.startswith("`"):
        call = f'Ql "\\&{_literal(core[1:-1])}"'  # \& keeps a word such as "Ar" from being a macro
    elif core in SPELLINGS:
        call = _flag(core)
    elif core in PLACEHOLDERS:
        call = f"Ar {core}"
    elif core == "pync":
        call = "Nm"
    elif re.match("--?[A-Za-z]", core):
        raise ValueError(f"the man page speaks of {core}, which is not in the table: {word!r}")
    else:
        return None
    return "." + " ".join([*opening, call, *closing])


def _flag(spelling: str) -> str:
    """`-q` → `Fl q`, `--quit-after` → `Fl \\-quit\\-after`: the macro writes the first dash."""
    return "Fl " + spelling[1:].replace("-", "\\-")


def _wrapped(words: list[str]) -> list[str]:
    lines = textwrap.wrap(" ".join(words), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """A dot or a quote that begins a line would make it a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e")


#: What would come out as something typographic, and could not be pasted into a shell.
EXACT = str.maketrans({"\\": "\\e", '"': "\\(dq", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})


def _literal(text: str) -> str:
    return text.translate(EXACT)
