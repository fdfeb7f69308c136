"""Writes down what a refresh brought, before anybody uses it; what the store does not take is kept in a file."""

from __future__ import annotations

import logging

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.oauth.outcomes import Granted
from oauth_taskflow.tokens import edits
from oauth_taskflow.tokens.record import GrantRecord, moved
from oauth_taskflow.tokens.recovery import Rescued
from oauth_taskflow.tokens.steps import Step
from oauth_taskflow.tokens.store import Edit
from oauth_taskflow.tokens.turn import Turn

_log = logging.getLogger("oauth_taskflow.tokens")
_PAUSE = 0.5


def persist(turn: Turn, granted: Granted) -> GrantRecord:
    """Store what came and release the lease; returns what is stored then, which may be newer than what came.

    Raises:
        TokenStoreError: the store took no write; the token is in a recovery file.
    """
    rescued = Rescued(
        grant_key=turn.on.grant_key,
        fence=turn.lease.fence,
        lineage=turn.record.lineage,
        token=moved(granted.token, turn.record.read.offset),
        refresh_token=granted.refresh_token,
    )
    _write_or_rescue(turn, rescued)
    kept = turn.record.token == rescued.token
    if not kept:
        turn.outcome = "Granted, but somebody rotated meanwhile"
    turn.told(Step.PERSISTED if kept else Step.LINEAGE_LOST)
    return turn.record


def recover(turn: Turn) -> None:
    """Import what earlier turns on this machine could not store."""
    recovery = turn.on.store.recovery
    for path, rescued in recovery.load(turn.on.grant_key):
        turn.apply(_edit(turn, rescued))
        recovery.done(path)
        turn.told(Step.RECOVERED)


def _write_or_rescue(turn: Turn, rescued: Rescued) -> None:
    failure = _write(turn, rescued)
    while failure is not None:
        if turn.time_left() + turn.on.options.write_reserve <= _PAUSE:
            raise _rescued(turn, rescued, failure)
        turn.on.clock.sleep(_PAUSE)
        failure = _write(turn, rescued)


def _write(turn: Turn, rescued: Rescued) -> TokenStoreError | None:
    try:
        turn.apply(_edit(turn, rescued))
    except TokenStoreError as failure:
        return failure
    return None


def _edit(turn: Turn, rescued: Rescued) -> Edit:
    came = rescued.refresh_token
    mark = None if came is None else turn.on.store.cipher.mark(came)
    return edits.granted(rescued, mark, turn.on.options.refresh_lifetimes)


def _rescued(turn: Turn, rescued: Rescued, failure: TokenStoreError) -> TokenStoreError:
    path = turn.on.store.recovery.save(rescued)
    turn.told(Step.RESCUED)
    _log.error("token store down: the new token of %.12s is kept in %s", rescued.grant_key, path)
    return failure
