"""The rows that ``airflow oauth`` prints about stored grants; they never hold a secret."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.taskflow.cli.output import Row
from oauth_taskflow.taskflow.grants.grant_status import LEEWAY, GrantStatus, read_status
from oauth_taskflow.tokens.state.record import GrantRecord

_LONGEST_PROBLEM = 200


def status_row(record: GrantRecord, leeway: float = LEEWAY) -> Row:
    """One grant as a row of text. Instants are in UTC; ``leeway`` is the connection's, in seconds."""
    status = read_status(record, leeway)
    return make_row(status, status.problem.what if status.problem else None)


def make_row(status: GrantStatus, problem: str | None) -> Row:
    """``status`` as a row of text; ``problem`` is cut to a line."""
    return {
        "conn_id": status.conn_id,
        "state": status.state,
        "expires_at": _format_instant(status.expires_at),
        "refreshed_at": _format_instant(status.refreshed_at),
        "version": status.version,
        "consent_due": "now" if status.consent_is_due else _format_instant(status.consent_due_at),
        "asked_again_at": _format_instant(status.asked_again_at),
        "problem": _shorten(problem) if problem else None,
        "grant": status.grant_key[:12],
    }


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


def _shorten(problem: str) -> str:
    return textwrap.shorten(problem, _LONGEST_PROBLEM, placeholder=" …")


def _format_instant(seconds: float | None) -> str | None:
    return None if seconds is None else instant_text(seconds)
