"""Connections for tests, right unless a test says otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TOKEN_URL = "https://id.example.com/token"


@dataclass(frozen=True)
class Connection:
    """The fields that Airflow's two classes for connections have in common."""

    conn_id: str
    conn_type: str | None = None
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    extra: str | None = None


def connection(extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    """A connection ``crm`` of type oauth2; ``extra`` as text replaces the token URL too."""
    whole = {
        "conn_type": "oauth2",
        "host": "https://api.example.com/v3",
        "login": "client",
        "password": "s3cret-of-client",
        **fields,
    }
    text = (
        extra if isinstance(extra, str) else json.dumps({"token_url": TOKEN_URL, **(extra or {})})
    )
    return Connection(conn_id="crm", extra=text, **whole)


def kind(auth_type: str, extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    """A connection of another ``auth_type``."""
    return connection(json.dumps({"auth_type": auth_type, **(extra or {})}), **fields)
