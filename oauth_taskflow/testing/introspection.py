"""Token introspection (RFC 7662): Authlib's endpoint on our state; a client may ask about its own access tokens."""

from __future__ import annotations

from typing import Any, ClassVar

from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from oauth_taskflow.testing.authorization import METHODS, ParsedRequest, TokenServer
from oauth_taskflow.testing.messages import Request, Response
from oauth_taskflow.testing.server_state import AccessToken

INTROSPECT_PATH = "/oauth/introspect"


def register(tokens: TokenServer) -> None:
    """Make ``tokens`` answer at ``introspect``."""
    tokens.register_endpoint(_Introspection)


def introspect(tokens: TokenServer, request: Request) -> Response:
    """The introspection endpoint's answer (RFC 7662 §2.2); it does not know refresh tokens."""
    return tokens.strictly(
        request, lambda parsed: tokens.create_endpoint_response("introspection", parsed)
    )


class _Known:
    """An access token in the form that Authlib expects; the state returns active ones only."""

    def __init__(self, token: AccessToken) -> None:
        self.token = token

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False


class _Introspection(IntrospectionEndpoint):  # type: ignore[misc]  # Authlib ships no types
    CLIENT_AUTH_METHODS: ClassVar = list(METHODS)

    def query_token(self, value: str, _hint: str | None) -> _Known | None:
        found: AccessToken | None = self.server.state.access_token(value)
        return _Known(found) if found else None

    def check_permission(self, known: _Known, view: Any, _request: ParsedRequest) -> bool:
        return bool(known.token.client_id == view.client.client_id)

    def introspect_token(self, known: _Known) -> dict[str, Any]:
        token = known.token
        end = {} if token.expires_at is None else {"exp": int(token.expires_at)}
        return {"client_id": token.client_id, "sub": token.subject, "scope": token.scope, **end}
