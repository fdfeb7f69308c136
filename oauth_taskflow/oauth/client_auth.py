"""How the client proves who it is to the token endpoint (RFC 6749 §2.3, IANA token endpoint auth methods).

One method per request; a secret is never in the header and in the body. A method is a function from the client and
the unsigned form to the form that is sent; ``register_client_auth`` adds more under a new name.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote_plus

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Client:
    """The registered client: its id and, for confidential clients, its secret."""

    client_id: str
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class TokenForm:
    """What is about to be posted: parameters in order (a name may repeat for ``resource``) and headers."""

    params: Params = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def with_params(self, *added: tuple[str, str]) -> TokenForm:
        """This form with the parameters ``added``, each replacing earlier ones of its name."""
        names = {name for name, _ in added}
        kept = tuple(pair for pair in self.params if pair[0] not in names)
        return replace(self, params=kept + added)

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
    """A public client: only its id, in the body (RFC 6749 §3.2.1)."""
    return form.with_params(("client_id", client.client_id))


CLIENT_AUTH_METHODS: dict[str, ClientAuthMethod] = {
    "client_secret_basic": client_secret_basic,
    "client_secret_basic_raw": client_secret_basic_raw,
    "client_secret_post": client_secret_post,
    "none": no_client_auth,
}


def register_client_auth(name: str, method: ClientAuthMethod) -> None:
    """Make ``method`` available as ``client_auth: name``."""
    CLIENT_AUTH_METHODS[name] = method
