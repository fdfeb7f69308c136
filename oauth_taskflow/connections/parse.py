"""Parses an Airflow Connection into ``ConnectionSettings`` and checks every field.

Two shapes are read: type ``oauth2``, and the older ``http`` connection whose extra holds ``auth_type``.
No other module looks into ``extra``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from oauth_taskflow import secret_registry
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS
from oauth_taskflow.connections.address import read_address
from oauth_taskflow.connections.brokered import BrokeredFields, gather_former_keys
from oauth_taskflow.connections.convert import BadValue, convert, is_given, list_allowed_values
from oauth_taskflow.connections.fields.field import AUTH_TYPES
from oauth_taskflow.connections.fields.table import (
    BY_NAME,
    ELSEWHERE,
    FIELDS,
    HTTP_HOOK_IGNORED,
    HTTP_HOOK_NAMES,
    HTTP_HOOK_OPTIONS,
    PLANNED,
)
from oauth_taskflow.connections.key_files import expand_key_file
from oauth_taskflow.connections.known_secrets import list_secrets, list_short_credentials
from oauth_taskflow.connections.parts import ConnectionParts, Findings
from oauth_taskflow.connections.places import names_place
from oauth_taskflow.connections.preset import apply_preset_defaults, load_filled_preset
from oauth_taskflow.connections.readers.api_requests import (
    AddedParts,
    answer_limits,
    read_additions,
)
from oauth_taskflow.connections.readers.table import AUTH_READERS
from oauth_taskflow.connections.settings import ConnectionSettings, NoAuthSettings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.model import STANDARD, Preset, RateLimitHeaders
from oauth_taskflow.redaction import SHORTEST_SECRET
from oauth_taskflow.suggestions import did_you_mean, find_closest, offer_name
from oauth_taskflow.urls import is_loopback, split_url

log = logging.getLogger(__name__)

_HTTP_TYPES = frozenset({"http", "https"})
_warned: set[str] = set()
_warned_of_clear_text: set[str] = set()
_warned_of_short_credentials: set[str] = set()
_SHORT_WARNING = "Connection %r: %s has fewer than %d characters, so logs cannot hide it, and it can be guessed. Get a longer one."
_CLEAR_TEXT_WARNING = "Connection %r sends its credentials to %s without encryption. Write the host as https://… if the API speaks it."


class AirflowConnection(Protocol):
    """The fields that are read from ``airflow.sdk.Connection`` and ``airflow.models.Connection``."""

    @property
    def conn_id(self) -> str:
        """The connection's name."""

    @property
    def conn_type(self) -> str | None:
        """``oauth2`` or ``http``."""

    @property
    def host(self) -> str | None:
        """Host or base URL of the API."""

    @property
    def schema(self) -> str | None:
        """``http`` or ``https``, when the host does not say."""

    @property
    def login(self) -> str | None:
        """Client id or user name."""

    @property
    def password(self) -> str | None:
        """Client secret, token, key or password."""

    @property
    def port(self) -> int | None:
        """Port, when the host does not say."""

    @property
    def extra(self) -> str | None:
        """JSON text of everything else."""


def parse_connection(
    connection: AirflowConnection, *, presets_folder: Path | None = None, announce: bool = True
) -> ConnectionSettings:
    """Returns the typed settings of ``connection`` and announces their secrets (``secret_registry``).

    ``presets_folder`` is a folder with the user's own provider presets. Without ``announce`` the secrets of a connection
    that is not used, only checked, are left to the caller, and nothing is logged.

    Raises:
        ConnectionConfigError: fields are unknown, missing, of the wrong type or contradict each other. The error names
            all problems, except those that may follow from another one.
    """
    conn_id = connection.conn_id
    conn_type = _read_type(connection)
    older = conn_type in _HTTP_TYPES
    login, password = connection.login or "", connection.password or ""
    extra = expand_key_file(conn_id, gather_former_keys(_extra(connection)), login, password)
    options = _take_http_hook_options(extra) if older else {}
    findings = Findings()
    client_id = login or str(extra.get("client_id") or "")
    preset = findings.attempt(
        lambda: load_filled_preset(conn_id, client_id, extra, findings, presets_folder), None
    )
    values = own = _convert_values(conn_id, extra, preset or STANDARD, findings)
    if preset is None or findings.blames("auth_type"):
        findings.raise_all()  # the rest depends on them
    preset = preset or STANDARD
    values = apply_preset_defaults(values, preset)
    _check_auth_type(conn_id, values, findings, older=older)
    address = read_address(connection, conn_type, preset, values, findings)
    parts = ConnectionParts(
        conn_id=conn_id,
        base_url=address.base_url,
        login=login,
        password=password,
        values=values,
        preset=preset,
        findings=findings,
        own=frozenset(own),
        sends_password=address.has_password or _adds_password(values),
    )
    settings = _settings(parts, options, address.secrets)
    findings.raise_all()
    assert settings is not None  # without findings, the reader of this kind succeeded
    if announce:
        secret_registry.add(settings.secrets)
        _warn_of_clear_text(settings)
        _warn_of_short_credentials(parts)
    return settings


