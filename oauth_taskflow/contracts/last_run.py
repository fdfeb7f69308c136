"""The last committed run of an endpoint, as far as later runs compare with it, and how schemas drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from oauth_taskflow.record_schema.json_schema import schema_from_json, schema_to_json
from oauth_taskflow.record_schema.model import FieldType, RecordSchema, name_kind, unite_types

_MOST_NAMED = 50


class LastRun(Struct, frozen=True):
    """The last run before this one: its id, its number of records, and its JSON Schema, if it observed one."""

    run_id: str
    rows: int
    schema: dict[str, Any] | None = None


LastRunFinder = Callable[[], "LastRun | None"]


def find_no_run() -> LastRun | None:
    """Returns None: there is no run before."""
    return None


def name_drift(before: Mapping[str, Any], after: RecordSchema) -> list[str]:
    """Returns how the records of a run differ from those of the run before, a line each.

    New fields and types that do not fit are named. A field that did not come is not: few records may lack it.

    Raises:
        SpecError: ``before`` is not a schema of ours.
    """
    return list(_compare(schema_from_json(before).fields, after.fields, ""))[:_MOST_NAMED]


def name_difference(given: RecordSchema, found: RecordSchema) -> list[str]:
    """Returns how records differ from a given schema, a line each: as ``name_drift``, and required fields without value."""
    missing = [
        f"required field {name!r} has no value in some records"
        for name, kind in given.fields.items()
        if not kind.nullable and (name not in found.fields or found.fields[name].nullable)
    ]
    return [*name_drift(schema_to_json(given), found), *missing][:_MOST_NAMED]


def _compare(
    before: Mapping[str, FieldType], after: Mapping[str, FieldType], path: str
) -> Iterator[str]:
    for name, kind in after.items():
        known = before.get(name)
        place = f"{path}{name}"
        if known is None:
            yield f"new field {place!r} ({name_kind(kind)})"
        else:
            yield from _compare_types(known, kind, place)


def _compare_types(before: FieldType, after: FieldType, path: str) -> Iterator[str]:
    if before.kind == after.kind == "object":
        yield from _compare(before.fields, after.fields, f"{path}.")
    elif before.kind == after.kind == "list":
        if before.item is not None and after.item is not None:
            yield from _compare_types(before.item, after.item, f"{path}[]")
    elif "null" not in {before.kind, after.kind}:
        united = unite_types(before, after).kind
        if united != before.kind:
            yield f"field {path!r} was {name_kind(before)}, and is now {name_kind(after)}"
