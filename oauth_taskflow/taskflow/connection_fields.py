"""Every key of a connection's ``extra``, once: the parser, the form in Airflow's UI and the manual read this table.

It is imported by every ``airflow`` command (through the provider metadata), so it holds plain data and imports nothing.
"""

from __future__ import annotations

from oauth_taskflow.taskflow.connection_field import AUTH_TYPES, ConnectionField
from oauth_taskflow.taskflow.grant_fields import GRANT_FIELDS, GRANT_NAMES
from oauth_taskflow.taskflow.limit_fields import LIMIT_FIELDS

__all__ = ["AUTH_TYPES", "BY_NAME", "FIELDS", "PLANNED", "ConnectionField"]

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = (
    "client_credentials",
    "refresh_token",
    *GRANT_NAMES.values(),
    "password",
    "authorization_code",
    DEVICE_CODE,
)
CLIENT_AUTH = (
    "client_secret_basic",
    "client_secret_basic_raw",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "private_key_jwt_header",
    "client_assertion",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
    "unauthenticated",
)

_ALL = frozenset(AUTH_TYPES)
_OAUTH2 = frozenset({"oauth2"})
_SESSION = frozenset({"session"})
_BEARER = frozenset({"bearer"})
_TOKENS = frozenset({"oauth2", "session", "bearer"})


FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        "auth_type",
        "choice",
        "Kind of authentication",
        "oauth2 (default), bearer, api_key, basic, session (a login request that yields a token) or none.",
        choices=AUTH_TYPES,
    ),
    ConnectionField(
        "provider",
        "text",
        "Provider",
        "A preset, such as salesforce or xero: it says the rest. airflow oauth presets lists them; keys of their own go into "
        "the extra JSON below.",
    ),
    ConnectionField(
        "token_url",
        "text",
        "Token URL",
        "The token endpoint of the authorization server; https, or http on this machine.",
        _OAUTH2,
    ),
    ConnectionField(
        "grant_type",
        "grant",
        "Grant",
        "Default: refresh_token when a refresh token is given, else client_credentials.",
        _OAUTH2,
        GRANT_TYPES,
    ),
    ConnectionField(
        "refresh_token",
        "secret",
        "Refresh token",
        "The first refresh token; later ones live in the token store. Editing it starts the grant anew. "
        "Not needed after airflow oauth login.",
        _OAUTH2,
    ),
    ConnectionField(
        "authorize_url",
        "text",
        "Authorize URL",
        "The authorization endpoint, for airflow oauth login.",
        _OAUTH2,
    ),
    ConnectionField(
        "authorize_params",
        "mapping",
        "Authorize parameters",
        'More parameters of the authorization URL, as JSON: {"access_type": "offline"}.',
        _OAUTH2,
    ),
    ConnectionField(
        "redirect_uri",
        "text",
        "Redirect URI",
        "As registered for the client; default http://127.0.0.1 with a free port and /callback.",
        _OAUTH2,
    ),
    ConnectionField(
        "par_url",
        "text",
        "Pushed request URL",
        "The pushed authorization request endpoint (RFC 9126); the login then sends its parameters there.",
        _OAUTH2,
    ),
    ConnectionField(
        "device_url",
        "text",
        "Device URL",
        "The device authorization endpoint (RFC 8628), for airflow oauth login --device.",
        _OAUTH2,
    ),
    ConnectionField(
        "revoke_url",
        "text",
        "Revoke URL",
        "The revocation endpoint (RFC 7009), for airflow oauth revoke.",
        _OAUTH2,
    ),
    ConnectionField(
        "introspect_url",
        "text",
        "Introspection URL",
        "The introspection endpoint (RFC 7662): asked when a token ends, if its answer does not say.",
        _OAUTH2,
    ),
    ConnectionField(
        "client_auth",
        "choice",
        "Client authentication",
        "Default: client_secret_basic with a secret, private_key_jwt with a key; none is a public client.",
        _OAUTH2,
        CLIENT_AUTH,
    ),
    ConnectionField("scope", "text", "Scope", "Scopes to ask for, separated by blanks.", _OAUTH2),
    ConnectionField(
        "audience",
        "text",
        "Audience",
        "Sent as audience, for servers that want one or several.",
        _OAUTH2,
    ),
    ConnectionField(
        "resource",
        "list",
        "Resource",
        "One or several resource URLs (RFC 8707), separated by commas or as a JSON list.",
        _OAUTH2,
    ),
    ConnectionField(
        "token_params",
        "params",
        "Token parameters",
        'More fields of the token request, as JSON: {"tenant": "acme"}. A JSON body takes lists and mappings too.',
        _OAUTH2,
    ),
    ConnectionField(
        "token_headers",
        "mapping",
        "Token headers",
        "More headers of the token request (or of the login request), as JSON.",
        _OAUTH2 | _SESSION,
    ),
    ConnectionField(
        "token_body",
        "choice",
        "Token request body",
        "form (default, as RFC 6749 says), json, or query (parameters in the URL).",
        _OAUTH2,
        ("form", "json", "query"),
    ),
    ConnectionField(
        "client_id",
        "text",
        "Client id",
        "Only when it is not in the login field.",
        _OAUTH2,
        in_form=False,
    ),
    ConnectionField(
        "client_secret",
        "secret",
        "Client secret",
        "Only when it is not in the password field.",
        _OAUTH2,
        in_form=False,
    ),
    ConnectionField(
        "write_back",
        "verify",
        "Write back",
        "true: rotated refresh tokens are copied into this connection; default false.",
        _OAUTH2,
    ),
    ConnectionField(
        "leeway",
        "number",
        "Leeway",
        "Seconds before expiry at which the next token is fetched; default 60, never more than a tenth of its life.",
        _TOKENS,
    ),
    ConnectionField(
        "dpop",
        "dpop",
        "DPoP",
        "true (ES256), ES256, ES384, ES512, PS256 or RS256: tokens bound to a key of this grant (RFC 9449).",
        _OAUTH2,
    ),
    ConnectionField(
        "token_header",
        "text",
        "Token header",
        'Header and format of the token when not "Authorization: Bearer {token}", as in "X-Auth-Token: {token}".',
        _TOKENS,
    ),
    ConnectionField(
        "brokered",
        "brokered",
        "Brokered",
        "Written by the broker: when this token ends, and what the provider's API says in its own way.",
        _BEARER,
        in_form=False,
    ),
    ConnectionField(
        "api_key_name",
        "text",
        "API key name",
        "Header or query parameter of the key (the password); default X-API-Key.",
        frozenset({"api_key"}),
    ),
    ConnectionField(
        "api_key_in",
        "choice",
        "API key placement",
        "header (default) or query.",
        frozenset({"api_key"}),
        ("header", "query"),
    ),
    ConnectionField(
        "api_key_prefix",
        "text",
        "API key prefix",
        'Text before the key, as in "Token ".',
        frozenset({"api_key"}),
    ),
    ConnectionField(
        "login_url",
        "text",
        "Login URL",
        "Where the login request goes: an absolute URL, or a path on the API's host; default /auth/token.",
        _SESSION,
    ),
    ConnectionField(
        "login_body",
        "choice",
        "Login body",
        "json (default) or form.",
        _SESSION,
        ("json", "form"),
    ),
    ConnectionField(
        "login_fields",
        "mapping",
        "Login fields",
        'Body of the login request, as JSON; default {"username": "{login}", "password": "{password}"}.',
        _SESSION,
    ),
    ConnectionField(
        "token_path",
        "text",
        "Token path",
        "JMESPath of the token in the answer of the token endpoint or login; default access_token.",
        _OAUTH2 | _SESSION,
    ),
    ConnectionField(
        "expires_path",
        "text",
        "Lifetime path",
        "JMESPath of the token's lifetime in seconds, or of the instant when it ends; default expires_in, then the exp "
        "claim of a JWT.",
        _OAUTH2 | _SESSION,
    ),
    ConnectionField(
        "token_lifetime",
        "number",
        "Token lifetime",
        "Seconds that a token lives, whatever the answer says.",
        _OAUTH2 | _SESSION,
    ),
    ConnectionField(
        "api_headers",
        "mapping",
        "API headers",
        'Headers of every API request, as JSON: {"X-Tenant": "acme"}.',
    ),
    ConnectionField(
        "rate_limit_header",
        "text",
        "Rate-limit header",
        "API header that dates the end of a rate limit, for answers without Retry-After.",
    ),
    ConnectionField(
        "rate_limit_reset",
        "choice",
        "Rate-limit form",
        "How it does: epoch (seconds), epoch_ms, iso, or seconds (that are left).",
        choices=("epoch", "epoch_ms", "seconds", "iso"),
    ),
    ConnectionField(
        "allowed_origins",
        "list",
        "Allowed origins",
        "More origins (https://host:port) that may receive the credentials, separated by commas.",
    ),
    ConnectionField(
        "timeout",
        "timeout",
        "Time-out",
        "Seconds for connecting and for each read: one number, or two as in 10, 60 (default).",
    ),
    ConnectionField(
        "verify",
        "verify",
        "Verify certificates",
        "true (default), false, or the path of a CA bundle. The token endpoint is always verified; "
        "a path serves it too.",
    ),
    ConnectionField(
        "cert",
        "cert",
        "Client certificate",
        "Path of a PEM file, or of certificate and key separated by a comma.",
    ),
    ConnectionField(
        "proxies",
        "mapping",
        "Proxies",
        'Proxy per scheme, as JSON: {"https": "http://proxy:3128"}.',
    ),
    *LIMIT_FIELDS,
    *GRANT_FIELDS,
)

BY_NAME = {field.name: field for field in FIELDS}

# Keys of the design that later versions read. Refusing them beats ignoring them: who writes a key relies on it.
PLANNED = {
    "srv_lookup": "Write the host and port that the record names.",
}
# What other tools call ours.
ELSEWHERE = {
    "keyfile_dict": "private_key",
    "key_path": "private_key_file",
    "federated_token_file": "client_assertion_file",
    "token_endpoint": "token_url",
    "access_token_url": "token_url",
    "token_refresh_endpoint": "token_url",
}
# What HttpHook takes out of extra for itself; an ``http`` connection may hold these.
HTTP_HOOK_NAMES = {"proxy": "proxies", "verify_ssl": "verify"}
HTTP_HOOK_OPTIONS = frozenset({"stream", "allow_redirects", "max_redirects", "check_response"})
# Taken and not acted on: proxies and .netrc of the environment are never read.
HTTP_HOOK_IGNORED = frozenset({"trust_env"})
