"""Records which user did what to which connection, and when: a row of Airflow's audit log (Browse, Audit Log) and a line of the server's log.

A row is written before its action begins. If the server is killed meanwhile, another one writes that its outcome is not
known, by itself or with the next action. An action that several requests lead on has one row too, from its first request on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import OAuthTaskflowError, printable
from oauth_taskflow.tokens.refresh import lease_owner

_log = logging.getLogger("oauth_taskflow.audit")
# Each is the end of an event's name; a search by name is quick in an audit log of any length.
ACTIONS = (
    *("refresh", "test", "revoke", "forget"),
    *("connect", "consent_begun", "consent_cancelled"),
    *("connection_added", "connection_edited"),
)
_BEGUN = "begun"
# No action takes longer: its requests and waits for locks have limits of minutes.
_LONGEST_ACTION = timedelta(hours=1)
# Older rows are left alone, so that a look stays quick; and seconds between two looks of one process.
_LONGEST_BACK = timedelta(days=30)
_LOOK_PAUSE = 60.0
# Seconds. The last question about a device code may be under way when the code runs out.
_MARGIN = 60


class AuditLogAway(OAuthTaskflowError):
    """The audit log cannot be written, so that the action was not begun; the same request may be sent again."""

    retryable = True


class AuditNote:
    """The result of one action; ``outcome`` goes into the audit log when the action ends."""

    def __init__(self) -> None:
        self.outcome = "done"


@contextmanager
def audited(user: BaseUser, action: str, conn_id: str, **facts: Any) -> Iterator[AuditNote]:
    """Writes that ``user`` does ``action`` to connection ``conn_id`` before it is done, and how it ended afterwards.

    ``facts`` are JSON values without secrets. ``action`` is one of ``ACTIONS``; the event in the audit log is
    ``oauth_<action>``.

    Raises:
        AuditLogAway: the audit log cannot be written; the action was not begun.
    """
    assert action in ACTIONS, (
        f"rows of {action} would stay without an outcome when a server is killed"
    )
    close_abandoned()
    note = AuditNote()
    known = {"connection_id": conn_id, **facts}
    begun = {**known, "outcome": _BEGUN, "server": lease_owner.this_process()}
    number = _write(user, action, begun)
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
        _log_outcome(user, action, conn_id, note.outcome)


def begin_followed(
    user: BaseUser, action: str, conn_id: str, secret: str, lifetime: float, **facts: Any
) -> None:
    """Writes that ``user`` begins an action that later requests end, any of which has ``secret``, within ``lifetime`` seconds.

    Without an end until then, the outcome is not known.

    Raises:
        OAuthTaskflowError: the audit log cannot be written.
    """
    assert action in ACTIONS, action
    until = datetime.now(timezone.utc).timestamp() + lifetime
    known = {"connection_id": conn_id, **facts, "consent": _name_consent(secret)}
    _write(user, action, {**known, "outcome": _BEGUN, "until": round(until)})


def end_followed(
    user: BaseUser, action: str, conn_id: str, secret: str, outcome: str, **facts: Any
) -> None:
    """Writes how an action ended that ``user`` began; as a new row, where that user has none with ``secret`` that runs."""
    known = {"connection_id": conn_id, **facts, "consent": _name_consent(secret)}
    ended = json.dumps({**known, "outcome": outcome})
    row = [
        Log.event == f"oauth_{action}",
        Log.owner == _name(user),
        Log.dttm > datetime.now(timezone.utc) - _LONGEST_ACTION,
        *(
            Log.extra.contains(json.dumps(one)[1:-1], autoescape=True)
            for one in (
                {"consent": known["consent"]},
                {"outcome": _BEGUN},
            )
        ),
    ]
    try:
        with create_session() as session:
            number = session.scalar(select(Log.id).where(*row))
            if number is not None:
                session.execute(update(Log).where(Log.id == number).values(extra=ended))
        if number is None:
            _write(user, action, json.loads(ended))
    except (SQLAlchemyError, OAuthTaskflowError) as failure:
        _log.error("How it ended is missing in the audit log: %s", type(failure).__name__)
    _log_outcome(user, action, conn_id, outcome)


def _name_consent(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def _log_outcome(user: BaseUser, action: str, conn_id: str, outcome: str) -> None:
    said = " ".join(printable(outcome).split())  # one line, whatever a server wrote
    _log.info("%s: %s of connection %r: %s", _name(user), action, conn_id, said)


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
        raise AuditLogAway(
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


class _Look:
    """When this process looks for abandoned rows again (monotonic clock)."""

    next = 0.0
    lock = threading.Lock()

    @classmethod
    def is_due(cls) -> bool:
        """Whether it is time; only the first caller hears so."""
        with cls.lock:
            now = SYSTEM_CLOCK.monotonic()
            if now < cls.next:
                return False
            cls.next = now + _LOOK_PAUSE
            return True


def close_abandoned() -> None:
    """Write into rows whose server ended during the action that their outcome is not known; looks once a minute at most.

    A server that still runs overwrites that with the true outcome. A failure is only logged.
    """
    if not _Look.is_due():
        return
    try:
        with create_session() as session:
            _close_abandoned(session)
    except SQLAlchemyError as failure:
        _log.warning("The audit log cannot be searched: %s", type(failure).__name__)


def _close_abandoned(session: Session) -> None:
    now = datetime.now(timezone.utc)
    begun = select(Log.id, Log.dttm, Log.extra).where(
        Log.event.in_([f"oauth_{action}" for action in ACTIONS]),
        Log.dttm > now - _LONGEST_BACK,
        Log.extra.contains(json.dumps({"outcome": _BEGUN})[1:-1], autoescape=True),
    )
    for row in session.execute(begun).all():
        extra = json.loads(row.extra)
        outcome = _judge(extra, row.dttm, now)
        if outcome:
            extra["outcome"] = outcome
            # Unless the outcome came meanwhile.
            unchanged = update(Log).where(Log.id == row.id, Log.extra == row.extra)
            session.execute(unchanged.values(extra=json.dumps(extra)))


def _judge(extra: dict[str, Any], begun_at: datetime, now: datetime) -> str:
    """The outcome of an action that cannot end any more; empty while it may run. Removes from ``extra`` what only that needs."""
    server, until = extra.pop("server", ""), extra.pop("until", None)
    if until is not None:
        is_over = now.timestamp() > until + _MARGIN
        return "unknown: its code ran out, and no page heard how it ended" if is_over else ""
    is_old = now - begun_at > _LONGEST_ACTION and not lease_owner.is_visible(server)
    if is_old or lease_owner.is_dead(server):
        who = lease_owner.describe(server) if server else "the server"
        return f"unknown: {who} ended before the action did"
    return ""