def _read_type(connection: AirflowConnection) -> str:
    conn_type = (connection.conn_type or "").lower()
    if conn_type in {"oauth2", *_HTTP_TYPES}:
        return conn_type
    raise ConnectionConfigError(
        f"Connection type {conn_type!r} cannot be used here"
        if conn_type
        else "The connection has no type",
        conn_id=connection.conn_id,
        field="conn_type",
        hint="Use type oauth2, or http with auth_type in its extra.",
    )


def _warn_of_clear_text(settings: ConnectionSettings) -> None:
    """Warns once that credentials travel unencrypted (RFC 6750 §5.3); inside a mesh that may be intended."""
    conn_id, parts = settings.conn_id, split_url(settings.base_url)
    if parts is None or parts.scheme != "http" or is_loopback(parts.hostname or ""):
        return
    if isinstance(settings.auth, NoAuthSettings) or conn_id in _warned_of_clear_text:
        return
    _warned_of_clear_text.add(conn_id)
    log.warning(_CLEAR_TEXT_WARNING, conn_id, parts.hostname)


def _warn_of_short_credentials(parts: ConnectionParts) -> None:
    """Warns once that a credential cannot be hidden: in logs, any text may hold one so short by chance."""
    names = list_short_credentials(parts)
    if names and parts.conn_id not in _warned_of_short_credentials:
        _warned_of_short_credentials.add(parts.conn_id)
        log.warning(_SHORT_WARNING, parts.conn_id, ", ".join(names), SHORTEST_SECRET)


def may_hold_grant(connection: AirflowConnection) -> bool:
    """Whether ``connection`` may hold secrets that get tokens.

    For type oauth2 that is every kind except the static ones, misspelled kinds included; for type http a kind that gets
    tokens, also with a slip in key or kind. For both it is everything that has a key of such kinds, such as a refresh token.
    """
    conn_type = (connection.conn_type or "").lower()
    if conn_type not in {"oauth2", *_HTTP_TYPES}:
        return False
    try:
        extra = _extra(connection)
    except ConnectionConfigError:  # a slip in the JSON, or in what is no JSON
        text = _squeeze(connection.extra or "")
        return conn_type == "oauth2" or any(name in text for name in _GRANT_NAMES)
    if any(is_given(raw) and _squeeze(name) in _GRANT_NAMES for name, raw in extra.items()):
        return True
    if conn_type == "oauth2":
        return str(extra.get("auth_type") or "").strip().lower() not in _STATIC_KINDS
    kinds = [raw for name, raw in extra.items() if _is_like_auth_type(name)]
    return any(find_closest(str(kind).strip().lower(), _TOKEN_KINDS) for kind in kinds)


def _squeeze(text: str) -> str:
    """``text`` as it is compared with the names of keys: ``clientSecret`` and ``client-secret`` mean ``client_secret``."""
    return text.lower().replace("_", "").replace("-", "")


def _is_like_auth_type(name: str) -> bool:
    return bool(find_closest(_squeeze(name), ["authtype"], cutoff=0.8))


_STATIC_KINDS = frozenset({"bearer", "api_key", "basic", "aws_sigv4", "none"})
_TOKEN_KINDS = frozenset(AUTH_TYPES) - _STATIC_KINDS
# Keys that have no effect with a static kind and lead to tokens, under the names of other tools too.
_GRANT_KEYS = frozenset(
    field.name
    for field in FIELDS
    if not field.auth_types & _STATIC_KINDS
    and (field.is_secret or field.holds_secrets or field.name.endswith("_url"))
)
_GRANT_NAMES = frozenset(
    _squeeze(name)
    for name in (*_GRANT_KEYS, *(other for other, ours in ELSEWHERE.items() if ours in _GRANT_KEYS))
)


def _take_http_hook_options(extra: dict[str, Any]) -> dict[str, Any]:
    """Removes the options of ``HttpHook`` from ``extra`` and returns them; renames its other keys to ours."""
    for name, ours in HTTP_HOOK_NAMES.items():
        if name in extra:
            extra.setdefault(ours, extra.pop(name))
    for name in HTTP_HOOK_IGNORED:
        extra.pop(name, None)
    if not extra.get("srv_lookup"):
        extra.pop("srv_lookup", None)
    return {name: extra.pop(name) for name in sorted(HTTP_HOOK_OPTIONS) if name in extra}


def _adds_password(values: Mapping[str, Any]) -> bool:
    return any(names_place(values.get(name), "password") for name in ("api_params", "api_body"))


def _extra(connection: AirflowConnection) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra) if connection.extra else {}
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        # No cause is chained: the JSON error quotes the document, secrets included.
        raise ConnectionConfigError(
            "The extra field is not a JSON mapping",
            conn_id=connection.conn_id,
            field="extra",
            hint='Write it as {"token_url": "https://…"}.',
        ) from None
    return extra


