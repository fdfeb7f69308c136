"""A token endpoint, and the client that asks it: its address, dialect, credentials and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.dialect import STANDARD, Dialect
from oauth_taskflow.oauth.dpop import new_key, prover
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import Failure, Outcome
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.redaction import is_sensitive_name, redact_address
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import is_loopback

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on


class Timeouts(Struct, frozen=True):
    """Seconds to connect, to wait for the next bytes, and for the whole exchange."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 35.0


class TransportOptions(SecretValue, frozen=True):
    """Certificate checks (``verify``: True or a CA file), client certificate, proxies by scheme, time limits."""

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Hidden[Mapping[str, str]] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def request_options(self, longest: float) -> dict[str, Any]:
        """The arguments of ``requests`` for a request whose connecting and reading may each take ``longest`` seconds.

        Redirects are never followed: credentials belong to the configured address only.
        """
        return {
            "timeout": (min(self.timeouts.connect, longest), min(self.timeouts.read, longest)),
            "allow_redirects": False,
            "verify": self.verify,
            "cert": self.cert,
            "proxies": dict(self.proxies),
            "stream": True,
        }


def _keep_nothing(_answer: TokenHttpResponse) -> None:
    """Ignores an answer: the grant can be used again."""


def _ignore_secrets(_secrets: Iterable[str]) -> None:
    """Ignores secrets: the caller hides nothing."""


class TokenEndpoint(SecretValue, frozen=True):
    """A token endpoint, and the client that asks it.

    ``client_auth`` is a name of ``CLIENT_AUTH_METHODS``; ``dialect`` is how this server departs from RFC 6749. ``dpop`` is the algorithm of DPoP proofs
    (empty: bearer tokens), ``dpop_key`` the grant's key, see ``with_dpop_key``. ``introspect_url`` is asked about tokens whose
    answer names no lifetime, when the dialect says so. ``hide`` gets the secrets of a request before it is made:
    refresh tokens come from the store, assertions from files. ``may_send`` is asked just before a request leaves: a
    worker that lost its lease meanwhile sends nothing. ``keep`` gets each answer with status 2xx before anything in it is
    judged. Safe to share between threads: nothing is kept between exchanges.

    Raises:
        ConnectionConfigError: the URL is neither https nor loopback, or the method is unknown.
    """

    url: str
    client: Client
    client_auth: str = "client_secret_basic"
    conn_id: str = ""
    dialect: Dialect = STANDARD
    transport: TransportOptions = field(default_factory=TransportOptions)
    clock: Clock = SYSTEM_CLOCK
    dpop: str = ""
    dpop_key: Hidden[str] = ""
    introspect_url: str = ""
    hide: Hidden[Callable[[Iterable[str]], None]] = _ignore_secrets
    may_send: Hidden[Callable[[], bool] | None] = None
    keep: Hidden[Callable[[TokenHttpResponse], None]] = _keep_nothing

    def __post_init__(self) -> None:
        _check_url(self.url, self.conn_id)
        _check_url(self.dialect.request.url(self.url, "refresh_token"), self.conn_id)
        _check_url(self.introspect_url or self.url, self.conn_id)
        if self.client_auth not in CLIENT_AUTH_METHODS:
            raise ConnectionConfigError(
                f"Unknown client authentication method {self.client_auth!r}",
                conn_id=self.conn_id,
                field="client_auth",
                hint=f"Known: {', '.join(sorted(CLIENT_AUTH_METHODS))}.",
            )

    @classmethod
    def from_endpoint(cls, endpoint: TokenEndpoint, **changes: Any) -> Self:
        """``endpoint`` as one of this class, with ``changes``; fields that only its own class has are left out."""
        known = {name: getattr(endpoint, name) for name in TokenEndpoint.__struct_fields__}
        return cls(**{**known, **changes})

    def resolve(self) -> TokenEndpoint:
        """This endpoint with its address; one that is known by its issuer looks it up."""
        return self

    @property
    def usual_lifetime(self) -> float | None:
        """Seconds that a token is taken to live when nothing says so; None: until the API answers 401."""
        return self.dialect.response.expiry.lifetime_s

    def with_dpop_key(self, dpop_key: str = "") -> Self:
        """This endpoint, proving that it holds ``dpop_key`` (a new one if that is empty) when ``dpop`` says so."""
        if not self.dpop:
            return self
        return replace(self, dpop_key=dpop_key or self.dpop_key or new_key(self.dpop))

    @property
    def dpop_jkt(self) -> str:
        """The thumbprint of ``dpop_key``; empty without one."""
        return prover(self.dpop_key).thumbprint if self.dpop_key else ""

    def exchange(self, grant: Grant, *, budget: float | None = None) -> Outcome:
        """Trade ``grant`` for a token within ``budget`` seconds; see ``ask`` for how often it is sent."""
        if self.dpop and not self.dpop_key:
            return self.with_dpop_key().exchange(grant, budget=budget)
        from oauth_taskflow.oauth.endpoint.response import interpret  # noqa: PLC0415 - as below

        answer = self.ask(grant, budget=budget)
        return (
            interpret(answer, self.describe_request(grant))
            if isinstance(answer, TokenHttpResponse)
            else answer
        )

    def ask(self, grant: Grant, *, budget: float | None = None) -> TokenHttpResponse | Failure:
        """Post the form of ``grant`` once, as this client; the answer as it came, or the failure.

        It is posted again only where the server refused it unread: once with the nonce that it wants in the DPoP proof,
        once with a proof on its clock, and once with an assertion on its clock. ``Date`` shows that clock.
        """
        from oauth_taskflow.oauth.endpoint.exchange import (  # noqa: PLC0415 - most tasks find a fresh token
            Exchange,
        )

        limits = self.transport.timeouts
        total = limits.total if budget is None else min(budget, limits.total)
        return Exchange(self).run(grant, total)

    def describe_request(self, grant: Grant) -> TokenRequestInfo:
        """Facts about a request with ``grant``, for judging its answer and wording an error."""
        options = grant.options
        added = (*options.params.items(), *options.headers.items())
        sensitive = (value for name, value in added if is_sensitive_name(name))
        return TokenRequestInfo(
            conn_id=self.conn_id,
            url=self.dialect.request.url(self.url, grant.grant_type),
            grant_type=grant.grant_type,
            scope=options.scope,
            targets=tuple(filter(None, (options.audience, *options.resource))),
            refusal_hint=grant.refusal_hint,
            by_consent=grant.by_consent,
            dialect=self.dialect.response,
            secrets=tuple(filter(None, (self.client.client_secret, *grant.secrets(), *sensitive))),
            dpop_key=self.dpop_key,
            client_auth=self.client_auth,
        )


def _check_url(url: str, conn_id: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return
    raise ConnectionConfigError(
        f"The token endpoint {redact_address(url)!r} is not an https URL",
        conn_id=conn_id,
        field="token_url",
        hint="Secrets travel encrypted only; plain http is accepted for 127.0.0.1 and [::1].",
    )
