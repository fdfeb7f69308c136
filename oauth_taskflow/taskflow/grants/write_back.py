"""Copies a rotated refresh token into its Airflow connection (``write_back: true``).

The token store is authoritative. The copy is for people who look after connections, and for the loss of the store. The
broker and scripts write to the metadata database. A task uses Airflow's REST API, as the user of the connection that
``[oauth_taskflow] write_back_conn_id`` names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import quote

from msgspec import Struct

from oauth_taskflow.errors import ConnectionConfigError, OAuthTaskflowError
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.taskflow.connection_lookup import find_connection
from oauth_taskflow.taskflow.processes import in_task
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.store import TokenStore

_KEY = "refresh_token"
_log = logging.getLogger(__name__)
# ``sessions.open_session``, which is above this module and hands itself in.
OpenSession: TypeAlias = Callable[[str], Any]


class WriteBack(Struct, frozen=True):
    """Copies refresh tokens out of ``store``; a task needs ``open_session`` for Airflow's REST API."""

    store: TokenStore
    open_session: OpenSession

    def observe(self, event: Event) -> None:
        """Writes the refresh token back that was just stored. Never raises an error of ours."""
        if event.step is not Step.PERSISTED:
            return
        try:
            write_back(event.conn_id, self.store, event.grant_key, self.open_session)
        except OAuthTaskflowError as failure:
            _log.warning("the refresh token was not written back: %s", failure)


def write_back(
    conn_id: str, store: TokenStore, grant_key: str, open_session: OpenSession | None = None
) -> None:
    """Puts the stored refresh token into the connection, unless a user has put another one there.

    Raises:
        ConnectionConfigError: the connection cannot be written from here.
        ApiError: Airflow's REST API refused.
        TokenStoreError: the store failed.
    """

    def remember(current: GrantRecord) -> GrantRecord | None:
        stored = current.refresh_token
        if stored is None:
            return None
        return transitions.remember_seeds(current, store.cipher.fingerprint(stored))

    # Before the connection has it: an unknown refresh token there would replace the stored one.
    record = store.change(store.read(grant_key), remember)
    if record.refresh_token is None:
        return
    copy = _Copy(conn_id, record, store)
    if in_task():
        _through_rest_api(copy, open_session)
    else:
        _into_database(copy)


def refuse_unwritable(conn_id: str) -> None:
    """Refuses to write a connection that is not in the metadata database, before anything else happens.

    Raises:
        ConnectionConfigError: it is not there.
        OAuthTaskflowError: the database failed.
    """
    with _row_of(conn_id):
        pass


class _Copy(Struct, frozen=True):
    """One refresh token that is copied into one connection."""

    conn_id: str
    record: GrantRecord
    store: TokenStore

    def replaces(self, present: Any) -> bool:
        """Whether the connection holds a former refresh token of this grant, or does not hold one.

        An unknown one is a new consent; the next token request will use it.
        """
        if not present or present == self.record.refresh_token:
            return not present
        seen = (*self.record.seeds, self.record.lineage)
        if any(fingerprint in seen for fingerprint in self.store.cipher.fingerprints(str(present))):
            return True
        _log.info("connection %r holds a new refresh token; it is left alone", self.conn_id)
        return False


def _into_database(copy: _Copy) -> None:
    with _row_of(copy.conn_id) as row:
        extra = _extra_of(row)
        if copy.replaces(extra.get(_KEY)):
            row.set_extra(json.dumps({**extra, _KEY: copy.record.refresh_token}))


@contextmanager
def _row_of(conn_id: str) -> Iterator[Any]:
    """The connection's row, locked, and stored again at the end."""
    from airflow.models import Connection  # noqa: PLC0415 - the ORM loads here only
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as above

    # The SDK's Connection cannot be written.
    wanted = select(Connection).where(Connection.conn_id == conn_id).with_for_update()  # noqa: AIR311
    try:
        with create_session() as session:
            row = session.scalar(wanted)
            if row is None:
                raise ConnectionConfigError(
                    "The connection is not in the metadata database",
                    conn_id=conn_id,
                    field="write_back",
                    hint="A secrets backend or variable cannot be written to: leave write_back out.",
                )
            yield row
    except SQLAlchemyError as failure:
        # By name only: its text may quote the row.
        what = f"The metadata database failed ({type(failure).__name__})"
        raise ConnectionConfigError(what, conn_id=conn_id, field="write_back") from None


def _through_rest_api(copy: _Copy, open_session: OpenSession | None) -> None:
    # The REST API redacts values; only the task's own look-up shows whose refresh token the connection has.
    if not copy.replaces(_extra_of(find_connection(copy.conn_id)).get(_KEY)):
        return
    with _airflow_session(copy.conn_id, open_session) as session:
        path = f"/api/v2/connections/{quote(copy.conn_id, safe='')}"
        answer = session.get(path)
        answer.raise_for_status()
        shown = _read_shown(answer.json(), copy.conn_id)
        # Values shown as "***" keep what is stored.
        extra = {**shown.extra, _KEY: copy.record.refresh_token}
        body = {
            "connection_id": copy.conn_id,
            "conn_type": shown.conn_type,
            "extra": json.dumps(extra),
        }
        session.patch(path, params={"update_mask": "extra"}, json=body).raise_for_status()


class _Shown(Struct, frozen=True):
    """A connection as Airflow's REST API shows it, with masked values."""

    conn_type: str
    extra: dict[str, Any]


def _read_shown(answer: Any, conn_id: str) -> _Shown:
    try:
        extra = json.loads(answer["extra"] or "{}")
        return read_as(_Shown, {"conn_type": answer["conn_type"], "extra": extra})
    except (ValueError, TypeError, KeyError):
        raise ConnectionConfigError(
            "Airflow's REST API did not answer with a connection",
            conn_id=conn_id,
            field="write_back",
            hint="Let [oauth_taskflow] write_back_conn_id name a connection to Airflow's REST API.",
        ) from None


def _airflow_session(conn_id: str, open_session: OpenSession | None) -> Any:
    """A session for Airflow's own REST API; one quick try, because a token is being waited for."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    from oauth_taskflow.api.retry import RetryPolicy  # noqa: PLC0415 - rarely needed

    through = (conf.get("oauth_taskflow", "write_back_conn_id", fallback="") or "").strip()
    if open_session is None or not through:
        raise ConnectionConfigError(
            "A task cannot write connections by itself",
            conn_id=conn_id,
            field="write_back",
            hint="Set [oauth_taskflow] write_back_conn_id to a connection to Airflow's REST API, or use broker mode.",
        )
    session = open_session(through)
    session.retry = RetryPolicy(attempts=1)
    session.timeout = (3.0, 10.0)
    return session


def _extra_of(connection: Any) -> dict[str, Any]:
    extra = json.loads(connection.extra or "{}")
    return extra if isinstance(extra, dict) else {}
