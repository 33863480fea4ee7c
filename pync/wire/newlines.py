"""LF → CRLF (-C), with the same result wherever the input is cut.

The only state is whether the last byte was a CR.
"""

from __future__ import annotations


class Crlf:
    """Turns each LF into CRLF; an LF that follows a CR stays as it is."""

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """The converted piece."""
        if not data:
            return data
        joined = b"\r" + data if self._after_cr else data
        converted = joined.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        after_cr, self._after_cr = self._after_cr, data.endswith(b"\r")
        return converted[1:] if after_cr else converted

    def end(self) -> bytes:
        """Returns b"", because every byte leaves with its piece."""
        return b""
