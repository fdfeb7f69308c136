"""Where the sequences of a run begin, of which an attempt that was cut off has read some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.pull.marks import SequenceState
from oauth_taskflow.engine.progress import digest
from oauth_taskflow.engine.run_keeper import RunKeeper


class Beginning(Struct, frozen=True):
    """Where a sequence begins: ``parents`` is a digest of all parents up to its own, ``page`` the state to go on from.

    ``number`` counts the sequences of the run from 1.
    """

    parents: bytes = b""
    page: SequenceState | None = None
    number: int = 1


class FinishedSequences:
    """The sequences that earlier attempts read to their end, while all sequences of a run are enumerated."""

    def __init__(self, keeper: RunKeeper | None) -> None:
        self._keeper = keeper
        self._left = 0 if keeper is None else keeper.skip
        self._number = self._left
        self._is_first = True
        self._parent = 0
        self.parents = b""

    def begin_parent(self, number: int, names: Mapping[str, Any]) -> None:
        """Takes the parent records whose sequences follow."""
        self._parent = number
        if self._keeper is not None and names:
            self.parents = digest(self.parents + encode(names))

    def skips(self) -> bool:
        """Whether the next sequence is finished."""
        if self._keeper is None or not self._left:
            return False
        self._left -= 1
        self._keeper.note_skipped(self._parent, self.parents)
        return True

    def begin(self) -> Beginning:
        """Returns where the next sequence begins; only the first one may go on after some of its pages."""
        is_first, self._is_first = self._is_first, False
        self._number += 1
        page = self._keeper.page if self._keeper is not None and is_first else None
        return Beginning(self.parents, page, self._number)
