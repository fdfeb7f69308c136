"""The format of a preset, one YAML file below ``providers/``, as types.

``preset.schema.json`` and docs/providers.md are generated from these types and the files.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from oauth_taskflow.api.pull.records import AbsentRecords
from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.oauth.client_auth import BUILT_IN as CLIENT_AUTH
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.dialect import Dialect, RequestDialect, ResponseDialect, RevocationDialect
from oauth_taskflow.oauth.request_proof import RequestProof
from oauth_taskflow.schema.types import JmesPath, Options, Seconds, Text, doc
from oauth_taskflow.suggestions import suggest_allowed

HOST_LABEL = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"

# A URL with places such as {tenant}, filled from keys of the connection.
UrlTemplate = Annotated[
    str,
    doc(
        "An https URL; {name} is filled from the connection's key of that name.",
        "https://{shop}.myshopify.com/admin/oauth/access_token",
        pattern=r"^https://[A-Za-z0-9{][^\s?#]*$",
    ),
]
Month = Annotated[str, doc("A year and its month.", "2026-11", pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]
PageUrl = Annotated[
    str, doc("A public page.", "https://developer.example.com/oauth", pattern=r"^https://\S+$")
]
TokenHeader = Annotated[
    str,
    doc(
        "Header and format of the token when not Authorization: Bearer {token}.",
        "X-Shopify-Access-Token: {token}",
        pattern=r"\{token\}$",
    ),
]
ClientAuthName = Annotated[
    str,
    doc(
        "A client authentication method of connections, or a registered one.",
        *CLIENT_AUTH,
        min_length=1,
    ),
]
GrantName = Literal[
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "device_code",
    "jwt_bearer",
    "saml2_bearer",
    "token_exchange",
    "password",
    "vendor",
]


class Variable(Options, frozen=True, kw_only=True):
    """A key of the connection that URLs, parameters or headers of the preset need."""

    description: Annotated[Text, doc("Its meaning and where to find it.", "The shop's name")]
    example: Annotated[Text, doc("A value as people have it.", "acme")]
    default: Annotated[str | None, doc("Used when the connection lacks the key.", "com")] = None
    values: Annotated[
        tuple[str, ...], doc("The allowed values; when empty, any value.", ["com", "eu"])
    ] = ()
    pattern: Annotated[
        str,
        doc(
            "Regular expression that a value must match; by default a part of a host name.",
            r"^\d+$",
        ),
    ] = HOST_LABEL


class PhaseParams(Options, frozen=True, kw_only=True):
    """Extra parameters by phase; {name} is filled as in URLs."""

    authorize: Annotated[
        dict[str, str], doc("Of the authorization request.", {"access_type": "offline"})
    ] = {}
    token: Annotated[
        dict[str, str],
        doc("Of every token request but a refresh.", {"account_id": "{account_id}"}),
    ] = {}
    refresh: Annotated[dict[str, str], doc("Of a refresh.", {"expiring": "1"})] = {}


class BaseUrl(Options, frozen=True, kw_only=True):
    """The API's base URL as the token response names it."""

    path: Annotated[JmesPath, doc("JMESPath of the URL in the token response.", "instance_url")]
    hosts: Annotated[
        tuple[Text, ...],
        doc(
            "Hosts it may name; * at the beginning stands for any sub-domain. Everything else is refused.",
            ["*.salesforce.com"],
            min_length=1,
        ),
    ]
    suffix: Annotated[str, doc("Path to append.", "/services/data")] = ""


class RefreshRules(Options, frozen=True, kw_only=True):
    """The effect of a refresh on tokens, and the lifetime of refresh tokens."""

    rotation: Annotated[
        Literal["none", "rotate", "single_use", "unknown"],
        doc(
            "none: the refresh token stays. rotate: a new one comes, the old one keeps working. single_use: a new "
            "one comes and the old one dies. unknown: treated as single_use.",
            "single_use",
        ),
    ] = "unknown"
    grace_s: Annotated[
        float,
        doc(
            "Seconds in which a spent refresh token may be sent again when its answer was lost.",
            600,
            ge=0,
        ),
    ] = 0
    earliest_before_expiry_s: Annotated[
        Seconds | None,
        doc(
            "Earlier than this many seconds before expiry the server refuses to refresh, or answers with the same "
            "access token.",
            30,
        ),
    ] = None
    kills_access_token: Annotated[
        bool,
        doc(
            "A refresh ends the previous access token at once. Tokens are then refreshed late, and no request begins "
            "with one that is about to be replaced.",
            True,
        ),
    ] = False
    idle_lifetime_s: Annotated[
        Seconds | None,
        doc("A refresh token unused for so long is dead: a new consent is needed.", 7776000),
    ] = None
    absolute_lifetime_s: Annotated[
        Seconds | None,
        doc("A new consent is due so long after the last one, used or not.", 31536000),
    ] = None
    lifetime_path: Annotated[
        JmesPath | None,
        doc(
            "JMESPath of the refresh token's lifetime in seconds, or of the instant at which it ends; by default the "
            "usual names are looked for.",
            "refresh_token_expires_in",
        ),
    ] = None


