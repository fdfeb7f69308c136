"""Finds the columns whose values come again, which a Parquet file writes once each, in a dictionary."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

_SAMPLE = 1 << 13
# Above this share of different values, a dictionary takes time and makes the file larger.
_MOST_DIFFERENT = 0.9
# Fewer values do not show it.
_FEWEST = 1000


def list_repeating(table: pa.Table) -> list[str]:
    """Returns the paths in Parquet of the columns that get a dictionary, judged by the first rows of ``table``.

    Objects and lists are columns for each of their fields: ``owner.team``, ``tags.list.element``.
    """
    sample = table.slice(0, _SAMPLE).combine_chunks()
    leaves = (
        leaf
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        for chunk in column.chunks[:1]
        for leaf in _list_leaves(name, chunk)
    )
    return [path for path, values in leaves if _is_repeating(values)]


def _list_leaves(path: str, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if pa.types.is_struct(values.type):
        for place, field in enumerate(values.type):
            yield from _list_leaves(f"{path}.{field.name}", values.field(place))
    elif pa.types.is_list(values.type):
        yield from _list_leaves(f"{path}.list.element", values.flatten())
    else:
        yield path, values


def _is_repeating(values: pa.Array) -> bool:
    count = len(values) - values.null_count
    if count < _FEWEST or pa.types.is_null(values.type) or pa.types.is_boolean(values.type):
        return True
    return bool(pc.count_distinct(values).as_py() <= count * _MOST_DIFFERENT)
