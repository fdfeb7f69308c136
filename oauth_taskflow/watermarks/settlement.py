"""One commit to settle, and queries for the rows that it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, select

from oauth_taskflow.watermarks.partitions import EndpointId, hash_text
from oauth_taskflow.watermarks.state import Move
from oauth_taskflow.watermarks.table import BASES, WATERMARKS

RUN_ID_LENGTH = 250
# Keys in one statement: databases limit its parameters.
_CHUNK = 500


class Settlement(Struct, frozen=True):
    """One commit to settle; ``now`` is SQL for the database's clock, the limits are those of the store.

    ``instance`` is the number of the task instance, -1 without mapping; None from workers that do not send it. ``dropped``
    are partitions that the replaced output held by its manifest and the new one does not.
    """

    identity: EndpointId
    run_id: str
    is_shared: bool
    now: ColumnElement[float]
    most_partitions: int
    runs_kept: int
    moves: tuple[Move, ...] = ()
    instance: int | None = None
    dropped: tuple[Move, ...] = ()

    @property
    def of_scope(self) -> ColumnElement[bool]:
        """The condition for the notes of all runs of the endpoint."""
        return BASES.c.scope_key == self.identity.key

    @property
    def of_run(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions for the notes of the run."""
        return self.of_scope, BASES.c.run_key == hash_text(self.run_id)


def add_moves(work: Settlement, place: Mapping[str, Any], moves: tuple[Move, ...]) -> Settlement:
    """Returns ``work`` with the ``moves`` of a commit at ``place``; see ``PendingCommit``."""
    instance, dropped = place.get("instance"), place.get("dropped")
    count = min(max(dropped, 0), len(moves)) if isinstance(dropped, int) else 0
    end = len(moves) - count
    return replace(
        work,
        moves=moves[:end],
        dropped=moves[end:],
        instance=instance if isinstance(instance, int) else None,
    )


def cut(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields ``keys`` in parts that fit into one statement."""
    for first in range(0, len(keys), _CHUNK):
        yield keys[first : first + _CHUNK]


def select_rows(identity: EndpointId, keys: Sequence[str]) -> Any:
    """Returns the query for some partitions of ``identity``; an empty key is the head."""
    return select(WATERMARKS).where(
        WATERMARKS.c.scope_key == identity.key, WATERMARKS.c.partition_key.in_(keys)
    )


def is_head(identity: EndpointId) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions for the head of ``identity``."""
    return WATERMARKS.c.scope_key == identity.key, WATERMARKS.c.partition_key == ""
