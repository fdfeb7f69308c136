"""The schema of records by the slowest way, with which the quick ones are compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.record_schema.observer import SchemaObserver


def observe_all(records: Iterable[Any]) -> RecordSchema:
    """Returns the schema of undecoded ``records``, found by looking at every value of each."""
    observer = SchemaObserver()
    for record in records:
        observer.widen(record)
    return observer.schema
