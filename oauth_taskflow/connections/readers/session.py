"""Reads connections with ``auth_type`` session: one login request whose response contains the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.places import fill_places
from oauth_taskflow.connections.readers.token_location import read_jmespath, read_token_place
from oauth_taskflow.connections.settings import LoginSettings
from oauth_taskflow.urls import is_safe_endpoint, split_url

_LOGIN_FIELDS = {"username": "{login}", "password": "{password}"}
_LAST_IN_LATIN_1 = "\xff"


def read_session(parts: ConnectionParts) -> LoginSettings:
    """Returns the settings of a login request whose answer contains the token.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    values = parts.values
    method = values.get("login_method", "POST")
    basic = values.get("login_auth") == "basic"
    _check_basic(parts, basic=basic)
    return LoginSettings(
        url=_login_url(parts),
        method=method,
        basic=(parts.login, parts.password) if basic else None,
        params=fill_places(parts, "login_params", values.get("login_params", {})),
        fields=_read_fields(parts, method, basic=basic),
        body=values.get("login_body", "json"),
        headers=_read_headers(parts),
        token_path=read_jmespath(parts, "token_path", "access_token"),
        expires_path=read_jmespath(parts, "expires_path", "expires_in"),
        token_lifetime=values.get("token_lifetime"),
        token_place=read_token_place(parts),
        leeway=values.get("leeway", 60.0),
    )


def _check_basic(parts: ConnectionParts, *, basic: bool) -> None:
    if basic and not parts.login:
        raise parts.error("The user name is missing", "login", "Put the user name there.")
    if basic and ":" in parts.login:
        raise parts.error(
            "The user name holds a colon (RFC 7617 §2)", "login", "Basic cannot carry it."
        )


def _read_fields(parts: ConnectionParts, method: str, *, basic: bool) -> Mapping[str, Any]:
    """Returns the body, filled. By default it has user name and password, unless these go elsewhere."""
    named = parts.values.get("login_fields")
    if method == "GET":
        for name in ("login_fields", "login_body"):
            if name in parts.values:
                raise parts.error(
                    "A GET request has no body", name, "Use login_params, or login_method POST."
                )
        return {}
    elsewhere = basic or "login_params" in parts.values
    fields = ({} if elsewhere else _LOGIN_FIELDS) if named is None else named
    in_form = parts.values.get("login_body", "json") == "form"
    if in_form and any(isinstance(value, dict | list) for value in fields.values()):
        raise parts.error(
            "A form has no nested fields",
            "login_fields",
            "Write texts, as in user[name], or set login_body to json.",
        )
    filled: Mapping[str, Any] = fill_places(parts, "login_fields", fields)
    return filled


def _read_headers(parts: ConnectionParts) -> Mapping[str, str]:
    headers: Mapping[str, str] = parts.values.get("token_headers", {})
    filled: Mapping[str, str] = fill_places(parts, "token_headers", headers)
    for name, value in filled.items():
        if value != headers[name] and not (value.isprintable() and max(value) <= _LAST_IN_LATIN_1):
            raise parts.error(
                f"No header can carry the value of {name!r}: it has a control character, or a letter beyond Latin-1",
                "token_headers",
                "Send it in login_fields.",
            )
    return filled


def _login_url(parts: ConnectionParts) -> str:
    # Resolved like a link on the API's own page (RFC 3986 §5): a leading slash starts at the host.
    path = str(parts.values.get("login_url", "/auth/token"))
    url = urljoin(f"{parts.base_url}/", path) if split_url(path) else ""
    # A login on the API's own origin is exposed as much as the calls that follow it.
    same_origin = urlsplit(url)[:2] == urlsplit(parts.base_url)[:2]
    if not (same_origin or is_safe_endpoint(url)):
        raise parts.error(
            "The login request would leave this host without encryption",
            "login_url",
            "Write an https URL, or a path on the API's own host.",
        )
    return url
