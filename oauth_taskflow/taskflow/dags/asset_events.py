"""The extra of an endpoint's asset event: the figures of the run, of a size that Airflow's database and UI bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

MOST_FILES = 100
MOST_SCHEMA_BYTES = 32_768
# Figures of single instances, which a thousand of them would make too long: they are in the XCom.
_OF_INSTANCES = ("files", "manifests", "further")


def bound_extra(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the figures of one task for its event: rows, bytes, window (``interval``), schema, files, watermark.

    More than a hundred files are left out, and a schema of more than 32 KiB of JSON; ``left_out`` names both. They are in
    the XCom.
    """
    extra = dict(summary)
    left_out = []
    files = [
        *extra.get("files", ()),
        *(f for one in extra.get("further", ()) for f in one["files"]),
    ]
    if len(files) > MOST_FILES:
        extra.pop("files", None)
        extra.pop("further", None)
        left_out.append("files")
    if _size(extra.get("schema")) > MOST_SCHEMA_BYTES:
        extra.pop("schema")
        left_out.append("schema")
    if left_out:
        extra["left_out"] = left_out
    return extra


def bound_total(total: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the figures of all instances of a mapped endpoint for its event, without their files."""
    return bound_extra({key: value for key, value in total.items() if key not in _OF_INSTANCES})


def _size(schema: Any) -> int:
    return 0 if schema is None else len(msgspec.json.encode(schema))
