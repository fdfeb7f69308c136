"""Whether a token may be asked for now, or everybody already knows that it would fail. No I/O."""

from __future__ import annotations

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.tokens.edits import is_superseded, same
from oauth_taskflow.tokens.identity import Marks
from oauth_taskflow.tokens.record import GrantRecord, GrantState, Trouble


def blocking_error(record: GrantRecord, marks: Marks, now: float) -> OAuthTaskflowError | None:
    """The stored failure that forbids a token request at ``now`` (store clock); None when one may be made.

    A dead grant stays so until the connection brings a new refresh token. A refused client waits for other
    credentials or the end of its cool-down, whichever is first. An answer in which nothing was found waits until answers
    are read in another way. A cool-down holds for all workers alike.
    """
    trouble = record.trouble
    if trouble is None or is_superseded(record, marks):
        return None
    if record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
        return trouble.error(now)
    if record.answer is not None and record.answer.holds_back(marks.reading):
        return trouble.error(now)
    if trouble.until is None or trouble.until <= now:
        return None
    if record.state is GrantState.MISCONFIGURED and not _same_client(trouble, marks):
        return None
    return trouble.error(now)


def _same_client(trouble: Trouble, marks: Marks) -> bool:
    return any(same(trouble.client, mark) for mark in marks.client)
