"""Writes down what a refresh brought, before anybody uses it: a new refresh token in a local file, then all in the store.

The file is gone as soon as the store has it. Until then it outlives a worker that is killed, or a store that is down.
"""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError, TokenStoreError
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Unusable
from oauth_taskflow.tokens import answer_edits, edits
from oauth_taskflow.tokens.answer_edits import Found, Verdict
from oauth_taskflow.tokens.arrived import Arrived
from oauth_taskflow.tokens.failures import as_kept, cool_down
from oauth_taskflow.tokens.record import GrantRecord, GrantState, Trouble, moved
from oauth_taskflow.tokens.recovery import Rescued
from oauth_taskflow.tokens.steps import Step
from oauth_taskflow.tokens.store import Edit
from oauth_taskflow.tokens.turn import LeaseLost, Turn

_log = logging.getLogger("oauth_taskflow.tokens")
_PAUSE = 0.5


def persist(turn: Turn, granted: Granted) -> GrantRecord:
    """Store what came and release the lease; returns what is stored then, which may be newer than what came.

    Raises:
        TokenStoreError: the store took no write; the token is in a recovery file.
    """
    rescued = _granted(turn, _rescued_by(turn), granted)
    turn.file = turn.file or _keep(turn, rescued)
    _write_or_rescue(turn, rescued, _edit(turn, rescued))
    turn.drop_file()
    stored = turn.record.token == rescued.token
    if not stored:
        turn.outcome = "Granted, but somebody rotated meanwhile"
    turn.told(Step.PERSISTED if stored else Step.LINEAGE_LOST)
    return turn.record


def keep_unusable(turn: Turn, outcome: Unusable) -> OAuthTaskflowError:
    """Store the refresh token of an answer that cannot be used, release the lease; returns the error to raise.

    Raises:
        LeaseLost: somebody else rotated by now, and knows better.
        TokenStoreError: the store took no write; the answer is in a recovery file.
    """
    rescued = _unusable(turn, _rescued_by(turn), outcome)
    error = as_kept(outcome)
    _write_or_rescue(turn, rescued, _unusable_edit(turn, rescued, outcome))
    turn.drop_file()
    expected = _mark(turn, rescued) or rescued.lineage
    if not edits.same(turn.record.lineage, expected) or turn.record.trouble is None:
        raise LeaseLost
    turn.outcome = type(error).__name__
    if rescued.refresh_token is not None:
        turn.told(Step.PERSISTED, turn.outcome)
    turn.told(Step.FAILED, turn.outcome)
    return error


def recover(turn: Turn) -> None:
    """Import what earlier turns on this machine could not store; the answer is found, and no longer in doubt."""
    recovery = turn.on.store.recovery
    for path, rescued in recovery.load(turn.on.grant_key):
        turn.apply(_recovered(turn, rescued))
        turn.lost = turn.record.journal is not None
        recovery.done(path)
        turn.told(Step.RECOVERED)


def reread(turn: Turn) -> None:
    """Read the latest answer again if the connection reads answers in a new way; what is found in it is stored."""
    before, reading = turn.record.answer, turn.on.marks.reading
    if before is None or reading in before.read_as:
        return
    outcome = turn.judge(before)
    token = moved(outcome.token, turn.record.read.offset) if isinstance(outcome, Granted) else None
    came = outcome.refresh_token if isinstance(outcome, Granted | Unusable) else None
    held = isinstance(outcome, Unusable) and outcome.opaque
    mark = turn.on.store.cipher.mark(came) if came else ""
    found = Found(before.read(reading, held=held), token, came, mark)
    lineage = turn.record.lineage
    turn.apply(answer_edits.reread(turn.lease, before, found))
    if not edits.same(lineage, turn.record.lineage):
        turn.lost = False
        _log.warning(
            "connection %s: read in the way that the connection says now, the latest answer of the token endpoint holds "
            "another refresh token; it is used from now on",
            turn.on.endpoint.conn_id,
        )
        turn.told(Step.PERSISTED)


