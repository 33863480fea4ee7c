"""The program of -e and -c: its words, where it lies, and what its environment tells of the connection.

All that can be known before anybody connects is found out here, so that a wrong name is a line at the
start. Running it is `processes.children`'s business.
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
    """What to execute: the file, and its words, of which the first is the name it is called by."""

    __slots__ = ("path", "words")

    def __init__(self, path: str, words: list[str]) -> None:
        self.path = path
        self.words = words

    @property
    def shown(self) -> str:
        """What messages call it: as it was typed."""
        return self.words[-1] if self.path == SHELL and "-c" in self.words[1:2] else self.words[0]


def program_from(work: Work) -> Program | None:
    """What -e or -c names; None where neither is given.

    Raises:
        Fault: with code 2, when there is nothing to run, or it cannot be run.
    """
    if work.sh_exec is not None:
        return Program(SHELL, _shell_words(work.sh_exec))
    if work.exec is None:
        return None
    words = _split(work.exec)
    return Program(_find(words[0]), words)


def _shell_words(line: str) -> list[str]:
    _refuse_nul("-c/--sh-exec", line)
    # A line that begins like an option would be taken for one (sh(1)).
    return [SHELL, "-c", *(["--"] if line[:1] in ("-", "+") else []), line]


def _split(line: str) -> list[str]:
    """The words as a shell would see them; nothing else of a shell is done to them."""
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
    """The file of that name, looked for as execvp(3) does.

    Raises:
        Fault: with code 2, in the system's words for what is wrong with it.
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
    """The number of the error that execve(2) would give; 0 where it would not."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return errno.ENOENT if error.errno == errno.ENOTDIR else error.errno or errno.ENOENT
    return 0 if stat.S_ISREG(mode) and os.access(path, os.X_OK) else errno.EACCES


def connection_environment(sock: socket.socket) -> dict[str, str]:
    """Who is connected with whom.

    Raises:
        OSError: the peer is gone already, and nobody knows any more who it was.
    """
    return addresses_environment(sock, sock.getpeername(), sock.getsockname())


def addresses_environment(sock: socket.socket, remote: Any, local: Any) -> dict[str, str]:
    """The ten variables for a connection between these addresses: numbers, a path, or nothing for a nameless one.

    ncat's five have ncat's meaning: the protocol is in capitals, IPv4 is never shown as mapped.
    """
    unix = sock.family == socket.AF_UNIX
    values = {
        "REMOTE_ADDR": show_host(remote),
        "REMOTE_PORT": "" if unix else str(remote[1]),
        "LOCAL_ADDR": show_host(local),
        "LOCAL_PORT": "" if unix else str(local[1]),
        "PROTO": "UNIX" if unix else PROTOCOLS.get(sock.type, ""),
    }
    return {prefix + name: value for prefix in PREFIXES for name, value in values.items()}
