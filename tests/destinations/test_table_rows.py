"""Rows of tables before a library of tables has them: their ranks, ranges and numbers, and the texts that name them."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest

from oauth_taskflow.destinations.tables.column_names import plain_column
from oauth_taskflow.destinations.tables.narrow_columns import ExactBatches
from oauth_taskflow.destinations.tables.place import RowsPlace, read_place
from oauth_taskflow.destinations.tables.replacement import Replacement
from oauth_taskflow.destinations.tables.row_order import RowOrder
from oauth_taskflow.destinations.tables.spool import TableSpool
from oauth_taskflow.errors import DestinationError

FLOAT = pa.float32()
NARROW = {
    "float": (FLOAT, [0.5, None], [0.1]),
    "list": (pa.list_(FLOAT), [[0.5, None], None], [[0.5, 0.1]]),
    "long list": (pa.large_list(FLOAT), [[0.5]], [[0.1]]),
    "int": (pa.int32(), [2**31 - 1, None], [2**31]),
    "struct": (pa.struct([("v", FLOAT)]), [{"v": 0.5, "more": 0.1}, None], [{"v": 0.1}]),
    "list of structs": (pa.list_(pa.struct([("v", FLOAT)])), [[{"v": 0.5}]], [[{"v": 0.1}]]),
}


def batch_of(values: list[Any]) -> pa.RecordBatch:
    """As records are written: numbers of 64 bits, and a column that the table lacks."""
    return pa.RecordBatch.from_pydict({"v": values, "late": [0.1] * len(values)})


@pytest.mark.parametrize(("kind", "kept", "rounded"), NARROW.values(), ids=NARROW)
def test_numbers_that_a_narrow_column_holds_pass_and_others_do_not(
    kind: pa.DataType, kept: list[Any], rounded: list[Any]
) -> None:
    table = pa.schema([("v", kind), ("id", pa.int64())])
    batch = batch_of(kept)
    exact = ExactBatches(iter([batch, batch_of(rounded)]), batch.schema, table, "lake")
    found = iter(exact)
    assert next(found) is batch
    with pytest.raises(
        DestinationError, match="Column 'v' of the table has small numbers"
    ) as error:
        next(found)
    assert exact.refused is error.value


@pytest.mark.parametrize("kind", [pa.float64(), pa.list_(pa.float64()), pa.string(), pa.int64()])
def test_a_column_of_another_type_takes_any_number(kind: pa.DataType) -> None:
    batch = batch_of([0.1])
    table = pa.schema([("v", kind)])
    assert list(ExactBatches(iter([batch]), batch.schema, table, "lake")) == [batch]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 2], ("k", 1, 3)),
        (["b", "a"], ("k", "a", "b")),
        ([True, False], None),
        ([0.5, 1.5], None),
    ],
)
def test_only_numbers_and_texts_leave_out_files(
    values: list[Any], expected: tuple[str, Any, Any] | None
) -> None:
    rows = Replacement(pa.table({"k": values}), ["k"], None)
    assert rows.range() == expected


def test_texts_without_a_form_are_in_their_own_order() -> None:
    order = RowOrder("v", None, "lake")
    texts = pa.array(["b", "a", None])
    assert order.rank(texts) is texts
    assert order.rank(texts) is texts


@pytest.mark.parametrize("form", ["epoch", "%d/%m/%Y", "integer"])
def test_texts_of_another_form_cannot_be_compared(form: str) -> None:
    with pytest.raises(DestinationError, match="cannot be compared"):
        RowOrder("v", form, "lake").rank(pa.array(["[1]", "x"]))


def test_a_schema_that_changes_begins_another_stream_and_nothing_is_written_twice() -> None:
    spool = TableSpool()
    rows = [{"id": 1}, {"id": 2, "t": "x"}, {"id": 3, "t": None}]
    for row in rows:
        spool.write([msgspec.Raw(msgspec.json.encode(row))])
        spool.finish()
    for _ in range(2):
        found = [row for batch in spool.read_batches(spool.schema) for row in batch.to_pylist()]
        assert found == [{"id": 1, "t": None}, *rows[1:]]
    spool.close()
    spool.close()  # never raises


@pytest.mark.parametrize(
    ("path", "name"),
    [("id", "id"), ('"zip code"', "zip code"), ('"a"."b"', None), ("a.b", None), ('"', None)],
)
def test_a_path_that_names_one_column(path: str, name: str | None) -> None:
    assert plain_column(path) == name


def test_a_place_is_read_back_and_another_text_is_one_clear_error() -> None:
    place = RowsPlace("s3://lake/contacts", "d", "contacts", "r&1", 3, "7")
    assert read_place(str(place)) == place
    for text in ("s3://lake/contacts", f"{place}&map_index=x"):
        with pytest.raises(DestinationError, match="names no rows of a table"):
            read_place(text)
