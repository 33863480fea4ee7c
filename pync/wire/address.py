"""How addresses and ports are written: `host:port`, `[v6]:port`, `20-25,80`, service names.

Text in, values out. `net.resolve` looks names and services up; nothing here needs a socket.
"""

from __future__ import annotations

from pync.errors import UsageFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pync.plan import Plan

HIGHEST_PORT = 65535
#: The ports of the URLs that people paste.
URL_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21", "ssh": "22"}
#: Without a port, --http listens on the first of these that is free.
WEB_PORTS = range(8000, 8100)
#: The size of an IPv4 /16: a longer list of hosts is more likely a mistake than a wish.
MOST_HOSTS = 1 << 16
#: The characters of an address of either family.
IP_LETTERS = frozenset("0123456789abcdefABCDEF.:")


class Target:
    """What the operands name: a host (None: every address) with its ports, or a unix path.

    A port is a number, or the name of a service as text.
    """

    __slots__ = ("host", "path", "ports")

    def __init__(self, host: str | None = None, ports: list[int | str] | None = None, path: str | None = None) -> None:
        self.host = host
        self.ports = ports or []
        self.path = path

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.path or self.host or "*"


def targets(plan: Plan) -> list[Target]:
    """The targets of a probe: one for each host or unix path in the operands.

    A host is written `host`, `host,host` or as a block `192.0.2.0/24`. Its ports follow as operands or as HOST:PORT.

    Raises:
        UsageFault: as `target`, and for a block that is malformed or too large.
    """
    words = plan.operands.words
    if plan.operands.unix:
        return [Target(path=_path([word])) for word in words] or [target(plan)]
    _refuse_misread(words)
    wholes = [_whole(word) for word in words]
    path = next((whole[0].path for whole in wholes if whole and whole[0].path is not None), None)
    if words and None not in wholes:
        found = [target for whole in wholes for target in whole or ()]
    elif path is not None:
        raise UsageFault(f"'{path}' is a path: beside it stand paths and HOST:PORT words")
    else:
        ports = _connect_target(words).ports
        found = _hosts(words[0], ports)
    if plan.sockets.interface is None:
        for each in found:
            refuse_zoneless(each.host)
    return _bounded(found)


def _whole(word: str) -> list[Target] | None:
    """The targets of a word that is complete by itself (a path, or HOST:PORT); None if it is not."""
    path = _probed_path(word)
    if path is not None:
        return [Target(path=_path([path]))]
    pair = split_host_port(word)
    return _hosts(pair[0], parse_ports(pair[1])) if len(pair) == 2 else None


def _probed_path(word: str) -> str | None:
    """The path in `unix:PATH`, or the word itself if it holds a slash and is no block of addresses; else None."""
    if word.startswith("unix:"):
        return word.removeprefix("unix:")
    hosts = split_host_port(word)[0].split(",")
    return word if any("/" in host and not _is_block(host) for host in hosts) else None


def _is_block(host: str) -> bool:
    """Whether the word has the form of `192.0.2.0/24` rather than that of a path."""
    address, slash, bits = strip_brackets(host).partition("/") if host else ("", "", "")
    written = bool(address) and (address[0].isalnum() or address.startswith(":"))
    return bool(slash) and written and set(address) <= IP_LETTERS and not {".", ":"}.isdisjoint(address) and bits != ""


def _hosts(word: str, ports: list[int | str]) -> list[Target]:
    """A target for each host of a list. All share one list of ports, because it may hold tens of thousands."""
    found: list[Target] = []
    for part in word.split(","):
        host = strip_brackets(part)
        found += [Target(each, ports) for each in (_addresses_of(host) if _is_block(host) else [host])]
        _bounded(found)
    return found


def _bounded(found: list[Target]) -> list[Target]:
    if len(found) > MOST_HOSTS:
        raise UsageFault(f"more than {MOST_HOSTS} hosts: so many are not probed in one run")
    return found


def _addresses_of(block: str) -> list[str]:
    """Every address of a block. Host bits behind the prefix are ignored, as nmap(1) does."""
    from ipaddress import ip_network

    try:
        network = ip_network(block, strict=False)
    except ValueError:
        raise UsageFault(f"'{block}' is no block of addresses: write 192.0.2.0/24 or 2001:db8::/120") from None
    if network.num_addresses > MOST_HOSTS:
        raise UsageFault(
            f"'{block}' has {network.num_addresses} addresses, and at most {MOST_HOSTS} are probed in one run (a /16)"
        )
    return [str(address) for address in network]


def target(plan: Plan) -> Target:
    """The target that the operands of the command line name, by the rules of the mode.

    Raises:
        UsageFault: too few or too many words, or an invalid port.
    """
    if plan.operands.unix:
        return Target(path=_path(plan.operands.words))
    _refuse_misread(plan.operands.words, plan.serving.listen)
    found = _listen_target(plan) if plan.serving.listen else _connect_target(plan.operands.words)
    if plan.sockets.interface is None:
        refuse_zoneless(found.host)
    return found


