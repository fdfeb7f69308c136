"""Client authentication at the token endpoint (RFC 6749 §2.3, IANA token endpoint auth methods): one table.

A method turns a client and an unsigned form into the form that is sent. A request uses one method, so a secret is never
in the header and in the body. ``register_client_auth`` adds a method that connections and presets name in ``client_auth``.
Connection fields read the table in every ``airflow`` command, so this module loads nothing but the standard library.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from oauth_taskflow.oauth.client import Client, TokenForm

JWT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# The means that a method needs of the connection; empty: nothing.
Need = Literal["secret", "private_key", "assertion", "certificate", ""]


class ClientAuthMethod(NamedTuple):
    """One client authentication.

    ``needs`` is the means that a connection must hold for it. ``signs`` methods make a fresh assertion with the client's
    signer for every request. ``proves_client`` is False for methods that any client could use.
    """

    apply: Callable[[Client, TokenForm], TokenForm]
    needs: Need
    signs: bool = False
    proves_client: bool = True


def client_secret_basic(client: Client, form: TokenForm) -> TokenForm:
    """HTTP Basic with id and secret form-encoded before base64 (RFC 6749 §2.3.1)."""
    return _add_basic(quote_plus(client.client_id), quote_plus(client.client_secret), form)


def client_secret_basic_raw(client: Client, form: TokenForm) -> TokenForm:
    """HTTP Basic without the form-encoding, for servers that do not decode it."""
    return _add_basic(client.client_id, client.client_secret, form)


def _add_basic(client_id: str, secret: str, form: TokenForm) -> TokenForm:
    encoded = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return form.with_header("Authorization", f"Basic {encoded}")


def client_secret_post(client: Client, form: TokenForm) -> TokenForm:
    """Client id and secret in the body."""
    return form.with_params(
        ("client_id", client.client_id), ("client_secret", client.client_secret)
    )


def send_client_id(client: Client, form: TokenForm) -> TokenForm:
    """The client's id alone, in the body: a public client (RFC 6749 §3.2.1), or one known by its certificate."""
    return form.with_params(("client_id", client.client_id))


def leave_unauthenticated(_client: Client, form: TokenForm) -> TokenForm:
    """The form as it is: its credential speaks for itself (RFC 7521 §4.1, RFC 8693 §2.1, some revocation endpoints)."""
    return form


def client_assertion(client: Client, form: TokenForm) -> TokenForm:
    """A signed JWT about the client itself (RFC 7523 §2.2), with a new signature for each request.

    With a private key it is ``private_key_jwt``, with the client secret ``client_secret_jwt``.
    """
    if client.signer is None:
        raise ValueError("no key to sign a client assertion with")
    claims = {}
    if client.asserts_scope:
        form, scope = form.remove("scope")
        claims = {"scope": scope.split()} if scope else {}
    assertion = client.signer.assertion(client.client_id, client.client_id, claims)
    return _add_assertion(client, assertion, form)


def platform_assertion(client: Client, form: TokenForm) -> TokenForm:
    """A JWT about the client that its platform signs (RFC 7523 §2.2): federated identity. Read again for each request."""
    if client.assertion is None:
        raise ValueError("no client assertion is given")
    return _add_assertion(client, client.assertion.read(), form)


def _add_assertion(client: Client, assertion: str, form: TokenForm) -> TokenForm:
    return form.with_params(
        ("client_id", client.client_id),
        ("client_assertion_type", JWT_ASSERTION),
        ("client_assertion", assertion),
    )


def bearer_assertion(client: Client, form: TokenForm) -> TokenForm:
    """A signed JWT about the client as bearer token of the request; the body names no client (GitHub Apps)."""
    if client.signer is None:
        raise ValueError("no key to sign a client assertion with")
    return form.with_header("Authorization", f"Bearer {client.signer.statement(client.client_id)}")


# Within one need, the first method is the usual one. Certificate: RFC 8705 §2.
CLIENT_AUTH_METHODS: dict[str, ClientAuthMethod] = {
    "client_secret_basic": ClientAuthMethod(client_secret_basic, "secret"),
    "client_secret_basic_raw": ClientAuthMethod(client_secret_basic_raw, "secret"),
    "client_secret_post": ClientAuthMethod(client_secret_post, "secret"),
    "client_secret_jwt": ClientAuthMethod(client_assertion, "secret", signs=True),
    "private_key_jwt": ClientAuthMethod(client_assertion, "private_key", signs=True),
    "private_key_jwt_header": ClientAuthMethod(bearer_assertion, "private_key", signs=True),
    "client_assertion": ClientAuthMethod(platform_assertion, "assertion"),
    "tls_client_auth": ClientAuthMethod(send_client_id, "certificate"),
    "self_signed_tls_client_auth": ClientAuthMethod(send_client_id, "certificate"),
    "none": ClientAuthMethod(send_client_id, "", proves_client=False),
    "unauthenticated": ClientAuthMethod(leave_unauthenticated, "", proves_client=False),
}
BUILT_IN = tuple(CLIENT_AUTH_METHODS)


def register_client_auth(
    name: str,
    apply: Callable[[Client, TokenForm], TokenForm],
    *,
    needs: Need = "",
    signs: bool = False,
) -> None:
    """Makes ``apply`` available as ``client_auth: name`` in connections and presets of this process.

    Call it in every process that reads such a connection: in the DAG file, a plugin or ``airflow_local_settings``.

    Args:
        name: registering it again replaces the method.
        apply: returns the form with the client's proof in it.
        needs: what the connection must hold; it is checked when the connection is read. Empty: nothing.
        signs: whether it uses ``client.signer``, so that it is tried again on the server's clock.

    Raises:
        ValueError: a method of that name comes with the package.
    """
    if name in BUILT_IN:
        raise ValueError(f"{name} is a method of oauth-taskflow: choose another name")
    CLIENT_AUTH_METHODS[name] = ClientAuthMethod(apply, needs, signs)


def methods_that_need(need: Need) -> tuple[str, ...]:
    """The names of the methods that need ``need``, the usual one first."""
    return tuple(name for name, method in CLIENT_AUTH_METHODS.items() if method.needs == need)
