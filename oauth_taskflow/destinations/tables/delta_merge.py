"""A merge by primary key into a Delta Lake table, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema

from oauth_taskflow.destinations.tables.delta_files import WRITER, quote_column, scan_files
from oauth_taskflow.destinations.tables.merging import MergePlan
from oauth_taskflow.destinations.tables.replacement import Replacement


def add_order_columns(table: DeltaTable, schema: pa.Schema, plan: MergePlan) -> None:
    """Adds columns that a condition names, in their own transaction: a table that has none cannot be asked."""
    names = [*plan.keys, *([plan.order.name] if plan.order else [])]
    present = {field.name for field in table.schema().fields}
    missing = [schema.field(name) for name in names if name not in present]
    if missing:
        table.alter.add_columns(list(DeltaSchema.from_arrow(pa.schema(missing)).fields))


def find_newer(
    table: DeltaTable, schema: pa.Schema, plan: MergePlan
) -> tuple[pa.Table, str | None]:
    """Returns the index of the rows to merge, and the condition under which one replaces that of the table."""
    order = plan.order
    if order is None:
        return plan.index, None
    if order.is_plain(schema.field(order.name).type):
        quoted = quote_column(order.name)
        return plan.index, f"t.{quoted} IS NULL OR s.{quoted} >= t.{quoted}"
    return _leave_out_older(table, plan), None


def merge_rows(
    table: DeltaTable,
    rows: pa.RecordBatchReader,
    keys: Sequence[str],
    newer: str | None,
    described: CommitProperties,
) -> None:
    """Updates the rows of the table that ``newer`` allows, and adds those that it lacks."""
    merger = table.merge(
        rows,
        " AND ".join(f"t.{quote_column(key)} = s.{quote_column(key)}" for key in keys),
        source_alias="s",
        target_alias="t",
        merge_schema=True,
        writer_properties=WRITER,
        commit_properties=described,
    )
    merger.when_matched_update_all(newer).when_not_matched_insert_all().execute()


def note_nothing(table: DeltaTable, schema: pa.Schema, described: CommitProperties) -> None:
    """Commits the note of a run without a row, such as the manifest of one that had no records."""
    write_deltalake(
        table,
        schema.empty_table(),
        mode="append",
        schema_mode="merge",
        commit_properties=described,
    )


def _leave_out_older(table: DeltaTable, plan: MergePlan) -> pa.Table:
    """Returns the part of the index whose rows are not older than those of the table, which a condition in SQL cannot express."""
    rows = Replacement(plan.index, plan.keys, plan.order)
    found = rows.range()
    may_match = None
    if found is not None:
        name, low, high = found
        may_match = (pc.field(name) >= low) & (pc.field(name) <= high)
    for batch in scan_files(table.to_pyarrow_dataset(), may_match, rows.columns):
        rows.choose(batch)
    return rows.newer()
