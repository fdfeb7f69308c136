"""How the client proves who it is to the token endpoint (RFC 6749 §2.3, IANA token endpoint auth methods).

One method per request; a secret is never in the header and in the body. A method is a function from the client and
the unsigned form to the form that is sent; ``register_client_auth`` adds more under a new name.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

from msgspec import field
from msgspec.structs import replace

from oauth_taskflow.oauth.credential_source import TextSource
from oauth_taskflow.oauth.signing import Signer
from oauth_taskflow.secret_values import Hidden, SecretValue

Params = tuple[tuple[str, str], ...]
JWT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Client(SecretValue, frozen=True):
    """The registered client: its id and, for confidential clients, its secret or what signs its assertions.

    With ``asserts_scope`` the scope travels as a claim of the signed assertion and not in the form. ``assertion`` is where
    an assertion about it lies that somebody else signs.
    """

    client_id: str
    client_secret: Hidden[str] = ""
    signer: Signer | None = None
    asserts_scope: bool = False
    assertion: TextSource | None = None


class TokenForm(SecretValue, frozen=True):
    """What is about to be posted: parameters in order (a name may repeat for ``resource``) and headers."""

    params: Hidden[Params]
    headers: Hidden[Mapping[str, str]] = field(default_factory=dict)

    def with_params(self, *added: tuple[str, str]) -> TokenForm:
        """This form with the parameters ``added``, each replacing earlier ones of its name."""
        names = {name for name, _ in added}
        kept = tuple(pair for pair in self.params if pair[0] not in names)
        return replace(self, params=kept + added)

    def without(self, name: str) -> tuple[TokenForm, str]:
        """This form without the parameter ``name``, and what that was; empty if it was not there."""
        value = dict(self.params).get(name, "")
        return replace(self, params=tuple(pair for pair in self.params if pair[0] != name)), value

    def with_header(self, name: str, value: str) -> TokenForm:
        """This form with one more header."""
        return replace(self, headers={**self.headers, name: value})


ClientAuthMethod = Callable[[Client, TokenForm], TokenForm]


def client_secret_basic(client: Client, form: TokenForm) -> TokenForm:
    """HTTP Basic with id and secret form-encoded before base64 (RFC 6749 §2.3.1)."""
    return _basic(quote_plus(client.client_id), quote_plus(client.client_secret), form)


def client_secret_basic_raw(client: Client, form: TokenForm) -> TokenForm:
    """HTTP Basic without the form-encoding, for servers that do not decode it."""
    return _basic(client.client_id, client.client_secret, form)


def _basic(client_id: str, secret: str, form: TokenForm) -> TokenForm:
    encoded = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return form.with_header("Authorization", f"Basic {encoded}")


def client_secret_post(client: Client, form: TokenForm) -> TokenForm:
    """Client id and secret in the body."""
    return form.with_params(
        ("client_id", client.client_id), ("client_secret", client.client_secret)
    )


def no_client_auth(client: Client, form: TokenForm) -> TokenForm:
    """Only the client's id, in the body: a public client (RFC 6749 §3.2.1), or one known by its certificate."""
    return form.with_params(("client_id", client.client_id))


def unauthenticated(_client: Client, form: TokenForm) -> TokenForm:
    """Nothing of the client: what is shown speaks for itself (RFC 7521 §4.1, RFC 8693 §2.1, some revocation endpoints)."""
    return form


def client_assertion(client: Client, form: TokenForm) -> TokenForm:
    """A signed JWT about the client itself (RFC 7523 §2.2), made anew for each request.

    With a private key it is ``private_key_jwt``, with the client secret ``client_secret_jwt``.
    """
    if client.signer is None:
        raise ValueError("no key to sign a client assertion with")
    claims = {}
    if client.asserts_scope:
        form, scope = form.without("scope")
        claims = {"scope": scope.split()} if scope else {}
    return _asserted(
        client, client.signer.assertion(client.client_id, client.client_id, claims), form
    )


def given_assertion(client: Client, form: TokenForm) -> TokenForm:
    """A JWT about the client that its platform signs (RFC 7523 §2.2), read anew for each request: federated identity."""
    if client.assertion is None:
        raise ValueError("no client assertion is given")
    return _asserted(client, client.assertion.read(), form)


def _asserted(client: Client, assertion: str, form: TokenForm) -> TokenForm:
    return form.with_params(
        ("client_id", client.client_id),
        ("client_assertion_type", JWT_ASSERTION),
        ("client_assertion", assertion),
    )


def bearer_assertion(client: Client, form: TokenForm) -> TokenForm:
    """A signed JWT about the client as bearer token of the request, and nothing of it in the body (GitHub Apps)."""
    if client.signer is None:
        raise ValueError("no key to sign a client assertion with")
    return form.with_header("Authorization", f"Bearer {client.signer.statement(client.client_id)}")


# Methods of the client's own private key.
KEY_METHODS = frozenset({"private_key_jwt", "private_key_jwt_header"})
SIGNED_METHODS = KEY_METHODS | {"client_secret_jwt"}
# The certificate of the TLS connection is the proof (RFC 8705 §2).
CERTIFICATE_METHODS = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})

CLIENT_AUTH_METHODS: dict[str, ClientAuthMethod] = {
    "client_secret_basic": client_secret_basic,
    "client_secret_basic_raw": client_secret_basic_raw,
    "client_secret_post": client_secret_post,
    "client_secret_jwt": client_assertion,
    "private_key_jwt": client_assertion,
    "private_key_jwt_header": bearer_assertion,
    "client_assertion": given_assertion,
    "tls_client_auth": no_client_auth,
    "self_signed_tls_client_auth": no_client_auth,
    "none": no_client_auth,
    "unauthenticated": unauthenticated,
}


def register_client_auth(name: str, method: ClientAuthMethod) -> None:
    """Make ``method`` available as ``client_auth: name``."""
    CLIENT_AUTH_METHODS[name] = method
