"""The rows that ``airflow oauth`` prints about stored grants; they never hold a secret."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.token import Token, TokenState
from oauth_taskflow.taskflow.cli.output import Row
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState

_LONGEST_PROBLEM = 200
# The leeway of connections that set none.
_LEEWAY = ManagerOptions().leeway


def status_row(record: GrantRecord, leeway: float = _LEEWAY) -> Row:
    """One grant as a row of text. Instants are in UTC; ``leeway`` is the connection's, in seconds."""
    token = record.local_token()
    problem = (
        record.last_failure.to_error(record.read_at.store).what if record.last_failure else None
    )
    return {
        "conn_id": record.conn_id,
        "state": _describe_state(record, token, leeway),
        "expires_at": _format_instant(token.expires_at) if token else None,
        "refreshed_at": _format_instant(token.obtained_at) if token else None,
        "version": record.version,
        "consent_due": _format_consent_due(record),
        "asked_again_at": _format_cooldown_end(record),
        "problem": _shorten(problem) if problem else None,
        "grant": record.grant_key[:12],
    }


def unreadable_row(conn_id: str, grant_key: str, problem: str) -> Row:
    """The row of a record that no Fernet key decrypts."""
    unknown = dict.fromkeys(
        ("expires_at", "refreshed_at", "version", "consent_due", "asked_again_at")
    )
    return {
        "conn_id": conn_id,
        "state": "unreadable",
        **unknown,
        "problem": _shorten(problem),
        "grant": grant_key[:12],
    }


def _describe_state(record: GrantRecord, token: Token | None, leeway: float) -> str:
    if record.state is not GrantState.ACTIVE:
        return str(record.state.value)
    if token is None:
        return "not_yet_used"
    state = token.state(SYSTEM_CLOCK.now(), leeway)
    # A grant that was unused for longer than its token lives is healthy: the next task refreshes it.
    idle = state is TokenState.EXPIRED and record.last_failure is None and _is_refreshable(record)
    return "idle" if idle else state.value


def _is_refreshable(record: GrantRecord) -> bool:
    """Whether the next token needs no consent: there is a refresh token, or the client gets tokens for itself."""
    logged_in = record.consent_fence > 0
    return record.refresh_token is not None or not logged_in


def group_by_connection(rows: Sequence[Row], output: str) -> list[Row]:
    """Sorts ``rows`` by connection, and the grants of one connection by their last refresh, latest first.

    A connection that was edited keeps its earlier grants. A table shows its name in the first of its rows only.
    """
    latest = sorted(rows, key=lambda row: str(row["refreshed_at"] or ""), reverse=True)
    ordered = sorted(latest, key=lambda row: str(row["conn_id"]))
    if output != "table":
        return ordered
    seen: set[object] = set()
    grouped: list[Row] = []
    for row in ordered:
        grouped.append({**row, "conn_id": ""} if row["conn_id"] in seen else row)
        seen.add(row["conn_id"])
    return grouped


def _format_cooldown_end(record: GrantRecord) -> str | None:
    """When the cool-down after a failure ends; workers wait for that before they ask the token endpoint again."""
    until = record.last_failure.until if record.last_failure else None
    if until is None or until <= record.read_at.store:
        return None
    return instant_text(until - record.read_at.offset)


def _format_consent_due(record: GrantRecord) -> str | None:
    """When a person must consent again, if that is known."""
    if record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
        return "now"
    ends_at = record.consent.ends_at if record.consent else None
    return None if ends_at is None else instant_text(ends_at - record.read_at.offset)


def _shorten(problem: str) -> str:
    return textwrap.shorten(problem, _LONGEST_PROBLEM, placeholder=" …")


def _format_instant(seconds: float | None) -> str | None:
    return None if seconds is None else instant_text(seconds)
