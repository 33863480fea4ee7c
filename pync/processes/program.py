"""The program of -e and -c: its words, its file, and the variables that describe the connection to it.

The words and the file are checked before the first client connects, so that a wrong name is an error at the start.
`processes.children` runs the program.
"""

from __future__ import annotations

import errno
import os
import socket
import stat

from pync.errors import USAGE, Fault, UsageFault
from pync.net.resolve import show_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pync.plan import Work

SHELL = "/bin/sh"
PREFIXES = ("PYNC_", "NCAT_")
PROTOCOLS = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}


class Program:
    """The file to execute, and its words, of which the first is the name of the program."""

    __slots__ = ("path", "words")

    def __init__(self, path: str, words: list[str]) -> None:
        self.path = path
        self.words = words

    @property
    def shown(self) -> str:
        """The name used in messages: as it was typed."""
        return self.words[-1] if self.path == SHELL and "-c" in self.words[1:2] else self.words[0]


def program_from(work: Work) -> Program | None:
    """The program that -e or -c names; None if neither is given.

    Raises:
        Fault: with code 2, if no program is named or it cannot be run.
    """
    if work.sh_exec is not None:
        return Program(SHELL, _shell_words(work.sh_exec))
    if work.exec is None:
        return None
    words = _split(work.exec)
    return Program(_find(words[0]), words)


def _shell_words(line: str) -> list[str]:
    _refuse_nul("-c/--sh-exec", line)
    # sh(1) would take a line that begins with - or + for an option.
    return [SHELL, "-c", *(["--"] if line[:1] in ("-", "+") else []), line]


def _split(line: str) -> list[str]:
    """The words of a line, with the quoting of a shell; variables and patterns are not expanded."""
    import shlex

    _refuse_nul("-e/--exec", line)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageFault(f"-e/--exec: {error}: {line}") from None
    if not words or not words[0]:
        raise UsageFault("-e/--exec names no program")
    return words


def _refuse_nul(option: str, line: str) -> None:
    if "\0" in line:
        raise UsageFault(f"{option}: a NUL byte cannot be part of a command")


def _find(name: str) -> str:
    """The file of that name, searched as execvp(3) does.

    Raises:
        Fault: with code 2, and with the system's words for the error.
    """
    places = [""] if "/" in name else os.get_exec_path()
    wrong = errno.ENOENT
    for place in places:
        path = os.path.join(place, name)
        fault = _why_not(path)
        if not fault:
            return path
        if fault != errno.ENOENT:
            wrong = fault
    raise Fault(f"run {name}: {os.strerror(wrong)}", USAGE)


def _why_not(path: str) -> int:
    """The errno that execve(2) would give for the file; 0 for none."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return errno.ENOENT if error.errno == errno.ENOTDIR else error.errno or errno.ENOENT
    return 0 if stat.S_ISREG(mode) and os.access(path, os.X_OK) else errno.EACCES


def connection_environment(sock: socket.socket) -> dict[str, str]:
    """The variables for the two addresses of a connected socket.

    Raises:
        OSError: the peer is gone already, so that its address is unknown.
    """
    return addresses_environment(sock, sock.getpeername(), sock.getsockname())


def addresses_environment(sock: socket.socket, remote: Any, local: Any) -> dict[str, str]:
    """The ten variables for a connection between these addresses: numbers, a path, or "" for an unnamed socket.

    ncat's five have ncat's meaning: the protocol is in capitals, and a mapped IPv4 address is shown as IPv4.
    """
    values = {
        "REMOTE_ADDR": show_host(remote),
        "REMOTE_PORT": _port(remote),
        "LOCAL_ADDR": show_host(local),
        "LOCAL_PORT": _port(local),
        "PROTO": PROTOCOLS.get(sock.type, "") if isinstance(remote, tuple) else "UNIX",
    }
    return {prefix + name: value for prefix in PREFIXES for name, value in values.items()}


def _port(sockaddr: Any) -> str:
    return str(sockaddr[1]) if isinstance(sockaddr, tuple) else ""
