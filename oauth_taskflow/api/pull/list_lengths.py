"""Finds lists of several parents or windows that the server cut off, by their lengths: they are read without ``paginate``."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.pull.asked_sizes import CAPS

# So many lists of one length, and none longer, are no chance: the server hands out no more. Other round numbers are often the
# length of whole lists, such as the minutes of an hour or a day.
_FEWEST_CUT = 3
_CUT_AT = CAPS | {20, 25, 50}


class ListLengths(Struct, frozen=True, omit_defaults=True):
    """The length of the ``longest`` list, the ``count`` of lists that have it, and whether others are shorter."""

    longest: int = 0
    count: int = 0
    has_shorter: bool = False

    def add(self, other: ListLengths) -> ListLengths:
        """Returns the lengths of the lists of both."""
        if not other.count or not self.count:
            return self if self.count else other
        if self.longest != other.longest:
            return replace(max(self, other, key=attrgetter("longest")), has_shorter=True)
        has_shorter = self.has_shorter or other.has_shorter
        return ListLengths(self.longest, self.count + other.count, has_shorter)

    def warnings(self) -> Iterator[str]:
        """Yields a warning if the longest lists were most likely cut off; lists of one length may have it by nature."""
        if self.longest in _CUT_AT and self.count >= _FEWEST_CUT and self.has_shorter:
            yield (
                f"{self.count:,} lists have exactly {self.longest:,} rows, none has more, and one page is read of each. If the "
                "server hands out no more at once, records are missing from this output: write paginate, or "
                "paginate: {type: none} if these are whole."
            )
