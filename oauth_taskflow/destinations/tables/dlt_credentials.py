"""Finds the warehouse of a table that dlt writes: credentials from an Airflow connection, and its address without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from oauth_taskflow.destinations.base import StoreAccess, StoreConnection
from oauth_taskflow.secret_values import Hidden, SecretValue

_FILE_KINDS = frozenset({"duckdb", "ducklake"})
# Fields of credentials that an error may show.
_PUBLIC = frozenset(
    {
        "host",
        "port",
        "database",
        "username",
        "drivername",
        "warehouse",
        "role",
        "catalog",
        "project_id",
        "client_email",
        "type",
        "auth_uri",
        "token_uri",
        "server_hostname",
        "http_path",
    }
)


class Warehouse(SecretValue, frozen=True):
    """A dlt destination: its name, its address, the arguments of its factory, and the texts that no error may show."""

    name: str
    address: str
    arguments: Hidden[Mapping[str, Any]]
    secrets: Hidden[tuple[str, ...]]

    @property
    def kind(self) -> str:
        """The name without the modules before it: ``duckdb``, ``postgres``."""
        return self.name.rpartition(".")[2]

    @property
    def folder(self) -> Path | None:
        """The folder of a warehouse that is a file; None for others."""
        file = self.arguments.get("credentials")
        is_path = self.kind == "duckdb" and isinstance(file, str) and "://" not in file
        return Path(str(file)).parent if is_path else None


def read_warehouse(
    name: str, options: Mapping[str, Any], conn_id: str | None, access: StoreAccess
) -> Warehouse:
    """Returns the warehouse of a spec.

    Raises:
        DestinationError: the Airflow connection is missing.
    """
    kind = name.rpartition(".")[2]
    credentials = options.get("credentials")
    if conn_id is not None:
        credentials = _read_connection(kind, access.find_connection(conn_id))
    arguments = {**options, "credentials": credentials} if credentials else dict(options)
    secrets = tuple(dict.fromkeys(_find_secrets("", credentials)))
    return Warehouse(name, _describe(kind, credentials), arguments, secrets)


def _read_connection(kind: str, connection: StoreConnection) -> Any:
    extra = connection.extra_dejson
    given = extra.get("credentials", extra.get("keyfile_dict"))
    if isinstance(given, str) and given.lstrip().startswith("{"):
        given = msgspec.json.decode(given)
    if given and not isinstance(given, Mapping):
        return given
    if kind in _FILE_KINDS:
        return given or connection.host or connection.schema
    fields = {
        "host": connection.host,
        "port": connection.port,
        "username": connection.login,
        "password": connection.password,
        "database": connection.schema,
    }
    return {**{key: value for key, value in fields.items() if value}, **(given or {})}


def _find_secrets(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _find_secrets(str(name), below)
    elif isinstance(value, str) and key not in _PUBLIC and value:
        parts = urlsplit(value) if "://" in value else None
        if parts is not None and parts.password:
            yield parts.password
        elif key or "=" in value:
            yield value


def _describe(kind: str, credentials: Any) -> str:
    """Returns the address of the server or file, as the beginning of a URI."""
    if isinstance(credentials, Mapping):
        host = credentials.get("host") or credentials.get("project_id") or ""
        port = f":{credentials['port']}" if credentials.get("port") else ""
        database = credentials.get("database") or ""
        return f"{kind}://{quote(str(host))}{port}/{quote(str(database))}".rstrip("/")
    text = str(credentials or "")
    if "://" not in text:
        return f"{kind}://{quote(text)}" if "=" not in text else f"{kind}://"
    parts = urlsplit(text)
    port = f":{parts.port}" if parts.port else ""
    return f"{kind}://{parts.hostname or ''}{port}{parts.path}".rstrip("/")
