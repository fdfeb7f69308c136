"""The figures of ``contract`` in summaries: the schema of the records, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from oauth_taskflow.record_schema.json_schema import schema_from_json, schema_to_json
from oauth_taskflow.record_schema.model import unite_schemas

if TYPE_CHECKING:
    from oauth_taskflow.destinations.transfer import TransferSummary
    from oauth_taskflow.engine.summary import EndpointSummary


def contract_figures(summary: TransferSummary) -> dict[str, Any]:
    """Returns the figures of one transfer, for an ``EndpointSummary``."""
    found = {name: getattr(summary, name) for name in ("schema", "rejected", "discarded", "drift")}
    return {name: value for name, value in found.items() if value is not UNSET}


def add_contract_figures(summaries: Sequence[EndpointSummary]) -> dict[str, Any]:
    """Returns the figures of all instances together, for an ``EndpointTotal``; those that are zero are left out."""
    # An instance without a record says nothing about the schema.
    schemas = [
        schema_from_json(summary.schema)
        for summary in summaries
        if summary.schema is not None and summary.schema["properties"]
    ]
    counts: dict[str, int] = {}
    for path, count in ((p, n) for summary in summaries for p, n in summary.discarded.items()):
        counts[path] = counts.get(path, 0) + count
    return {
        "schema": schema_to_json(reduce(unite_schemas, schemas)) if schemas else UNSET,
        "rejected": sum(summary.rejected for summary in summaries) or UNSET,
        "discarded": counts or UNSET,
    }
