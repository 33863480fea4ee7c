"""What a run came to, for a program to read (--json): one line at the end, however it ended.

The keys are described in the man page; they are added to, never changed. In words the summary is
the relay's (-v).
"""

from __future__ import annotations


class Summary:
    """What a run came to, as one line of JSON. The keys are described in the man page."""

    def __init__(self) -> None:
        self._peer: dict[str, str | int | None] | None = None
        self._begun = False
        self._connections = 0
        self._sent = self._received = 0
        self._seconds = 0.0
        self._hash: dict[str, str] | None = None
        self._error: str | None = None

    def begin(self) -> None:
        """There will be sessions to sum up."""
        self._begun = True

    def connected(self, name: str, address: str | None, port: int | None) -> None:
        self._peer = {"name": name, "address": address, "port": port}
        self._connections += 1

    def moved(self, sent: int, received: int, seconds: float) -> None:
        """What a session has moved; those of a run add up."""
        self._sent += sent
        self._received += received
        self._seconds += seconds

    def digest(self, name: str, direction: str, digest: str) -> None:
        self._hash = {**(self._hash or {"name": name}), direction: digest}

    def failed(self, text: str) -> None:
        """Something went wrong; what did so last is told."""
        self._error = text

    def line(self, code: int) -> str:
        """The last line of a run that ends with this exit code; "" where sessions were none of its business."""
        if not self._begun:
            return ""
        import json

        return json.dumps(
            {
                "summary": {
                    "peer": self._peer,
                    "connections": self._connections,
                    "sent": self._sent,
                    "received": self._received,
                    "seconds": round(self._seconds, 3),
                    "rate": round((self._sent + self._received) / self._seconds) if self._seconds else 0,
                    "hash": self._hash,
                    "error": self._error,
                    "exit": code,
                }
            }
        )
