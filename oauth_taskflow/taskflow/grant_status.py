"""What ``airflow oauth`` shows of a stored grant; never a secret."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.record import GrantRecord, GrantState

Row = dict[str, str | int | None]
_LONGEST_PROBLEM = 200
# What connections have that name none.
_LEEWAY = ManagerOptions().leeway


def status_row(record: GrantRecord, leeway: float = _LEEWAY) -> Row:
    """One grant as a row of text. Instants are UTC; ``leeway`` is that of the connection, in seconds."""
    token = record.local_token()
    problem = record.trouble.error(record.read.store).what if record.trouble else None
    return {
        "conn_id": record.conn_id,
        "state": _state(record, token, leeway),
        "expires_at": _instant(token.expires_at) if token else None,
        "refreshed_at": _instant(token.obtained_at) if token else None,
        "version": record.version,
        "consent_due": _consent_due(record),
        "asked_again_at": _asked_again_at(record),
        "problem": _shortened(problem) if problem else None,
        "grant": record.grant_key[:12],
    }


def unreadable_row(conn_id: str, grant_key: str, problem: str) -> Row:
    """The row of a record that no key opens."""
    unknown = dict.fromkeys(
        ("expires_at", "refreshed_at", "version", "consent_due", "asked_again_at")
    )
    return {
        "conn_id": conn_id,
        "state": "unreadable",
        **unknown,
        "problem": _shortened(problem),
        "grant": grant_key[:12],
    }


def _state(record: GrantRecord, token: Token | None, leeway: float) -> str:
    if record.state is not GrantState.ACTIVE:
        return str(record.state.value)
    if token is None:
        return "not_yet_used"
    return token.state(SYSTEM_CLOCK.now(), leeway).value


def _asked_again_at(record: GrantRecord) -> str | None:
    """When the cool-down after a failure ends: no worker asks the token endpoint before."""
    until = record.trouble.until if record.trouble else None
    if until is None or until <= record.read.store:
        return None
    return instant_text(until - record.read.offset)


def _consent_due(record: GrantRecord) -> str | None:
    """When a person must agree again, as far as that is known."""
    if record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
        return "now"
    ends_at = record.consent.ends_at if record.consent else None
    return None if ends_at is None else instant_text(ends_at - record.read.offset)


def _shortened(problem: str) -> str:
    return textwrap.shorten(problem, _LONGEST_PROBLEM, placeholder=" …")


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else instant_text(seconds)


def print_rows(rows: Sequence[Row], output: str) -> None:
    """Print as other Airflow commands do: ``table``, ``json``, ``yaml`` or ``plain``."""
    from airflow.cli.simple_table import AirflowConsole  # noqa: PLC0415 - only to print

    blank = "-" if output in {"table", "plain"} else None
    shown = [{name: blank if v is None else v for name, v in row.items()} for row in rows]
    # Without markup: what a server said may look like it, and "[core]" would not be shown.
    AirflowConsole(markup=False, emoji=False).print_as(shown, output)


def exit_with(message: str, status: int = 1) -> NoReturn:
    """End the command with ``message`` on standard error."""
    print(message, file=sys.stderr)  # noqa: T201 - this is a command line
    raise SystemExit(status)
