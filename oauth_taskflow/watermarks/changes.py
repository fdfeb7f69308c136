"""The changes that a settled commit makes, within a transaction that has locked the endpoint's head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.watermarks.partitions import EndpointId, hash_text, partition_key
from oauth_taskflow.watermarks.reruns import mark_instance, read_run, settle_run, write_base
from oauth_taskflow.watermarks.settlement import (
    RUN_ID_LENGTH,
    Settlement,
    cut,
    is_head,
    select_rows,
)
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState, advance, find_lowest
from oauth_taskflow.watermarks.table import BASES, COMMITS, FORGOTTEN, WATERMARKS

# Runs that are forgotten together, and those of which nothing but their key is kept.
_MOST_FORGOTTEN = 500
_MOST_REMEMBERED = 10_000


def read_generation(connection: Connection, identity: EndpointId) -> int | None:
    """Returns how often watermarks of ``identity`` were set or reset; None before its first run."""
    found: int | None = connection.execute(
        select(WATERMARKS.c.generation).where(*is_head(identity))
    ).scalar()
    return found


def build_row(
    identity: EndpointId,
    partition: str,
    state: WatermarkState,
    now: ColumnElement[float] | None,
) -> dict[str, Any]:
    """Returns a new row; a watermark that never moved has the ``now`` None."""
    return {
        "scope_key": identity.key,
        "partition_key": partition_key(partition),
        "dag_id": identity.dag_id,
        "endpoint": identity.endpoint,
        "conn_id": identity.conn_id,
        "partition_text": partition,
        "state": state.to_text(),
        "is_shared": 0,
        "generation": 0,
        "revision": 0,
        "run_id": "",
        "moved_at": now,
        "seen_at": now,
    }


def settle_moves(connection: Connection, work: Settlement) -> Literal["moved", "shared"]:
    """Moves the partitions, and notes where the run began; shares one watermark when there are too many.

    Raises:
        InvalidRecord: a stored value and a new one cannot be compared.
    """
    known = read_run(connection, work)
    _note_bases(connection, work)
    settle_run(connection, work, known)
    _forget_old_runs(connection, work)
    moves = {partition_key(move.partition): move for move in work.moves}
    if work.is_shared:
        moves = {key: move for key, move in moves.items() if not key}
    for keys in cut([*moves]):
        _move(connection, work, {key: moves[key] for key in keys})
    if work.is_shared:
        return "shared"
    return "shared" if _share_if_too_many(connection, work) else "moved"


def _move(connection: Connection, work: Settlement, moves: Mapping[str, Move]) -> None:
    identity = work.identity
    stored = {
        row.partition_key: WatermarkState.from_text(row.state)
        for row in connection.execute(select_rows(identity, [*moves]))
    }
    fresh, changed = [], []
    for key, move in moves.items():
        state = advance(stored.get(key, NOTHING), move)
        if key not in stored:
            row = build_row(identity, move.partition, state, work.now)
            fresh.append({**row, "run_id": work.run_id[:RUN_ID_LENGTH]})
        elif state != stored[key]:
            changed.append((key, state))
    for values in fresh:  # one by one: the clock is an expression
        connection.execute(insert(WATERMARKS).values(values))
    moved = {
        "state": bindparam("new_state"),
        "run_id": work.run_id[:RUN_ID_LENGTH],
        "moved_at": work.now,
    }
    row_of = (
        WATERMARKS.c.scope_key == identity.key,
        WATERMARKS.c.partition_key == bindparam("key"),
    )
    if changed:
        connection.execute(
            update(WATERMARKS).where(*row_of).values(moved),
            [{"key": key, "new_state": state.to_text()} for key, state in changed],
        )
    connection.execute(
        update(WATERMARKS)
        .where(WATERMARKS.c.scope_key == identity.key, WATERMARKS.c.partition_key.in_([*moves]))
        .values(seen_at=work.now)
    )


def _note_bases(connection: Connection, work: Settlement) -> None:
    """Notes where the run began, for each partition and the run as a whole; what an earlier attempt noted stays.

    The instance that reads a partition is noted each time: it may have been dealt out to another one before.
    """
    bases = {partition_key(move.partition): move.base for move in work.moves}
    whole = bases.get("", NOTHING)
    if work.is_shared:
        whole, bases = _find_lowest(bases.values()), {}
    bases[""] = whole
    for keys in cut([*bases]):
        statement = select(BASES.c.partition_key, BASES.c.state)
        known = {
            row.partition_key: row.state
            for row in connection.execute(
                statement.where(*work.of_run, BASES.c.partition_key.in_(keys))
            )
        }
        for key in keys:
            if key not in known:
                _insert_base(connection, work, key, bases[key])
        mark_instance(connection, work, {key: text for key, text in known.items() if key})


def _insert_base(connection: Connection, work: Settlement, key: str, base: WatermarkState) -> None:
    values = {
        "scope_key": work.identity.key,
        "run_key": hash_text(work.run_id),
        "partition_key": key,
        "state": base.to_text() if work.instance is None else write_base(base, work.instance),
        "noted_at": work.now,
    }
    connection.execute(insert(BASES).values(values))


def _forget_old_runs(connection: Connection, work: Settlement) -> None:
    if old := _find_old(connection, work, "", work.runs_kept):
        _forget(connection, work.identity, old)
        if marked := _find_old(connection, work, FORGOTTEN, _MOST_REMEMBERED):
            its_own = (BASES.c.partition_key == FORGOTTEN, BASES.c.run_key.in_([*marked]))
            connection.execute(delete(BASES).where(work.of_scope, *its_own))


def _find_old(connection: Connection, work: Settlement, mark: str, kept: int) -> dict[str, float]:
    """Returns the runs with a row for ``mark`` beyond the latest ``kept`` ones, and when they were noted."""
    old = (
        select(BASES.c.run_key, BASES.c.noted_at)
        .where(work.of_scope, BASES.c.partition_key == mark)
        .order_by(BASES.c.noted_at.desc(), BASES.c.run_key)
        .offset(kept)
        .limit(_MOST_FORGOTTEN)
    )
    return {row.run_key: row.noted_at for row in connection.execute(old)}


def _forget(connection: Connection, identity: EndpointId, times: Mapping[str, float]) -> None:
    """Forgets where these runs began, and keeps that they moved watermarks."""
    of_scope = BASES.c.scope_key == identity.key
    for keys in cut([*times]):
        runs = (of_scope, BASES.c.run_key.in_(keys))
        marked = select(BASES.c.run_key).where(*runs, BASES.c.partition_key == FORGOTTEN)
        known = {row.run_key for row in connection.execute(marked)}
        connection.execute(delete(BASES).where(*runs, BASES.c.partition_key != FORGOTTEN))
        marks = [
            {
                "scope_key": identity.key,
                "run_key": key,
                "partition_key": FORGOTTEN,
                "state": NOTHING.to_text(),
                "noted_at": times[key],
            }
            for key in keys
            if key not in known
        ]
        if marks:
            connection.execute(insert(BASES), marks)


def lock_head(
    connection: Connection, identity: EndpointId, generation: int | None = None
) -> Any | None:
    """Locks the head until the transaction ends, and returns it; None if it is missing or of another generation."""
    same = [*is_head(identity)]
    if generation is not None:
        same.append(WATERMARKS.c.generation == generation)
    statement = update(WATERMARKS).where(*same).values(revision=WATERMARKS.c.revision + 1)
    if connection.execute(statement).rowcount == 0:
        return None
    return connection.execute(select_rows(identity, [""])).first()


def move_shared(
    connection: Connection, work: Settlement, head: Any, reached: WatermarkState
) -> bool:
    """Moves the shared watermark of ``head`` after a whole run, and returns whether it changed."""
    known = read_run(connection, work)
    if known is None or not known[1].is_whole:
        return False
    stored = WatermarkState.from_text(head.state)
    state = advance(stored, Move("", known[0], reached))
    run_id = work.run_id[:RUN_ID_LENGTH]
    values = {"state": state.to_text(), "run_id": run_id, "moved_at": work.now}
    connection.execute(update(WATERMARKS).where(*is_head(work.identity)).values(values))
    return state != stored


def drop_unseen(connection: Connection, identity: EndpointId, until: ColumnElement[float]) -> int:
    """Drops the partitions that no run read since ``until``, and returns how many there were."""
    statement = delete(WATERMARKS).where(
        WATERMARKS.c.scope_key == identity.key,
        WATERMARKS.c.partition_key != "",
        WATERMARKS.c.seen_at < until,
    )
    return connection.execute(statement).rowcount


def insert_head(connection: Connection, identity: EndpointId) -> None:
    """Adds the missing head, unless another worker was faster."""
    try:
        with connection.begin_nested():
            head = build_row(identity, "", NOTHING, None)
            connection.execute(insert(WATERMARKS).values(head))
    except IntegrityError:
        return


def forget_runs(connection: Connection, identity: EndpointId, *, wholly: bool) -> None:
    """Forgets where runs of ``identity`` began, and their commits under way.

    ``wholly`` forgets as well that they moved watermarks, where reading begins at the start anyway.
    """
    of_scope = BASES.c.scope_key == identity.key
    if wholly:
        connection.execute(delete(BASES).where(of_scope))
    else:
        runs = select(BASES.c.run_key, BASES.c.noted_at).where(
            of_scope, BASES.c.partition_key == ""
        )
        times = {row.run_key: row.noted_at for row in connection.execute(runs)}
        _forget(connection, identity, times)
    connection.execute(delete(COMMITS).where(COMMITS.c.scope_key == identity.key))


def _share_if_too_many(connection: Connection, work: Settlement) -> bool:
    """Replaces the partitions by their lowest watermark when there are more than may be kept."""
    partitions = (
        WATERMARKS.c.scope_key == work.identity.key,
        WATERMARKS.c.partition_key != "",
    )
    count = connection.execute(select(func.count()).select_from(WATERMARKS).where(*partitions))
    if count.scalar_one() <= work.most_partitions:
        return False
    rows = connection.execute(select(WATERMARKS.c.state).where(*partitions))
    states = [WatermarkState.from_text(row.state) for row in rows]
    lowest = _find_lowest(states)
    connection.execute(delete(WATERMARKS).where(*partitions))
    values = {"state": lowest.to_text(), "is_shared": 1, "moved_at": work.now}
    connection.execute(update(WATERMARKS).where(*is_head(work.identity)).values(values))
    return True


def _find_lowest(states: Iterable[WatermarkState]) -> WatermarkState:
    """The lowest of ``states``; of several kinds nothing is below all of them, so all is read again."""
    try:
        return find_lowest(states)
    except InvalidRecord:
        return NOTHING
