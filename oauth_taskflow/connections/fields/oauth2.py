"""The keys of ``extra`` about OAuth 2.0 connections: endpoints, client, request and token; plain data, part of the table."""

from __future__ import annotations

from oauth_taskflow.connections.fields.field import ConnectionField
from oauth_taskflow.connections.fields.grants import GRANT_NAMES
from oauth_taskflow.oauth.client_auth import BUILT_IN as CLIENT_AUTH

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = (
    "client_credentials",
    "refresh_token",
    *GRANT_NAMES.values(),
    "password",
    "authorization_code",
    DEVICE_CODE,
)


_OAUTH2 = frozenset({"oauth2"})
_SESSION = frozenset({"session"})
_TOKENS = frozenset({"oauth2", "session", "bearer", "self_signed_jwt"})

OAUTH2_FIELDS: tuple[ConnectionField, ...] = (
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
        "The first refresh token; later ones live in the token store. Another value starts a new grant. "
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
        "client_auth",
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
    ),
    ConnectionField(
        "client_secret",
        "secret",
        "Client secret",
        "Only when it is not in the password field.",
        _OAUTH2,
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
        "token_in",
        "choice",
        "Token placement",
        "Where the API expects the token: header (default), or query for APIs that know no header.",
        _TOKENS,
        ("header", "query"),
    ),
    ConnectionField(
        "token_param",
        "text",
        "Token parameter",
        "Query parameter of the token, with token_in query; default access_token.",
        _TOKENS,
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
)
