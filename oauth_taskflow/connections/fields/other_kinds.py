"""The keys of ``extra`` about the kinds bearer, api_key and session: plain data, part of the table."""

from __future__ import annotations

from oauth_taskflow.connections.fields.field import ConnectionField

_SESSION = frozenset({"session"})
_BEARER = frozenset({"bearer"})

OTHER_KINDS_FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        "brokered",
        "brokered",
        "Brokered",
        "Written by the broker: when this token ends, and what the provider's API says in its own way.",
        _BEARER,
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
        "login_method",
        "choice",
        "Login method",
        "POST (default), PUT or GET.",
        _SESSION,
        ("POST", "PUT", "GET"),
    ),
    ConnectionField(
        "login_auth",
        "choice",
        "Login authentication",
        "basic: the login request carries user name and password as HTTP Basic; default none.",
        _SESSION,
        ("none", "basic"),
    ),
    ConnectionField(
        "login_params",
        "mapping",
        "Login parameters",
        'Query parameters of the login request, as JSON: {"user": "{login}", "key": "{password}"}.',
        _SESSION,
        holds_secrets=True,
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
        "nested",
        "Login fields",
        'Body of the login request, as JSON, nested if the API wants it; default {"username": "{login}", "password": '
        '"{password}"}.',
        _SESSION,
    ),
)
