"""The authorization code grant (RFC 6749 §4.1) with PKCE, ``state`` and ``iss``. No I/O.

An ``Authorization`` is one attempt: it builds the URL that the person opens, judges what comes back, and yields the grant
to send to the token endpoint.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import AuthorizationFailed
from oauth_taskflow.oauth.client import Params, TokenForm
from oauth_taskflow.oauth.dialect import STANDARD, RequestDialect
from oauth_taskflow.oauth.endpoint.endpoint_request import DirectRequest
from oauth_taskflow.oauth.endpoint.response_fields import is_sendable
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import BaseGrant, GrantOptions
from oauth_taskflow.redaction import redact_text, redact_url
from oauth_taskflow.secret_values import Hidden, SecretValue

_STATE_BYTES = 32
_VERIFIER_BYTES = 48  # 64 characters; RFC 7636 §4.1 wants 43 to 128
STATE_LIFETIME = 600.0
_AGAIN = "Start the login again: airflow oauth login {conn_id}"
_PUSH = (
    "The server demands pushed authorization requests (RFC 9126): put the address of its pushed authorization request "
    "endpoint into par_url of the connection, or its issuer into issuer."
)
_WANTS_PUSH = re.compile(r"(?i)\bpushed\b|\bPAR\b|\brequest_uri\b.{0,40}\b(required|missing)")


class Verifier(SecretValue, frozen=True):
    """The secret of one login attempt; only its hash goes through the browser."""

    value: Hidden[str]

    @classmethod
    def new(cls) -> Verifier:
        """A new verifier from the system's random source."""
        return cls(secrets.token_urlsafe(_VERIFIER_BYTES))

    @property
    def challenge(self) -> str:
        """BASE64URL(SHA256(verifier)) without padding (RFC 7636 §4.2)."""
        digest = hashlib.sha256(self.value.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class AuthorizationCode(BaseGrant, frozen=True):
    """A code is traded (RFC 6749 §4.1.3). It works once, whatever the answer is."""

    code: Hidden[str]
    redirect_uri: str
    verifier: Verifier | None
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = "authorization_code"
    single_use: ClassVar[bool] = True
    by_consent: ClassVar[bool] = True

    @property
    def refusal_hint(self) -> str:
        """A code works once: another login brings another one."""
        return "The code was used or has run out. Start again: airflow oauth login {conn_id}"

    def form(self) -> TokenForm:
        """The parameters and headers to post; the scope was settled at the authorization endpoint."""
        own = (
            ("grant_type", self.grant_type),
            ("code", self.code),
            ("redirect_uri", self.redirect_uri),
        )
        proof = (("code_verifier", self.verifier.value),) if self.verifier else ()
        return replace(self.options, scope="").form(own + proof)

    def secrets(self) -> tuple[str, ...]:
        """The code and its verifier."""
        return (self.code, self.verifier.value) if self.verifier else (self.code,)


class AuthorizationServer(Struct, frozen=True):
    """The facts about an authorization server that a login needs.

    ``issuer`` is its identifier (RFC 8414), empty when it is not known; ``names_itself`` says that it announces ``iss``
    in every answer (RFC 9207), so that an answer without it comes from another server.
    """

    authorize_url: str
    issuer: str = ""
    names_itself: bool = False


class Authorization(SecretValue, frozen=True):
    """One attempt of a person to authorize ``client_id``; ``state`` and verifier are its own.

    ``params`` are more parameters of the authorization URL (``access_type=offline``), ``request`` the server's own names
    of parameters, ``code_name`` its name of the code in the answer. ``pkce`` False is for the few servers that refuse it.
    An attempt is over ``STATE_LIFETIME`` seconds after it ``began`` (on the monotonic clock). ``dpop_jkt`` is the
    thumbprint of the DPoP key that alone may trade the code (RFC 9449 §10); empty without DPoP.
    """

    server: AuthorizationServer
    client_id: str
    redirect_uri: str
    options: GrantOptions = field(default_factory=GrantOptions)
    params: Mapping[str, str] = field(default_factory=dict)
    conn_id: str = ""
    state: Hidden[str] = field(default_factory=lambda: secrets.token_urlsafe(_STATE_BYTES))
    verifier: Verifier = field(default_factory=Verifier.new)
    request: RequestDialect = STANDARD.request
    code_name: str = STANDARD.response.code
    pkce: bool = True
    began: float = field(default_factory=SYSTEM_CLOCK.monotonic)
    dpop_jkt: str = ""

    @property
    def parameters(self) -> Params:
        """The authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3); parameters of the connection win."""
        own = (
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            *self.options.common(),
        )
        challenge = (
            ("code_challenge", self.verifier.challenge),
            ("code_challenge_method", "S256"),
        )
        guards: Params = (("response_type", "code"), ("state", self.state))
        guards += challenge if self.pkce else ()
        guards += (("dpop_jkt", self.dpop_jkt),) if self.dpop_jkt else ()
        # The guards come last: nothing in a connection may switch them off.
        form = TokenForm(own).with_params(*self.params.items()).with_params(*guards)
        return self.request.rename_params(form).params

    @property
    def url(self) -> str:
        """The address for the person's browser."""
        return self.url_with(self.parameters)

    def url_after_push(self, request_uri: str) -> str:
        """The address for the browser after the request was pushed (RFC 9126 §4): it holds a reference to the request only."""
        return self.url_with((("client_id", self.client_id), ("request_uri", request_uri)))

    def url_with(self, params: Params) -> str:
        """The authorization endpoint with ``params`` behind its own query (RFC 6749 §3.1)."""
        parts = urlsplit(self.server.authorize_url)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *params])
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    def is_mine(self, answer: Mapping[str, str]) -> bool:
        """Whether ``answer`` belongs to this attempt, judged by ``state`` in constant time."""
        return hmac.compare_digest(answer.get("state", "").encode(), self.state.encode())

    def read_url(self, pasted: str) -> AuthorizationCode:
        """The grant in the address that a person copied out of the browser.

        Raises:
            AuthorizationFailed: it does not answer this attempt, or contains a refusal.
        """
        parts = urlsplit(pasted.strip())
        return self.read(parse_qsl(parts.query or parts.path, keep_blank_values=True))

    def read(self, answer: Iterable[tuple[str, str]]) -> AuthorizationCode:
        """The grant in the parameters that came back to the redirect URI.

        Raises:
            AuthorizationFailed: a parameter is repeated, ``state`` or ``iss`` is wrong, it is too late, or the server
                refused.
        """
        pairs = list(answer)
        values = dict(pairs)
        if len(values) != len(pairs):
            raise self.failure("The answer repeats a parameter (RFC 6749 §3.1)")
        if not self.is_mine(values):
            raise self.failure("The answer belongs to another login: its state is not the one sent")
        if SYSTEM_CLOCK.monotonic() - self.began > STATE_LIFETIME:
            raise self.failure(f"The answer came later than {STATE_LIFETIME / 60:.0f} minutes")
        self._check_issuer(values)
        if values.get("error"):
            raise self._refusal(values)
        code = values.get(self.code_name)
        if not code:
            raise self.failure(f"The answer holds neither a {self.code_name} nor an error")
        verifier = self.verifier if self.pkce else None
        return AuthorizationCode(code, self.redirect_uri, verifier, self.options)

    def _check_issuer(self, values: Mapping[str, str]) -> None:
        """RFC 9207 §2.4: before the code is sent anywhere, know whose it is.

        An error is only reported with it: some servers name themselves in answers with a code alone.
        """
        expected, issuer = self.server.issuer, values.get("iss")
        reported = f"; it reports {self._describe_error(values)}" if values.get("error") else ""
        if issuer is None and self.server.names_itself:
            raise self.failure(
                "The answer does not name its issuer, although the authorization server announces that it does"
                f"{reported}"
            )
        if issuer is not None and expected and issuer != expected:
            raise self.failure(
                f"The answer comes from another authorization server, {redact_url(issuer)!r} "
                f"instead of {expected!r} (RFC 9207){reported}"
            )

    def _refusal(self, values: Mapping[str, str]) -> AuthorizationFailed:
        said = self._describe_error(values)
        hint = _PUSH if _WANTS_PUSH.search(said) else ""
        return self.failure(f"The authorization server refused {said}", hint)

    def _describe_error(self, values: Mapping[str, str]) -> str:
        """The error in an answer, as the server worded it: the code in brackets, and the text for people."""
        secret = (self.state, self.verifier.value)
        shown = (
            redact_text(values.get(name, ""), secret) for name in ("error", "error_description")
        )
        error, description = ("".join(c for c in text if c.isprintable())[:200] for text in shown)
        detail = f": {description}" if description else ""
        return f"({error}){detail.rstrip('. ')}"

    def failure(self, what: str, hint: str = "") -> AuthorizationFailed:
        """The error that ends this attempt; ``hint`` is what to do before the next one."""
        where = f"for connection {self.conn_id!r} at {redact_url(self.server.authorize_url)}"
        again = f"{hint} {_AGAIN}" if hint else _AGAIN
        return AuthorizationFailed(what, where=where, hint=again.format(conn_id=self.conn_id))


def push(endpoint: TokenEndpoint, url: str, authorization: Authorization) -> str:
    """Push the request of ``authorization`` to ``url``; returns the URL for the browser.

    The reference works once and for a short time (RFC 9126 §2.2): each attempt pushes its request again.

    Raises:
        OAuthTaskflowError: the server refused or was not reached.
    """
    hidden = (authorization.state, authorization.verifier.challenge)
    request = DirectRequest.from_params(authorization.parameters, authorization.options, hidden)
    _, fields = request.send(endpoint, url)
    reference = fields.get("request_uri")
    if not is_sendable(reference):  # a browser is sent there with it
        raise authorization.failure("The pushed request was accepted without a request_uri")
    return authorization.url_after_push(reference)
