"""The connections of this package, as far as they can be listed: database, variables, and files of a secrets backend.

No secret is kept or announced: Airflow's ORM object and ``parse_connection`` would register the secrets of every connection
with the log masker, which a server that lists hundreds every few seconds cannot afford.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from oauth_taskflow.connections.summary import ConnectionSummary, summarize
from oauth_taskflow.taskflow.config import presets_folder

_PREFIX = "AIRFLOW_CONN_"
# Between the team and the id in the name of a team's variable.
_TEAM_END = "___"
_log = logging.getLogger(__name__)


class ListedConnection(Struct, frozen=True):
    """One connection; ``source`` is ``database``, ``environment`` or the class of a secrets backend: where Airflow finds it first.

    ``shadowed`` are the other places with a connection of that id, which Airflow does not use. ``summary`` is None where one of
    another type shadows one of this package.
    """

    conn_id: str
    source: str
    summary: ConnectionSummary | None
    team: str | None = None
    shadowed: tuple[str, ...] = ()

    def hide_by(self, source: str, summary: ConnectionSummary | None) -> ListedConnection:
        """The connection of the same id that Airflow finds first, at ``source``; the team, who may see it, stays."""
        return ListedConnection(
            self.conn_id, source, summary, self.team, (self.source, *self.shadowed)
        )


def list_connections(named: Iterable[str] = ()) -> dict[str, ListedConnection]:
    """Every connection of this package that can be listed, by its id; of several with one id the one that Airflow finds first.

    Airflow asks the configured secrets backend, then variables, then the database:
    https://airflow.apache.org/docs/apache-airflow/stable/security/secrets/secrets-backend/index.html#search-path

    ``named`` are the ids that grants and tasks name: a variable answers to its id in large and in small letters.

    Raises:
        SQLAlchemyError: the metadata database failed.
    """
    folder = presets_folder()
    found = {one.conn_id: one for one in _list_in_database(folder)}
    _prefer(found, _list_in_environment(folder, {*named, *found}))
    _prefer(found, _list_in_backends(folder))
    return found


def _prefer(found: dict[str, ListedConnection], first: Iterable[ListedConnection]) -> None:
    """Puts those of ``first`` into ``found``; of another type only if they shadow one of this package."""
    for one in list(first):
        later = found.get(one.conn_id)
        if later is not None:
            found[one.conn_id] = later.hide_by(one.source, one.summary)
        elif one.summary is not None:
            found[one.conn_id] = one


def find_in_variables(conn_id: str) -> str | None:
    """``environment`` if a variable holds the connection, readable or not; empty if only a team's does; None without one."""
    own = conn_id.upper()
    if os.environ.get(f"{_PREFIX}{own}"):
        return "environment"
    is_of_team = _has_teams() and any(
        name.startswith(f"{_PREFIX}_") and name.endswith(f"{_TEAM_END}{own}") for name in os.environ
    )
    return "" if is_of_team else None


def find_stored_ids(conn_ids: Iterable[str]) -> set[str]:
    """Those of ``conn_ids`` that are in the metadata database, whatever their type.

    Raises:
        SQLAlchemyError: the metadata database failed.
    """
    from airflow.models import Connection  # noqa: PLC0415 - the ORM loads on the API server only
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    wanted = set(conn_ids)
    if not wanted:
        return set()
    with create_session() as session:
        return wanted & set(session.scalars(select(Connection.conn_id)))  # noqa: AIR311 - the ORM's


def _list_in_database(folder: Path | None) -> Iterator[ListedConnection]:
    from airflow.models import Connection  # noqa: PLC0415 - the ORM loads on the API server only
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    table: Any = Connection.__table__  # noqa: AIR311 - the ORM's
    columns = [table.c[name] for name in ("conn_id", "conn_type", "extra", "is_extra_encrypted")]
    team = table.c.get("team_name")
    statement = select(*columns, *([] if team is None else [team]))
    kinds = ("oauth2", "http", "https")
    with create_session() as session:
        rows = session.execute(statement.where(table.c.conn_type.in_(kinds))).all()
    for row in rows:
        summary = _summarize_row(
            row.conn_type, row.extra, folder, encrypted=bool(row.is_extra_encrypted)
        )
        if summary is not None:
            yield ListedConnection(
                row.conn_id, "database", summary, getattr(row, "team_name", None)
            )


