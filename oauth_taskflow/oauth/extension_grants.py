"""Grants with another credential than the client's: assertions, exchanged tokens, a user's password, vendors' own.

They are extension grants (RFC 6749 §4.5) and the password grant. Sending such a request twice costs a token, nothing
more, so no grant here is single-use. No I/O.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.oauth.client import Params, TokenForm
from oauth_taskflow.oauth.credential_source import CredentialSource
from oauth_taskflow.oauth.grants import BaseGrant, GrantOptions
from oauth_taskflow.oauth.signing import Signer
from oauth_taskflow.redaction import is_sensitive_name
from oauth_taskflow.secret_values import Hidden

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SAML2_BEARER = "urn:ietf:params:oauth:grant-type:saml2-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ASSERTION_HINT = (
    "Check subject, audience and key of the connection, and that the server knows them; this machine's clock was "
    "checked against the server's."
)
_SAML_HINT = "Check the assertion of the connection: its lifetime, audience and subject."


class JwtBearer(BaseGrant, frozen=True):
    """A JWT signed here is traded (RFC 7523 §2.1).

    ``issuer`` is usually the client id; ``subject`` is the user that the token is for, left out when empty; ``claims`` are added to
    the assertion and win over ours. With ``asserts_scope`` the scope is a claim too, and not in the form.
    """

    signer: Signer
    issuer: str
    subject: str
    claims: Hidden[Mapping[str, str]] = field(default_factory=dict)
    options: GrantOptions = field(default_factory=GrantOptions)
    asserts_scope: bool = False
    grant_type: ClassVar[str] = JWT_BEARER

    def form(self) -> TokenForm:
        """The parameters and headers to post, with a fresh assertion."""
        options, claims = self.options, self.claims
        if self.asserts_scope and options.scope:
            claims = {"scope": options.scope, **claims}
            options = replace(options, scope="")
        assertion = self.signer.assertion(self.issuer, self.subject, claims)
        return options.form((("grant_type", self.grant_type), ("assertion", assertion)))

    @property
    def subject_key(self) -> str:
        """Distinguishes this grant's tokens from those of other subjects."""
        return _join(self.issuer, self.subject, self.signer.audience, *sorted(self.claims.items()))

    @property
    def refusal_hint(self) -> str:
        """The places of a rejected assertion in the connection."""
        return _ASSERTION_HINT

    def secret_fingerprints(self) -> tuple[str, ...]:
        """The fingerprint of the key, and the audience that it signs for."""
        return (self.signer.key.fingerprint, self.signer.audience)

    def with_audience(self, token_url: str) -> JwtBearer:
        """The same grant, signing for ``token_url`` unless its signer has an audience."""
        return replace(self, signer=self.signer.with_audience(token_url))

    def with_skew(self, skew: float) -> JwtBearer:
        """The same grant, signing on the server's clock."""
        return replace(self, signer=self.signer.with_skew(skew))


class GivenAssertion(BaseGrant, frozen=True):
    """An assertion made elsewhere is traded: SAML 2.0 (RFC 7522 §2.1) or JWT (RFC 7523 §2.1), by ``grant_type``.

    A SAML assertion goes out in base64url; XML is encoded here, anything else is sent as it is.
    """

    grant_type: str
    source: CredentialSource
    options: GrantOptions = field(default_factory=GrantOptions)

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        own = (("grant_type", self.grant_type), ("assertion", self._encode()))
        return self.options.form(own)

    def secrets(self) -> tuple[str, ...]:
        """The assertion."""
        return (self._encode(),)

    def _encode(self) -> str:
        text = self.source.read()
        return _base64url(text) if text.startswith("<") else text

    @property
    def subject_key(self) -> str:
        """Distinguishes this grant's tokens from those of other subjects."""
        return _join(self.source.fingerprint)

    @property
    def refusal_hint(self) -> str:
        """The places of a rejected assertion in the connection."""
        return _SAML_HINT if self.grant_type == SAML2_BEARER else _ASSERTION_HINT


class PresentedToken(Struct, frozen=True):
    """A token presented in an exchange, and its type (RFC 8693 §3)."""

    source: CredentialSource
    token_type: str = ACCESS_TOKEN_TYPE


class TokenExchange(BaseGrant, frozen=True):
    """Another token is traded for one that serves here (RFC 8693 §2.1).

    The audience of the options may name several, separated by blanks: each becomes one parameter.
    """

    subject: PresentedToken
    actor: PresentedToken | None = None
    requested_type: str = ""
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = TOKEN_EXCHANGE

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        own: Params = (
            ("grant_type", self.grant_type),
            ("subject_token", self.subject.source.read()),
            ("subject_token_type", self.subject.token_type),
        )
        if self.actor:
            own += (("actor_token", self.actor.source.read()),)
            own += (("actor_token_type", self.actor.token_type),)
        if self.requested_type:
            own += (("requested_token_type", self.requested_type),)
        audiences = tuple(("audience", name) for name in self.options.audience.split())
        return replace(self.options, audience="").form(own + audiences)

    def secrets(self) -> tuple[str, ...]:
        """The presented tokens."""
        shown = (self.subject, self.actor)
        return tuple(token.source.read() for token in shown if token)

    @property
    def subject_key(self) -> str:
        """Distinguishes this grant's tokens from those of other subjects."""
        shown = (self.subject, self.actor)
        fingerprints = [(token.source.fingerprint, token.token_type) for token in shown if token]
        return _join(self.requested_type, *fingerprints)

    @property
    def refusal_hint(self) -> str:
        """The places of the rejected tokens in the connection."""
        return "Check subject_token and actor_token of the connection: they are expired, or not accepted here."


class Password(BaseGrant, frozen=True):
    """A user's name and password are sent (RFC 6749 §4.3); RFC 9700 §2.4 forbids it, some servers support nothing else."""

    username: str
    password: Hidden[str]
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = "password"

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        own = (("username", self.username), ("password", self.password))
        return self.options.form((("grant_type", self.grant_type), *own))

    def secrets(self) -> tuple[str, ...]:
        """The user's password."""
        return (self.password,)

    @property
    def subject_key(self) -> str:
        """Distinguishes this grant's tokens from those of other subjects."""
        return _join(self.username)

    @property
    def refusal_hint(self) -> str:
        """The places of the rejected credentials in the connection."""
        return "Check username and user_password of the connection."

    def secret_fingerprints(self) -> tuple[str, ...]:
        """The user's password."""
        return (self.password,)


class NamedGrant(BaseGrant, frozen=True):
    """A vendor's own grant: its name, and its parameters among the options (Zoom's ``account_credentials``)."""

    grant_type: str
    options: GrantOptions = field(default_factory=GrantOptions)

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        return self.options.form((("grant_type", self.grant_type),))

    def secrets(self) -> tuple[str, ...]:
        """The parameters whose names mark secrets, such as ``fb_exchange_token``."""
        params = self.options.params.items()
        return tuple(value for name, value in params if is_sensitive_name(name))


def _join(*parts: object) -> str:
    return json.dumps(parts, separators=(",", ":"))


def _base64url(xml: str) -> str:
    return base64.urlsafe_b64encode(xml.encode()).rstrip(b"=").decode()
