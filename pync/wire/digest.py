"""The digest of the bytes of one direction (--hash): updated as they pass, read at the end.

`engine.stages` makes one for each direction, and the outcome prints it. hashlib is loaded only when
a digest was asked for.
"""

from __future__ import annotations

from pync.errors import UsageFault


class Digest:
    """A running digest by one of hashlib's names.

    Raises:
        UsageFault: hashlib has no such digest, or its length is not fixed (the SHAKEs).
    """

    def __init__(self, name: str) -> None:
        import hashlib

        try:
            self._hash = hashlib.new(name, usedforsecurity=False)
        except (ValueError, TypeError):  # TypeError: a NUL or a stray byte in the name
            raise UsageFault(f"Invalid value for '--hash': no digest is called '{name}'") from None
        if not self._hash.digest_size:
            raise UsageFault(f"Invalid value for '--hash': '{name}' has no fixed length")
        self.name = name
        self.size = 0

    def see(self, data: bytes) -> bytes:
        """Add a piece to the digest. Returns b"", because a digest is written only at the end."""
        self._hash.update(data)
        self.size += len(data)
        return b""

    def hexdigest(self) -> str:
        """The digest of everything seen so far."""
        return self._hash.hexdigest()
