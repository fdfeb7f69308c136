"""What a run that is tried again no longer reads: its watermarks go back, since the former output is replaced.

The rows that note where a run began hold further facts next to the state, which workers of earlier releases skip: the task
instance that read a partition last, and for the run as a whole which partitions each of its instances read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select, update

from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.watermarks.partitions import hash_text, partition_key
from oauth_taskflow.watermarks.settlement import (
    RUN_ID_LENGTH,
    Settlement,
    cut,
    is_head,
    select_rows,
)
from oauth_taskflow.watermarks.state import WatermarkState, set_back
from oauth_taskflow.watermarks.table import BASES, FORGOTTEN, WATERMARKS

UNMAPPED = -1
_SIZE = 2**128


class RunNote(Struct, frozen=True):
    """The partitions that each task instance of a run read, as a sum of hashes.

    ``first`` is the sum of all instances before one of them read others; None as long as none did.
    """

    read: dict[str, str] = {}
    first: str | None = None

    @property
    def total(self) -> str:
        """The sum of all instances, which does not depend on how partitions are dealt out to them."""
        return f"{sum(int(one, 16) for one in self.read.values()) % _SIZE:x}"

    @property
    def is_whole(self) -> bool:
        """Whether the run read each partition that it read before."""
        return self.first in (None, self.total)

    def put(self, instance: int, read: str | None) -> RunNote:
        """Returns the note after ``instance`` committed other output; None where it has none any more."""
        before = self.read.get(str(instance))
        others = {name: one for name, one in self.read.items() if name != str(instance)}
        is_changed = before is not None and before != read
        first = self.total if is_changed and self.first is None else self.first
        return RunNote(others if read is None else {**others, str(instance): read}, first)

    def write(self, base: WatermarkState) -> str:
        """Returns the text of the row, with the ``base`` of the run."""
        return json.dumps({**base.to_plain(), "read": self.read, "first": self.first})


def write_base(base: WatermarkState, instance: int | None) -> str:
    """Returns the text of the row of a partition that ``instance`` read; None where no instance reads it any more."""
    return json.dumps({**base.to_plain(), "instance": instance})


def mark_instance(connection: Connection, work: Settlement, texts: Mapping[str, str]) -> None:
    """Notes that the task instance reads these partitions, whose rows have ``texts``."""
    if work.instance is None:
        return
    others = [
        {"key": key, "text": write_base(WatermarkState.from_text(text), work.instance)}
        for key, text in texts.items()
        if json.loads(text).get("instance") != work.instance
    ]
    if others:
        _rewrite(connection, work, others)


def read_run(connection: Connection, work: Settlement) -> tuple[WatermarkState, RunNote] | None:
    """Returns where the run as a whole began, and its note; None for a run that moved nothing so far."""
    statement = select(BASES.c.state).where(*work.of_run, BASES.c.partition_key == "")
    row = connection.execute(statement).first()
    if row is None:
        return None
    return WatermarkState.from_text(row.state), read_as(RunNote, json.loads(row.state))


def settle_run(
    connection: Connection, work: Settlement, known: tuple[WatermarkState, RunNote] | None
) -> None:
    """Sets back the partitions that an earlier try of the task instance read and this one did not.

    ``known`` is the run as it was before. Its rows must be there.
    """
    if work.instance is None:
        return
    current = {partition_key(move.partition) for move in work.moves}
    digest = f"{sum(int(hash_text(one.partition)[:32], 16) for one in work.moves) % _SIZE:x}"
    bases = _find_dropped(connection, work)
    base, note = known or (None, RunNote())
    before = note.read.get(str(work.instance))
    is_again = before is not None or (known is not None and work.instance == UNMAPPED)
    if is_again and before != digest:
        bases |= {
            key: state
            for key, (state, plain) in _read_bases(connection, work).items()
            if key not in current and _was_read_by(plain, work.instance)
        }
    is_shared_back = work.is_shared and before not in (None, digest) and base is not None
    _set_back(connection, work, bases, base if is_shared_back else None)
    _write_run(connection, work, note.put(work.instance, digest))


def drop_instances(connection: Connection, work: Settlement, count: int) -> None:
    """Sets back the partitions of task instances that the run does not have any more: it has ``count``."""
    known = read_run(connection, work)
    if known is None:
        return
    base, note = known
    stale = [name for name in note.read if not 0 <= int(name) < count]
    if not stale:
        return
    bases = {
        key: state
        for key, (state, plain) in _read_bases(connection, work).items()
        if str(plain.get("instance")) in stale
    }
    _set_back(connection, work, bases, base if work.is_shared else None)
    for name in stale:
        note = note.put(int(name), None)
    _write_run(connection, work, note)


def _find_dropped(connection: Connection, work: Settlement) -> dict[str, WatermarkState]:
    """Returns where those began that the replaced manifest names, unless another instance of the run has read them."""
    named = {partition_key(move.partition): move.base for move in work.dropped}
    for keys in cut([*named]):
        statement = select(BASES.c.partition_key, BASES.c.state)
        for row in connection.execute(
            statement.where(*work.of_run, BASES.c.partition_key.in_(keys))
        ):
            if json.loads(row.state).get("instance") not in (None, work.instance):
                del named[row.partition_key]
    return named


def _was_read_by(plain: Mapping[str, Any], instance: int) -> bool:
    """Whether ``instance`` read the partition last; without mapping it is the only one, whatever read it before."""
    if instance == UNMAPPED:
        return plain.get("instance", UNMAPPED) is not None
    return plain.get("instance") == instance


def _read_bases(
    connection: Connection, work: Settlement
) -> dict[str, tuple[WatermarkState, dict[str, Any]]]:
    statement = select(BASES.c.partition_key, BASES.c.state)
    of_partition = BASES.c.partition_key.not_in(["", FORGOTTEN])
    rows = connection.execute(statement.where(*work.of_run, of_partition))
    return {
        row.partition_key: (WatermarkState.from_text(row.state), json.loads(row.state))
        for row in rows
    }


def _set_back(
    connection: Connection,
    work: Settlement,
    bases: Mapping[str, WatermarkState],
    shared: WatermarkState | None,
) -> None:
    """Sets partitions back to their ``bases``, and the watermark of all to ``shared``, where it counts."""
    for keys in cut([*bases]):
        _set_rows_back(connection, work, {key: bases[key] for key in keys})
    if work.is_shared:
        lowest = [*bases.values(), *([] if shared is None else [shared])]
        _set_shared_back(connection, work, lowest)
    notes = [{"key": key, "text": write_base(base, None)} for key, base in bases.items()]
    if notes:
        _rewrite(connection, work, notes)


def _rewrite(connection: Connection, work: Settlement, notes: Sequence[Mapping[str, str]]) -> None:
    noted = (*work.of_run, BASES.c.partition_key == bindparam("key"))
    connection.execute(update(BASES).where(*noted).values(state=bindparam("text")), notes)


def _set_rows_back(
    connection: Connection, work: Settlement, bases: Mapping[str, WatermarkState]
) -> None:
    run_id, changed = work.run_id[:RUN_ID_LENGTH], []
    for row in connection.execute(select_rows(work.identity, [*bases])):
        stored = WatermarkState.from_text(row.state)
        state = set_back(stored, bases[row.partition_key], is_own=row.run_id == run_id)
        if state != stored:
            changed.append({"key": row.partition_key, "text": state.to_text()})
    if changed:
        row_of = (
            WATERMARKS.c.scope_key == work.identity.key,
            WATERMARKS.c.partition_key == bindparam("key"),
        )
        values = {"state": bindparam("text"), "run_id": run_id, "moved_at": work.now}
        connection.execute(update(WATERMARKS).where(*row_of).values(values), changed)


def _set_shared_back(
    connection: Connection, work: Settlement, bases: Iterable[WatermarkState]
) -> None:
    row = connection.execute(select_rows(work.identity, [""])).one()
    state = stored = WatermarkState.from_text(row.state)
    for base in bases:
        state = set_back(state, base, is_own=False)
    if state != stored:
        run_id = work.run_id[:RUN_ID_LENGTH]
        values = {"state": state.to_text(), "run_id": run_id, "moved_at": work.now}
        connection.execute(update(WATERMARKS).where(*is_head(work.identity)).values(values))


def _write_run(connection: Connection, work: Settlement, note: RunNote) -> None:
    found = read_run(connection, work)
    assert found is not None
    whole = (*work.of_run, BASES.c.partition_key == "")
    connection.execute(update(BASES).where(*whole).values(state=note.write(found[0])))