def _convert_values(
    conn_id: str, extra: Mapping[str, Any], preset: Preset, findings: Findings
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, raw in extra.items():
        if not is_given(raw):
            continue
        if name not in BY_NAME:
            _reject_unknown(conn_id, name, preset, findings)
            continue
        try:
            values[name] = convert(BY_NAME[name], raw)
        except BadValue as problem:
            hint = did_you_mean(str(raw).lower(), list_allowed_values(BY_NAME[name]))
            what = f"The value {problem}"
            findings.add(ConnectionConfigError(what, conn_id=conn_id, field=name, hint=hint))
    return values


def _reject_unknown(conn_id: str, key: str, preset: Preset, findings: Findings) -> None:
    what, hint, meant = "Unknown field", "Headers for the API go into api_headers.", ""
    if key in PLANNED:
        what = "This field is not supported by this version of oauth-taskflow"
        hint = PLANNED[key]
    elif ours := ELSEWHERE.get(key.lower()):
        place = repr(ours) if ours in BY_NAME else f"the connection's {ours}, next to extra"
        hint, meant = f"Here it is {place}.", ours
    elif near := find_closest(key.lower(), [*BY_NAME, *preset.variables]):
        hint, meant = offer_name(near), near
    problem = ConnectionConfigError(what, conn_id=conn_id, field=key, hint=hint)
    findings.add(problem, meant=meant)


def _check_auth_type(
    conn_id: str, values: Mapping[str, Any], findings: Findings, *, older: bool
) -> None:
    if older and "auth_type" not in values:
        findings.add(
            ConnectionConfigError(
                "A connection of type http must say how to authenticate",
                conn_id=conn_id,
                field="auth_type",
                hint="Add auth_type (as oauth2) to its extra, or change its type to oauth2.",
            )
        )
        findings.raise_all()  # the allowed fields depend on it
    auth_type = values.get("auth_type", "oauth2")
    for name in values:
        if auth_type not in BY_NAME[name].auth_types:
            wanted = " or ".join(sorted(BY_NAME[name].auth_types))
            problem = ConnectionConfigError(
                f"This field has no effect with auth_type {auth_type}",
                conn_id=conn_id,
                field=name,
                hint=f"Leave it out, or set auth_type to {wanted}.",
            )
            findings.add(problem)
    if older and auth_type == "oauth2" and conn_id not in _warned:
        _warned.add(conn_id)
        log.warning(_LEAK_WARNING, conn_id)


_LEAK_WARNING = (
    "Connection %r is of type http with OAuth settings in its extra. Airflow's own HttpHook, HttpOperator and "
    "HttpSensor send every such key, secrets included, as HTTP headers: use OAuth2Hook only, or change the type to oauth2."
)


def _settings(
    parts: ConnectionParts, http_options: Mapping[str, Any], url_secrets: tuple[str, ...]
) -> ConnectionSettings | None:
    """Returns the settings; None if ``parts.findings`` has problems."""
    values = parts.values
    auth = parts.attempt(AUTH_READERS[values.get("auth_type", "oauth2")], None)
    origins: tuple[str, ...] = ()
    origins = parts.attempt(lambda known: known.origins("allowed_origins"), origins)
    rate_limit = parts.attempt(_rate_limit, None)
    limits = parts.attempt(answer_limits, DEFAULT_LIMITS)
    added = parts.attempt(read_additions, AddedParts())
    if auth is None or parts.findings:
        return None
    preset, brokered = parts.preset, values.get("brokered", BrokeredFields())
    return ConnectionSettings(
        conn_id=parts.conn_id,
        base_url=parts.base_url,
        auth=auth,
        api_headers=values.get("api_headers", {}),
        allowed_origins=origins,
        timeout=values.get("timeout", (10.0, 60.0)),
        verify=values.get("verify", True),
        cert=values.get("cert"),
        proxies=values.get("proxies", {}),
        http_options=http_options,
        secrets=(
            *list_secrets(parts),
            *(text for text in url_secrets if unquote(text).lower() != parts.login.lower()),
        ),
        api_params=added.params,
        api_body=added.body,
        url_secrets=url_secrets,
        base_url_from=preset.base_url_from,
        rate_limit=rate_limit,
        budgets=values.get("rate_limit", ()),
        limits=limits,
        api_responses=brokered.api_responses or preset.api_responses,
        absent_records=brokered.absent_records or preset.absent_records,
    )


def _rate_limit(parts: ConnectionParts) -> RateLimitHeaders | None:
    header, reset = (parts.values.get(f"rate_limit_{name}") for name in ("header", "reset"))
    if not header and not reset:
        return None
    if not header or not reset:
        missing = "reset" if header else "header"
        raise parts.error(
            "The other half of the rate limit is missing",
            f"rate_limit_{missing}",
            "Write rate_limit_header and rate_limit_reset, as in X-RateLimit-Reset and epoch.",
        )
    return RateLimitHeaders(reset_header=header, reset=reset)
