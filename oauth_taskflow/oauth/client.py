"""The registered client, and the form of a request that it signs or fills. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import field
from msgspec.structs import replace

from oauth_taskflow.oauth.credential_source import CredentialSource
from oauth_taskflow.oauth.signing import Signer
from oauth_taskflow.secret_values import Hidden, SecretValue

Params = tuple[tuple[str, str], ...]


class Client(SecretValue, frozen=True):
    """The registered client: its id and, for confidential clients, its secret or what signs its assertions.

    With ``asserts_scope`` the scope travels as a claim of the signed assertion and not in the form. ``assertion`` reads
    an assertion about it that its platform signs.
    """

    client_id: str
    client_secret: Hidden[str] = ""
    signer: Signer | None = None
    asserts_scope: bool = False
    assertion: CredentialSource | None = None


class TokenForm(SecretValue, frozen=True):
    """A form before it is sent: parameters in order (a name may repeat for ``resource``) and headers."""

    params: Hidden[Params]
    headers: Hidden[Mapping[str, str]] = field(default_factory=dict)

    def with_params(self, *added: tuple[str, str]) -> TokenForm:
        """This form with the parameters ``added``, each replacing earlier ones of its name."""
        names = {name for name, _ in added}
        kept = tuple(pair for pair in self.params if pair[0] not in names)
        return replace(self, params=kept + added)

    def remove(self, name: str) -> tuple[TokenForm, str]:
        """This form without the parameter ``name``, and the value of that; empty when it was missing."""
        value = dict(self.params).get(name, "")
        return replace(self, params=tuple(pair for pair in self.params if pair[0] != name)), value

    def with_header(self, name: str, value: str) -> TokenForm:
        """This form with one more header."""
        return replace(self, headers={**self.headers, name: value})
