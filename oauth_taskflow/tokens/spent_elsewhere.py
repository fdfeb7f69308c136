"""A refresh token that another grant of the same connection has spent is not sent again: that could end the consent."""

from __future__ import annotations

from oauth_taskflow.errors import ConnectionConfigError, TokenUndecryptable
from oauth_taskflow.tokens.edits import is_superseded, same
from oauth_taskflow.tokens.record import GrantRecord
from oauth_taskflow.tokens.turn import Turn


def refuse_spent(turn: Turn) -> None:
    """Look whether the connection's refresh token was rotated already, under other settings that make another grant.

    Raises:
        ConnectionConfigError: it was.
    """
    on = turn.on
    for conn_id, key in on.store.grants():
        if conn_id == on.endpoint.conn_id and key != on.grant_key and _has_spent(turn, key):
            raise ConnectionConfigError(
                "The refresh token in the connection is spent: it was used and rotated before scope, audience, resource, "
                "token_params, token_url or client id changed",
                conn_id=conn_id,
                field="refresh_token",
                hint="It is not sent again, because that could end the consent. Set these back as they were, and the stored "
                f"grant goes on; or authorize the connection as it is now: airflow oauth login {conn_id}",
            )


def _has_spent(turn: Turn, key: str) -> bool:
    try:
        record: GrantRecord = turn.on.store.read(key)
    except TokenUndecryptable:
        return False
    marks = turn.on.marks
    if record.refresh_token is None or is_superseded(record, marks):
        return False
    return not any(same(record.lineage, mark) for mark in marks.seed)
