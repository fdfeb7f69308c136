"""Loads the preset that a connection's ``provider`` names, and applies it as defaults of other keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oauth_taskflow.connections.convert import is_given
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.connections.parts import Findings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.fill import BadVariable, fill, wrong_variables
from oauth_taskflow.presets.load import BadPreset, load_preset, suggestion
from oauth_taskflow.presets.model import STANDARD, Preset
from oauth_taskflow.suggestions import find_closest

_MERGED = frozenset(
    {"api_headers", "api_params", "token_headers", "authorize_params", "jwt_claims", "jwt_headers"}
)
_USUAL_LEEWAY = 60.0
_FORMAT = "What it may say is in oauth_taskflow/presets/preset.schema.json."
# Seconds before expiry, if a refresh ends the former token: enough for one request and two clocks.
_LATE_LEEWAY = 5.0


def load_filled_preset(
    conn_id: str,
    client_id: str,
    extra: dict[str, Any],
    findings: Findings,
    folder: Path | None = None,
) -> Preset | None:
    """Returns the preset that ``extra`` names, filled with its keys; the standard preset if ``extra`` does not name one.

    Removes the keys that only this preset knows from ``extra``. Returns None if a key that it needs is missing or does
    not fit: ``findings`` then has one problem for each.

    Raises:
        ConnectionConfigError: the preset does not exist, or cannot be used.
    """
    name = extra.get("provider")
    if not is_given(name):
        return STANDARD
    preset = _preset(conn_id, str(name).strip(), folder)
    given = {key: extra.pop(key, None) for key in preset.variables}
    values = {key: str(value).strip() for key, value in given.items() if is_given(value)}
    wrong = wrong_variables(preset, values)
    for problem in wrong:
        meant = "" if problem.name in values else _find_misspelling(problem.name, extra)
        findings.add(_preset_problem(conn_id, preset, problem, meant), meant=meant)
    return None if wrong else fill(preset, {**values, "client_id": client_id})


def _preset_problem(
    conn_id: str, preset: Preset, problem: BadVariable, meant: str
) -> ConnectionConfigError:
    return ConnectionConfigError(
        f"Connection {conn_id!r}: provider {preset.title} {problem}",
        conn_id=conn_id,
        field=problem.name,
        hint=f"Is it what {meant!r} was meant to be? {problem.hint}" if meant else problem.hint,
        where="",
    )


def _find_misspelling(name: str, extra: Mapping[str, Any]) -> str:
    """Returns the unknown key of ``extra`` that is most like ``name``; empty if no key is."""
    unknown = [key for key in extra if key not in BY_NAME]
    return find_closest(name, unknown)


def _preset(conn_id: str, name: str, folder: Path | None) -> Preset:
    def wrong(what: str, hint: str) -> ConnectionConfigError:
        return ConnectionConfigError(what, conn_id=conn_id, field="provider", hint=hint)

    try:
        preset = load_preset(name.lower(), folder)
    except BadPreset as bad:
        raise wrong(f"The preset cannot be used: {bad}", _FORMAT) from None
    except KeyError:
        raise wrong("There is no preset of that name", suggestion(name, folder)) from None
    if taken := preset.variables.keys() & BY_NAME.keys():
        what = f"The preset has its own version of a key that every connection has: {min(taken)}"
        raise wrong(what, "Give the preset's key another name.")
    return preset


def apply_preset_defaults(values: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    """Returns ``values`` of a connection, completed by the values of ``preset``.

    Headers and parameters are merged by name; those of the connection take precedence.
    """
    auth_type = values.get("auth_type", preset.auth_type)
    offered = {
        name: value
        for name, value in _preset_values(preset).items()
        if is_given(value) and name in BY_NAME and auth_type in BY_NAME[name].auth_types
    }
    merged = {name: {**offered[name], **values.get(name, {})} for name in _MERGED & offered.keys()}
    return {**offered, **values, **merged}


def _preset_values(preset: Preset) -> dict[str, Any]:
    """Returns the values of the preset under the keys of a connection."""
    return {
        "auth_type": "" if preset.auth_type == "oauth2" else preset.auth_type,
        "token_url": preset.token_url,
        "authorize_url": preset.authorize_url,
        "revoke_url": preset.revoke.url,
        "device_url": preset.device_url,
        "introspect_url": preset.introspect_url,
        "grant_type": choose_only_grant(preset),
        "token_body": "" if preset.body == "form" else preset.body,
        "token_headers": preset.token_headers,
        "token_header": preset.token_header,
        "api_headers": preset.api_headers,
        "api_params": preset.api_params,
        "jwt_claims": preset.jwt_claims,
        "jwt_headers": preset.jwt_headers,
        "jwt_lifetime": preset.jwt_lifetime_s,
        "authorize_params": preset.params.authorize,
        "rate_limit": preset.budgets,
        **_rate_limit(preset),
    }


def _rate_limit(preset: Preset) -> dict[str, str]:
    limit = preset.rate_limit
    if limit is None:
        return {}
    return {"rate_limit_header": limit.reset_header, "rate_limit_reset": limit.reset}


def choose_only_grant(preset: Preset) -> str:
    """Returns refresh_token if clients cannot get tokens without a person's consent; else empty: the connection decides."""
    by_person = {"authorization_code", "refresh_token"} & set(preset.grants)
    alone = "client_credentials" in preset.grants or "grant_type" in preset.params.token
    return "refresh_token" if by_person and not alone else ""


def choose_leeway(named: float | None, preset: Preset, *, refreshed: bool) -> float:
    """Returns how many seconds before expiry the next token is fetched: ``named`` in the connection, else the default.

    ``refreshed`` is true for tokens that a refresh token brings. The result is lower if the provider returns the same token
    until shortly before its expiry.
    """
    late = refreshed and preset.refresh.kills_access_token
    leeway = (_LATE_LEEWAY if late else _USUAL_LEEWAY) if named is None else named
    return min(leeway, preset.refresh.earliest_before_expiry_s or leeway)


def join_scopes(scope: str, preset: Preset) -> str:
    """Returns ``scope`` with this provider's separator. In a connection, blanks and commas separate scopes."""
    if preset.scope_separator == " ":
        return scope
    return preset.scope_separator.join(part for part in re.split(r"[\s,]+", scope) if part)
