"""The keys of ``extra`` about grants and signed assertions: plain data, part of ``table.FIELDS``."""

from __future__ import annotations

from oauth_taskflow.connections.fields.field import ConnectionField

_OAUTH2 = frozenset({"oauth2"})
_SELF_SIGNED = frozenset({"self_signed_jwt"})
_SIGNING = _OAUTH2 | _SELF_SIGNED

# Short names in connections, and the names that are sent.
GRANT_NAMES = {
    "jwt_bearer": "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "saml2_bearer": "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
}
SIGNING_ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
)

GRANT_FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        "issuer",
        "text",
        "Issuer",
        "The authorization server's issuer, exactly as it writes it; instead of token_url, which it publishes.",
        _OAUTH2,
    ),
    ConnectionField(
        "private_key",
        "document",
        "Private key",
        "PEM text of the key that signs (private_key_jwt, jwt_bearer); a certificate behind it gives x5t#S256.",
        _SIGNING,
    ),
    ConnectionField(
        "private_key_file",
        "text",
        "Private key file",
        "Path of the same on every worker.",
        _SIGNING,
    ),
    ConnectionField(
        "private_key_passphrase",
        "secret",
        "Private key passphrase",
        "Opens an encrypted private key.",
        _SIGNING,
    ),
    ConnectionField(
        "client_assertion_file",
        "text",
        "Client assertion file",
        "Path of a JWT that says who the client is, read for every token request: the pod's token of Azure workload identity.",
        _OAUTH2,
    ),
    ConnectionField(
        "key_id", "text", "Key id", "Sent as kid, for servers that know several keys.", _SIGNING
    ),
    ConnectionField(
        "algorithm",
        "choice",
        "Signing algorithm",
        "Default: RS256, ES256, ES384, ES512 or EdDSA by the kind of key; HS256 for client_secret_jwt.",
        _SIGNING,
        SIGNING_ALGORITHMS,
    ),
    ConnectionField(
        "assertion_audience",
        "text",
        "Assertion audience",
        "The audience of signed assertions: token_url (default), issuer, or any text that the server wants.",
        _OAUTH2,
    ),
    ConnectionField(
        "assertion_claims",
        "mapping",
        "Assertion claims",
        'More claims of the jwt_bearer assertion, as JSON: {"box_sub_type": "enterprise"}.',
        _OAUTH2,
    ),
    ConnectionField(
        "subject",
        "text",
        "Subject",
        "The user or account that a jwt_bearer token is for; default the client id.",
        _OAUTH2,
    ),
    ConnectionField(
        "assertion",
        "document",
        "Assertion",
        "A finished assertion for jwt_bearer or saml2_bearer (XML, or base64url).",
        _OAUTH2,
    ),
    ConnectionField(
        "assertion_file",
        "text",
        "Assertion file",
        "Path of the same; read for every token request.",
        _OAUTH2,
    ),
    ConnectionField(
        "subject_token",
        "secret",
        "Subject token",
        "The token that token_exchange trades.",
        _OAUTH2,
    ),
    ConnectionField(
        "subject_token_file",
        "text",
        "Subject token file",
        "Path of the same; read for every token request, as a projected service account token.",
        _OAUTH2,
    ),
    ConnectionField(
        "subject_token_type",
        "text",
        "Subject token type",
        "Default urn:ietf:params:oauth:token-type:access_token.",
        _OAUTH2,
    ),
    ConnectionField(
        "actor_token",
        "secret",
        "Actor token",
        "Who acts for the subject, in a token_exchange.",
        _OAUTH2,
    ),
    ConnectionField(
        "actor_token_file",
        "text",
        "Actor token file",
        "Path of the same; read for every token request.",
        _OAUTH2,
    ),
    ConnectionField(
        "actor_token_type",
        "text",
        "Actor token type",
        "Default urn:ietf:params:oauth:token-type:access_token.",
        _OAUTH2,
    ),
    ConnectionField(
        "requested_token_type",
        "text",
        "Requested token type",
        "The type of token that token_exchange requests, if the server needs it.",
        _OAUTH2,
    ),
    ConnectionField(
        "username",
        "text",
        "User name",
        "The user name for the password grant, which is discouraged.",
        _OAUTH2,
    ),
    ConnectionField(
        "user_password",
        "secret",
        "User password",
        "The password for the password grant, which is discouraged.",
        _OAUTH2,
    ),
    ConnectionField(
        "refresh_token_path",
        "text",
        "Refresh token path",
        "JMESPath of the refresh token in the response of the token endpoint; default next to the token, or refresh_token.",
        _OAUTH2,
    ),
    ConnectionField(
        "token_errors",
        "mapping",
        "Token errors",
        "What the token endpoint's own error codes mean, as JSON; http_400, http_401 and http_403 are refusals without a "
        'code: {"http_400": "invalid_grant"}.',
        _OAUTH2,
    ),
    ConnectionField(
        "jwt_claims",
        "members",
        "JWT claims",
        'Claims of the self-signed JWT besides iat and exp, as JSON: {"iss": "{login}", "aud": "appstoreconnect-v1"}; '
        "null leaves one out.",
        _SELF_SIGNED,
    ),
    ConnectionField(
        "jwt_headers",
        "mapping",
        "JWT headers",
        "Headers of the self-signed JWT besides alg and kid, as JSON.",
        _SELF_SIGNED,
    ),
    ConnectionField(
        "jwt_lifetime",
        "number",
        "JWT lifetime",
        "Seconds from iat to exp of the self-signed JWT; default 600.",
        _SELF_SIGNED,
    ),
)
