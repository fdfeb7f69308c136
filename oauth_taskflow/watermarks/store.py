"""The store of watermarks in the token store's database: SQLite, PostgreSQL, MySQL or MariaDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.tokens.sql.engine import parse_store_url, redact_store_url
from oauth_taskflow.tokens.sql.table import database_clock
from oauth_taskflow.tokens.sql.transactions import Database
from oauth_taskflow.watermarks.changes import (
    build_row,
    drop_unseen,
    forget_runs,
    insert_head,
    lock_head,
    move_shared,
    read_generation,
    settle_moves,
)
from oauth_taskflow.watermarks.partitions import EndpointId, hash_text, partition_key
from oauth_taskflow.watermarks.reruns import drop_instances
from oauth_taskflow.watermarks.settlement import (
    RUN_ID_LENGTH,
    Settlement,
    add_moves,
    cut,
    is_head,
    select_rows,
)
from oauth_taskflow.watermarks.state import (
    NOTHING,
    Move,
    WatermarkState,
    find_lowest,
)
from oauth_taskflow.watermarks.table import BASES, COMMITS, FORGOTTEN, TABLES, WATERMARKS

Outcome = Literal["moved", "shared", "refused", "done"]
_T = TypeVar("_T")


class Head(Struct, frozen=True):
    """The state that a run finds at its beginning.

    ``generation`` grows with each set and reset. ``shared`` is the state for all partitions where they are too many to
    keep one each. ``knows_run``: this run moved watermarks before, so that ``read`` returns where it began then.
    ``forgot_run``: it did, and where it began is not kept.
    """

    generation: int
    shared: WatermarkState | None = None
    knows_run: bool = False
    forgot_run: bool = False


class PendingCommit(Struct, frozen=True):
    """A commit that is about to happen: the manifest with ``token`` at ``place`` is its proof.

    ``place`` may say more: the number of the task instance as ``instance``, and as ``dropped`` how many moves at the end are
    of partitions that only the replaced output held, each from where it began to the same.
    """

    token: str
    identity: EndpointId
    run_id: str
    generation: int
    place: dict[str, Any]
    moves: tuple[Move, ...]


class StoredWatermark(Struct, frozen=True):
    """One row for people; instants are seconds since the epoch by the database's clock."""

    identity: EndpointId
    partition: str
    state: WatermarkState
    is_shared: bool
    run_id: str
    moved_at: float | None


