"""Reads a connection's address: the base URL in all forms that Airflow users write, or empty if only the token response names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlunsplit

from msgspec.structs import replace

from oauth_taskflow.connections.host_template import fill_host
from oauth_taskflow.connections.parts import Findings
from oauth_taskflow.connections.places import names_place
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import split_url

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
    return _build_base_url(
        connection.conn_id,
        host=host,
        schema=schema,
        port=connection.port,
        default_scheme=default,
    )


def _build_base_url(
    conn_id: str, *, host: str | None, schema: str | None, port: int | None, default_scheme: str
) -> str:
    """Returns ``scheme://host[:port][/path]`` without a trailing slash.

    The scheme comes from the host (``https://api.example.com/v3``), else from the schema field, else it is
    ``default_scheme``. The port comes from the host or from the port field.

    Raises:
        ConnectionConfigError: the host is missing, or the parts contradict each other.
    """
    text = (host or "").strip()
    if not text:
        raise ConnectionConfigError(
            "The API's address is missing",
            conn_id=conn_id,
            field="host",
            hint="Put the base URL there, as in https://api.example.com/v3.",
        )
    scheme = (schema or "").strip().lower()
    if "://" not in text:
        text = f"{scheme or default_scheme}://{text}"
    parts = _split(conn_id, text)
    netloc = _netloc(conn_id, parts, port)
    return urlunsplit((parts.scheme.lower(), netloc, parts.path.rstrip("/"), "", ""))


def _split(conn_id: str, text: str) -> SplitResult:
    parts = split_url(text)
    if parts is None or not parts.hostname or parts.scheme.lower() not in {"http", "https"}:
        raise ConnectionConfigError(
            "The API's address is not an http or https URL",
            conn_id=conn_id,
            field="host",
            hint="Write it as https://api.example.com/v3; the schema field holds http, https or nothing.",
        )
    if parts.username is not None or parts.password is not None:
        raise ConnectionConfigError(
            "The API's address holds a user name or password",
            conn_id=conn_id,
            field="host",
            hint="Move them to login and password.",
        )
    if parts.query or parts.fragment:
        raise ConnectionConfigError(
            "The API's address holds a query or fragment",
            conn_id=conn_id,
            field="host",
            hint="Keep scheme, host, port and path only.",
        )
    return parts


def _netloc(conn_id: str, parts: SplitResult, port: int | None) -> str:
    if not port or port == parts.port:
        return parts.netloc.lower()
    if parts.port is not None:
        raise ConnectionConfigError(
            f"The port field says {port}, the host says {parts.port}",
            conn_id=conn_id,
            field="port",
            hint="Clear one of them.",
        )
    return f"{parts.netloc.lower().rstrip(':')}:{port}"
