"""Grants: the credentials that are traded for a token, as the parameters of a token request. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from msgspec import field
from msgspec.structs import replace

from oauth_taskflow.oauth.client import Params, TokenForm
from oauth_taskflow.secret_values import Hidden, SecretValue

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

BodyFormat = Literal["form", "json", "query"]


class GrantOptions(SecretValue, frozen=True, kw_only=True):
    """The parameters and headers that any grant may have besides its own.

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
    """One way to get a token. ``BaseGrant`` has a default for all but ``grant_type``, ``options`` and ``form``.

    ``single_use`` means that the request must not simply be sent again. ``by_consent`` means that a person consented, so
    that a refused credential sends a person to the login again.
    """

    single_use: ClassVar[bool]
    by_consent: ClassVar[bool]

    @property
    def grant_type(self) -> str:
        """The value of the parameter ``grant_type``."""

    @property
    def options(self) -> GrantOptions:
        """Scope, audience, resources, extra parameters and headers."""

    @property
    def subject_key(self) -> str:
        """Distinguishes tokens of different subjects in the store; empty where client and parameters do so."""

    @property
    def refusal_hint(self) -> str:
        """Names what to check after ``invalid_grant``; ``{conn_id}`` is filled in. Empty: the error has its own hint."""

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""

    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown."""

    def secret_fingerprints(self) -> tuple[str, ...]:
        """Texts that change when a credential of the grant does, so that an earlier refusal no longer counts.

        The store keeps a keyed hash of them.
        """

    def with_options(self, options: GrantOptions) -> Grant:
        """The same grant with other options."""

    def with_audience(self, token_url: str) -> Grant:
        """The same grant, its assertions meant for ``token_url`` unless they have an audience already."""

    def with_skew(self, skew: float) -> Grant | None:
        """The same grant signed on a clock ``skew`` seconds ahead of ours; None when it signs nothing."""


class BaseGrant(SecretValue, frozen=True):
    """Base class of grants that present no credential, name no subject and sign nothing."""

    single_use: ClassVar[bool] = False
    by_consent: ClassVar[bool] = False

    @property
    def subject_key(self) -> str:
        """Nothing: the client and the parameters say whose token it is."""
        return ""

    @property
    def refusal_hint(self) -> str:
        """Nothing: the error has its own hint."""
        return ""

    def secrets(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def secret_fingerprints(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def with_options(self, options: GrantOptions) -> Self:
        """The same grant with other options."""
        return replace(self, options=options)

    def with_audience(self, token_url: str) -> Self:  # noqa: ARG002  # nothing is signed
        """The same grant: it signs nothing."""
        return self

    def with_skew(self, skew: float) -> Self | None:  # noqa: ARG002  # as above
        """None: it signs nothing."""
        return None


class ClientCredentials(BaseGrant, frozen=True):
    """The client acts for itself (RFC 6749 §4.4); sending the request twice only costs a token."""

    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = "client_credentials"

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        return self.options.form((("grant_type", self.grant_type),))

    @property
    def refusal_hint(self) -> str:
        """The client itself is refused."""
        return "Check what the server knows of this client."


class RefreshToken(BaseGrant, frozen=True):
    """A refresh token is traded (RFC 6749 §6).

    It counts as single-use, because a server may start to rotate without notice. A second use of a spent refresh token
    revokes every token of the consent (RFC 9700 §4.14).
    """

    refresh_token: Hidden[str]
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = "refresh_token"
    single_use: ClassVar[bool] = True
    by_consent: ClassVar[bool] = True

    @property
    def refusal_hint(self) -> str:
        """A dead refresh token needs a person."""
        return "A person must authorize it again: airflow oauth login {conn_id}. The old refresh token cannot come back."

    def form(self) -> TokenForm:
        """The parameters and headers to post, without client authentication."""
        own = (("grant_type", self.grant_type), ("refresh_token", self.refresh_token))
        return self.options.form(own)

    def secrets(self) -> tuple[str, ...]:
        """The refresh token."""
        return (self.refresh_token,)

    def with_refresh_token(self, refresh_token: str) -> RefreshToken:
        """The same grant with another refresh token of its family."""
        return replace(self, refresh_token=refresh_token)

    def exceeds(self, granted: str) -> bool:
        """Whether it asks for a scope that ``granted``, the scope of its latest token, lacks; False when that is empty."""
        return granted != "" and not _words(self.options.scope) <= _words(granted)

    def with_scope(self, granted: str) -> RefreshToken:
        """The same grant asking for ``granted`` (RFC 6749 §6: no scope that was not originally granted)."""
        return replace(self, options=replace(self.options, scope=granted))


def _words(scope: str) -> set[str]:
    return set(scope.replace(",", " ").split())
