"""Which tasks of which DAGs use a connection, read from the serialised DAGs.

Tasks of specs and ``@oauth_task`` keep ``conn_id`` there, our operators and sensors ``http_conn_id``. A connection that a
function opens by itself (``OAuthSession.open``, a hook), and one whose id is a template, cannot be seen.
"""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock

_KEYS = ("conn_id", "http_conn_id")
# Seconds between two looks for DAGs that changed.
_INTERVAL = 10.0
# DAGs read at once: one may be megabytes.
_BATCH = 50
_log = logging.getLogger(__name__)


class DagUse(Struct, frozen=True):
    """The tasks of one DAG that use a connection; ``is_certain`` when one of them is of this package.

    Operators of others may name a connection under the same key.
    """

    dag_id: str
    task_ids: tuple[str, ...]
    is_certain: bool = True


class UsageIndex:
    """Knows the users of each connection. It reads in its own thread: thousands of DAGs take seconds the first time."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._dags: dict[str, tuple[str, Mapping[str, DagUse]]] = {}
        self._users: Mapping[str, tuple[DagUse, ...]] = {}
        self._lock = threading.Lock()
        self._next = 0.0
        self.is_complete = False

    def find_users(self, wait: float = 0.0) -> Mapping[str, tuple[DagUse, ...]]:
        """The users of each connection as far as they are known; looks for changes in the background.

        ``wait`` is how many seconds to wait for a first look.
        """
        if self._clock.monotonic() >= self._next and self._lock.acquire(blocking=False):
            self._next = self._clock.monotonic() + _INTERVAL
            thread = threading.Thread(target=self._refresh, name="oauth-usage", daemon=True)
            thread.start()
            if not self.is_complete:
                thread.join(wait)
        return self._users

    def _refresh(self) -> None:
        """Called with the lock, which it releases."""
        try:
            self.read_changes()
            self.is_complete = True
        except Exception as failure:  # noqa: BLE001  # no caller waits; the list works without it
            _log.warning("DAGs could not be searched for connections: %s", type(failure).__name__)
        finally:
            self._lock.release()

    def read_changes(self) -> None:
        """Reads the DAGs that changed since the last call.

        Raises:
            SQLAlchemyError: the metadata database failed.
        """
        current = dict(_list_versions())
        changed = [dag_id for dag_id, mark in current.items() if self._mark_of(dag_id) != mark]
        kept = {dag_id: known for dag_id, known in self._dags.items() if dag_id in current}
        for first in range(0, len(changed), _BATCH):
            for dag_id, tasks in _read_dags(changed[first : first + _BATCH]):
                kept[dag_id] = current[dag_id], list_uses(dag_id, tasks)
        self._dags = kept
        self._users = _turn_around(kept)

    def _mark_of(self, dag_id: str) -> str:
        known = self._dags.get(dag_id)
        return "" if known is None else known[0]


def _turn_around(
    dags: Mapping[str, tuple[str, Mapping[str, DagUse]]],
) -> Mapping[str, tuple[DagUse, ...]]:
    users: defaultdict[str, list[DagUse]] = defaultdict(list)
    for _, (_, uses) in sorted(dags.items()):
        for conn_id, use in uses.items():
            users[conn_id].append(use)
    return {conn_id: tuple(found) for conn_id, found in users.items()}


def list_uses(dag_id: str, tasks: Any) -> Mapping[str, DagUse]:
    """The parts of that DAG that use each connection; ``tasks`` is the list of its serialised form, whatever that is."""
    uses: dict[str, DagUse] = {}
    for task in tasks if isinstance(tasks, list) else ():
        fields = _unwrap(task)
        if isinstance(fields, dict) and isinstance(task_id := fields.get("task_id"), str):
            is_ours = str(fields.get("_task_module") or "").startswith("oauth_taskflow.")
            for conn_id in sorted(set(_find_conn_ids(fields))):
                known = uses.get(conn_id) or DagUse(dag_id, (), is_certain=False)
                certain = known.is_certain or is_ours
                uses[conn_id] = DagUse(dag_id, (*known.task_ids, task_id), is_certain=certain)
    return uses


def _find_conn_ids(fields: Mapping[str, Any]) -> Iterator[str]:
    partial = _unwrap(fields.get("partial_kwargs"))
    for place in (fields, partial if isinstance(partial, dict) else {}):
        for key in _KEYS:
            value = _unwrap(place.get(key))
            ids = value.values() if isinstance(value, dict) else (value,)
            yield from (one for one in ids if isinstance(one, str) and one and "{{" not in one)


def _unwrap(value: Any) -> Any:
    """A value without the envelope ``{"__type": …, "__var": …}`` of Airflow's serialisation."""
    if isinstance(value, dict) and value.keys() == {"__type", "__var"}:
        return value["__var"]
    return value


def _list_versions() -> Iterator[tuple[str, str]]:
    """Id, version and hash of the latest serialised form of every DAG that is not stale."""
    from airflow.models.dag import DagModel  # noqa: PLC0415 - the ORM loads on the API server only
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415 - as above
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    statement = (
        select(DagVersion.dag_id, DagVersion.version_number, SerializedDagModel.dag_hash)
        .join(DagVersion, DagVersion.id == SerializedDagModel.dag_version_id)
        .join(DagModel, DagModel.dag_id == DagVersion.dag_id)
        .where(DagModel.is_stale.is_(False))
        .order_by(DagVersion.dag_id, DagVersion.version_number)
    )
    with create_session() as session:
        rows = session.execute(statement).all()
    # A mapping made of these keeps the last of several versions of one DAG.
    yield from ((row.dag_id, f"{row.version_number}/{row.dag_hash}") for row in rows)


def _read_dags(dag_ids: list[str]) -> Iterator[tuple[str, Any]]:
    """Id and serialised tasks of the latest version of those DAGs."""
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415 - as above

    for row in SerializedDagModel.get_latest_serialized_dags(dag_ids=dag_ids):
        try:
            data = row.data or {}
        except (ValueError, zlib.error, json.JSONDecodeError):
            continue
        yield row.dag_id, (data.get("dag") or {}).get("tasks")
