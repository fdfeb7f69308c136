"""Grants and client authentication by assertion, token, password or certificate, for the authorization server.

Authlib checks ``private_key_jwt``, ``client_secret_jwt`` (RFC 7523 §2.2) and the JWT bearer grant (§2.1) with the public
key or the secret of the registered client. Each ``jti`` is accepted once. ``tls_client_auth`` requires the
registered certificate on the connection (RFC 8705). Token exchange (RFC 8693) accepts this server's own access tokens,
and the SAML grant any assertion that names a subject. The password grant accepts ``USERS``, and Zoom's
``account_credentials`` the account ``ACCOUNT``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import Any, ClassVar

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import (
    BaseGrant,
    ResourceOwnerPasswordCredentialsGrant,
    TokenEndpointMixin,
)
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey, import_key

from oauth_taskflow.testing.authorization import METHODS, TokenServer

USERS = {"alice": "alice-password"}
ACCOUNT = "acme"
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
    *("HS256", "HS384", "HS512"),
)
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
_NAME_ID = re.compile(r"<(?:\w+:)?NameID>([^<]+)<")


def register(tokens: TokenServer, audiences: tuple[str, ...]) -> None:
    """Register all of them with ``tokens``; assertions must name one of ``audiences``."""
    for method in ("private_key_jwt", "client_secret_jwt"):
        tokens.register_client_auth_method(method, _Assertion(method, audiences))
    tokens.register_client_auth_method("tls_client_auth", _authenticate_by_certificate)
    tokens.audiences = list(audiences)
    for grant in (_JwtBearer, _Saml, _Exchange, _Password, _Account):
        tokens.register_grant(grant)


def _key_of(view: Any, method: str) -> Key:
    client = view.client
    if method == "client_secret_jwt":
        return OctKey.import_key(client.client_secret)
    key: Key = import_key(client.public_key, _kind(client.public_key))
    return key


def _kind(pem: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415 - rarely needed
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
        load_pem_public_key,
    )

    key = load_pem_public_key(pem.encode())
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return "EC" if isinstance(key, ec.EllipticCurvePublicKey) else "OKP"


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib ships no types
    def __init__(self, method: str, audiences: tuple[str, ...]) -> None:
        super().__init__()
        self.CLIENT_AUTH_METHOD = method
        self._audiences = list(audiences)
        self._seen: set[str] = set()

    def __call__(self, query_client: Any, request: Any) -> Any:
        view = query_client(request.form.get("client_id", ""))
        mine = view is not None and self.CLIENT_AUTH_METHOD in view.client.auth_methods
        return super().__call__(query_client, request) if mine else None

    def process_assertion_claims(self, assertion: str, key: Key) -> Any:
        """Authlib's own takes a few algorithms only."""
        try:
            token = jwt.decode(assertion, key, algorithms=list(ALGORITHMS))
        except JoseError as refused:
            raise InvalidClientError(description=str(refused)) from refused
        self.verify_claims(token.claims)
        return token.claims

    def get_audiences(self) -> list[str]:
        return self._audiences

    def validate_jti(self, _claims: Any, jti: str) -> bool:
        fresh = jti not in self._seen
        self._seen.add(jti)
        return fresh

    def resolve_client_public_key(self, client: Any) -> Key:
        return _key_of(client, self.CLIENT_AUTH_METHOD)


def _authenticate_by_certificate(query_client: Any, request: Any) -> Any:
    view = query_client(request.form.get("client_id", ""))
    if view is None or "tls_client_auth" not in view.client.auth_methods:
        return None
    if not hmac.compare_digest(view.client.certificate, request.peer_certificate):
        raise InvalidClientError(status_code=401)
    return view


class _JwtBearer(JWTBearerGrant):  # type: ignore[misc]  # Authlib ships no types
    def resolve_issuer_client(self, issuer: str) -> Any:
        view = self.server.query_client(issuer)
        return view if view is not None and view.client.public_key else None

    def resolve_client_public_key(self, client: Any) -> Key:
        return _key_of(client, "private_key_jwt")

    def get_audiences(self) -> list[str]:
        audiences: list[str] = self.server.audiences
        return audiences

    def authenticate_user(self, subject: str) -> str:
        return subject

    def has_granted_permission(self, _client: Any, user: str) -> bool:
        return user != "mallory"


class _CredentialGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib ships no types
    """A grant in which an authenticated client presents a credential; ``subject`` reads whom it is about."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)

    def subject(self, form: dict[str, str]) -> str | None:
        raise NotImplementedError

    def validate_token_request(self) -> None:
        self.request.client = self.authenticate_token_endpoint_client()
        subject = self.subject(self.request.form)
        if subject is None:
            raise InvalidGrantError
        self.request.user = subject

    def answer(self) -> dict[str, Any]:
        token: dict[str, Any] = self.generate_token(
            scope=self.request.form.get("scope", ""), include_refresh_token=False
        )
        self.save_token(token)
        return token

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        return 200, self.answer(), self.TOKEN_RESPONSE_HEADER


class _Saml(_CredentialGrant):
    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:saml2-bearer"

    def subject(self, form: dict[str, str]) -> str | None:
        raw = form.get("assertion", "")
        try:
            xml = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidRequestError from None
        found = _NAME_ID.search(xml)
        return found[1] if found else None


class _Exchange(_CredentialGrant):
    GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"

    def subject(self, form: dict[str, str]) -> str | None:
        if form.get("subject_token_type") != ACCESS_TOKEN_TYPE:
            raise InvalidRequestError("An access token is wanted.")
        found = self.server.state.access_token(form.get("subject_token", ""))
        return found.subject if found else None

    def answer(self) -> dict[str, Any]:
        wanted = self.request.form.get("requested_token_type", ACCESS_TOKEN_TYPE)
        kind = {} if wanted == ACCESS_TOKEN_TYPE else {"token_type": "N_A"}
        return {**super().answer(), "issued_token_type": wanted, **kind}


class _Account(_CredentialGrant):
    GRANT_TYPE = "account_credentials"

    def subject(self, form: dict[str, str]) -> str | None:
        return ACCOUNT if form.get("account_id") == ACCOUNT else None


class _Password(ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)

    def authenticate_user(self, username: str, password: str) -> str | None:
        return username if USERS.get(username) == password else None