def _recovered(turn: Turn, rescued: Rescued) -> Edit:
    if rescued.token is not None or rescued.answer is None:
        return _edit(turn, rescued)
    outcome = turn.judge(rescued.answer)
    if isinstance(outcome, Granted):
        return _edit(turn, _granted(turn, rescued, outcome))
    if isinstance(outcome, Unusable):
        return _unusable_edit(turn, _unusable(turn, rescued, outcome), outcome)
    return answer_edits.answered(rescued)


def _rescued_by(turn: Turn) -> Rescued:
    """What this turn brought, before it is judged."""
    lineage = turn.record.lineage
    return Rescued(turn.on.grant_key, turn.lease.fence, lineage, None, None, turn.arrived)


def _granted(turn: Turn, rescued: Rescued, granted: Granted) -> Rescued:
    return replace(
        rescued,
        token=moved(granted.token, turn.record.read.offset),
        refresh_token=granted.refresh_token,
        answer=_read(turn, rescued, held=False),
        misplaced=_is_misplaced(turn, granted),
    )


def _unusable(turn: Turn, rescued: Rescued, outcome: Unusable) -> Rescued:
    return replace(
        rescued,
        refresh_token=outcome.refresh_token,
        answer=_read(turn, rescued, held=outcome.opaque),
        misplaced=_is_misplaced(turn, outcome),
    )


def _read(turn: Turn, rescued: Rescued, *, held: bool) -> Arrived | None:
    answer = rescued.answer
    return None if answer is None else answer.read(turn.on.marks.reading, held=held)


def _is_misplaced(turn: Turn, outcome: Granted | Unusable) -> bool:
    if outcome.found_at:
        _log.warning(
            "connection %s: the refresh token is not at %s in the answer but at %s; it is kept. Correct refresh_token_path",
            turn.on.endpoint.conn_id,
            turn.on.endpoint.dialect.response.refresh_token,
            outcome.found_at[:80],
        )
    return bool(outcome.found_at)


def _unusable_edit(turn: Turn, rescued: Rescued, outcome: Unusable) -> Edit:
    trouble, now = turn.record.trouble, turn.record.read.store_now(turn.on.clock)
    failures = trouble.failures if trouble else 0
    pause = cool_down(outcome, GrantState.MISCONFIGURED, failures, turn.on.options)
    until = None if outcome.opaque or pause is None else now + pause
    told = Trouble.of(as_kept(outcome), turn.on.marks.client[0], until, failures + 1)
    verdict = Verdict(told, lasting=outcome.opaque)
    return answer_edits.unusable(rescued, _mark(turn, rescued), verdict)


def _mark(turn: Turn, rescued: Rescued) -> str | None:
    came = rescued.refresh_token
    return None if came is None else turn.on.store.cipher.mark(came)


def _keep(turn: Turn, rescued: Rescued) -> Path | None:
    """Put a refresh token that exists nowhere else into a file first; None when there is none, or no file can be had."""
    if rescued.refresh_token in {None, turn.record.refresh_token}:
        return None
    try:
        return turn.on.store.recovery.save(rescued)
    except TokenStoreError as failure:
        _log.info("only the store keeps the new token of %.12s: %s", rescued.grant_key, failure)
        return None


def _write_or_rescue(turn: Turn, rescued: Rescued, edit: Edit) -> None:
    failure = _write(turn, edit)
    while failure is not None:
        if turn.time_left() + turn.on.options.write_reserve <= _PAUSE:
            raise _rescued(turn, rescued, failure)
        turn.on.clock.sleep(_PAUSE)
        failure = _write(turn, edit)


def _write(turn: Turn, edit: Edit) -> TokenStoreError | None:
    try:
        turn.apply(edit)
    except TokenStoreError as failure:
        return failure
    return None


def _edit(turn: Turn, rescued: Rescued) -> Edit:
    return edits.granted(rescued, _mark(turn, rescued), turn.on.options.refresh_lifetimes)


def _rescued(turn: Turn, rescued: Rescued, failure: TokenStoreError) -> TokenStoreError:
    path = turn.file or turn.on.store.recovery.save(rescued)
    turn.told(Step.RESCUED, type(failure).__name__)
    _log.error("token store down: the new token of %.12s is kept in %s", rescued.grant_key, path)
    return failure
