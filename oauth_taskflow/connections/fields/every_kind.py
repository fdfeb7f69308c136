"""The keys of ``extra`` that connections of every kind have: plain data, part of the table."""

from __future__ import annotations

from oauth_taskflow.connections.fields.field import AUTH_TYPES, ConnectionField

EVERY_KIND_FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        "auth_type",
        "choice",
        "Kind of authentication",
        "oauth2 (default), bearer, api_key, basic, session (a login request that yields a token), self_signed_jwt (a JWT signed here), aws_sigv4 (AWS) or none.",
        choices=AUTH_TYPES,
    ),
    ConnectionField(
        "provider",
        "text",
        "Provider",
        "A preset, such as salesforce or xero, with defaults of the other keys. Its own keys, and the name of a preset that is not "
        "in the list, go into the extra JSON below.",
    ),
    ConnectionField(
        "api_headers",
        "mapping",
        "API headers",
        'Headers of every API request, as JSON: {"X-Tenant": "acme"}.',
    ),
    ConnectionField(
        "api_params",
        "mapping",
        "API parameters",
        'Query parameters of every API request, as JSON: {"key": "{login}", "token": "{password}"}. Their values are never shown.',
        holds_secrets=True,
    ),
    ConnectionField(
        "api_body",
        "members",
        "API body members",
        'Members of every JSON or form body sent to the API, as JSON: {"auth": "{password}"}. Their values are never shown.',
        holds_secrets=True,
    ),
    ConnectionField(
        "host_values",
        "mapping",
        "Host values",
        'Your own values for placeholders in the host, as JSON: {"region": "eu"} fills https://{region}.api.example.com.',
    ),
    ConnectionField(
        "rate_limit",
        "rate_limit",
        "Rate limit",
        'Request budgets of every task with this connection, as JSON: {"requests": 100, "per": "PT1M"}, or a list of them.',
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
        "The format of that header: epoch (seconds), epoch_ms, iso, or seconds (that are left).",
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
        "Seconds for connecting and for each read: one number, or two as in 10, 60 (default), up to 86400.",
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
    ConnectionField(
        "max_answer_bytes",
        "number",
        "Largest answer",
        "Bytes of one answer's decoded body: 268435456 (256 MiB, default) up to 17179869184.",
    ),
    ConnectionField(
        "max_answer_depth",
        "number",
        "Deepest answer",
        "Levels of nesting in one answer's JSON: 256 (default) up to 512.",
    ),
    ConnectionField(
        "max_answer_seconds",
        "number",
        "Longest answer",
        "Seconds until one answer is whole, redirects apart: 900 (default) up to 86400.",
    ),
)
