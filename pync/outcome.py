"""The results of a run. Every mode reports here: peers, bytes, digests, the counts of a listener, the last failure.

At the end they become lines for people, or the objects of --json, and the console prints them. `serving.tally` counts
the clients of a listener, and the sessions count their bytes.
"""

from __future__ import annotations

import os
import stat

from pync.net.resolve import show_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Protocol

    class Tally(Protocol):
        """The counts of a listener; `blind` if programs hold the connections themselves, so that we see no bytes."""

        blind: bool
        total: int

        @property
        def seconds(self) -> float: ...
        def counts(self) -> dict[str, int]: ...
        def report(self, *, over: bool = False) -> list[str]: ...
        def as_json(self) -> dict[str, Any]: ...

    class Digest(Protocol):
        """The running digest of a direction; `size` is the number of its bytes."""

        name: str
        size: int

        def hexdigest(self) -> str: ...


#: The events of --json; the man page describes each with its facts.
EVENTS = (
    "listening", "bound", "connected", "refused", "closed", "request", "progress", "message", "warning", "error",
    "listener", "summary",
)  # fmt: skip


class Outcome:
    """Collects the results of a run. `words` makes lines of them, `summary` an object."""

    def __init__(self) -> None:
        self._begun = False
        self._tally: Tally | None = None
        self._peer: tuple[str, Any] | None = None
        self._connections = self._sessions = 0
        self._sent: int | None = 0
        self._received: int | None = 0
        self._seconds = 0.0
        self._digests: list[tuple[str, Digest, str | None]] = []
        self._dropped = 0
        self._error: str | None = None

    # --- what the modes report

    def begin(self) -> None:
        """The command line is valid: from now on --json ends with a summary."""
        self._begun = True

    def met(self, name: str, address: Any) -> None:
        """A connection, or a peer of datagrams: its name in messages, and its sockaddr ("" without one)."""
        self._peer = name, address
        self._connections += 1

    def moved(self, sent: int | None, received: int | None, seconds: float) -> None:
        """A session is over. The sessions of a run add up. None stands for bytes that we have not seen."""
        self._sessions += 1
        self._sent = None if sent is None or self._sent is None else self._sent + sent
        self._received = None if received is None or self._received is None else self._received + received
        self._seconds += seconds

    def listens(self, tally: Tally) -> None:
        """The run listens, and `tally` holds its counts."""
        self._tally = tally

    def hashed(self, digests: Iterable[tuple[str, Digest, str | None]]) -> None:
        """The digests: for each direction its name, the digest, and the file that holds its bytes, if known."""
        self._digests += digests

    def dropped(self, datagrams: int) -> None:
        """The system dropped this many datagrams before we read them."""
        self._dropped += datagrams

    def failed(self, text: str) -> None:
        """Something failed. The summary names the last failure."""
        self._error = text

    # --- what it says

    def report(self) -> list[str]:
        """The counts of a listener at this moment, as lines for people."""
        return [] if self._tally is None else self._tally.report()

    def hashes(self) -> list[str]:
        """A line for each direction that had bytes; with a known file, in the format that sha256sum(1) -c reads."""
        return [_hash_line(*each) for each in self._digests if each[1].size]

    def words(self) -> list[str]:
        """The last lines of a listener. Each session has reported its own bytes before."""
        if self._tally is None:
            return []
        lines = self._tally.report(over=True)
        return lines[:-1] if self._sessions and not self._tally.blind else lines

    def listener(self) -> dict[str, Any] | None:
        """The counts of a listener at this moment; None if the run does not listen."""
        return None if self._tally is None else self._tally.as_json()

    def counts(self) -> tuple[bool, dict[str, int], str | None]:
        """The report of a worker to its parent: whether its bytes are unseen, the counts, the last failure."""
        if self._tally is None:
            return False, {}, self._error
        return self._tally.blind, self._tally.counts(), self._error

    def summary(self, code: int) -> dict[str, Any] | None:
        """The results of the run with its exit code; None if the run never began."""
        if not self._begun:
            return None
        sent, received, seconds = self._amounts()
        seen = sent is not None and received is not None
        return {
            "peer": self._peer and _place(*self._peer),
            "connections": self._connections if self._tally is None else self._tally.total,
            "sent": sent,
            "received": received,
            "seconds": round(seconds, 3),
            "rate": (round(((sent or 0) + (received or 0)) / seconds) if seconds else 0) if seen else None,
            "dropped": self._dropped,
            "hash": _hash_object(self._digests),
            "error": self._error,
            "exit": code,
        }

    def _amounts(self) -> tuple[int | None, int | None, float]:
        """Bytes each way, and seconds: of the sessions, or of all clients of a listener."""
        if self._sessions or self._tally is None:
            return self._sent, self._received, self._seconds
        if self._tally.blind:
            return None, None, self._tally.seconds
        numbers = self._tally.counts()
        return numbers["sent"], numbers["received"], self._tally.seconds


def _place(name: str, address: Any) -> dict[str, str | int | None]:
    return {"name": name, **numeric(address)}


def numeric(address: Any) -> dict[str, str | int | None]:
    """Address and port of a sockaddr; None for a missing one."""
    port = address[1] if isinstance(address, tuple) else None
    return {"address": show_host(address) or None, "port": port}


def _hash_object(digests: list[tuple[str, Digest, str | None]]) -> Mapping[str, str | None] | None:
    if not digests:
        return None
    found = {direction: digest.hexdigest() if digest.size else None for direction, digest, _ in digests}
    return {"name": digests[0][1].name, **found}


def _hash_line(direction: str, digest: Digest, path: str | None) -> str:
    if path is None:
        return f"{digest.name} {direction} {digest.hexdigest()}"
    return f"{digest.hexdigest()}  {path}"


def holding(paths: Iterable[str | None], size: int) -> str | None:
    """The first of the files with exactly this length, relative to the current directory; None if there is none.

    A file of another length holds more bytes than were hashed, or fewer. A name with an unprintable character or a
    backslash is skipped, because sha256sum(1) escapes such names.
    """
    for path in paths:
        if path is not None and path.isprintable() and "\\" not in path and _length(path) == size:
            return path.removeprefix(os.getcwd().rstrip("/") + "/")
    return None


def _length(path: str) -> int | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
