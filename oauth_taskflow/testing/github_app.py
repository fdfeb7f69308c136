"""Installation access tokens for GitHub Apps: a JWT about the client is the bearer token, and bodies are JSON.

``POST /app/installations/{id}/access_tokens``. The JWT is checked by joserfc with the client's public key: RS256 and
nothing else, ``iss`` is the client, at most ten minutes until ``exp``, ``iat`` not in the future. The body may narrow the
token by ``repositories`` (list of names), ``repository_ids`` (list of numbers) and ``permissions`` (mapping).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from oauth_taskflow.clock import Clock
from oauth_taskflow.testing.authorization import TokenServer
from oauth_taskflow.testing.messages import Request, Response, json_response
from oauth_taskflow.testing.server_state import Client

_PATH = re.compile(r"/app/installations/(\d+)/access_tokens")
_LONGEST = 600.0
_HOUR = 3600.0


class _Wanted(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    repositories: list[str] = []
    repository_ids: list[int] = []
    permissions: dict[str, str] = {}


class _Refused(Exception):
    """The JWT is invalid; the text says why."""


def installation_token(tokens: TokenServer, clock: Clock, request: Request) -> Response | None:
    """The answer to a request of that path; None for other paths."""
    if request.method != "POST" or not _PATH.fullmatch(request.path):
        return None
    try:
        client = _client(tokens, clock, request)
    except _Refused as why:
        return json_response({"message": str(why), "status": "401"}, 401)
    try:
        wanted = msgspec.json.decode(request.body or b"{}", type=_Wanted)
    except msgspec.DecodeError as wrong:
        return json_response({"message": str(wrong), "status": "422"}, 422)
    lifetime = tokens.policy.lifetime or _HOUR
    issued = tokens.state.issue_access_token(
        client_id=client.client_id,
        subject=client.client_id,
        scope=" ".join(client.scopes),
        lifetime=lifetime + tokens.policy.tolerance,
    )
    tokens.state.count("tokens_issued")
    end = datetime.fromtimestamp(clock.now() + lifetime, timezone.utc)
    answer = {"token": issued.value, "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return json_response({**answer, **msgspec.to_builtins(wanted)}, 201)


def _client(tokens: TokenServer, clock: Clock, request: Request) -> Client:
    scheme, _, assertion = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise _Refused("A JSON web token could not be decoded")
    for client in tokens.state.clients.values():
        claims = _claims(assertion, client)
        if claims is not None:
            _check(claims, clock.now())
            return client
    raise _Refused("A JSON web token could not be decoded")


def _claims(assertion: str, client: Client) -> dict[str, object] | None:
    """The claims that ``client`` makes of itself; None when it did not sign them."""
    if not client.public_key:
        return None
    try:
        claims = jwt.decode(assertion, RSAKey.import_key(client.public_key), ["RS256"]).claims
    except (JoseError, ValueError):
        return None
    return dict(claims) if claims.get("iss") == client.client_id else None


def _check(claims: dict[str, object], now: float) -> None:
    issued, end = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or issued > now:
        raise _Refused("'Issued at' claim ('iat') must be an Integer representing the past")
    if not isinstance(end, int) or end <= now:
        raise _Refused(
            "'Expiration time' claim ('exp') must be a numeric value representing the future"
        )
    if end - now > _LONGEST:
        raise _Refused("'Expiration time' claim ('exp') is too far in the future")
