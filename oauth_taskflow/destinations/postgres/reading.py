"""Records of an output that is in a table, as child endpoints read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oauth_taskflow.destinations.postgres.identifiers import quote_name, quote_text
from oauth_taskflow.destinations.postgres.place import OutputPlace
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.errors import ApiError

# An instant in UTC; zeros at the end of its fraction are removed.
_TIME = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def read_settings(manifest: Mapping[str, Any]) -> TableSettings:
    """Returns the options with which an output was written, by its manifest."""
    return TableSettings(
        layout=manifest["layout"],
        mode=manifest["mode"],
        record_column=manifest.get("record_column", ""),
        prefix=manifest["column_prefix"],
    )


def write_record(manifest: Mapping[str, Any], settings: TableSettings) -> str:
    """Returns the expression that makes a record of a row."""
    if settings.layout == "raw":
        return quote_name(settings.record_column)
    pairs = []
    for field, (name, kind) in manifest["columns"].items():
        value = quote_name(name)
        if kind.startswith("timestamp with"):
            exact = f"regexp_replace({_TIME.format(value)}, '\\.?0+Z$', 'Z')"
            # Years before the first, and infinity, have no such form.
            is_usual = f"isfinite({value}) AND {value} >= '0001-01-01T00:00:00Z'"
            value = f"CASE WHEN {is_usual} THEN {exact} ELSE ({value})::text END"
        pairs.append(f"jsonb_build_object({quote_text(field)}, {value})")
    return " || ".join(pairs) or "'{}'::jsonb"


def missing_error(place: OutputPlace) -> ApiError:
    """Returns the error of a child endpoint whose parent's rows have changed."""
    return ApiError(
        "Records of the parent endpoint are gone",
        where=f"at {place}",
        hint="Run the parent task again: another run has replaced, merged or removed its rows.",
    )
