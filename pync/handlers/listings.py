"""The listings of folders that are under way: read in pieces, shared by those who ask at the same time, few at once.

However many clients take theirs slowly, the memory of so many listings is used and no more. What stands in a
folder, and what of it may be shown, is `handlers.site`'s business.
"""

from __future__ import annotations

import time

from pync.wire.http.pages import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from pync.wire.http.pages import Entry

    Look = Callable[[Sequence[bytes]], list[Entry]]

#: Names that are looked at in one step: a millisecond, several where all are links.
PIECE = 64
#: Seconds that a listing is given to others too, unless the folder itself has changed.
FRESH = 1.0
#: Bytes of memory for all listings, about; the oldest makes room. One of 5,000 names takes 1 to 12 MB.
MOST_MEMORY = 24 << 20
#: Bytes of memory for a name, besides four times its own: as an entry, or as a row of a table that holds it twice.
ROW = 150


class FolderListing(Listing):
    """The names of a folder and, piece by piece, the entries that `look` makes of them."""

    __slots__ = ("_found", "_look", "_names", "users", "weight")

    def __init__(self, names: list[bytes], cut: bool, look: Look) -> None:
        super().__init__([], cut)
        self.ready = not names
        self._names = names
        self._found: list[Entry] = []
        self._look = look
        self.users = 0
        self.weight = sum(4 * len(name) + ROW for name in names)

    def read_on(self) -> None:
        piece, self._names[-PIECE:] = self._names[-PIECE:], []
        self._found += self._look(piece)
        if not self._names:
            self.complete(self._found)
            self._found = []

    def close(self) -> None:
        self.users -= 1

    def lose(self) -> None:
        """Give the memory back; those who are still taking it cannot be sent the rest."""
        self.lost = self.ready = True
        self.parts, self._found, self._names = [], [], []


class Listings:
    """Those that are under way or were made just now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: list[tuple[Hashable, float, FolderListing]] = []  # the oldest first

    def find(self, key: Hashable, make: Callable[[], FolderListing]) -> FolderListing:
        """The listing of the folder in the state that `key` stands for; to be closed by who gets it."""
        now = self._clock()
        self._held = [held for held in self._held if held[2].users or now - held[1] < FRESH]
        for other, made, listing in self._held:
            if other == key and now - made < FRESH:
                listing.users += 1
                return listing
        listing = make()
        listing.users += 1
        while self._held and sum(held[2].weight for held in self._held) + listing.weight > MOST_MEMORY:
            self._held.pop(0)[2].lose()
        self._held.append((key, now, listing))
        return listing
