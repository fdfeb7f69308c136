"""The owner of a watermark: an endpoint of a spec on a connection, and within it one partition per parent or value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class EndpointId(Struct, frozen=True):
    """The endpoint of a DAG on one connection, whose partitions have watermarks."""

    dag_id: str
    endpoint: str
    conn_id: str

    @property
    def key(self) -> str:
        """A hash of the three, of a length that every database can index."""
        return hash_text(json.dumps([self.dag_id, self.endpoint, self.conn_id]))

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.endpoint} on connection {self.conn_id!r}"


def write_partition(values: Mapping[str, Any]) -> str:
    """Returns the canonical JSON of a partition; empty for an endpoint without any."""
    if not values:
        return ""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)


def partition_key(partition: str) -> str:
    """Returns the key of a partition in the database; empty for that of an endpoint without partitions."""
    return hash_text(partition) if partition else ""


def hash_text(text: str) -> str:
    """Returns the SHA-256 of ``text`` in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
