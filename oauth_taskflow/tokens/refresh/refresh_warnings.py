"""Log lines of the refresh protocol for people; warnings are logged once for one fact."""

from __future__ import annotations

import logging

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.failure_log import log_failure
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.refresh.context import RefreshContext
from oauth_taskflow.tokens.state.api_refusals import HOLD_SECONDS
from oauth_taskflow.tokens.state.consent import is_due_soon
from oauth_taskflow.tokens.state.record import GrantRecord

_log = logging.getLogger("oauth_taskflow.tokens")
# Seconds. Assertions live for two minutes, and dates in answers are corrected anyway.
_NOTABLE_SKEW = 30.0
_SHORT_LIVED = (
    " no answer says how long its tokens live: if that is less than a minute, set token_lifetime;"
)


def log_pause(failure: OAuthTaskflowError, seconds: float) -> None:
    """Log a pause of a token request that will be repeated; ``failure`` names connection and endpoint."""
    _log.info("%s %s; the next attempt is in %.1f s", failure.what, failure.where, seconds)


def log_dead_grant(conn_id: str, error: OAuthTaskflowError) -> None:
    """Log that the grant of ``conn_id`` ended with ``error``, and that only a person can renew it."""
    line = (
        f"connection {conn_id} needs a person: airflow oauth login {conn_id}. "
        "Until then every worker fails at once"
    )
    log_failure(_log, f"connection {conn_id}", line, error)


class RefreshWarnings:
    """The warnings about one grant, and which of them this process has logged."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._consent_end: float | None = None
        self._refusal: float | None = None

    def warn_of_consent_end(self, record: GrantRecord) -> None:
        """Log, once per date, that a person must agree again soon."""
        if record.consent is None or record.consent.ends_at is None:
            return
        ends_at, now = record.consent.ends_at, record.read_at.store_now(self._context.clock)
        if ends_at == self._consent_end or not is_due_soon(record.consent, record.token, now):
            return
        self._consent_end = ends_at
        conn_id = self._context.conn_id
        _log.warning(
            "connection %s: its refresh tokens end on %s, and a person must agree again: airflow oauth login %s",
            conn_id,
            instant_text(ends_at - record.read_at.offset),
            conn_id,
        )

    def warn_of_held_token(self, record: GrantRecord, now: float) -> None:
        """Log, once for each hold, that 401s of the API force no refresh for a while."""
        if self._refusal == record.doubted_at:
            return
        self._refusal = record.doubted_at
        conn_id = self._context.conn_id
        is_unknown = record.token is not None and record.token.expires_at is None
        _log.warning(
            "connection %s: the API refuses (401) access tokens that were just fetched and are fresh, so that another "
            "one would hardly help. For at most %.0f s more no refresh is forced by a 401; refreshes at expiry go on. "
            "Check scope, audience and permissions of the client, and token_header;%s a new token now: airflow oauth "
            "refresh %s",
            conn_id,
            HOLD_SECONDS - (now - (record.doubted_at or now)),
            _SHORT_LIVED if is_unknown else "",
            conn_id,
        )

    def warn_of_answer(self, before: Token | None, granted: Granted) -> None:
        """Log a scope that differs from the requested one, a clock that is off, and a refresh token that is no text.

        ``before`` is the last token.
        """
        conn_id = self._context.conn_id
        if granted.unread:
            _log.warning(
                "connection %s: at %s in the answer is %s and no text, so that the refresh token before it stays. If the "
                "server rotates refresh tokens, that one is spent: set refresh_token_path to where the text is, and the "
                "answer is read again",
                conn_id,
                self._context.endpoint.dialect.response.refresh_token,
                granted.unread,
            )
        if granted.others:
            _log.warning(
                "connection %s: the answer holds refresh tokens that differ; the one at %s is used, and the others are tried "
                "if the server refuses it. Set refresh_token_path to the right one, or look at the server that writes two",
                conn_id,
                granted.found_at or self._context.endpoint.dialect.response.refresh_token,
            )
        if granted.missing_scope:
            _log.warning(
                "connection %s: the server granted less than was asked for; missing scope: %s",
                conn_id,
                " ".join(granted.missing_scope),
            )
        # Once: a server that always gives more would fill the log.
        if granted.extra_scope and (before is None or before.scope != granted.token.scope):
            _log.warning(
                "connection %s: the server granted more than was asked for: %s; the token can do more than it should",
                conn_id,
                " ".join(granted.extra_scope),
            )
        if abs(granted.skew or 0.0) > _NOTABLE_SKEW:
            _log.warning(
                "connection %s: the authorization server's clock is %+.0f s off this machine's; check its time service",
                conn_id,
                granted.skew,
            )
