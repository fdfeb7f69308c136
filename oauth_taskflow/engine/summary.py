"""What one endpoint run did, as XCom, asset event, log line and table row show it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class WrittenFile(Struct, frozen=True):
    """One committed file with its number of records and bytes."""

    path: str
    rows: int
    bytes: int


class Summary(Struct, frozen=True, omit_defaults=True):
    """Figures of one run of one endpoint.

    ``sequences`` counts the page sequences (one per window and parent record), ``bytes`` what was written and
    ``received_bytes`` what the API sent; ``seconds`` is wall time. ``conn_id`` is the connection of the object store,
    ``duplicates`` counts records dropped by primary key, ``watermark`` is the highest value of the incremental field
    and ``interval`` the span that was read (ISO 8601; an empty start means from the beginning).
    """

    endpoint: str
    rows: int
    pages: int
    sequences: int
    bytes: int
    received_bytes: int
    seconds: float
    files: list[WrittenFile]
    manifest: str
    conn_id: str | None = None
    duplicates: int = 0
    watermark: str | int | float | None = None
    interval: list[str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for XCom and events."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
