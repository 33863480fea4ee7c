"""From names to addresses: getaddrinfo, service names, the order in which families are tried.

Addresses go on as the 4-tuples that getaddrinfo made (scope ids and all). No socket is opened
here, and no address is ever turned back into a name. A name is looked up in a thread, so that no loop waits for it.
"""

from __future__ import annotations

import _thread
import os
import socket

from pync.errors import TIMEOUT, USAGE, Fault, NameFault, UsageFault, reason
from pync.wire.address import HIGHEST_PORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pync.net.loop import Reactor
    from pync.plan import Names


class Address:
    """One thing to connect to or to bind: family, type, and the sockaddr as getaddrinfo made it."""

    __slots__ = ("family", "sockaddr", "type")

    def __init__(self, family: int, type: int, sockaddr: Any) -> None:
        self.family = family
        self.type = type
        self.sockaddr = sockaddr

    @property
    def host(self) -> str:
        """The numeric address, with its zone; for a unix socket the path."""
        return show_host(self.sockaddr)

    @property
    def port(self) -> int:
        return 0 if self.family == socket.AF_UNIX else self.sockaddr[1]

    @property
    def protocol(self) -> str:
        if self.family == socket.AF_UNIX:
            return "unix-dgram" if self.type == socket.SOCK_DGRAM else "unix"
        return "udp" if self.type == socket.SOCK_DGRAM else "tcp"


def show_host(sockaddr: Any) -> str:
    """The numeric host of a sockaddr as the user reads it.

    An IPv4-mapped IPv6 address is shown as IPv4 (RFC 4291, section 2.5.5.2); a path keeps the
    `@` of an abstract name (unix(7)), and unprintable bytes of it are escaped.
    """
    if not isinstance(sockaddr, tuple):
        return _show_path(sockaddr)
    host: str = sockaddr[0]
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    if len(sockaddr) > 3 and sockaddr[3] and "%" not in host:
        return f"{host}%{_interface(sockaddr[3])}"
    return host


def show_peer(sock: socket.socket) -> str:
    """The other end of a connection in one word, `127.0.0.1:53412` or `[::1]:53412`; "" where it has no address."""
    try:
        address = sock.getpeername()
    except OSError:  # gone already
        return ""
    return show_address(address) if isinstance(address, tuple) else ""


def show_address(sockaddr: Any) -> str:
    """A sockaddr in one word: host and port, or a path without white space."""
    host = show_host(sockaddr)
    if not isinstance(sockaddr, tuple):
        return "".join("_" if letter.isspace() else letter for letter in host)
    return f"[{host}]:{sockaddr[1]}" if ":" in host else f"{host}:{sockaddr[1]}"


def _show_path(path: str | bytes) -> str:
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    text = f"@{text[1:]}" if text.startswith("\0") else text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def unix_address(path: str, datagram: bool) -> Address:
    """The address of a path; `@name` is a Linux abstract name (unix(7))."""
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    return Address(socket.AF_UNIX, kind, f"\0{path[1:]}" if path.startswith("@") else path)


class Question:
    """What getaddrinfo(3) is asked, and how its answer is told.

    `host` None means every local address with `passive`, this machine without. `numeric` forbids look-ups of any kind.

    Raises:
        UsageFault: the port or the service is not known.
    """

    __slots__ = ("_host", "_kind", "_port", "at_once", "words")

    def __init__(
        self,
        host: str | None,
        port: int | str,
        *,
        family: int = socket.AF_UNSPEC,
        datagram: bool = False,
        numeric: bool = False,
        passive: bool = False,
    ) -> None:
        self._host = host
        self._port = port
        self._kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
        number = port_number(port, "udp" if datagram else "tcp", numeric)
        flags = (socket.AI_PASSIVE if passive else 0) | (socket.AI_NUMERICHOST if numeric else 0)
        self.words = (_encoded(host), number, family, self._kind, 0, flags)
        self.at_once = numeric or host is None or is_address(host)  # its answer needs no wait

    def ask(self) -> list[Address]:
        """Every address, in getaddrinfo's order (RFC 6724); waits as long as that does.

        Raises:
            NameFault: the name is not known.
        """
        try:
            found = socket.getaddrinfo(*self.words)
        except (OSError, UnicodeError) as error:
            raise self.fault(reason(error) if isinstance(error, OSError) else "not a valid host name") from None
        # A hosts file with both loopbacks makes glibc answer 127.0.0.1 twice for AF_INET.
        distinct = dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found)
        return [Address(family, self._kind, sockaddr) for family, sockaddr in distinct]

    def fault(self, cause: str, code: int = USAGE) -> NameFault:
        return NameFault(f'getaddrinfo for host "{self._host or "*"}" port {self._port}: {cause}', code)


