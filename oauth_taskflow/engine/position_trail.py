"""The partitions that a run by stored watermarks has read, as they are kept for its next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from oauth_taskflow.engine.position import Position, SavedPosition
from oauth_taskflow.schema.reading import read_as

# Partitions that are encoded together once they were read, so that keeping thousands costs a page no more than a few.
_BLOCK = 100


class PositionTrail:
    """The partitions before the current one: they do not change any more."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._latest: list[SavedPosition] = []
        self.kept: list[SavedPosition] = []

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._latest)

    def add(self, positions: Sequence[Position]) -> None:
        """Adds partitions that were read to their end."""
        for position in positions:
            self._latest.append(position.save())
            if len(self._latest) == _BLOCK:
                self._blocks.append(msgspec.msgpack.encode(self._latest))
                self._latest = []

    def save(self, current: Position | None) -> Any:
        """Returns all partitions up to the current one as plain data; None before the first."""
        return None if current is None else [[*self._blocks], [*self._latest, current.save()]]

    def restore(self, state: Any) -> None:
        """Takes what ``save`` returned; ``kept`` has the partitions, the last of them as the current one.

        Raises:
            ValueError: it is damaged.
        """
        if state is None:
            return
        blocks, latest = read_as(tuple[list[bytes], list[SavedPosition]], state)
        ended = [
            saved
            for block in blocks
            for saved in msgspec.msgpack.decode(block, type=list[SavedPosition])
        ]
        self.kept = [*ended, *latest]
        self._blocks, self._latest = blocks, latest[:-1]
