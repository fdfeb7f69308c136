"""Which records of a merge are newer than the rows that a table has, for a library that only replaces rows by key."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_THEIRS = "oauth_taskflow_order_of_table"


def keep_newer(rows: pa.Table, scan: Any, keys: list[str], order: str) -> pa.Table:
    """Returns the rows that are new, or whose ``order`` is at least that of the row with the same key in the table.

    ``scan`` reads the keys and the order of the table; both are in memory at once.
    """
    theirs = scan.to_arrow()
    if not theirs.num_rows:
        return rows
    found = (
        theirs.rename_columns([*keys, _THEIRS])
        if theirs.column_names == [*keys, order]
        else (theirs.select([*keys, order]).rename_columns([*keys, _THEIRS]))
    )
    types = {name: rows.schema.field(name).type for name in keys}
    columns = [found.column(name).cast(types[name]) for name in keys]
    columns.append(found.column(_THEIRS).cast(rows.schema.field(order).type))
    small = rows.select([*keys, order]).append_column("place", pa.array(range(rows.num_rows)))
    joined = small.join(
        pa.Table.from_arrays(columns, [*keys, _THEIRS]), keys, join_type="left outer"
    )
    is_newer = pc.fill_null(
        pc.greater_equal(joined[order], joined[_THEIRS]), pc.is_null(joined[_THEIRS])
    )
    places = joined.filter(is_newer)["place"].unique().sort()
    return rows.take(places)
