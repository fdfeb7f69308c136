"""Every connection of this package that can be listed, with its stored grants, and grants without a connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.connections.summary import ConnectionSummary
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants.backend_answers import BackendAnswer, BackendAnswers
from oauth_taskflow.taskflow.grants.connection_list import (
    ListedConnection,
    find_in_variables,
    find_stored_ids,
    is_backend_configured,
    list_connections,
)
from oauth_taskflow.taskflow.grants.current_grant import CurrentGrant, CurrentGrants
from oauth_taskflow.taskflow.grants.grant_status import (
    GrantStatus,
    read_status,
    unreadable_status,
)
from oauth_taskflow.taskflow.grants.health import judge_connection
from oauth_taskflow.taskflow.grants.usage import DagUse, UsageIndex
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.sql.listing import ListedGrant

# Seconds that the first look waits for the search through the DAGs, and each look for secrets backends.
_WAIT_FOR_USES = 0.15
_WAIT_FOR_BACKENDS = 1.0
# Connections that one look reads again: reading one takes a millisecond, and the next look goes on.
_MOST_READ = 40
# Before anyone looks there is time: seconds to wait for the DAGs, and how many connections are read.
_WAIT_AT_START, _MOST_AT_START = 60.0, 4096
USES = UsageIndex()
BACKENDS = BackendAnswers()


class ConnectionOverview(Struct, frozen=True, kw_only=True):
    """One connection with its stored grants and the tasks that use it.

    ``source`` is ``database``, ``environment``, ``secrets backend`` or the class of a backend; empty: it exists nowhere, or it
    is not known yet where. ``shadowed`` are places with a connection of the same id that Airflow does not use. ``summary`` is
    None where the connection is not known, ``health`` a key of ``health.HEALTH``. ``team`` is its team in a deployment with
    several, else None.
    """

    conn_id: str
    health: str
    source: str = ""
    shadowed: tuple[str, ...] = ()
    team: str | None = None
    summary: ConnectionSummary | None = None
    grants: tuple[GrantStatus, ...] = ()
    used_by: tuple[DagUse, ...] = ()


def read_overview(*, is_first: bool = False) -> list[ConnectionOverview]:
    """Every connection by its id. No token endpoint is asked, no secret is kept, and nothing is written.

    ``is_first`` is the reading of a process that starts: it takes its time, and what it decrypts and parses is kept for the others.

    Raises:
        TokenStoreError: the store failed.
        SQLAlchemyError: the metadata database failed.
    """
    store = open_store(store_url(), fernet_keys())
    users = USES.find_users(_WAIT_AT_START if is_first else _WAIT_FOR_USES)
    stored = store.list_records()
    listed = list_connections({*users, *(one.conn_id for one in stored)})
    named = {conn_id for conn_id, uses in users.items() if any(one.is_certain for one in uses)}
    others = _look_up(({one.conn_id for one in stored} | named) - listed.keys() - {""})
    listed = _prefer_backends(listed)
    owners = {one.conn_id for one in stored} & listed.keys()
    sources = {name: listed[name].source for name in owners}
    current = _read_current(store.cipher).find(sources, _MOST_AT_START if is_first else _MOST_READ)
    grants: defaultdict[str, list[GrantStatus]] = defaultdict(list)
    for one in stored:
        grants[one.conn_id].append(_read_status(one, current.get(one.conn_id)))
    return [
        _describe(conn_id, listed.get(conn_id), others, grants.get(conn_id, ()), users)
        for conn_id in sorted(listed.keys() | others.keys())
    ]


@lru_cache(maxsize=4)
def _read_current(cipher: TokenCipher) -> CurrentGrants:
    return CurrentGrants(cipher)


def _read_status(listed: ListedGrant, current: CurrentGrant | None) -> GrantStatus:
    if listed.record is not None:
        is_former = current is not None and current.is_former(listed.record)
        return replace(read_status(listed.record), is_former=is_former)
    assert listed.failure is not None
    return unreadable_status(listed.conn_id, listed.grant_key, listed.failure)


def _look_up(conn_ids: Iterable[str]) -> dict[str, BackendAnswer | str | None]:
    """Where the connections are that no list has: in the database or a variable with another type, elsewhere, nowhere (None), unknown ("")."""
    wanted = set(conn_ids)
    stored = dict.fromkeys(find_stored_ids(wanted), "database")
    places: dict[str, BackendAnswer | str | None] = {
        one: (variable := find_in_variables(one)) or stored.get(one, variable) for one in wanted
    }
    if is_backend_configured():
        for conn_id, known in BACKENDS.find(wanted, _WAIT_FOR_BACKENDS).items():
            if known is None:  # it may be there
                places[conn_id] = places[conn_id] or ""
            elif known.exists:
                places[conn_id] = known
    return places


def _prefer_backends(listed: dict[str, ListedConnection]) -> dict[str, ListedConnection]:
    """``listed`` with the connections of a secrets backend without a list, which Airflow asks before variables and database.

    No look waits for it: an answer counts from the next look on.
    """
    if not is_backend_configured():
        return listed
    hidden = [one for one, each in listed.items() if each.source in {"database", "environment"}]
    found = BACKENDS.find(hidden, 0.0).items()
    there = {one: answer for one, answer in found if answer is not None and answer.exists}
    return listed | {
        one: listed[one].hide_by("secrets backend", answer.summary) for one, answer in there.items()
    }


def _rank(status: GrantStatus) -> tuple[bool, float]:
    return not status.is_former, status.refreshed_at or 0.0


def _describe(
    conn_id: str,
    listed: ListedConnection | None,
    others: Mapping[str, BackendAnswer | str | None],
    grants: Sequence[GrantStatus],
    users: Mapping[str, tuple[DagUse, ...]],
) -> ConnectionOverview:
    source, summary, exists = "", None, True
    if listed is not None:
        source, summary = listed.source, listed.summary
    elif isinstance(other := others[conn_id], BackendAnswer):
        source, summary = "secrets backend", other.summary
    else:
        source, exists = other or "", other is not None
    health = judge_connection(summary, grants)
    if not exists:
        health = "orphaned" if grants else "missing"
    elif source and summary is None:
        health = "misconfigured"  # of another type, without auth_type; or no connection at all
    return ConnectionOverview(
        conn_id=conn_id,
        health=health,
        source=source,
        shadowed=listed.shadowed if listed is not None else (),
        team=listed.team if listed is not None else None,
        summary=summary,
        grants=tuple(sorted(grants, key=_rank, reverse=True)),
        used_by=users.get(conn_id, ()),
    )
