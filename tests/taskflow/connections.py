"""Connections for tests, right unless a test says otherwise."""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import Connection

TOKEN_URL = "https://id.example.com/token"


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
