"""Which options may be given together: one table of rules, which `check` reads.

The rules between two options are the columns `needs` and `excludes` of their rows. Those between groups of
options stand here. `plan` knows what the options mean.
"""

from __future__ import annotations

from pync.errors import UsageFault
from pync.options import BUILT_IN, PROGRAMS, ROWS, given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.options import Opt, Options


class Rule:
    """A refused combination: one option of each group in `when`, and none of `unless`.

    In the sentence, `{0}` and `{1}` stand for the given option of the first and of the second group.
    """

    __slots__ = ("sentence", "unless", "when")

    def __init__(self, when: tuple[tuple[str, ...], ...], sentence: str, unless: tuple[str, ...] = ()) -> None:
        self.when = when
        self.sentence = sentence
        self.unless = unless


CONFLICT = "{0} does not go with {1}"


def check(options: Options) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageFault: an option lacks another that it needs, or stands beside one that it excludes.
    """
    present = [opt.attribute for opt in given(options)]
    for rule in (*(rule for name in present for rule in rules_of(ROWS[name])), *RULES):
        met = [[name for name in present if name in group] for group in rule.when]
        if all(met) and not any(name in rule.unless for name in present):
            raise UsageFault(rule.sentence.format(*(label(ROWS[names[0]]) for names in met)))


def rules_of(opt: Opt) -> Iterator[Rule]:
    """The rules in the columns `needs` and `excludes` of a row."""
    itself = (opt.attribute,)
    if opt.needs:
        wanted = " or ".join(label(ROWS[need]) for need in opt.needs)
        yield Rule((itself,), f"{{0}} needs {wanted}", unless=opt.needs)
    for other in opt.excludes:
        yield Rule((itself, (other,)), CONFLICT)


def label(opt: Opt) -> str:
    """An option as messages call it: `-l/--listen`."""
    return "/".join(opt.spellings()[:2]) if opt.short else f"--{opt.name}"


#: What shapes the joining with our own input and output, in which a built-in service has no part.
OF_STREAMS = (
    "crlf", "telnet", "lines", "datagram_size", "output", "hex_dump", "hash", "delay", "interval", "rate",
    "stamp", "prefix", "output_dir", "quit_after", "no_shutdown", "send_only", "recv_only", "progress",
)  # fmt: skip
#: What --ports has a use for; whatever else is given with it was meant for something else.
OF_PORTS = (
    "ports", "all", "watch", "pid", "name", "json", "verbose", "ipv4", "ipv6", "udp", "unix", "nodns",
)  # fmt: skip
#: What -z has a use for. Others may be given with it, as scripts for nc(1) do, but completions do not offer them.
OF_PROBE = (
    "zero", "udp", "unix", "ipv4", "ipv6", "nodns", "source", "source_port", "random_ports", "broadcast", "timeout",
    "connect_timeout", "total_timeout", "interval", "tos", "ttl", "min_ttl", "interface", "wait", "until_closed",
    "parallel", "banner", "json", "verbose",
)  # fmt: skip
#: What says nothing about a program's datagrams.
OF_STREAMS_ONLY = (
    "rate", "delay", "interval", "quit_after", "send_only", "recv_only", "recv_limit", "lines", "progress",
)  # fmt: skip
#: The rules between groups of options; those between two options are columns of their rows.
RULES = (
    Rule((tuple(name for name in ROWS if name not in OF_PORTS), ("ports",)), CONFLICT),
    Rule((OF_STREAMS, BUILT_IN), "{0} does not go with a service such as {1}"),
    Rule((("recv_limit",), BUILT_IN), "{0} with a service needs -u/--udp", unless=("udp",)),
    Rule((("udp",), PROGRAMS, OF_STREAMS_ONLY), "{2} does not go with a program over datagrams"),
    Rule(
        (("workers",),),
        "--workers needs a service, -e or -c: processes cannot share our input and output",
        unless=(*BUILT_IN, *PROGRAMS),
    ),
    Rule(
        (("wait",), ("udp",)),
        "--wait with -u/--udp needs -z/--zero: a session over UDP cannot tell an answer",
        unless=("zero", "until_closed"),
    ),
)
