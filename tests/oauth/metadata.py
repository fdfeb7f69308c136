"""Metadata of authorization servers: as a document, and those that a process remembers, forgotten between tests."""

from __future__ import annotations

import json
from typing import Any

from oauth_taskflow.oauth.endpoint import discovery

ISSUER = "https://id.example.com"


def document(issuer: str = ISSUER, **more: Any) -> bytes:
    """The metadata of ``issuer``, with more members or other ones."""
    return json.dumps({"issuer": issuer, "token_endpoint": f"{issuer}/token", **more}).encode()


def forget_metadata() -> None:
    """Forget all metadata, so that the next use asks again."""
    discovery._kept.clear()
