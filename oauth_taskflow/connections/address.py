"""Reads a connection's address: the base URL with its placeholders filled, or empty if only the token response names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from oauth_taskflow.connections.base_url import build_base_url
from oauth_taskflow.connections.host_template import fill_host
from oauth_taskflow.connections.parts import Findings
from oauth_taskflow.connections.places import names_place
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.secret_values import Hidden, SecretValue

if TYPE_CHECKING:
    from oauth_taskflow.connections.parse import AirflowConnection


class Address(SecretValue, frozen=True):
    """The base URL, the secrets in it, and whether the password is one of them."""

    base_url: Hidden[str] = ""
    secrets: Hidden[tuple[str, ...]] = ()
    has_password: bool = False


def read_address(
    connection: AirflowConnection,
    conn_type: str,
    preset: Preset,
    values: Mapping[str, Any],
    findings: Findings,
) -> Address:
    """Returns the address with its placeholders filled; an empty one if ``findings`` has a problem with it."""
    written = (
        (connection.host or "") if (connection.host or "").strip() else preset.base_url
    ) or ""
    auth_type = values.get("auth_type", "oauth2")

    def read() -> Address:
        filled = fill_host(
            connection.conn_id,
            written,
            values.get("host_values", {}),
            login=connection.login or "",
            password=connection.password or "",
        )
        base_url = _base_url(connection, filled.host, conn_type, preset, auth_type)
        return Address(base_url, filled.secrets)

    address = findings.attempt(read, Address())
    return replace(address, has_password=names_place(written, "password"))


def _base_url(
    connection: AirflowConnection, host: str, conn_type: str, preset: Preset, auth_type: str
) -> str:
    """Returns the base URL; empty if only the token response names it. ``host`` has its placeholders filled."""
    if not (connection.host or "").strip():
        if preset.base_url:
            return host.rstrip("/")
        if preset.base_url_from and auth_type == "oauth2":
            return ""
    # HttpHook uses plain http for an http connection without a schema; that must go on working.
    default = "http" if conn_type == "http" else "https"
    # With a scheme in the host, HttpHook ignores the schema field.
    schema = "" if "://" in host else connection.schema
    return build_base_url(
        connection.conn_id,
        host=host,
        schema=schema,
        port=connection.port,
        default_scheme=default,
    )
