"""Edits a stored connection: shows it without its secrets, and keeps a secret only while its destinations stay the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from oauth_taskflow.connections.convert import is_given
from oauth_taskflow.connections.drafts.draft import (
    FIELDS,
    Draft,
    DraftedConnection,
    FieldProblem,
    WrongDraft,
    check_connection,
    choose_way,
    write_connection,
)
from oauth_taskflow.connections.drafts.form_key import hides_own_value, hides_value
from oauth_taskflow.connections.drafts.preset_form import find_preset
from oauth_taskflow.connections.drafts.ways import Way, list_ways
from oauth_taskflow.connections.fields.grants import GRANT_NAMES
from oauth_taskflow.connections.fields.oauth2 import DEVICE_CODE
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.connections.parse import AirflowConnection
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.fill import FILLED
from oauth_taskflow.presets.model import Preset

# Keys of every connection that decide where secrets, tokens and codes go, and whether that place proves who it is.
ADDRESS_KEYS = frozenset(
    {"provider", "auth_type", "issuer", "allowed_origins", "redirect_uri", "host_values"}
    | {"proxies", "verify", *(name for name in BY_NAME if name.endswith("_url"))}
)
# Texts of a preset that its own keys fill, and that are sent to an address without choosing it.
_NO_ADDRESS = frozenset(
    {"params", "token_headers", "default_scopes", "api_headers", "api_params", "jwt_claims"}
    | {"jwt_headers"}
)
_CHANGED = "{} changed, and a stored secret goes only where it went before"
_AGAIN = "Enter it again, or undo that change."


class StoredForm(Struct, frozen=True, kw_only=True):
    """A stored connection as its form shows it. ``values`` has no secret; ``hidden`` are the keys whose values stay on the server.

    ``problem`` says why a task would refuse the connection; empty if it would not.
    """

    conn_id: str
    provider: str
    way: str
    description: str
    values: dict[str, Any]
    hidden: tuple[str, ...]
    problem: str = ""


def describe_stored(connection: AirflowConnection, own: Path | None = None) -> StoredForm:
    """Returns what the form shows of ``connection``.

    Raises:
        ConnectionConfigError: it is not one of ours, its extra is not a JSON object, or its preset does not exist.
    """
    extra = read_extra(connection)
    preset = find_preset(str(extra.get("provider") or ""), own, conn_id=connection.conn_id)
    values = {**_read_fields(connection), **extra}
    hidden = tuple(name for name in values if _is_hidden(name, preset))
    left_out = {"provider", "auth_type", "grant_type", *hidden}
    way = _find_way(extra, preset)
    if "grant_type" in extra and way.writes.get("grant_type") != _short(extra["grant_type"]):
        left_out -= {"grant_type"}  # a vendor's own, which no way writes
    return StoredForm(
        conn_id=connection.conn_id,
        provider=str(extra.get("provider") or "").strip().lower(),
        way=way.name,
        description=getattr(connection, "description", None) or "",
        values={name: value for name, value in values.items() if name not in left_out},
        hidden=hidden,
        problem=_find_problem(connection, own),
    )


def rewrite_connection(
    stored: AirflowConnection, draft: Draft, unchanged: Collection[str], own: Path | None = None
) -> DraftedConnection:
    """Returns the connection of ``draft`` with the stored values of the keys ``unchanged``.

    Raises:
        WrongDraft: as for a new connection; or a secret would be kept although an address changed.
    """
    extra = read_extra(stored)
    preset, _ = choose_way(draft, own)
    there = {**_read_fields(stored), **extra}
    missing = sorted(name for name in unchanged if name not in there)
    if missing:
        problem = "Nothing is stored under this name"
        raise WrongDraft(*(FieldProblem(name, problem, "Enter it.") for name in missing))
    kept = {name: there[name] for name in unchanged}
    whole = Draft(
        conn_id=stored.conn_id,
        provider=draft.provider,
        way=draft.way,
        description=draft.description,
        values={**kept, **draft.values},
    )
    drafted = msgspec.structs.replace(
        write_connection(whole, own, is_new=False),
        conn_type=stored.conn_type or "oauth2",
        schema=stored.schema,
        port=stored.port,
    )
    check_connection(drafted, own)
    secrets = [name for name in unchanged if name not in draft.values and _is_hidden(name, preset)]
    if secrets and (changed := find_changed_addresses(stored, drafted, preset)):
        what = _CHANGED.format(" and ".join(changed))
        raise WrongDraft(*(FieldProblem(name, what, _AGAIN) for name in secrets))
    return drafted


def find_changed_addresses(
    before: AirflowConnection, after: AirflowConnection, preset: Preset
) -> list[str]:
    """Returns the keys that lead secrets elsewhere and differ; ``preset`` is that of ``after``."""
    texts = [getattr(preset, name) for name in FILLED if name not in _NO_ADDRESS]
    urls = msgspec.json.encode(texts).decode()
    own_keys = {name for name in preset.variables if f"{{{name}}}" in urls}
    usual = {name: preset.variables[name].default for name in own_keys}
    old, new = (
        {**usual, "auth_type": preset.auth_type, **_read_address(one)} for one in (before, after)
    )
    names = ["host", "schema", "port", *sorted(ADDRESS_KEYS | own_keys)]
    return [name for name in names if _as_text(old.get(name)) != _as_text(new.get(name))]


def _read_address(connection: AirflowConnection) -> dict[str, Any]:
    extra = read_extra(connection)
    provider = str(extra.get("provider") or "").strip().lower()
    fields = {"host": connection.host, "schema": connection.schema, "port": connection.port}
    return {**extra, **fields, "provider": provider}


def read_extra(connection: AirflowConnection) -> dict[str, Any]:
    """Returns the values that are given in extra.

    Raises:
        ConnectionConfigError: the connection is not of type oauth2 (or http), or its extra is not a JSON object.
    """
    conn_type = (connection.conn_type or "").lower()
    try:
        extra = json.loads(connection.extra) if connection.extra else {}
    except (ValueError, RecursionError):
        extra = None
    ours = conn_type == "oauth2" or (
        conn_type in {"http", "https"} and "auth_type" in (extra or ())
    )
    if not ours:
        raise ConnectionConfigError(
            "This connection is of another type",
            conn_id=connection.conn_id,
            field="conn_type",
            hint="Edit it in Airflow: Admin, Connections.",
        )
    if not isinstance(extra, dict):
        raise ConnectionConfigError(
            "The extra field is not a JSON mapping",
            conn_id=connection.conn_id,
            field="extra",
            hint="Mend it in Airflow: Admin, Connections.",
        )
    return {name: value for name, value in extra.items() if is_given(value)}


def _read_fields(connection: AirflowConnection) -> dict[str, str]:
    fields = {name: getattr(connection, name) for name in FIELDS}
    return {name: value for name, value in fields.items() if is_given(value)}


def _is_hidden(name: str, preset: Preset) -> bool:
    """Whether the value of ``name`` stays on the server; so does that of an unknown key."""
    if name in FIELDS:
        return name == "password"
    if name in preset.variables:
        return hides_own_value(name)
    return name not in BY_NAME or hides_value(BY_NAME[name])


def _find_way(extra: Mapping[str, Any], preset: Preset) -> Way:
    """Returns the way that a connection with ``extra`` goes; the first one if it is none of them."""
    ways = list_ways(preset)
    auth_type = str(extra.get("auth_type") or "oauth2")
    if auth_type != "oauth2" or preset.auth_type != "oauth2":
        return next((way for way in ways if way.name == auth_type), ways[0])
    return next((way for name in _wanted(extra) for way in ways if way.name == name), _usual(ways))


def _wanted(extra: Mapping[str, Any]) -> Iterator[str]:
    grant = _short(extra.get("grant_type") or "")
    known = {"authorization_code": "consent", "client_credentials": "application"}
    known |= {"refresh_token": "consent", DEVICE_CODE: "consent"}
    yield known.get(grant, grant)
    if "refresh_token" in extra or grant == "refresh_token":
        yield from ("consent", "refresh_token")


def _usual(ways: tuple[Way, ...]) -> Way:
    plain = (way for way in ways if not way.writes and way.name != "refresh_token")
    return next(plain, ways[0])


def _short(grant: Any) -> str:
    named = {registered: short for short, registered in GRANT_NAMES.items()}
    return named.get(str(grant), str(grant))


def _as_text(value: Any) -> str:
    """A value for comparison: texts of JSON and JSON itself are the same, and so are blank and absent."""
    if not is_given(value):
        return ""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text) if text[:1] in {"{", "["} else text
        except (ValueError, RecursionError):
            value = text
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _find_problem(connection: AirflowConnection, own: Path | None) -> str:
    drafted = DraftedConnection(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type or "",
        host=connection.host,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        port=connection.port,
        extra=connection.extra or "{}",
    )
    try:
        check_connection(drafted, own)
    except WrongDraft as wrong:
        return "; ".join(f"{one.field}: {one.what}" for one in wrong.problems)
    return ""
