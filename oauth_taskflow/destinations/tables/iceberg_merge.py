"""A merge by primary key into an Iceberg table: which rows of the table go away, and which of the run are written."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThanOrEqual,
    LessThanOrEqual,
)

from oauth_taskflow.destinations.tables.merging import PLACE

_ROW = "oauth_taskflow_row"
_THEIRS = "oauth_taskflow_theirs"


class Replacement:
    """Compares rows of a table with those of a run; ``index`` is of ``merging.index_rows``.

    ``older`` collects the places of rows of the run that are older than the row in the table.
    """

    def __init__(self, index: pa.Table, keys: Sequence[str], order: str | None) -> None:
        self._keys, self._order = list(keys), order
        own = [*keys, PLACE] if order is None or order in keys else [*keys, order, PLACE]
        self._index = index.select(own)
        self._compares = order is not None and order not in keys
        self.older: set[int] = set()

    @property
    def columns(self) -> list[str]:
        """The columns of the table that ``choose`` needs."""
        return [*self._keys, *([self._order] if self._compares and self._order else [])]

    def choose(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Says which rows of the table are replaced."""
        fields = {name: self._index.schema.field(name).type for name in self.columns}
        columns = [batch.column(name).cast(kind) for name, kind in fields.items()]
        names = [*self._keys, *([_THEIRS] if self._compares else []), _ROW]
        rows = pa.Table.from_arrays([*columns, pa.array(range(batch.num_rows), pa.int64())], names)
        found = rows.join(self._index, self._keys, join_type="inner", use_threads=False)
        if self._compares:
            theirs, ours = found[_THEIRS], found[self._order]
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

    def may_match(self) -> BooleanExpression:
        """Returns a condition that leaves out files whose keys are all below or above those of the run."""
        name = self._keys[0]
        column = self._index[name]
        if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type)):
            return AlwaysTrue()
        ends = pc.min_max(column).as_py()
        return And(GreaterThanOrEqual(name, ends["min"]), LessThanOrEqual(name, ends["max"]))