class LookUp:
    """A question that a thread asks, because getaddrinfo waits for a silent DNS server as long as it likes.

    `on_done` is called once, by the loop, with the addresses or the fault. The thread is left behind when `limit`
    seconds are over, or at `cancel`.

    Raises:
        OSError: no descriptor is left to hear of the answer.
    """

    def __init__(
        self,
        loop: Reactor,
        question: Question,
        limit: float | None,
        on_done: Callable[[list[Address] | Fault], object],
    ) -> None:
        self._loop = loop
        self._question = question
        self._on_done = on_done
        self._answer: list[list[Address] | Fault] = []
        self._reading, writing = os.pipe()
        loop.add_reader(self._reading, self._heard)
        self._timer = None if limit is None else loop.call_at(loop.time() + limit, self._late)
        try:
            _thread.start_new_thread(self._work, (writing,))
        except RuntimeError:  # no thread to be had: better to wait than to fail
            self._work(writing)

    def _work(self, writing: int) -> None:
        """In the thread. The end of the pipe is what the loop hears; the writing end is ours alone."""
        try:
            self._answer.append(self._question.ask())
        except Fault as fault:
            self._answer.append(fault)
        finally:
            os.close(writing)

    def _heard(self) -> None:
        self.cancel()
        self._on_done(self._answer[0])

    def _late(self) -> None:
        self.cancel()
        self._on_done(self._question.fault("timed out", TIMEOUT))

    def cancel(self) -> None:
        """Wait no longer; `on_done` is not called any more."""
        if self._reading >= 0:
            self._loop.remove_reader(self._reading)
            os.close(self._reading)
            self._reading = -1
        if self._timer is not None:
            self._timer.cancel()


def resolve(
    host: str | None,
    port: int | str,
    *,
    family: int = socket.AF_UNSPEC,
    datagram: bool = False,
    numeric: bool = False,
    passive: bool = False,
    limit: float | None = None,
) -> list[Address]:
    """The answer to a `Question`; `limit` is the time for a look-up, in seconds. Signals end one too.

    Raises:
        Fault: with code 2, when the name or the service is not known; with 3, when the time is over.
    """
    question = Question(host, port, family=family, datagram=datagram, numeric=numeric, passive=passive)
    return answer(question, limit)


def answer(question: Question, limit: float | None) -> list[Address]:
    """What `resolve` says, of a question that is made already."""
    if question.at_once:
        return question.ask()
    from pync.net.loop import run_until_done

    return run_until_done(lambda loop, on_done: LookUp(loop, question, limit, on_done))


def is_address(host: str) -> bool:
    """Whether this is an address, with or without a zone, as RFC 4291 and dotted decimals write it."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


def _encoded(host: str | None) -> str | bytes | None:
    """An ASCII name as bytes: for a str, Python would load its IDNA codec (2 ms) to change nothing."""
    return host.encode() if host is not None and host.isascii() else host


def port_number(port: int | str, protocol: str, numeric: bool = False) -> int:
    """The number of a port or of a service (services(5)).

    Raises:
        UsageFault: no such number, no such service, or a name where only numbers are allowed.
    """
    if isinstance(port, int):
        if not 0 <= port <= HIGHEST_PORT:
            raise UsageFault(f"port '{port}' is not in 0 to {HIGHEST_PORT}")
        return port
    if numeric:
        raise UsageFault(f"port '{port}': a name, but -n allows numbers only")
    try:
        return socket.getservbyname(port, protocol)
    except OSError:
        raise UsageFault(f"port '{port}': no such {protocol} service") from None


def service_name(port: int, protocol: str) -> str:
    """The service of a port for the messages, `*` where it has none, as nc(1) prints it."""
    try:
        return socket.getservbyport(port, protocol)
    except OSError:
        return "*"


def interleave(addresses: list[Address]) -> list[Address]:
    """The first two attempts differ in family, and so on in turn (RFC 8305, section 4)."""
    first = [address for address in addresses if address.family == addresses[0].family]
    other = [address for address in addresses if address.family != addresses[0].family]
    turns: list[Address] = []
    for index in range(max(len(first), len(other))):
        turns += first[index : index + 1] + other[index : index + 1]
    return turns


def wanted_family(names: Names) -> int:
    """What -4 and -6 ask of getaddrinfo."""
    if names.version == 4:
        return socket.AF_INET
    return socket.AF_INET6 if names.version == 6 else socket.AF_UNSPEC
