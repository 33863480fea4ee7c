"""What --hex-dump writes: direction, running offset, sixteen bytes in hex and as text.

`<` came from the network, `>` went to it; each direction counts its own offset. Where the text
goes is not decided here.
"""

from __future__ import annotations

WIDTH = 16
SENT, RECEIVED = ">", "<"

#: Printable ASCII as itself, everything else as a dot.
_TEXT = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))


class HexDump:
    """The dump of one direction: each piece begins a line of its own, with its offset."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._offset = 0

    def see(self, data: bytes) -> bytes:
        """The lines for a piece."""
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