def _refuse_misread(words: list[str], listen: bool = False) -> None:
    """Refuse a word that would be misunderstood, and say what to type instead.

    Raises:
        UsageFault: a URL, or a port in the place of the host, because inet_aton(3) reads 7001 as 0.0.27.89.
    """
    for word in words:
        if "://" in word:
            raise UsageFault(_instead_of_url(word))
    if listen or len(words) < 2:
        return
    if is_number(words[0]) and len(words[0]) <= 5 and 0 < int(words[0]) <= HIGHEST_PORT:
        raise UsageFault(f"'{words[0]}' is a port and no host, and stands in front of '{words[1]}'")


def _instead_of_url(word: str) -> str:
    scheme, _, rest = word.partition("://")
    pair = split_host_port(rest.split("/")[0].rpartition("@")[2])
    host = pair[0] or "HOST"
    port = pair[1] if len(pair) > 1 else URL_PORTS.get(scheme.lower(), "PORT")
    tls = " (without TLS, which pync does not speak yet)" if scheme.lower() in ("https", "wss") else ""
    return f"'{word}' is a URL: write the host and the port, pync {host} {port}{tls}"


def refuse_zoneless(host: str | None) -> None:
    """Refuse a link-local address (fe80::/10) without a zone, because every interface has that network (RFC 4007)."""
    if host is not None and ":" in host and "%" not in host and host[:3].lower() in ("fe8", "fe9", "fea", "feb"):
        raise UsageFault(f"'{host}' is a link-local address: write its interface behind it, as in {host}%eth0")


def _path(words: list[str]) -> str:
    if len(words) != 1:
        raise UsageFault("a unix-domain socket takes one operand: its path")
    if words[0] in ("", "@"):
        raise UsageFault("the path of a unix-domain socket may not be empty")
    return words[0]


def _connect_target(words: list[str]) -> Target:
    if not words:
        raise UsageFault("missing operands: pync HOST PORT, or pync -l PORT")
    if len(words) == 1:
        words = split_host_port(words[0])
        if len(words) == 1:
            raise UsageFault(f"missing port behind host '{words[0]}'")
    host, *port_words = words
    return Target(strip_brackets(host), [port for word in port_words for port in parse_ports(word)])


def _listen_target(plan: Plan) -> Target:
    words = list(plan.operands.words)
    if plan.names.source_port is not None:
        if words and is_number(words[-1]):
            raise UsageFault(f"two ports to listen on: '{words[-1]}' and -p '{plan.names.source_port}'")
        words.append(plan.names.source_port)
    elif len(words) == 1:
        words = split_host_port(words[0])
    if plan.names.source is not None:
        words.insert(0, plan.names.source)
    if not words and (plan.work.root is not None):
        return Target(None, list(WEB_PORTS))
    if not words:
        raise UsageFault("missing port: pync -l [HOST] PORT")
    if len(words) == 2 and is_number(words[0]) and words[0] != "0":
        raise UsageFault(f"two ports to listen on: '{words[0]}' and '{words[1]}'; a listener has one")
    if len(words) > 2:
        raise UsageFault(f"one address and one port to listen on, not {' and '.join(repr(word) for word in words)}")
    *hosts, port_word = words
    ports = parse_ports(port_word)
    if len(ports) > 1:
        raise UsageFault(f"'{port_word}': -l takes one port")
    return Target(strip_brackets(hosts[0]) if hosts else None, ports)


def split_host_port(word: str) -> list[str]:
    """`host:80`, `[::1]:80` → host and port; anything else, such as `::1`, stays one word."""
    if word.startswith("["):
        host, _, rest = word.partition("]")
        return [f"{host}]", rest[1:]] if rest.startswith(":") else [word]
    return word.split(":") if word.count(":") == 1 else [word]


def strip_brackets(host: str) -> str:
    """`[::1]` → `::1`."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare:
        raise UsageFault("the host may not be empty")
    return bare


def parse_ports(word: str) -> list[int | str]:
    """The ports in `80`, `20-30`, `22,80,443`, `ssh` or a mixture of these, in the order written.

    Raises:
        UsageFault: a port is invalid; the message names it.
    """
    ports: list[int | str] = []
    for part in word.split(","):
        low, dash, high = part.partition("-")
        if dash and is_number(low) and is_number(high):
            ports.extend(_range(part, _port(low), _port(high)))
        else:
            ports.append(_port(part) if is_number(part) else _service(part))
    return ports


def is_number(text: str) -> bool:
    """Whether the text consists of ASCII digits only."""
    return text.isascii() and text.isdigit()


def _range(part: str, low: int, high: int) -> range:
    if low > high:
        raise UsageFault(f"port range '{part}' runs backwards")
    return range(low, high + 1)


def _port(digits: str) -> int:
    if len(digits) > 5 or int(digits) > HIGHEST_PORT:
        raise UsageFault(f"port '{digits}' is not in 0 to {HIGHEST_PORT}")
    return int(digits)


def _service(name: str) -> str:
    """The text, if it can be the name of a service: it must hold a letter (RFC 6335, section 5.1)."""
    plain = name.replace("-", "").replace("_", "").replace(".", "").replace("+", "").replace("/", "")
    if not (plain.isascii() and plain.isalnum() and not plain.isdigit()):
        raise UsageFault(f"'{name}' is no port: write 0 to {HIGHEST_PORT}, 20-30, 22,80 or a service name")
    return name


def join_host_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
