"""Writes down what a refresh brought, before anybody uses it: a new refresh token in a local file, then all in the store.

The file is gone as soon as the store has it. Until then it outlives a worker that is killed, or a store that is down.
"""

from __future__ import annotations

import logging
from pathlib import Path

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
    file = _keep(turn, rescued)
    _write_or_rescue(turn, rescued, file)
    if file is not None:
        turn.on.store.recovery.done(file)
    stored = turn.record.token == rescued.token
    if not stored:
        turn.outcome = "Granted, but somebody rotated meanwhile"
    turn.told(Step.PERSISTED if stored else Step.LINEAGE_LOST)
    return turn.record


def recover(turn: Turn) -> None:
    """Import what earlier turns on this machine could not store; the answer is found, and no longer in doubt."""
    recovery = turn.on.store.recovery
    for path, rescued in recovery.load(turn.on.grant_key):
        turn.apply(_edit(turn, rescued))
        turn.lost = turn.record.journal is not None
        recovery.done(path)
        turn.told(Step.RECOVERED)


def _keep(turn: Turn, rescued: Rescued) -> Path | None:
    """Put a refresh token that exists nowhere else into a file first; None when there is none, or no file can be had."""
    if rescued.refresh_token in {None, turn.record.refresh_token}:
        return None
    try:
        return turn.on.store.recovery.save(rescued)
    except TokenStoreError as failure:
        _log.info("only the store keeps the new token of %.12s: %s", rescued.grant_key, failure)
        return None


def _write_or_rescue(turn: Turn, rescued: Rescued, file: Path | None) -> None:
    failure = _write(turn, rescued)
    while failure is not None:
        if turn.time_left() + turn.on.options.write_reserve <= _PAUSE:
            raise _rescued(turn, rescued, file, failure)
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


def _rescued(
    turn: Turn, rescued: Rescued, file: Path | None, failure: TokenStoreError
) -> TokenStoreError:
    path = file or turn.on.store.recovery.save(rescued)
    turn.told(Step.RESCUED, type(failure).__name__)
    _log.error("token store down: the new token of %.12s is kept in %s", rescued.grant_key, path)
    return failure
