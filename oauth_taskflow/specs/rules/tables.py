"""Rules about destinations that are tables: keys, tombstones and names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from oauth_taskflow.destinations.postgres.identifiers import (
    column_flaw,
    find_table_flaw,
    name_flaw,
    shorten_name,
    split_table,
)
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.specs.model import ForEachOptions
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_PLAIN_KEY = re.compile(r'(?:[A-Za-z_]\w*|"[^"\\]+")(?:\.(?:[A-Za-z_]\w*|"[^"\\]+"))*')


def _tables(view: EndpointView) -> Iterator[tuple[YamlPath, PostgresDestination]]:
    for path, options in view.destinations:
        if isinstance(options, PostgresDestination):
            yield path, options


@endpoint_rule("merge-without-key")
def merge_without_key(view: EndpointView) -> Findings:
    """Rows are merged by the fields of `primary_key`; each part of it is a field, not a computed value.

    Bad: `destination: {type: postgres, conn_id: dwh, table: contacts, mode: merge}` without `primary_key`

    Good: `primary_key: id`
    """
    merging = [
        path for path, options in view.destinations if getattr(options, "mode", None) == "merge"
    ]
    keys = view.endpoint.primary_key
    if merging and keys:
        yield from _find_computed(keys)
        return
    for path in merging:
        hint = "Name the fields: primary_key: id; or write mode: replace_run."
        yield Finding((*path, "mode"), "merge needs primary_key", hint)


def _find_computed(keys: str | list[str]) -> Findings:
    for at, key in enumerate([keys] if isinstance(keys, str) else keys):
        if _PLAIN_KEY.fullmatch(key) is None:
            path: YamlPath = ("primary_key",) if isinstance(keys, str) else ("primary_key", at)
            hint = "Name a field, such as id or owner.id; compute it with fields.set before."
            yield Finding(path, f"{key!r} is computed, and merge needs a field", hint)


@endpoint_rule("tombstone-without-merge")
def tombstone_without_merge(view: EndpointView) -> Findings:
    """A tombstone deletes the row of its key, which only `mode: merge` finds.

    Bad: `destination: {type: postgres, conn_id: dwh, table: contacts, deleted_when: deleted}`

    Good: `destination: {type: postgres, conn_id: dwh, table: contacts, mode: merge, deleted_when: deleted}`
    """
    for path, options in _tables(view):
        if options.deleted_when is not None and options.mode != "merge":
            message = f"deleted_when does nothing with mode: {options.mode}"
            yield Finding((*path, "deleted_when"), message, "Write mode: merge, or remove it.")
        if options.delete == "hard" and options.deleted_when is None:
            hint = "Say which records are tombstones: deleted_when: deleted."
            yield Finding((*path, "delete"), "delete does nothing without deleted_when", hint)


@endpoint_rule("table-name")
def table_name(view: EndpointView) -> Findings:
    """Names of tables and columns are not empty, have at most 63 bytes, and differ from those of technical columns.

    Bad: `destination: {type: postgres, conn_id: dwh, table: lake.crm.contacts}`

    Good: `destination: {type: postgres, conn_id: dwh, table: crm.contacts}`
    """
    for path, options in _tables(view):
        for key, message in _find_name_flaws(options):
            yield Finding((*path, key), message, "Choose another name.")
        if options.layout == "columns" and options.record_column != "record":
            message = "record_column does nothing with layout: columns"
            yield Finding((*path, "record_column"), message, "Remove it.")


def _find_name_flaws(options: PostgresDestination) -> Iterator[tuple[str, str]]:
    """The keys with names that cannot be, and what is wrong with each."""
    parts = split_table(options.table)
    known = [part if "{" not in part else "x" for part in parts]
    if (flaw := find_table_flaw(known)) is not None:
        name = options.table if len(parts) > 1 else flaw[0]
        yield "table", f"{name!r} cannot be a table: {flaw[1]}"
    schema, column = options.work_schema, options.record_column
    if schema is not None and (why := name_flaw(schema)) is not None:
        yield "work_schema", f"{schema!r} cannot be a schema: {why}"
    if options.layout == "raw" and (why := _column_flaw(options, column)) is not None:
        yield "record_column", f"{column!r} cannot be a column: {why}"


def _column_flaw(options: PostgresDestination, name: str) -> str | None:
    settings = TableSettings(mode=options.mode, prefix=options.column_prefix)
    if name in settings.technical_columns():
        return "it is a technical column; choose another column_prefix"
    return column_flaw(name)


@endpoint_rule("column-name")
def column_name(view: EndpointView) -> Findings:
    """With `layout: columns`, a field that the spec makes must have a name that a column can have.

    Bad: `fields: {set: {_run_id: "{{ run_id }}"}}` with `layout: columns`

    Good: `fields: {set: {pulled_in: "{{ run_id }}"}}`
    """
    tables = [options for _, options in _tables(view) if options.layout == "columns"]
    for path, name in _made_names(view) if tables else ():
        flaws = (_column_flaw(options, shorten_name(name)) for options in tables)
        if (why := next(filter(None, flaws), None)) is not None:
            hint = "Choose another name, or write layout: raw."
            yield Finding(path, f"the field {name!r} cannot be a column: {why}", hint)


def find_technical(view: EndpointView, technical: Collection[str]) -> Findings:
    """Yields each field that the spec makes under the name of a technical column."""
    for path, name in _made_names(view):
        if name in technical:
            hint = "Choose another name, or another column_prefix of the destination."
            yield Finding(path, f"{name!r} is a technical column of the table", hint)


def _made_names(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    """The names that the spec itself gives to fields of a record."""
    fields = view.endpoint.fields
    for name in fields.set if fields is not None else ():
        yield ("fields", "set", name), name.partition(".")[0]
    for old, new in (fields.move if fields is not None else {}).items():
        yield ("fields", "move", old), new.partition(".")[0]
    for variable, over in view.endpoint.for_each.items():
        for name in over.copy if isinstance(over, ForEachOptions) else ():
            yield ("for_each", variable, "copy", name), name
