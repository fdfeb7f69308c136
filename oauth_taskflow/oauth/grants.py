"""What is traded for a token: the parameters of each grant type. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.oauth.client import Params, TokenForm
from oauth_taskflow.secret_values import Hidden, SecretValue

BodyFormat = Literal["form", "json", "query"]


class GrantOptions(SecretValue, frozen=True, kw_only=True):
    """What every grant may carry besides its own parameters.

    ``scope`` is sent as written (space-separated by RFC 6749 §3.3, comma-separated by some servers); ``resource`` may
    name several (RFC 8707). ``params`` are added to the request and win over parameters of the same name, which is how
    vendor grant names are sent. ``body`` is the encoding of the request.
    """

    scope: str = ""
    audience: str = ""
    resource: tuple[str, ...] = ()
    params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    headers: Hidden[Mapping[str, str]] = field(default_factory=dict)
    body: BodyFormat = "form"

    def common(self) -> Params:
        """Scope, audience and resources; empty ones are left out (RFC 6749 §3.2)."""
        named = (("scope", self.scope), ("audience", self.audience))
        resources = tuple(("resource", value) for value in self.resource)
        return (*((name, value) for name, value in named if value), *resources)

    def form(self, own: Params) -> TokenForm:
        """The request form of a grant with the parameters ``own``."""
        form = TokenForm(params=own + self.common(), headers=self.headers)
        return form.with_params(*self.params.items())


class Grant(Protocol):
    """One way to get a token. ``single_use`` means that the request must not simply be sent again."""

    single_use: ClassVar[bool]

    @property
    def grant_type(self) -> str:
        """The value of the parameter ``grant_type``."""

    @property
    def options(self) -> GrantOptions:
        """Scope, audience, resources, extra parameters and headers."""

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""

    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown."""


class ClientCredentials(Struct, frozen=True):
    """The client acts for itself (RFC 6749 §4.4); sending the request twice only costs a token."""

    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = "client_credentials"
    single_use: ClassVar[bool] = False

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        return self.options.form((("grant_type", self.grant_type),))

    def secrets(self) -> tuple[str, ...]:
        """Nothing: the client secret belongs to the client."""
        return ()


class RefreshToken(SecretValue, frozen=True):
    """A refresh token is traded (RFC 6749 §6).

    It is taken for single-use, because a server may start to rotate without notice and a second use of a spent
    refresh token revokes every token of the consent (RFC 9700 §4.14).
    """

    refresh_token: Hidden[str]
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = "refresh_token"
    single_use: ClassVar[bool] = True

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        own = (("grant_type", self.grant_type), ("refresh_token", self.refresh_token))
        return self.options.form(own)

    def secrets(self) -> tuple[str, ...]:
        """The refresh token."""
        return (self.refresh_token,)

    def holding(self, refresh_token: str) -> RefreshToken:
        """The same grant with another refresh token of its family."""
        return replace(self, refresh_token=refresh_token)

    def exceeds(self, granted: str) -> bool:
        """Whether it asks for a scope that ``granted``, the scope of its latest token, lacks; False when that is empty."""
        return granted != "" and not _words(self.options.scope) <= _words(granted)

    def within(self, granted: str) -> RefreshToken:
        """The same grant asking for ``granted`` (RFC 6749 §6: no scope that was not originally granted)."""
        return replace(self, options=replace(self.options, scope=granted))


def _words(scope: str) -> set[str]:
    return set(scope.replace(",", " ").split())
