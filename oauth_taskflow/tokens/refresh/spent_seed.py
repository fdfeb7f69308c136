"""Rejects a refresh token that another grant of the same connection has spent: sending it could end the consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauth_taskflow.errors import ConnectionConfigError, TokenUndecryptable
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.state.transitions import is_same, is_superseded

if TYPE_CHECKING:
    from oauth_taskflow.tokens.refresh.attempt import RefreshAttempt


def reject_spent_seed(attempt: RefreshAttempt) -> None:
    """Check that the connection's refresh token was not rotated already, under other settings that make another grant.

    Raises:
        ConnectionConfigError: it was.
    """
    context = attempt.context
    for conn_id, key in context.store.list_grants():
        if conn_id == context.conn_id and key != context.grant_key and _has_spent(attempt, key):
            raise ConnectionConfigError(
                "The refresh token in the connection is spent: it was used and rotated before scope, audience, resource, "
                "token_params, token_url or client id changed",
                conn_id=conn_id,
                field="refresh_token",
                hint="It is not sent again, because that could end the consent. Set these back as they were, and the stored "
                f"grant goes on; or authorize the connection as it is now: airflow oauth login {conn_id}",
            )


def _has_spent(attempt: RefreshAttempt, key: str) -> bool:
    try:
        record: GrantRecord = attempt.context.store.read(key)
    except TokenUndecryptable:
        return False
    fingerprints = attempt.context.fingerprints
    if record.refresh_token is None or is_superseded(record, fingerprints):
        return False
    return not any(is_same(record.lineage, one) for one in fingerprints.seed)
