"""Finds the troubles of a grant: it needs consent, will need it soon, or its refreshes fail. No I/O."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from oauth_taskflow.tokens.state.consent import Consent, last_use
from oauth_taskflow.tokens.state.no_refresh_token import no_refresh_token_error
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState

_DAY = 86_400.0
Kind = Literal["needs_consent", "consent_due", "refresh_failing"]


class Limits(Struct, frozen=True, kw_only=True):
    """The times from which on people get a notice, in seconds.

    Attributes:
        due_within: before the end of a consent, at most half of its life.
        failing_for: since the first of the refreshes that failed.
        unused_for: after the last refresh, where the provider's idle limit is not known: the grant is used then.
    """

    due_within: float = 7 * _DAY
    failing_for: float = 600.0
    unused_for: float = 7 * _DAY


class Trouble(Struct, frozen=True):
    """One trouble; ``since`` and ``ends_at`` (of the consent) are seconds on the store's clock."""

    kind: Kind
    since: float | None = None
    ends_at: float | None = None
    problem: str = ""


class Look(Struct, frozen=True):
    """The troubles of a grant; ``is_refresh_due``: it should be used now, to keep it alive or to learn whether it works."""

    troubles: tuple[Trouble, ...] = ()
    is_refresh_due: bool = False


def look_at(record: GrantRecord, limits: Limits, *, by_person: bool, has_seed: bool) -> Look:
    """The troubles of ``record`` when it was read, and whether it should be used now.

    Args:
        record: the stored record.
        limits: the times from which on people get a notice.
        by_person: the grant is a person's consent.
        has_seed: the connection has a refresh token.
    """
    now = record.read_at.store
    is_due = _is_refresh_due(record, limits.unused_for, now, has_seed=has_seed)
    missing = _find_missing_consent(record, now, by_person=by_person, has_seed=has_seed)
    if missing is not None:
        return Look((missing,), is_due)
    found = (
        _find_due_consent(record, limits.due_within, now),
        _find_failing(record, limits.failing_for, now),
    )
    return Look(tuple(one for one in found if one is not None), is_due)


def _find_missing_consent(
    record: GrantRecord, now: float, *, by_person: bool, has_seed: bool
) -> Trouble | None:
    failure = record.last_failure
    asked = failure is not None and failure.kind == "ConsentRequired"
    if asked or record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}:
        since = failure.since if failure is not None else None
        return Trouble("needs_consent", since, problem=_describe_failure(record, now))
    if not by_person or record.refresh_token is not None:
        return None
    if record.state is GrantState.EMPTY and not has_seed:
        return Trouble("needs_consent", problem="No person has authorized this connection so far.")
    token = record.token
    if token is None or token.expires_at is None or token.expires_at > now:
        return None
    error = no_refresh_token_error(record.conn_id)
    return Trouble("needs_consent", token.expires_at, problem=str(error))


def _find_due_consent(record: GrantRecord, due_within: float, now: float) -> Trouble | None:
    consent = record.consent
    if consent is None or consent.ends_at is None:
        return None
    lead = min(due_within, (consent.ends_at - consent.since) / 2)
    if consent.ends_at - now > lead or _will_slide(record, consent, now):
        return None
    return Trouble("consent_due", ends_at=consent.ends_at, problem=_describe_failure(record, now))


def _will_slide(record: GrantRecord, consent: Consent, now: float) -> bool:
    """Whether the next refresh, which is not late yet, moves the end of the consent."""
    token = record.token
    return consent.slides and token is not None and now < last_use(consent, token)


def _find_failing(record: GrantRecord, failing_for: float, now: float) -> Trouble | None:
    failure = record.last_failure
    if failure is None or failure.since is None or now - failure.since < failing_for:
        return None
    return Trouble("refresh_failing", failure.since, problem=_describe_failure(record, now))


def _describe_failure(record: GrantRecord, now: float) -> str:
    return "" if record.last_failure is None else str(record.last_failure.to_error(now))


def _is_refresh_due(record: GrantRecord, unused_for: float, now: float, *, has_seed: bool) -> bool:
    """Whether the grant should be used now. A stored failure that forbids requests is raised again without one."""
    token = record.token
    if record.last_failure is not None:
        return True
    if token is None:
        return has_seed or record.refresh_token is not None
    if record.refresh_token is None:
        return False
    by = last_use(record.consent, token)
    is_known = record.consent is not None and record.consent.ends_at is not None
    return now >= by or (not is_known and now >= token.obtained_at + unused_for)
