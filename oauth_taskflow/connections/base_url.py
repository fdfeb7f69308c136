"""Builds the API's base URL from a connection's host, schema and port, in all forms that Airflow users write."""

from __future__ import annotations

from urllib.parse import SplitResult, urlunsplit

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.urls import split_url


def build_base_url(
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
