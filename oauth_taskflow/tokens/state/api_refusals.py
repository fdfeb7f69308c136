"""How often 401s of the API may force a refresh: an API that refuses every token must not use up a rotating grant. No I/O.

A token that the API refuses is replaced. If it had just been fetched and was fresh, the next one will hardly do better.
From then on, 401s force one refresh in five minutes for the whole grant. A token that may have ended in flight is always
replaced, and so is one that has expired.
"""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.state.record import GrantRecord

# Seconds.
HOLD_SECONDS = 300.0
_JUST_FETCHED = 60.0
# Servers count whole seconds, and clocks differ.
_LEAST_MARGIN = 2.0


def is_held(record: GrantRecord, refused: str | None, now: float) -> bool:
    """Whether the ``refused`` token stays at ``now`` (store clock), because another one was just refused like it."""
    token = record.token
    if refused is None or token is None or token.access_token != refused:
        return False
    doubted = record.doubted_at
    return doubted is not None and 0 <= now - doubted < HOLD_SECONDS and _is_fresh(token, now)


def set_kept_until(record: GrantRecord, refused: str | None, now: float) -> GrantRecord:
    """``record`` whose token says until when it is kept, if a refusal of it at ``now`` (store clock) changes nothing."""
    if record.token is None or record.doubted_at is None or not is_held(record, refused, now):
        return record
    return replace(record, token=replace(record.token, kept_until=record.doubted_at + HOLD_SECONDS))


def is_doubtful(record: GrantRecord, refused: str | None, now: float) -> bool:
    """Whether the ``refused`` token was fresh at ``now`` and had just been fetched, or had replaced such a token."""
    token = record.token
    if refused is None or token is None or token.access_token != refused:
        return False
    doubted = record.doubted_at
    replaced_doubtful = doubted is not None and token.obtained_at == doubted
    return _is_fresh(token, now) and (now - token.obtained_at < _JUST_FETCHED or replaced_doubtful)


def note_doubt(record: GrantRecord) -> GrantRecord | None:
    """``record`` whose token replaced a doubtful one: 401s force no other refresh for a while."""
    return replace(record, doubted_at=record.token.obtained_at) if record.token else None


def _is_fresh(token: Token, now: float) -> bool:
    """Whether ``token`` cannot have ended in flight, by its own lifetime."""
    if token.expires_at is None:
        return True
    lifetime = token.expires_at - token.obtained_at
    return now < token.expires_at - max(_LEAST_MARGIN, 0.1 * lifetime)