@lru_cache(maxsize=4096)
def _summarize_row(
    conn_type: str,
    extra: str | None,
    folder: Path | None,
    *,
    encrypted: bool,
) -> ConnectionSummary | None:
    """The summary of a row; the encrypted text, which changes with every saving, is the key under which it is kept."""
    from airflow.models.crypto import get_fernet  # noqa: PLC0415 - as above
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as above

    try:
        text = get_fernet().decrypt(extra.encode()).decode() if extra and encrypted else extra
    except (InvalidToken, ValueError):
        text = "?"  # no JSON, as for a connection that cannot be read
    return summarize(conn_type, text, folder)


def _list_in_environment(folder: Path | None, named: Iterable[str]) -> Iterator[ListedConnection]:
    """One for each of ``named`` that a variable answers to; in small letters where none of them does."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for conn_id in named:
        spellings[conn_id.upper()].append(conn_id)
    for name, value in os.environ.items():
        own = name.removeprefix(_PREFIX)
        if not name.startswith(_PREFIX) or not _is_id_in_variable(own):
            continue
        conn_type, extra = _read_variable(value)
        summary = summarize(conn_type, extra, folder)
        for conn_id in spellings.get(own, [own.lower()]):
            yield ListedConnection(conn_id, "environment", summary)


def _is_id_in_variable(own: str) -> bool:
    """Whether Airflow finds a connection by that end of a variable's name: in large letters, and in no team's namespace.

    Variables of a team (``AIRFLOW_CONN__BLUE___CRM``) answer to its tasks only, which ask by the id behind the team.
    """
    return bool(own) and own == own.upper() and not (_TEAM_END in own and _has_teams())


def _has_teams() -> bool:
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    return bool(conf.getboolean("core", "multi_team", fallback=False))


def _read_variable(text: str) -> tuple[str, str]:
    """Type and extra of a connection written as JSON or as a URI; empty texts for what is neither.

    https://airflow.apache.org/docs/apache-airflow/stable/howto/connection.html#storing-connections-in-environment-variables
    """
    try:
        if text.lstrip().startswith("{"):
            fields = json.loads(text)
            extra = fields.get("extra") or {}
            return str(fields.get("conn_type") or ""), (
                extra if isinstance(extra, str) else json.dumps(extra)
            )
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except (ValueError, AttributeError, TypeError):
        return "", ""
    return parts.scheme.replace("-", "_"), query.get("__extra__") or json.dumps(query)


def _list_in_backends(folder: Path | None) -> Iterator[ListedConnection]:
    """The connections that a backend of files holds. Other stores of secrets offer no list."""
    from airflow.configuration import ensure_secrets_loaded  # noqa: PLC0415 - as above

    for backend in ensure_secrets_loaded():
        for one in (backend, getattr(backend, "_wrapped", None)):
            yield from _list_in_files(one, folder)


def _list_in_files(backend: Any, folder: Path | None) -> Iterator[ListedConnection]:
    try:
        local: Mapping[str, Any] = getattr(backend, "_local_connections", None) or {}
    except Exception as failure:  # noqa: BLE001  # by name only: the text may quote the file
        _log.warning(
            "%s cannot list connections: %s", type(backend).__name__, type(failure).__name__
        )
        return
    for conn_id, connection in local.items():
        summary = summarize(connection.conn_type, connection.extra, folder)
        yield ListedConnection(conn_id, type(backend).__name__, summary)


def is_backend_configured() -> bool:
    """Whether connections may be in a secrets backend that offers no list, besides variables and database."""
    return any(_unlisted_backends())


def find_in_backends(conn_id: str) -> Any | None:
    """The connection as a secrets backend without a list has it, which Airflow asks first; None where none has it.

    Raises:
        BackendFailed: one failed, which Airflow takes for an answer that the connection is not there.
    """
    failure: BackendFailed | None = None
    for backend in _unlisted_backends():
        try:
            found = backend.get_connection(conn_id)
        except Exception as error:  # noqa: BLE001 - that of any backend
            reason = type(error).__name__, type(backend).__name__, conn_id
            _log.warning("%s of %s: whether connection %r exists is not known", *reason)
            failure = BackendFailed(type(backend).__name__)
            continue
        if found is not None:
            return found
    if failure is not None:
        raise failure
    return None


class BackendFailed(Exception):
    """A secrets backend could not be asked; its text is the class of the backend."""


def _unlisted_backends() -> Iterator[Any]:
    from airflow.configuration import ensure_secrets_loaded  # noqa: PLC0415 - as above

    usual = {"EnvironmentVariablesBackend", "LocalFilesystemBackend", "MetastoreBackend"}
    wrapped = (getattr(one, "_wrapped", one) or one for one in ensure_secrets_loaded())
    return (one for one in wrapped if type(one).__name__ not in {*usual, "OAuthBroker"})
