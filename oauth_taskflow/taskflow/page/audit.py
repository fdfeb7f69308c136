"""Who did what to which connection, and when: a row of Airflow's audit log (Browse, Audit Log) and a line of the server's log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy.exc import SQLAlchemyError

from oauth_taskflow.errors import OAuthTaskflowError, printable

_log = logging.getLogger("oauth_taskflow.audit")


class AuditNote:
    """What one action did; ``outcome`` goes into the audit log when the action ends."""

    def __init__(self) -> None:
        self.outcome = "done"


@contextmanager
def audited(user: BaseUser, action: str, conn_id: str, **facts: Any) -> Iterator[AuditNote]:
    """Writes that ``user`` does ``action`` to connection ``conn_id`` before it is done, and how it ended afterwards.

    ``facts`` are JSON values without secrets. The event in the audit log is ``oauth_<action>``.

    Raises:
        OAuthTaskflowError: the audit log cannot be written; the action was not begun.
    """
    note = AuditNote()
    known = {"connection_id": conn_id, **facts}
    number = _write(user, action, {**known, "outcome": "begun"})
    try:
        yield note
    except OAuthTaskflowError as error:
        note.outcome = f"failed: {error.what}"
        raise
    except BaseException as error:
        note.outcome = f"failed: {type(error).__name__}"
        raise
    finally:
        _complete(number, {**known, "outcome": note.outcome})
        outcome = " ".join(printable(note.outcome).split())  # one line, whatever a server wrote
        _log.info("%s: %s of connection %r: %s", _name(user), action, conn_id, outcome)


def _write(user: BaseUser, action: str, extra: dict[str, Any]) -> int:
    row = Log(
        event=f"oauth_{action}",
        owner=_name(user),
        owner_display_name=_name(user),
        extra=json.dumps(extra),
    )
    try:
        with create_session() as session:
            session.add(row)
            session.flush()
            return int(row.id)
    except SQLAlchemyError as failure:
        raise OAuthTaskflowError(
            f"The audit log cannot be written ({type(failure).__name__}), so nothing was done",
            hint="Look at Airflow's metadata database.",
        ) from None


def _complete(number: int, extra: dict[str, Any]) -> None:
    try:
        with create_session() as session:
            row = session.get(Log, number)
            if row is not None:
                row.extra = json.dumps(extra)
    except SQLAlchemyError as failure:
        _log.error("How it ended is missing in the audit log: %s", type(failure).__name__)


def _name(user: BaseUser) -> str:
    return " ".join(printable(user.get_name()).split())
