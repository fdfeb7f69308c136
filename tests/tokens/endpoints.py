"""A token endpoint that answers from a script, for what a real server cannot be made to say at the right moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import field

from oauth_taskflow.clock import Clock
from oauth_taskflow.errors import (
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import (
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant, RefreshToken
from oauth_taskflow.oauth.token import Token

Answer = Outcome | Callable[[], Outcome]
PLACE = "for connection 'crm' at id.example.com/token"


class ScriptedEndpoint(TokenEndpoint, frozen=True):
    """Pops an answer per request; ``sent`` are the refresh tokens that came ("" for other grants)."""

    answers: list[Answer] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def exchange(self, grant: Grant, *, budget: float | None = None) -> Outcome:
        self.sent.append(grant.refresh_token if isinstance(grant, RefreshToken) else "")
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer


def script_endpoint(*answers: Answer, **fields: Any) -> ScriptedEndpoint:
    """An endpoint with that script."""
    client = fields.pop("client", Client("me", "client-secret"))
    return ScriptedEndpoint(
        "https://id.example.com/token", client, conn_id="crm", answers=list(answers), **fields
    )


def grants(
    clock: Clock,
    access_token: str,
    refresh_token: str | None = None,
    *,
    lifetime: float | None = 3600,
) -> Callable[[], Granted]:
    """An answer with a token issued now."""

    def answer() -> Granted:
        now = clock.now()
        expires_at = None if lifetime is None else now + lifetime
        return Granted(Token(access_token, now, expires_at), refresh_token)

    return answer


def invalid_grant() -> Rejected:
    """The refresh token is refused."""
    return Rejected(
        InvalidGrant(error="invalid_grant", status=400, where=PLACE, grant="refresh_token")
    )


def invalid_client() -> Rejected:
    """The client is refused."""
    return Rejected(InvalidClient(error="invalid_client", status=401, where=PLACE))


def consent_required() -> Rejected:
    """A person must act at the server."""
    return Rejected(ConsentRequired(error="consent_required", status=400, where=PLACE))


def invalid_scope() -> Rejected:
    """The scope is refused."""
    return Rejected(TokenRequestRejected(error="invalid_scope", status=400, where=PLACE))


def down(retry_after: float | None = None) -> NotProcessed:
    """Nothing was done."""
    return NotProcessed(_unavailable(retry_after))


def lose_answer() -> OutcomeUnknown:
    """Sent, and no answer."""
    return OutcomeUnknown(_unavailable(None))


def _unavailable(retry_after: float | None) -> TokenEndpointUnavailable:
    return TokenEndpointUnavailable("Token endpoint away", where=PLACE, retry_after=retry_after)
