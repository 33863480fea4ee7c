"""Telnet (RFC 854): data onward, refusals back (-t).

DO is answered with WONT, and WILL with DONT. DONT and WONT get no answer, because every option is off
already (RFC 1143: only requests to change are answered). Commands are removed from the data.
"""

from __future__ import annotations

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240

#: Every option is off from the start, so that only a request to switch it on needs a refusal (RFC 1143, section 7).
REFUSALS = {DO: WONT, WILL: DONT}
NEGOTIATIONS = (DO, DONT, WILL, WONT)


class Telnet:
    """A negotiator that refuses every option. Its state is the method that takes the next byte."""

    def __init__(self) -> None:
        self._state = self._data
        self._request = 0
        self._onward = bytearray()
        self._reply = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """A piece as (data onward, replies back). The result does not depend on where the input was cut."""
        if self._state == self._data and IAC not in data:
            return data, b""
        for byte in data:
            self._state(byte)
        onward, reply = bytes(self._onward), bytes(self._reply)
        self._onward.clear()
        self._reply.clear()
        return onward, reply

    def _data(self, byte: int) -> None:
        if byte == IAC:
            self._state = self._command
        else:
            self._onward.append(byte)

    def _command(self, byte: int) -> None:
        if byte in NEGOTIATIONS:
            self._request = byte
            self._state = self._option
        elif byte == SB:
            self._state = self._subnegotiation
        else:
            self._state = self._data
            if byte == IAC:  # doubled: a data byte 255
                self._onward.append(IAC)

    def _option(self, byte: int) -> None:
        self._state = self._data
        if self._request in REFUSALS:
            self._reply += bytes((IAC, REFUSALS[self._request], byte))

    def _subnegotiation(self, byte: int) -> None:
        if byte == IAC:
            self._state = self._subnegotiation_command

    def _subnegotiation_command(self, byte: int) -> None:
        self._state = self._data if byte == SE else self._subnegotiation
