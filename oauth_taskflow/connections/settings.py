"""A checked connection as typed values, which the rest of the package reads instead of ``extra``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from oauth_taskflow.api.pull.records import AbsentRecords
from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.connections.readers.consent import ConsentSettings
from oauth_taskflow.oauth.credential_source import CredentialSource
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.oauth.request_proof import RequestProof
from oauth_taskflow.oauth.self_signed import SelfSignedJwt
from oauth_taskflow.oauth.signing import Signer
from oauth_taskflow.presets.model import STANDARD, BaseUrl, Preset, RateLimitHeaders
from oauth_taskflow.redaction import remove_secrets
from oauth_taskflow.secret_values import Hidden, SecretValue


class TokenPlace(Struct, frozen=True):
    """Where a request carries the token: in the header ``name`` after ``scheme`` and a blank, else in the query parameter ``param``.

    An empty scheme sends the token bare.
    """

    name: str = "Authorization"
    scheme: str = "Bearer"
    param: str = ""


class OAuth2Settings(SecretValue, frozen=True):
    """A grant at a token endpoint. ``refresh_token`` is the first one; ``leeway`` is in seconds.

    Without ``token_url``, the metadata of ``issuer`` name it, and with ``choose_auth`` the client authentication too.
    ``grant`` is a grant other than the client's own, without its options. ``introspect_url`` is asked for the expiry
    of tokens whose response does not state it.
    """

    token_url: str
    client_id: str
    grant_type: str
    client_auth: str = "client_secret_basic"
    client_secret: Hidden[str] = ""
    refresh_token: Hidden[str] = ""
    issuer: str = ""
    choose_auth: bool = False
    signer: Signer | None = None
    client_assertion: CredentialSource | None = None
    grant: Grant | None = None
    scope: str = ""
    audience: str = ""
    resource: tuple[str, ...] = ()
    token_params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    token_headers: Hidden[Mapping[str, str]] = field(default_factory=dict)
    token_body: Literal["form", "json", "query"] = "form"
    token_place: TokenPlace = TokenPlace()
    dpop: str = ""
    leeway: float = 60.0
    preset: Preset = STANDARD
    write_back: bool = False
    consent: ConsentSettings = field(default_factory=ConsentSettings)
    introspect_url: str = ""

    @property
    def request_proof(self) -> RequestProof | None:
        """The proof that API requests carry with the token; None if the provider does not want one, or the secret is missing."""
        return self.preset.request_proof if self.client_secret else None


class BearerSettings(SecretValue, frozen=True):
    """A token that never changes."""

    token: Hidden[str]
    token_place: TokenPlace = TokenPlace()


class BrokeredSettings(SecretValue, frozen=True):
    """A short-lived token that the broker handed out; the instants are seconds on the broker's clock.

    ``leeway`` is how many seconds before expiry the next token is requested. ``proof`` belongs to the token, for
    ``request_proof``.
    """

    token: Hidden[str]
    obtained_at: float
    answered_at: float
    expires_at: float | None = None
    token_place: TokenPlace = TokenPlace()
    leeway: float = 60.0
    proof: Hidden[str] = ""
    request_proof: RequestProof | None = None


class ApiKeySettings(SecretValue, frozen=True):
    """A key in a header or in the query."""

    key: Hidden[str]
    name: str = "X-API-Key"
    placement: Literal["header", "query"] = "header"
    prefix: str = ""


class BasicSettings(SecretValue, frozen=True):
    """HTTP Basic authentication (RFC 7617)."""

    login: str
    password: Hidden[str]


class LoginSettings(SecretValue, frozen=True):
    """One login request whose response contains the token. ``url`` is absolute; lifetimes are in seconds.

    ``fields`` are its body, nested where the API wants it; ``basic`` is a user name and password for HTTP Basic.
    """

    url: Hidden[str]
    fields: Hidden[Mapping[str, Any]]
    method: Literal["POST", "PUT", "GET"] = "POST"
    params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    basic: Hidden[tuple[str, str] | None] = None
    body: Literal["json", "form"] = "json"
    headers: Hidden[Mapping[str, str]] = field(default_factory=dict)
    token_path: str = "access_token"
    expires_path: str = "expires_in"
    token_lifetime: float | None = None
    token_place: TokenPlace = TokenPlace()
    leeway: float = 60.0


class SelfSignedSettings(SecretValue, frozen=True):
    """A JWT that is signed here and sent as the token. ``leeway`` is in seconds."""

    jwt: SelfSignedJwt
    token_place: TokenPlace = TokenPlace()
    leeway: float = 60.0


class AwsSettings(SecretValue, frozen=True):
    """Requests signed with AWS Signature Version 4; without an access key the credentials of the machine sign."""

    region: str
    service: str
    access_key_id: str = ""
    secret_access_key: Hidden[str] = ""
    session_token: Hidden[str] = ""
    profile: str = ""


class NoAuthSettings(Struct, frozen=True):
    """No credentials at all."""


AuthSettings: TypeAlias = (
    OAuth2Settings
    | BearerSettings
    | BrokeredSettings
    | ApiKeySettings
    | BasicSettings
    | LoginSettings
    | SelfSignedSettings
    | AwsSettings
    | NoAuthSettings
)


class ConnectionSettings(SecretValue, frozen=True):
    """One Airflow Connection, checked. ``timeout`` is (connect, read) in seconds.

    ``http_options`` are the options of ``HttpHook`` that an older ``http`` connection may hold; our hook honours them.
    ``secrets`` are all values that must never be shown. If ``base_url`` is empty, ``base_url_from`` names its place in the
    token response. ``rate_limit`` is the header with the end of a rate limit, ``budgets`` are limits to keep to.
    ``api_responses`` are rules for responses that mean something else with this provider. ``limits`` bound the size, depth and
    duration of a response. ``absent_records`` is the meaning of a response without records. ``api_params`` and
    ``api_body`` are added to every request; ``url_secrets`` are in the base URL.
    """

    conn_id: str
    base_url: str
    auth: AuthSettings
    api_headers: Hidden[Mapping[str, str]] = field(default_factory=dict)
    api_params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    api_body: Hidden[Mapping[str, Any]] = field(default_factory=dict)
    url_secrets: Hidden[tuple[str, ...]] = ()
    allowed_origins: tuple[str, ...] = ()
    timeout: tuple[float, float] = (10.0, 60.0)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Hidden[Mapping[str, str]] = field(default_factory=dict)
    http_options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Hidden[tuple[str, ...]] = ()
    base_url_from: BaseUrl | None = None
    rate_limit: RateLimitHeaders | None = None
    budgets: tuple[RateLimit, ...] = ()
    api_responses: tuple[ResponseRule, ...] = ()
    limits: AnswerLimits = DEFAULT_LIMITS
    absent_records: AbsentRecords = "fail"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Name and value of each field that is not hidden; secrets in the base URL are."""
        shown = SecretValue.__rich_repr__(self)
        return [
            (n, remove_secrets(v, self.url_secrets) if n == "base_url" else v) for n, v in shown
        ]
