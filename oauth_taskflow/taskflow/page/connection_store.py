"""Reads and writes connections in Airflow's metadata database, as the API server may, for the form of the page."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable

from airflow.configuration import conf
from airflow.models.connection import Connection
from airflow.sdk.exceptions import AirflowException
from airflow.utils.session import create_session
from cryptography.fernet import InvalidToken
from fastapi import HTTPException
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oauth_taskflow.connections.drafts.draft import DraftedConnection, FieldProblem, WrongDraft
from oauth_taskflow.taskflow.grants.connection_list import is_backend_configured
from oauth_taskflow.taskflow.grants.overview import BACKENDS
from oauth_taskflow.taskflow.page.visibility import has_teams


class Conflict(WrongDraft):
    """A draft is right, and does not fit what is stored."""

    status = 409


_WRITTEN = ("conn_type", "description", "host", "schema", "login", "port")
_CHANGED = "Another user changed this connection in the meantime"
_UNREADABLE = "No Fernet key of this deployment opens the stored password or extra"
_SET_KEY = "Set the earlier [core] fernet_key too, or delete the connection and add it again."
# Seconds that a save waits for a secrets backend.
_WAIT = 1.0
_RELOAD = "Reload the page, and make your change again."


def add_connection(drafted: DraftedConnection, team: str | None) -> None:
    """Stores a new connection, for ``team`` in a deployment with teams.

    Raises:
        Conflict: a connection of that name exists.
        WrongDraft: the deployment has no teams.
    """
    if team and not has_teams():
        raise WrongDraft(FieldProblem("team_name", "This Airflow has no teams", "Leave it out."))
    row = Connection(conn_id=drafted.conn_id, team_name=team)
    _fill(row, drafted)
    try:
        with create_session() as session:
            if _find(session, drafted.conn_id) is not None:
                raise _taken()
            session.add(row)
            session.flush()
    except IntegrityError:  # another request was first, or removed the team
        raise _taken() from None


def read_connection(conn_id: str) -> tuple[DraftedConnection, str, str | None]:
    """Returns the stored connection, its revision, and its team.

    Raises:
        HTTPException: 404, if the metadata database does not hold it.
    """
    with create_session() as session:
        row = _find_or_refuse(session, conn_id)
        return _as_drafted(row), _revision(row), row.team_name


def replace_connection(
    conn_id: str, revision: str, rewrite: Callable[[DraftedConnection], DraftedConnection]
) -> None:
    """Stores what ``rewrite`` makes of the connection, unless it is not the one of ``revision`` any more.

    The row is locked meanwhile: a secret that is kept must not meet the new address of another request.

    Raises:
        HTTPException: 404, if the metadata database does not hold it.
        Conflict: it was changed in the meantime.
        WrongDraft: ``rewrite`` refused.
    """
    with create_session() as session:
        _lock(session, conn_id)
        row = _find_or_refuse(session, conn_id)
        if not hmac.compare_digest(_revision(row).encode(), revision.encode()):
            raise Conflict(FieldProblem("", _CHANGED, _RELOAD))
        _fill(row, rewrite(_as_drafted(row)))


def find_shadows(conn_id: str) -> list[str]:
    """Returns warnings about what wins over the stored connection, in the order in which Airflow asks."""
    found, variable = [], f"AIRFLOW_CONN_{conn_id.upper()}"
    answer = BACKENDS.find([conn_id], _WAIT)[conn_id] if is_backend_configured() else None
    if answer is not None and answer.exists:
        found.append("A secrets backend has a connection of this name")
    if variable in os.environ:
        found.append(f"{variable} is set on the API server")
    return [f"{one}, and Airflow prefers it to this connection." for one in found]


def _fill(row: Connection, drafted: DraftedConnection) -> None:
    for name in _WRITTEN:
        setattr(row, name, getattr(drafted, name))
    row.set_password(drafted.password)
    row.set_extra(drafted.extra)


def _lock(session: Session, conn_id: str) -> None:
    """Takes the row's lock by a write that changes nothing: SQLite has no other lock for it."""
    same = update(Connection).where(Connection.conn_id == conn_id).values(conn_id=conn_id)
    session.execute(same.execution_options(synchronize_session=False))


def _find(session: Session, conn_id: str) -> Connection | None:
    return session.scalar(select(Connection).where(Connection.conn_id == conn_id))


def _find_or_refuse(session: Session, conn_id: str) -> Connection:
    row = _find(session, conn_id)
    if row is None:
        what = "This connection is not in Airflow's metadata database. Change it where it comes from: a variable or a secrets backend."
        raise HTTPException(404, what)
    return row


def _as_drafted(row: Connection) -> DraftedConnection:
    try:
        password, extra = row.password, row.extra or "{}"
    except (InvalidToken, ValueError, AirflowException):
        raise Conflict(FieldProblem("", _UNREADABLE, _SET_KEY)) from None
    return DraftedConnection(
        conn_id=row.conn_id,
        conn_type=row.conn_type,
        description=row.description,
        host=row.host,
        schema=row.schema,
        login=row.login,
        password=password,
        port=row.port,
        extra=extra,
    )


def _revision(row: Connection) -> str:
    """A keyed hash of the row as it is stored: it changes with each write, and says nothing about the secrets."""
    key = conf.get_mandatory_value("api", "secret_key").encode()
    parts = [row._password, row._extra, *(getattr(row, name) for name in _WRITTEN)]  # noqa: SLF001
    return hmac.new(key, repr(parts).encode(errors="replace"), hashlib.sha256).hexdigest()


def _taken() -> Conflict:
    hint = "Choose another name, or edit that one."
    return Conflict(FieldProblem("conn_id", "A connection of this name exists already", hint))