class WatermarkStore:
    """Keeps the watermarks of all specs; every operation is one short transaction.

    Safe for threads and for processes that fork. Nothing is opened before the first operation.

    Args:
        url: database URL, that of the token store.
        clock: this machine's clock.
        most_partitions: partitions of one endpoint with a watermark each; beyond, they share the lowest.
        runs_kept: runs of one endpoint that can be run again from where they began.

    Raises:
        TokenStoreError: the URL is unusable; operations raise it when the database fails.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        most_partitions: int = 10_000,
        runs_kept: int = 100,
    ) -> None:
        self._url = parse_store_url(url)
        self.name = redact_store_url(self._url)
        self._database = Database(self._url, clock, TABLES)
        self._most_partitions = most_partitions
        self._runs_kept = runs_kept

    def __repr__(self) -> str:
        return f"WatermarkStore({self.name!r})"

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        self._database.close()

    def run(self, work: Callable[[Connection], _T], *, writes: bool) -> _T:
        """Runs ``work`` in one transaction, which is repeated while the database is busy or away."""
        return self._database.run(work, writes=writes)

    def now(self) -> ColumnElement[float]:
        """The database's clock, which all workers share."""
        return database_clock(self._url.get_backend_name())

    def begin(self, identity: EndpointId, run_id: str) -> Head:
        """Returns the head of ``identity``, which is created where it is missing."""
        known = select(BASES.c.partition_key).where(
            BASES.c.scope_key == identity.key,
            BASES.c.run_key == hash_text(run_id),
            BASES.c.partition_key.in_(["", FORGOTTEN]),
        )

        def look(connection: Connection) -> Head | None:
            row = connection.execute(select_rows(identity, [""])).first()
            if row is None:
                return None
            shared = WatermarkState.from_text(row.state) if row.is_shared else None
            marks = {one.partition_key for one in connection.execute(known)}
            return Head(row.generation, shared, "" in marks, FORGOTTEN in marks)

        found = self._database.run(look, writes=False)
        if found is not None:
            return found
        self._database.run(lambda connection: insert_head(connection, identity), writes=True)
        return self._database.run(look, writes=False) or Head(0)

    def read(
        self, identity: EndpointId, run_id: str, partitions: Sequence[str], head: Head
    ) -> dict[str, WatermarkState]:
        """Returns where the run begins to read each partition: where it began before, else the stored watermark."""
        found = self.read_keys(identity, run_id, ["", *(partition_key(one) for one in partitions)])
        return choose_beginnings(found, partitions, head)

    def read_keys(
        self, identity: EndpointId, run_id: str, keys: Sequence[str]
    ) -> dict[str, WatermarkState]:
        """Returns where the run begins to read the partitions with ``keys``, as far as they are known."""
        bases = select(BASES.c.partition_key, BASES.c.state).where(
            BASES.c.scope_key == identity.key, BASES.c.run_key == hash_text(run_id)
        )

        def look(connection: Connection) -> dict[str, WatermarkState]:
            found: dict[str, WatermarkState] = {}
            for some in cut(keys):
                rows = [*connection.execute(select_rows(identity, some))]
                noted = [*connection.execute(bases.where(BASES.c.partition_key.in_(some)))]
                found |= {row.partition_key: WatermarkState.from_text(row.state) for row in rows}
                found |= {row.partition_key: WatermarkState.from_text(row.state) for row in noted}
            return found

        return self._database.run(look, writes=False)

    def prepare(self, commit: PendingCommit) -> None:
        """Notes a commit before it happens."""
        values = {
            "token": commit.token,
            "scope_key": commit.identity.key,
            "run_key": hash_text(commit.run_id),
            "generation": commit.generation,
            "place": json.dumps(commit.place),
            "moves": json.dumps(
                [[m.partition, m.base.to_plain(), m.reached.to_plain()] for m in commit.moves]
            ),
            "run_id": commit.run_id[:RUN_ID_LENGTH],
            "noted_at": self.now(),
        }

        def write(connection: Connection) -> None:
            # The transaction may be repeated after a commit whose answer was lost.
            connection.execute(delete(COMMITS).where(*_is_note(commit.identity, commit.token)))
            connection.execute(insert(COMMITS).values(values))

        self._database.run(write, writes=True)

    def list_pending(self, identity: EndpointId) -> list[tuple[PendingCommit, float]]:
        """Returns the commits of ``identity`` that are noted and not settled, with their age in seconds."""
        age = (self.now() - COMMITS.c.noted_at).label("age")
        statement = (
            select(COMMITS, age)
            .where(COMMITS.c.scope_key == identity.key)
            .order_by(COMMITS.c.noted_at, COMMITS.c.token)
        )

        def look(connection: Connection) -> list[tuple[PendingCommit, float]]:
            return [
                (_read_commit(row, identity), float(row.age))
                for row in connection.execute(statement)
            ]

        return self._database.run(look, writes=False)

    def find_pending(self, identity: EndpointId, token: str) -> PendingCommit | None:
        """Returns the commit of ``identity`` that is noted with ``token`` and not settled."""
        statement = select(COMMITS).where(*_is_note(identity, token))
        row = self._database.run(lambda c: c.execute(statement).first(), writes=False)
        return None if row is None else _read_commit(row, identity)

    def drop_pending(self, commit: PendingCommit) -> None:
        """Forgets a commit that never happened."""
        statement = delete(COMMITS).where(*_is_note(commit.identity, commit.token))
        self._database.run(lambda connection: connection.execute(statement), writes=True)

    def settle(self, commit: PendingCommit) -> Outcome:
        """Moves the watermarks of a commit that happened, once, and notes where its run began.

        ``moved``; ``shared`` where the partitions became or are too many; ``refused`` where a person set or reset
        watermarks since the run began; ``done`` where another worker settled it.
        """
        return self._database.run(lambda connection: self._settle(connection, commit), writes=True)

    def _settle(self, connection: Connection, commit: PendingCommit) -> Outcome:
        note = delete(COMMITS).where(*_is_note(commit.identity, commit.token))
        if connection.execute(note).rowcount == 0:
            # A person who sets or resets a watermark drops the commits under way.
            same = read_generation(connection, commit.identity) == commit.generation
            return "done" if same else "refused"
        head = lock_head(connection, commit.identity, commit.generation)
        if head is None:
            return "refused"
        work = self._describe(commit.identity, commit.run_id, head)
        return settle_moves(connection, add_moves(work, commit.place, commit.moves))

    def _describe(self, identity: EndpointId, run_id: str, head: Any) -> Settlement:
        return Settlement(
            identity,
            run_id,
            is_shared=bool(head.is_shared),
            now=self.now(),
            most_partitions=self._most_partitions,
            runs_kept=self._runs_kept,
        )

    def roll_up(self, identity: EndpointId, run_id: str, reached: WatermarkState) -> bool:
        """Moves the shared watermark after a whole run, if there is one and the run still counts.

        A run that was tried again and read other partitions than before moves it no further.
        """

        def move(connection: Connection) -> bool:
            head = lock_head(connection, identity)
            if head is None or not head.is_shared:
                return False
            return move_shared(connection, self._describe(identity, run_id, head), head, reached)

        return self._database.run(move, writes=True)

    def sweep(
        self, identity: EndpointId, grace: float, run_id: str = "", instances: int | None = None
    ) -> int:
        """Drops the partitions that no run read for ``grace`` seconds, and returns how many there were.

        ``instances`` is the number of task instances that the run ``run_id`` has now: the partitions of others, whose output
        is removed, go back to where the run began to read them.
        """

        def write(connection: Connection) -> int:
            head = None if instances is None else lock_head(connection, identity)
            if head is not None and instances is not None:
                drop_instances(connection, self._describe(identity, run_id, head), instances)
            return drop_unseen(connection, identity, self.now() - grace)

        return self._database.run(write, writes=True)

    def sum_up(self, identity: EndpointId) -> tuple[WatermarkState, int]:
        """Returns the lowest watermark of ``identity``, the only one whole, and the number of its partitions."""
        rows = self.list_watermarks(identity.dag_id, identity.endpoint)
        of_scope = [row for row in rows if row.identity == identity]
        parts = [row for row in of_scope if row.partition]
        states = [row.state for row in parts or of_scope]
        return find_lowest(states) if len(states) != 1 else states[0], len(parts)

    def list_watermarks(
        self, dag_id: str | None = None, endpoint: str | None = None
    ) -> list[StoredWatermark]:
        """Returns the stored watermarks by DAG, endpoint and partition."""
        statement = select(WATERMARKS).order_by(
            WATERMARKS.c.dag_id,
            WATERMARKS.c.endpoint,
            WATERMARKS.c.conn_id,
            WATERMARKS.c.scope_key,
            WATERMARKS.c.partition_key,
        )
        if dag_id is not None:
            statement = statement.where(WATERMARKS.c.dag_id == dag_id)
        if endpoint is not None:
            statement = statement.where(WATERMARKS.c.endpoint == endpoint)

        def look(connection: Connection) -> list[StoredWatermark]:
            return [_read_row(row) for row in connection.execute(statement)]

        return self._database.run(look, writes=False)

    def replace(self, identity: EndpointId, partition: str, state: WatermarkState | None) -> None:
        """Sets the watermark of one partition as a person wishes, backwards too; None drops it.

        Runs under way that began with the former one do not move it any more.
        """
        key = partition_key(partition)

        def write(connection: Connection) -> None:
            self._begin_generation(connection, identity, forget_wholly=False)
            row = (WATERMARKS.c.scope_key == identity.key, WATERMARKS.c.partition_key == key)
            if partition:
                connection.execute(delete(WATERMARKS).where(*row))
                if state is not None:
                    values = build_row(identity, partition, state, self.now())
                    connection.execute(insert(WATERMARKS).values(values))
                return
            values = {"state": (state or NOTHING).to_text(), "moved_at": self.now(), "run_id": ""}
            connection.execute(update(WATERMARKS).where(*row).values(values))

        self._database.run(write, writes=True)

    def reset(self, identity: EndpointId) -> int:
        """Drops the watermarks of all partitions, and returns how many there were."""

        def write(connection: Connection) -> int:
            self._begin_generation(connection, identity, forget_wholly=True)
            others = delete(WATERMARKS).where(
                WATERMARKS.c.scope_key == identity.key, WATERMARKS.c.partition_key != ""
            )
            dropped = connection.execute(others).rowcount
            empty = {"state": NOTHING.to_text(), "is_shared": 0, "moved_at": None, "run_id": ""}
            connection.execute(update(WATERMARKS).where(*is_head(identity)).values(empty))
            return dropped

        return self._database.run(write, writes=True)

    def _begin_generation(
        self, connection: Connection, identity: EndpointId, *, forget_wholly: bool
    ) -> None:
        """Locks the head and lets runs under way move nothing."""
        if lock_head(connection, identity) is None:
            insert_head(connection, identity)
            lock_head(connection, identity)
        grown = {"generation": WATERMARKS.c.generation + 1}
        connection.execute(update(WATERMARKS).where(*is_head(identity)).values(grown))
        forget_runs(connection, identity, wholly=forget_wholly)


def choose_beginnings(
    found: Mapping[str, WatermarkState], partitions: Sequence[str], head: Head
) -> dict[str, WatermarkState]:
    """Returns where to begin each of ``partitions``: as ``found`` by their keys, else at the shared watermark or the start."""
    shared = NOTHING if head.shared is None else found.get("", head.shared)
    return {one: found.get(partition_key(one), shared) for one in partitions}


def _is_note(identity: EndpointId, token: str) -> tuple[ColumnElement[bool], ...]:
    return COMMITS.c.token == token, COMMITS.c.scope_key == identity.key


def _read_commit(row: Any, identity: EndpointId) -> PendingCommit:
    moves = tuple(
        Move(partition, WatermarkState.from_plain(base), WatermarkState.from_plain(reached))
        for partition, base, reached in json.loads(row.moves)
    )
    place = json.loads(row.place)
    return PendingCommit(row.token, identity, row.run_id, row.generation, place, moves)


def _read_row(row: Any) -> StoredWatermark:
    return StoredWatermark(
        EndpointId(row.dag_id, row.endpoint, row.conn_id),
        row.partition_text,
        WatermarkState.from_text(row.state),
        bool(row.is_shared),
        row.run_id,
        row.moved_at,
    )
