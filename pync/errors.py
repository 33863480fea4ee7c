"""What can go wrong, said once.

Here are the exit codes, the exception that the user reads (`Fault`), and the words for an OSError.
`app` prints a fault, and `__main__` exits. This file imports nothing of pync, so that every floor may import it.
"""

from __future__ import annotations

OK = 0
NETWORK = 1
USAGE = 2
TIMEOUT = 3
NO_ANSWER = 4
HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143

#: Every exit code with its meaning: the man page and the README print this table.
EXIT_CODES = {
    OK: "whole and done; with -z: at least one port is open",
    NETWORK: "network failure: refused, unreachable, reset, truncated; with -z: no port is open; a local file failed",
    USAGE: "usage error, name that does not resolve, address in use",
    TIMEOUT: "timed out",
    NO_ANSWER: "with -z -u: no answer, the port is open or filtered",
    HUNG_UP: "ended by SIGHUP (the terminal was closed)",
    INTERRUPTED: "ended by SIGINT (Ctrl-C)",
    TERMINATED: "ended by SIGTERM",
}


class Fault(Exception):
    """A failure the user reads: the text of one or more lines, and the exit code.

    The text has no "pync:" in front, because the console adds it to each line.
    """

    def __init__(self, text: str, code: int = NETWORK) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class UsageFault(Fault):
    """The command line is invalid; raised before anything is opened."""

    def __init__(self, text: str) -> None:
        super().__init__(text, USAGE)


class LocalFault(Fault):
    """A failure on our side, such as a program that cannot be started. It is always reported, whatever the peer did."""


class AddressInUse(Fault):
    """The address to listen on is in use: protocol (tcp, udp, unix, unix-dgram), host or path, and port."""

    def __init__(self, text: str, protocol: str, address: str, port: int) -> None:
        super().__init__(text, USAGE)
        self.protocol = protocol
        self.address = address
        self.port = port


class NameFault(Fault):
    """A name does not resolve, perhaps not yet; with code 3 if the look-up took too long."""

    def __init__(self, text: str, code: int = USAGE) -> None:
        super().__init__(text, code)


class Terminated(BaseException):
    """SIGTERM or SIGHUP has arrived; `code` is the exit code.

    It is a BaseException like KeyboardInterrupt, so that no `except Exception` catches it.
    """

    def __init__(self, code: int = TERMINATED) -> None:
        super().__init__(code)
        self.code = code


def reason(error: OSError) -> str:
    """The cause in the system's own words, without number and class name."""
    return error.strerror or str(error) or type(error).__name__


def unforeseen(error: OSError | ImportError) -> str | None:
    """The message for an unforeseen error; None for a missing module, which is a bug.

    Without a free descriptor, Python cannot load a module either, and raises an OSError or an ImportError.
    """
    import errno
    import os

    if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or os.strerror(errno.EMFILE) in str(error):
        return f"{os.strerror(errno.EMFILE)}: allow more (ulimit -n)"
    return str(error) if isinstance(error, OSError) else None
