"""The authorization server: Authlib's, with our state and with plain values for requests and responses.

Grants ``client_credentials`` and ``refresh_token``; client authentication ``client_secret_basic`` (id and secret
form-decoded, RFC 6749 §2.3.1), ``client_secret_post`` and ``none``; revocation (RFC 7009) and metadata (RFC 8414).
It is strict where clients go wrong unseen: a repeated parameter, two client authentication methods in one request or
a body that is not form-encoded is ``invalid_request``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote_plus, urlsplit

import msgspec
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint

from oauth_taskflow.testing.messages import Request, Response, json_response, pairs
from oauth_taskflow.testing.server_state import AccessToken, Client, Family, ServerState

METHODS = (
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "none",
)
# RFC 8693 §2.1 and RFC 8707 §2 let these come several times.
_REPEATABLE = frozenset({"audience", "resource"})
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class TokenPolicy:
    """How tokens are issued.

    ``lifetime`` is the access token's, in seconds (fractions allowed, and sent as such); None: unlimited, and the
    answer names no ``expires_in``. ``grace`` is seconds during which a rotated refresh token may be sent again.
    ``json_body`` accepts token requests in JSON too (Notion). ``old_access_token_dies``: a refresh ends the access
    tokens issued before (GitHub, GitLab). Without ``names_lifetime`` the answer does not say when the token ends.
    ``tolerance`` is seconds for which an access token is still accepted after its named end, so that clients refresh
    often and a slow machine cannot outlast a token that it has just been given. ``idle`` is seconds after which a refresh
    token dies unused, of which answers say nothing. None: it lives on.
    """

    lifetime: float | None = 3600.0
    rotate: bool = True
    grace: float = 0.0
    json_body: bool = False
    old_access_token_dies: bool = False
    names_lifetime: bool = True
    tolerance: float = 0.0
    idle: float | None = None

    @property
    def accepted_for(self) -> float | None:
        """Seconds for which the API accepts an access token; None: for ever."""
        return None if self.lifetime is None else self.lifetime + self.tolerance


@dataclass(frozen=True)
class _ClientView:
    """A client as Authlib asks about it."""

    client: Client

    def check_client_secret(self, secret: str) -> bool:
        return hmac.compare_digest(self.client.client_secret.encode(), secret.encode())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in self.client.auth_methods

    def check_grant_type(self, grant_type: str) -> bool:
        public = "none" in self.client.auth_methods
        return grant_type != "client_credentials" or not public

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Any port and path on this machine (RFC 8252 §7.3), and nothing else."""
        return urlsplit(redirect_uri).hostname in {"127.0.0.1", "localhost"}

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or " ".join(self.client.scopes)


@dataclass(frozen=True)
class _RefreshCredential:
    """A refresh token as Authlib asks about it."""

    value: str
    family: Family

    def check_client(self, _client: _ClientView) -> bool:
        return True  # the state has checked it: a foreign client must not cause reuse detection

    def get_scope(self) -> str:
        return self.family.scope


class ParsedRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    """Our request as Authlib reads it."""

    def __init__(self, request: Request, fields: dict[str, str]) -> None:
        # Authlib refuses plain http; this server only ever listens on loopback.
        super().__init__(request.method, f"https://loopback{request.target}", None, request.headers)
        self.payload = BasicOAuth2Payload(fields)
        self.peer_certificate = request.peer_certificate

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of the body, as Authlib asks for them."""
        return dict(self.payload.data)


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)


class _Refresh(RefreshTokenGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:  # noqa: N802  # Authlib's name
        return bool(self.server.policy.rotate)

    def authenticate_refresh_token(self, refresh_token: str) -> _RefreshCredential | None:
        client_id = self.request.client.client.client_id
        policy = self.server.policy
        family = self.server.state.redeem(refresh_token, client_id, policy.grace, policy.idle)
        return _RefreshCredential(refresh_token, family) if family else None

    def authenticate_user(self, credential: _RefreshCredential) -> str:
        return credential.family.subject

    def revoke_old_credential(self, credential: _RefreshCredential) -> None:
        """Done by ``save_token``, which knows the successor."""


class _Revocation(RevocationEndpoint):  # type: ignore[misc]  # Authlib ships no types
    CLIENT_AUTH_METHODS: ClassVar = list(METHODS)

    def query_token(self, value: str, _hint: str | None) -> _Revocable | None:
        state: ServerState = self.server.state
        found = state.family(value) or state.access_token(value)
        return _Revocable(found) if found else None

    def revoke_token(self, token: _Revocable, _request: ParsedRequest) -> None:
        state: ServerState = self.server.state
        if isinstance(token.found, Family):
            state.revoke_family(token.found)
        else:
            state.revoke_access_tokens([token.found.value])


@dataclass(frozen=True)
class _Revocable:
    found: Family | AccessToken

    def check_client(self, view: _ClientView) -> bool:
        return self.found.client_id == view.client.client_id


class TokenServer(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's authorization server on a :class:`ServerState`; ``policy`` may be replaced at any time."""

    def __init__(self, state: ServerState, policy: TokenPolicy, scopes: tuple[str, ...]) -> None:
        super().__init__(scopes_supported=list(scopes))
        self.state = state
        self.policy = policy
        self.desk: Any = None  # the ConsentDesk, which registers itself
        self.audiences: list[str] = []  # see assertion_grants.register
        self.register_grant(_ClientCredentials)
        self.register_grant(_Refresh)
        self.register_endpoint(_Revocation)
        self.register_client_auth_method("client_secret_basic", _authenticate_basic)
        self.register_token_generator(
            "default", BearerTokenGenerator(_opaque, _opaque, self._expires_in)
        )

    def token(self, request: Request) -> Response:
        """The token endpoint's answer (RFC 6749 §5)."""
        return self.strictly(request, self.create_token_response)

    def revoke(self, request: Request) -> Response:
        """The revocation endpoint's answer (RFC 7009 §2.2)."""
        return self.strictly(
            request, lambda parsed: self.create_endpoint_response("revocation", parsed)
        )

    def strictly(self, request: Request, endpoint: Any) -> Response:
        """The answer of ``endpoint`` to a well-formed request, which no other one interrupts."""
        if request.method != "POST":
            return _reject("POST is needed.", status=405)
        fields = parse_fields(request, json_body=self.policy.json_body)
        if isinstance(fields, str):
            return _reject(fields)
        if "Authorization" in request.headers and "client_secret" in fields:
            return _reject("More than one client authentication method.")
        with self.state.lock:  # atomic: no request sees a token that is checked but not yet spent
            response: Response = endpoint(ParsedRequest(request, fields))
        return response

    def query_client(self, client_id: str) -> _ClientView | None:
        """Authlib asks for a client."""
        client = self.state.clients.get(client_id)
        return _ClientView(client) if client else None

    def save_token(self, token: dict[str, Any], request: ParsedRequest) -> None:
        """Authlib hands over what it issued; the old refresh token is spent in the same breath."""
        credential: _RefreshCredential | None = request.refresh_token
        family = credential.family if credential else None
        client_id = request.client.client.client_id
        if family is None and "refresh_token" in token:  # a person agreed just now
            first = token["refresh_token"]
            self.state.start_family(client_id, request.user, token.get("scope", ""), first)
            family = self.state.family(first)
        if family and self.policy.old_access_token_dies:
            self.state.revoke_access_tokens(self.state.access_tokens_of(family))
        self.state.issue_access_token(
            client_id=client_id,
            subject=family.subject if family else request.user or client_id,
            scope=token.get("scope", ""),
            lifetime=self.policy.accepted_for,
            value=token["access_token"],
            family=family,
        )
        if credential and "refresh_token" in token:
            self.state.rotate(credential.family, credential.value, token["refresh_token"])
        self.state.count("tokens_issued")
        if credential:
            self.state.count("refreshes")

    def create_oauth2_request(self, request: ParsedRequest) -> ParsedRequest:
        """Authlib wraps a framework's request; ours is wrapped already."""
        return request

    def handle_response(self, status: int, body: object, headers: Any) -> Response:
        """Authlib's answer as ours."""
        return Response(status, msgspec.json.encode(body), tuple(headers))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Ignore the signal; nothing subscribes."""

    def _expires_in(self, _client: _ClientView, _grant_type: str) -> float | None:
        lifetime = self.policy.lifetime if self.policy.names_lifetime else None
        return int(lifetime) if lifetime is not None and lifetime == int(lifetime) else lifetime


def _opaque(**_about: object) -> str:
    return secrets.token_urlsafe(24)


def parse_fields(request: Request, *, json_body: bool = False) -> dict[str, str] | str:
    """The parameters of a token request, or what is wrong with them."""
    if json_body and request.media_type == "application/json":
        try:
            return msgspec.json.decode(request.body, type=dict[str, str])
        except msgspec.DecodeError:
            return "The body must be a JSON object of texts."
    if request.media_type != FORM:
        return f"The body must be {FORM}."
    form = pairs(request.body.decode("utf-8", "replace"))
    single = [name for name, _ in form if name not in _REPEATABLE]
    return dict(form) if len(set(single)) == len(single) else "A parameter is repeated."


def _reject(description: str, *, status: int = 400) -> Response:
    return json_response({"error": "invalid_request", "error_description": description}, status)


def _authenticate_basic(query_client: Any, request: ParsedRequest) -> _ClientView | None:
    """``client_secret_basic`` by the letter: Authlib's own does not turn ``+`` back into a space."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidClientError(status_code=401) from None
    view: _ClientView | None = query_client(unquote_plus(client_id))
    if view is None or not view.check_client_secret(unquote_plus(secret)):
        raise InvalidClientError(status_code=401)
    return view
