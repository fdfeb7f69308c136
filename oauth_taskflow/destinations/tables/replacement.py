"""A merge by primary key into a table: which rows of the table go away, and which of the run are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oauth_taskflow.destinations.tables.merging import PLACE, RANK
from oauth_taskflow.destinations.tables.row_order import RowOrder

_ROW = "oauth_taskflow_row"
_THEIRS = "oauth_taskflow_theirs"


class Replacement:
    """Compares rows of a table with those of a run; ``index`` is of ``merging.index_rows``.

    ``order`` is None where the table has no column of it. ``older`` collects the places of rows of the run that are older than the
    row in the table.
    """

    def __init__(self, index: pa.Table, keys: Sequence[str], order: RowOrder | None) -> None:
        self._keys = list(keys)
        # Rows with one key are equally new where the key says how new they are.
        self._order = None if order is None or order.name in keys else order
        self._index = index
        self.older: set[int] = set()

    @property
    def columns(self) -> list[str]:
        """The columns of the table that ``choose`` needs."""
        return self._keys if self._order is None else [*self._keys, self._order.name]

    def choose(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Says which rows of the table are replaced."""
        columns = [
            batch.column(name).cast(self._index.schema.field(name).type) for name in self._keys
        ]
        names = [*self._keys, *([] if self._order is None else [_THEIRS]), _ROW]
        if self._order is not None:
            columns.append(self._order.rank(batch.column(self._order.name)))
        columns.append(pa.array(range(batch.num_rows), pa.int64()))
        rows = pa.Table.from_arrays(columns, names)
        found = rows.join(self._index, self._keys, join_type="inner", use_threads=False)
        if self._order is not None:
            theirs, ours = found[_THEIRS], found[RANK]
            is_newer = pc.fill_null(pc.greater_equal(ours, theirs), pc.is_null(theirs))
            self.older.update(found.filter(pc.invert(is_newer))[PLACE].to_pylist())
            found = found.filter(is_newer)
        return pc.is_in(rows[_ROW], found[_ROW].combine_chunks()).combine_chunks()

    def newer(self) -> pa.Table:
        """Returns the part of the index whose rows are written, once ``choose`` has seen the table."""
        if not self.older:
            return self._index
        older = pa.array(sorted(self.older), pa.int64())
        return self._index.filter(pc.invert(pc.is_in(self._index[PLACE], older)))

    def range(self) -> tuple[str, Any, Any] | None:
        """Returns the first column of the key, with the lowest and the highest value of the run; None where it has no such."""
        name = self._keys[0]
        column = self._index[name]
        if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type)):
            return None
        ends = pc.min_max(column).as_py()
        return name, ends["min"], ends["max"]