class RateLimitHeaders(Options, frozen=True, kw_only=True):
    """The end of a rate limit, for answers without Retry-After."""

    reset_header: Annotated[Text, doc("The header that names it.", "X-RateLimit-Reset")]
    reset: Annotated[
        Literal["epoch", "epoch_ms", "seconds", "iso"],
        doc("How: an instant in one of three forms, or the seconds left.", "epoch"),
    ]


class Preset(Options, frozen=True, kw_only=True):
    """One provider. Keys of the connection win over everything here."""

    title: Annotated[Text, doc("The provider's name.", "Salesforce")]
    verified: Annotated[
        Month | None,
        doc(
            "Month in which the facts of this preset were read on the pages of sources; facts that those leave open keep their "
            "default. Absent: not verified, try it before you rely on it.",
            "2026-11",
        ),
    ] = None
    sources: Annotated[
        tuple[PageUrl, ...],
        doc(
            "The provider's documentation or source code, or a public catalogue of integrations. Of a preset that is "
            "not verified they state the addresses only.",
            ["https://developer.example.com/oauth"],
        ),
    ] = ()
    variables: Annotated[
        dict[str, Variable],
        doc("Keys of the connection that fill {name}.", {"tenant": {"description": "…"}}),
    ] = {}
    auth_type: Annotated[
        Literal["oauth2", "basic", "self_signed_jwt", "aws_sigv4", "none"],
        doc("The connection's auth_type by default.", "oauth2"),
    ] = "oauth2"
    token_url: Annotated[UrlTemplate | None, doc("The token endpoint.", "https://id.example/t")] = (
        None
    )
    authorize_url: Annotated[
        UrlTemplate | None, doc("Where people consent.", "https://id.example/authorize")
    ] = None
    device_url: Annotated[
        UrlTemplate | None, doc("Where a device code is requested.", "https://id.example/device")
    ] = None
    introspect_url: Annotated[
        UrlTemplate | None,
        doc(
            "The introspection endpoint (RFC 7662), for answers that name no lifetime.",
            "https://id.example/introspect",
        ),
    ] = None
    base_url: Annotated[
        UrlTemplate | None,
        doc("The API, when the connection names no host.", "https://api.example.com"),
    ] = None
    base_url_from: Annotated[
        BaseUrl | None,
        doc(
            "The API as the token response names it, when the connection names no host.",
            {"path": "instance_url", "hosts": ["*.salesforce.com"]},
        ),
    ] = None
    grants: Annotated[
        tuple[GrantName, ...],
        doc("Grants that the provider supports.", ["authorization_code", "refresh_token"]),
    ] = ()
    client_auth: Annotated[
        tuple[ClientAuthName, ...],
        doc("Client authentication methods, the first by default.", ["client_secret_post"]),
    ] = ("client_secret_basic",)
    assertion_audience: Annotated[
        str | None,
        doc(
            "The aud of the JWT of a jwt_bearer grant, when it is not the token endpoint.",
            "https://id.example.com",
        ),
    ] = None
    pkce: Annotated[
        Literal["required", "supported", "public", "off"],
        doc(
            "PKCE in the authorization code grant. public: for clients without a secret only, because the server treats "
            "clients that use it as public. off: the server refuses it.",
            "required",
        ),
    ] = "supported"
    body: Annotated[
        Literal["form", "json", "query"], doc("Where token parameters travel.", "json")
    ] = "form"
    params: Annotated[
        PhaseParams, doc("Extra parameters.", {"authorize": {"access_type": "offline"}})
    ] = PhaseParams()
    token_headers: Annotated[
        dict[str, str], doc("Headers of token requests.", {"User-Agent": "oauth-taskflow"})
    ] = {}
    scope_separator: Annotated[Literal[" ", ","], doc("The separator between scopes.", ",")] = " "
    default_scopes: Annotated[
        tuple[Text, ...],
        doc("Requested when the connection names no scope.", ["offline_access"]),
    ] = ()
    offline_scopes: Annotated[
        tuple[Text, ...],
        doc("Added to the scopes that people consent to, for a refresh token.", ["offline_access"]),
    ] = ()
    scope_on_refresh: Annotated[
        bool, doc("Whether the default scopes are sent with a refresh too.", True)
    ] = False
    token_header: Annotated[
        TokenHeader | None, doc("API header of the token.", "X-Shopify-Access-Token: {token}")
    ] = None
    request_proof: Annotated[
        RequestProof | None,
        doc(
            "A proof that is sent with the token on API requests and shows that the client's secret is known.",
            {"name": "appsecret_proof"},
        ),
    ] = None
    api_headers: Annotated[
        dict[str, str],
        doc("Headers of API requests; {client_id} is the client id.", {"Notion-Version": "{v}"}),
    ] = {}
    api_params: Annotated[
        dict[str, str],
        doc(
            "Query parameters of API requests, never shown; {login} and {password} are the connection's fields.",
            {"key": "{login}", "token": "{password}"},
        ),
    ] = {}
    jwt_claims: Annotated[
        dict[str, str],
        doc(
            "Claims of a self-signed JWT; {login} is the connection's login, {public_key_sha256} names its key.",
            {"aud": "appstoreconnect-v1"},
        ),
    ] = {}
    jwt_headers: Annotated[
        dict[str, str], doc("Headers of a self-signed JWT besides alg and kid.", {"typ": "JWT"})
    ] = {}
    jwt_lifetime_s: Annotated[
        Seconds | None, doc("Seconds from iat to exp of a self-signed JWT.", 1200)
    ] = None
    request: Annotated[
        RequestDialect, doc("How token requests are written.", {"rename": {"client_id": "app_id"}})
    ] = RequestDialect()
    response: Annotated[
        ResponseDialect, doc("How answers are read.", {"success": "ok == `true`"})
    ] = ResponseDialect()
    refresh: Annotated[
        RefreshRules, doc("The effects of a refresh.", {"rotation": "single_use"})
    ] = RefreshRules()
    revoke: Annotated[
        RevocationDialect, doc("How a grant is ended.", {"url": "https://id.example/revoke"})
    ] = RevocationDialect()
    rate_limit: Annotated[
        RateLimitHeaders | None,
        doc("Rate-limit headers.", {"reset_header": "X-RateLimit-Reset", "reset": "epoch"}),
    ] = None
    budgets: Annotated[
        tuple[RateLimit, ...],
        doc(
            "Request budgets of a connection that names none in rate_limit.",
            [{"requests": 60, "per": "PT1M"}],
        ),
    ] = ()
    api_responses: Annotated[
        tuple[ResponseRule, ...],
        doc(
            "How the API reports an ended token or a used-up limit in a non-standard way: rules as in specs, with the "
            "actions refresh, rate_limit and retry.",
            [{"status": 403, "when": "code == 'EXPIRED'", "action": "refresh"}],
        ),
    ] = ()
    absent_records: Annotated[
        AbsentRecords,
        doc(
            "The meaning of an answer without the path of its records: fail, or empty where the API leaves out empty lists. "
            "Specs may override it in records.absent.",
            "empty",
        ),
    ] = "fail"
    access_token_lifetime: Annotated[
        str | None, doc("How long access tokens live, for people.", "1 hour")
    ] = None
    notes: Annotated[
        tuple[Text, ...], doc("Remarks for people.", ["Errors come with status 200."])
    ] = ()

    def __post_init__(self) -> None:
        for name in self.client_auth:
            if name not in CLIENT_AUTH_METHODS:
                hint = suggest_allowed(name, CLIENT_AUTH_METHODS)
                raise ValueError(f"client_auth names {name!r}, which is not registered. {hint}")

    @property
    def dialect(self) -> Dialect:
        """How token requests are written and answers read."""
        return Dialect(request=self.request, response=self.response)

    @property
    def resend_window_s(self) -> float:
        """Seconds in which a refresh token may be sent again without ending its family."""
        if self.verified is None:
            return 0.0
        return math.inf if self.refresh.rotation in {"none", "rotate"} else self.refresh.grace_s


STANDARD = Preset(title="RFC 6749")
