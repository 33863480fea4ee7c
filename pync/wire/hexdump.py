"""The lines of --hex-dump: direction, running offset, sixteen bytes in hex and as text.

`<` marks bytes from the network, `>` bytes to it. Each direction counts its own offset. The caller writes the
text to its file.
"""

from __future__ import annotations

WIDTH = 16
SENT, RECEIVED = ">", "<"

#: Printable ASCII as itself, everything else as a dot.
_TEXT = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))


class HexDump:
    """The dump of one direction. Each piece begins a new line with its offset."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._offset = 0

    def see(self, data: bytes) -> bytes:
        """The lines of the dump for a piece."""
        lines = bytearray()
        for start in range(0, len(data), WIDTH):
            lines += self._line(data[start : start + WIDTH])
        return bytes(lines)

    def _line(self, data: bytes) -> bytes:
        left, right = data[:8].hex(" "), data[8:].hex(" ")
        text = data.translate(_TEXT).decode("ascii")
        line = f"{self._direction} {self._offset:08x}  {left:<23}  {right:<23}  |{text}|\n"
        self._offset += len(data)
        return line.encode("ascii")
