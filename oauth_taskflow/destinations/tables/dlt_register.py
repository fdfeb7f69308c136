"""The register of a dataset: which attempt's rows count, with its manifest, and which staging tables are under way.

The claim of an attempt is an update of the row that it found: of two attempts one finds it changed. Databases keep the
second one waiting until the first has committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from oauth_taskflow.destinations.tables.dlt_columns import NotedColumn
from oauth_taskflow.destinations.tables.dlt_session import DltSession
from oauth_taskflow.destinations.tables.place import RowsPlace

TABLE = "_oauth_taskflow_runs"
COLUMNS: Mapping[str, str] = {
    "place_id": "text",
    "kind": "text",
    "dag_id": "text",
    "endpoint": "text",
    "run_id": "text",
    "map_index": "bigint",
    "table_name": "text",
    "attempt": "text",
    "is_dense": "bool",
    "noted_columns": "text",
    "manifest": "text",
}
_ROWS, _STAGE, _LOCK = "rows", "stage", "lock"
_decode_notes = msgspec.json.Decoder(list[NotedColumn]).decode


class Registered(msgspec.Struct, frozen=True):
    """The entry of one instance in the register: its attempt, its manifest, its columns, and whether rows have every number."""

    attempt: str
    manifest: Mapping[str, Any]
    columns: list[NotedColumn]
    is_dense: bool


class Register:
    """The register of the dataset of ``session``, for the table ``table``."""

    def __init__(self, session: DltSession, table: str) -> None:
        self._session, self._table = session, table
        self._quoted = session.quote_table(session.normalize(TABLE))
        self._names = {name: session.quote(session.normalize(name)) for name in COLUMNS}

    def find(self, place: RowsPlace) -> Registered | None:
        """Returns what counts for an instance; None while nothing does."""
        rows = self._session.query(
            self._select("attempt", "manifest", "noted_columns", "is_dense"),
            self._id(place),
            _ROWS,
        )
        for attempt, manifest, columns, is_dense in rows:
            if attempt:
                decoded: Mapping[str, Any] = msgspec.json.decode(manifest)
                return Registered(attempt, decoded, _decode_notes(columns), bool(is_dense))
        return None

    def read_notes(self) -> list[NotedColumn]:
        """Returns the columns of all runs of the table."""
        name = self._names
        rows = self._session.query(
            f"SELECT DISTINCT {name['noted_columns']} FROM {self._quoted} "  # noqa: S608 - names are quoted
            f"WHERE {name['table_name']} = %s AND {name['kind']} = %s",
            self._table,
            _ROWS,
        )
        return [note for (text,) in rows if text for note in _decode_notes(text)]

    def list_instances(self, place: RowsPlace) -> set[int]:
        """Returns the numbers of the instances of a run that count."""
        wanted = ("kind", "table_name", "dag_id", "endpoint", "run_id")
        where = " AND ".join(f"{self._names[name]} = %s" for name in wanted)
        rows = self._session.query(
            f"SELECT {self._names['map_index']} FROM {self._quoted} WHERE {where} AND {self._names['attempt']} <> %s",  # noqa: S608
            _ROWS,
            self._table,
            place.dag_id,
            place.endpoint,
            place.run_id,
            "",
        )
        return {int(number) for (number,) in rows}

    def prepare(self, place: RowsPlace, attempt: str, *, has_stage: bool) -> None:
        """Adds the rows that ``claim`` and ``lock`` update, and announces the staging table of an attempt."""
        for kind, owner in ((_ROWS, place), (_LOCK, self._whole)):
            if not self._session.execute(self._select("attempt"), self._id(owner), kind):
                self._insert(owner, kind, "")
        if has_stage:
            self._insert(place, _STAGE, attempt)

    def lock(self, attempt: str) -> None:
        """Lets other merges into the table wait until this transaction ends."""
        self._update({"attempt": attempt}, self._id(self._whole), _LOCK, None)

    def claim(
        self,
        place: RowsPlace,
        found: str | None,
        manifest: Mapping[str, Any],
        columns: list[NotedColumn],
        *,
        is_dense: bool,
    ) -> bool:
        """Makes the attempt of ``manifest`` the one that counts, if ``found`` still does; returns whether it is so."""
        attempt = str(manifest["attempt"])
        values = {
            "attempt": attempt,
            "manifest": msgspec.json.encode(manifest).decode(),
            "noted_columns": msgspec.json.encode(columns).decode(),
            "is_dense": is_dense,
        }
        self._update(values, self._id(place), _ROWS, found or "")
        rows = self._session.execute(self._select("attempt"), self._id(place), _ROWS)
        return bool(rows) and all(other == attempt for (other,) in rows)

    def unclaim(self, place: RowsPlace) -> None:
        """Lets no attempt count for an instance; its columns stay noted."""
        self._update({"attempt": "", "manifest": ""}, self._id(place), _ROWS, None)

    def list_stages(self, place: RowsPlace) -> list[str]:
        """Returns the attempts at an instance whose staging tables are, or were, under way."""
        rows = self._session.query(self._select("attempt"), self._id(place), _STAGE)
        return [str(attempt) for (attempt,) in rows]

    def remove_stage(self, attempt: str) -> None:
        """Removes the announcement of a staging table."""
        name = self._names
        self._session.execute(
            f"DELETE FROM {self._quoted} WHERE {name['kind']} = %s AND {name['attempt']} = %s",  # noqa: S608
            _STAGE,
            attempt,
        )

    @property
    def _whole(self) -> RowsPlace:
        return RowsPlace("")

    def _id(self, place: RowsPlace) -> str:
        parts = [self._table, place.dag_id, place.endpoint, place.run_id, place.map_index]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]

    def _select(self, *columns: str) -> str:
        wanted = ", ".join(self._names[name] for name in columns)
        where = f"{self._names['place_id']} = %s AND {self._names['kind']} = %s"
        return f"SELECT {wanted} FROM {self._quoted} WHERE {where}"  # noqa: S608 - names are quoted

    def _insert(self, place: RowsPlace, kind: str, attempt: str) -> None:
        values = {
            "place_id": self._id(place),
            "kind": kind,
            "dag_id": place.dag_id,
            "endpoint": place.endpoint,
            "run_id": place.run_id,
            "map_index": place.map_index,
            "table_name": self._table,
            "attempt": attempt,
        }
        names = ", ".join(self._names[name] for name in values)
        marks = ", ".join("%s" for _ in values)
        statement = f"INSERT INTO {self._quoted} ({names}) VALUES ({marks})"  # noqa: S608
        self._session.execute(statement, *values.values())

    def _update(
        self, values: Mapping[str, Any], place_id: str, kind: str, found: str | None
    ) -> None:
        name = self._names
        sets = ", ".join(f"{name[key]} = %s" for key in values)
        statement = f"UPDATE {self._quoted} SET {sets} WHERE {name['place_id']} = %s AND {name['kind']} = %s"  # noqa: S608
        given = [*values.values(), place_id, kind]
        if found is not None:
            statement += f" AND {name['attempt']} = %s"
            given.append(found)
        self._session.execute(statement, *given)
