"""The status of one stored grant, a value without a secret; the command line and the page show it."""

from __future__ import annotations

from msgspec import Struct

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token, TokenState
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.state.no_refresh_token import no_refresh_token_error
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState

# The leeway of connections that set none.
LEEWAY = ManagerOptions().leeway


class Problem(Struct, frozen=True):
    """An error as a person reads it: what happened, where, and what to do."""

    what: str
    where: str = ""
    hint: str = ""

    @classmethod
    def from_error(cls, error: OAuthTaskflowError) -> Problem:
        """The three parts of ``error``."""
        return cls(error.what, error.where, error.hint)


class GrantStatus(Struct, frozen=True, kw_only=True):
    """One stored grant. Instants are seconds since the epoch (UTC) on this machine's clock; None: unknown, or none.

    ``state`` is ``fresh``, ``stale``, ``idle`` (expired, and the next use refreshes it), ``expired``, ``not_yet_used``,
    ``empty``, ``needs_consent``, ``misconfigured``, ``revoked`` or ``unreadable``. ``consent_is_due`` says that a person must
    consent now, ``consent_due_at`` when a later consent is due. ``asked_again_at`` ends the cool-down after a failure, and
    ``failing_since`` is when the first of the latest failures happened. ``consented_by`` names the user who asked for the
    consent, empty if unknown. ``is_former`` says that the connection was edited since: its next use begins another grant.
    """

    conn_id: str
    grant_key: str
    state: str
    expires_at: float | None = None
    refreshed_at: float | None = None
    version: int | None = None
    consent_is_due: bool = False
    consent_due_at: float | None = None
    consented_at: float | None = None
    consented_by: str = ""
    asked_again_at: float | None = None
    failing_since: float | None = None
    problem: Problem | None = None
    is_former: bool = False


def read_status(record: GrantRecord, leeway: float = LEEWAY) -> GrantStatus:
    """The status of ``record``; ``leeway`` is the connection's, in seconds."""
    token, offset = record.local_token(), record.read_at.offset
    ends_at = record.consent.ends_at if record.consent else None
    is_due = record.state in {GrantState.NEEDS_CONSENT, GrantState.REVOKED}
    state = _name_state(record, token, leeway)
    return GrantStatus(
        conn_id=record.conn_id,
        grant_key=record.grant_key,
        state=state,
        expires_at=token.expires_at if token else None,
        refreshed_at=token.obtained_at if token else None,
        version=record.version,
        consent_is_due=is_due,
        consent_due_at=None if is_due or ends_at is None else ends_at - offset,
        consented_at=None if record.consent is None else record.consent.since - offset,
        consented_by=record.consented_by,
        asked_again_at=_find_cooldown_end(record),
        failing_since=_find_first_failure(record),
        problem=_read_problem(record, state),
    )


def unreadable_status(conn_id: str, grant_key: str, failure: OAuthTaskflowError) -> GrantStatus:
    """The status of a record that no Fernet key decrypts."""
    return GrantStatus(
        conn_id=conn_id,
        grant_key=grant_key,
        state="unreadable",
        problem=Problem.from_error(failure),
    )


def _name_state(record: GrantRecord, token: Token | None, leeway: float) -> str:
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


def _find_cooldown_end(record: GrantRecord) -> float | None:
    """When the cool-down after a failure ends; workers wait for that before they ask the token endpoint again."""
    until = record.last_failure.until if record.last_failure else None
    if until is None or until <= record.read_at.store:
        return None
    return until - record.read_at.offset


def _find_first_failure(record: GrantRecord) -> float | None:
    since = record.last_failure.since if record.last_failure else None
    return None if since is None else since - record.read_at.offset


def _read_problem(record: GrantRecord, state: str) -> Problem | None:
    if record.last_failure is not None:
        return Problem.from_error(record.last_failure.to_error(record.read_at.store))
    if state == TokenState.EXPIRED.value and not _is_refreshable(record):
        return Problem.from_error(no_refresh_token_error(record.conn_id))
    return None
