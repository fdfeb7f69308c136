"""Records become tables without a loss, whatever the size of blocks."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.destinations.arrow import json_reader
from oauth_taskflow.destinations.arrow.converter import TableBuilder
from oauth_taskflow.destinations.arrow.reading import read_records
from oauth_taskflow.destinations.arrow.types import to_arrow_schema, to_record_schema
from oauth_taskflow.destinations.arrow.widening import widen_table
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.destinations.arrow.json_values import RECORDS, normalise, read_plainly


def convert(
    lines: list[str], rows: int, declared: RecordSchema | None = None
) -> tuple[RecordSchema, list[pa.Table]]:
    """The final schema, and the tables as they were made, of blocks with ``rows`` records."""
    builder = TableBuilder(declared, block_rows=rows)
    tables = [table for line in lines for table in builder.add([msgspec.Raw(line.encode())])]
    tables += builder.finish()
    return builder.schema, tables


def rows_of(lines: list[str], rows: int = 100, declared: RecordSchema | None = None) -> list[Any]:
    """The records read back from tables that were brought to the final schema."""
    schema, tables = convert(lines, rows, declared)
    widened = [widen_table(table, schema) for table in tables]
    assert all(table.schema.equals(to_arrow_schema(schema)) for table in widened)
    for table in widened:
        table.validate(full=True)
    return [record for table in widened for record in read_records(table)]


def kinds_of(lines: list[str], rows: int = 100, declared: RecordSchema | None = None) -> Any:
    return {name: kind.kind for name, kind in convert(lines, rows, declared)[0].fields.items()}


def unordered(found: FieldType) -> object:
    fields = {name: unordered(found.fields[name]) for name in sorted(found.fields)}
    item = None if found.item is None else unordered(found.item)
    return (found.kind, found.nullable, found.wide, item, fields)


@given(RECORDS, st.integers(1, 8))
def test_a_table_says_what_the_records_say_whatever_the_size_of_blocks(
    lines: list[str], rows: int
) -> None:
    assert [normalise(record) for record in rows_of(lines, rows)] == read_plainly(lines)


@given(RECORDS, st.integers(1, 8))
def test_the_schema_at_the_end_does_not_depend_on_the_size_of_blocks(
    lines: list[str], rows: int
) -> None:
    one, many = convert(lines, 100)[0], convert(lines, rows)[0]
    assert one.fields.keys() == many.fields.keys()
    for name, kind in one.fields.items():
        assert unordered(kind) == unordered(many.fields[name]), name


@pytest.mark.slow
@given(RECORDS, st.integers(1, 8))
def test_parquet_takes_every_table_and_gives_it_back(lines: list[str], rows: int) -> None:
    schema, tables = convert(lines, rows)
    if not schema.fields:
        return
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, to_arrow_schema(schema)) as writer:
        for table in tables:
            writer.write_table(widen_table(table, schema))
    found = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert [normalise(record) for record in read_records(found)] == read_plainly(lines)
    assert to_arrow_schema(to_record_schema(found.schema)).equals(to_arrow_schema(schema))


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (['{"x":1}', '{"x":9007199254740993}'], "integer"),
        (['{"x":1.5}', '{"x":9007199254740993}'], "decimal"),
        (['{"x":1.5}', '{"x":9007199254740992}'], "number"),
        (['{"x":9223372036854775808}'], "decimal"),
        (['{"x":0.1234567890123456789}'], "decimal"),
        (['{"x":52.52000659999999}', '{"y":1234567890123456789}'], "number"),
        (['{"x":0.10000000000000001}'], "decimal"),
        (['{"x":1e400}'], "decimal"),
        (['{"x":1e-400}'], "decimal"),
        (['{"x":1.5}', '{"x":[1e-400,0]}'], "json"),
        (['{"x":[1.5,0.0]}', '{"x":[-1E-400]}'], "list"),
        (['{"x":0.0}', '{"x":0e-400}'], "number"),
        (['{"x":4e-324}'], "decimal"),
        (['{"x":1e22}', '{"x":1.10}', '{"x":-0}'], "number"),
        (['{"x":"2026-01-01"}', '{"x":"2026-01-01T00:00:00Z"}'], "text"),
        (['{"x":"2026-01-01"}', '{"x":"n/a"}'], "text"),
        (['{"x":1}', '{"x":"n/a"}'], "json"),
        (['{"x":true}', '{"x":1}'], "json"),
        (['{"x":{"a":1}}', '{"x":[1]}'], "json"),
        (['{"x":null}', "{}"], "null"),
        (['{"x":[]}', '{"x":[null,null]}'], "list"),
        (['{"x":{}}', '{"x":null}'], "object"),
        (['{"x":1,"x":2}', '{"x":{},"x":3}'], "integer"),
        (['{"x":{"a":1,"a":2}}'], "object"),
        (['{"x":"\\u0000\\ud83d"}'], "text"),
        ([f'{{"x":{{{",".join(f"{chr(34)}k{n}{chr(34)}:{n}" for n in range(201))}}}}}'], "json"),
        ([f'{{"x":{"[" * 17}1{"]" * 17}}}'], "list"),
        (['{"x":"' + "long" * 3_000_000 + '"}', '{"x":"a"}'], "text"),
    ],
)
def test_each_trap_of_json(lines: list[str], kind: str) -> None:
    for rows in (1, 2, 100):
        assert kinds_of(lines, rows)["x"] == kind
        found = [normalise(record) for record in rows_of(lines, rows)]
        assert found == read_plainly([line.replace("\\ud83d", "\\ufffd") for line in lines])


def test_a_column_of_mixed_types_is_json_text() -> None:
    schema, tables = convert(['{"x":1}', '{"x":"a"}', '{"x":{"k":null}}', '{"x":null}'], 4)
    (table,) = tables
    assert table.to_pylist() == [{"x": "1"}, {"x": '"a"'}, {"x": '{"k":null}'}, {"x": None}]
    assert schema.fields["x"] == FieldType("json", nullable=True)


def test_digits_are_kept_as_text_however_they_came_into_a_block() -> None:
    lines = ['{"x":1}', '{"x":1.50}', '{"x":9007199254740993}', '{"x":1e2}', '{"x":0.0}']
    for rows in (1, 2, 5):
        schema, tables = convert(lines, rows)
        found = [row["x"] for table in tables for row in widen_table(table, schema).to_pylist()]
        assert found == ["1", "1.5", "9007199254740993", "100", "0"]


DECLARED = RecordSchema(
    {
        "at": FieldType("timestamp", nullable=True),
        "day": FieldType("date", nullable=True),
        "sum": FieldType("decimal", nullable=True),
        "raw": FieldType("json", nullable=True),
    }
)


@pytest.mark.parametrize("rows", [1, 3])
def test_declared_timestamps_dates_and_decimals_are_read_from_texts(rows: int) -> None:
    lines = [
        '{"at":"2026-01-01T02:00:00.5+02:00","day":"2026-01-31","sum":"19.90","raw":[1.10]}',
        '{"at":"2026-01-01t00:00:00.123456789z","day":null,"sum":19.90}',
        "{}",
    ]
    schema, tables = convert(lines, rows, DECLARED)
    assert schema == DECLARED
    table = pa.concat_tables(tables)
    assert [str(field.type) for field in table.schema] == [
        "timestamp[us, tz=UTC]",
        "date32[day]",
        "string",
        "string",
    ]
    assert list(read_records(table)) == [
        {"at": "2026-01-01T00:00:00.500000Z", "day": "2026-01-31", "sum": 19.9, "raw": [1.1]},
        {"at": "2026-01-01T00:00:00.123456Z", "day": None, "sum": 19.9, "raw": None},
        {"at": None, "day": None, "sum": None, "raw": None},
    ]
    assert table.column("sum").to_pylist() == ["19.90", "19.9", None]


@pytest.mark.parametrize("rows", [1, 2])
def test_a_value_that_does_not_fit_its_declared_type_widens_the_column(rows: int) -> None:
    lines = [
        '{"at":"2026-01-01T00:00:00Z","day":"2026-01-01","sum":1}',
        '{"at":"soon","day":"2026-02-30","sum":"many"}',
    ]
    assert kinds_of(lines, rows, DECLARED) == {
        "at": "text",
        "day": "text",
        "sum": "json",
        "raw": "json",
    }
    assert rows_of(lines, rows, DECLARED)[0] == {
        "at": "2026-01-01T00:00:00Z",
        "day": "2026-01-01",
        "sum": 1,
        "raw": None,
    }


def test_python_values_and_undecoded_records_mix() -> None:
    builder = TableBuilder()
    assert list(builder.add([{"a": 1}, msgspec.Raw(b'{"a":2}')])) == []
    (table,) = builder.finish()
    assert table.to_pylist() == [{"a": 1}, {"a": 2}]
    assert list(builder.finish()) == []


def test_a_block_ends_by_bytes_too_and_a_large_page_fills_several() -> None:
    builder = TableBuilder(block_bytes=10_000)
    tables = list(builder.add([{"number": number} for number in range(5000)]))
    assert [table.num_rows for table in tables] == [1000] * 5
    assert list(builder.add([])) == list(builder.finish()) == []


@pytest.mark.parametrize("line", ["5", '"text"', "[1]", "null", '{"x":NaN}', '{"x":Infinity}'])
def test_what_has_no_columns_is_refused(line: str) -> None:
    with pytest.raises(InvalidRecord, match="A record has no columns"):
        convert(['{"x":1.5}', line], 2)


def test_records_without_fields_keep_their_number() -> None:
    _, tables = convert(["{}", "{}"], 2)
    assert tables[0].num_rows == 2
    assert list(read_records(tables[0])) == [{}, {}]


def test_a_table_of_others_is_read_by_its_arrow_types() -> None:
    table = pa.table({"a": pa.array([1], pa.int32()), "b": [[{"c": "x"}]], "d": [1.5]})
    kinds = to_record_schema(table.schema).fields
    assert [kinds[name].kind for name in "abd"] == ["integer", "list", "number"]
    assert list(read_records(table)) == [{"a": 1, "b": [{"c": "x"}], "d": 1.5}]


MONEY = RecordSchema({"total": FieldType("fixed", nullable=True, precision=22, scale=2)})
EXACT = ["1.10", "12345678901234567890.12", "-0.01", "7", "1e2", "null"]


@pytest.mark.parametrize("more", ["", ',"o":{"any":1.5},"j":1', ',"total":7'], ids=len)
def test_declared_decimals_keep_their_digits_and_type(more: str) -> None:
    lines = [f'{{"total":{value}{more if ":7" not in more else ""}}}' for value in EXACT]
    if ":7" in more:  # a name that comes twice is read the slow way
        lines[0] = '{"total":9,"total":1.10}'
    schema, tables = convert(lines, 100, MONEY)
    (table,) = tables
    assert table.schema.field("total").type == pa.decimal128(22, 2)
    assert to_record_schema(table.schema).fields["total"].kind == "fixed"
    found = [None if value is None else str(value) for value in table.column("total").to_pylist()]
    assert found == ["1.10", "12345678901234567890.12", "-0.01", "7.00", "100.00", None]
    assert [str(row["total"]) for row in read_records(table)][1] == "12345678901234567890.12"
    assert schema.fields["total"].precision == 22


@pytest.mark.parametrize("rows", [1, 100])
def test_decimals_that_do_not_fit_keep_their_digits_as_texts(rows: int) -> None:
    lines = [f'{{"total":{value}}}' for value in ("1.10", "1.105", "7")]
    assert kinds_of(lines, rows, MONEY) == {"total": "decimal"}
    schema, tables = convert(lines, rows, MONEY)
    widened = [widen_table(table, schema).column("total").to_pylist() for table in tables]
    assert [value for values in widened for value in values] == ["1.1", "1.105", "7"]


AT = '"2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("line", "late"),
    [
        (f'{{"at":{AT},"o":{{"at":{AT},"p":{{"n":1}}}}}}', '{"at":"soon"}'),
        ('{"n":1,"o":{"n":1}}', f'{{"o":{{"at":{AT}}}}}'),
        (f'{{"n":1,"at":{AT}}}', '{"n":"x"}'),
        ('{"n":1}\n{"n":"x"}', '{"n":2}'),
    ],
    ids=["dates", "none at first", "another type", "several types at first"],
)
def test_a_block_larger_than_the_sample_that_is_read_first(line: str, late: str) -> None:
    lines = f"{line}\n".join([""] * 9_000).splitlines() + [late] * 3
    assert sum(map(len, lines)) > json_reader._SAMPLE
    assert [normalise(one) for one in rows_of(lines, 100_000)] == read_plainly(lines)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_values_that_are_nested_hundreds_of_levels_deep_arrive(opening: str, closing: str) -> None:
    deep = opening * 450 + "[]" + closing * 450
    found = rows_of([f'{{"id": 1, "v": {deep}}}', '{"id": 2, "v": 1}'])
    assert [msgspec.json.encode(row) for row in found] == [
        f'{{"id":1,"v":{deep}}}'.encode(),
        b'{"id":2,"v":1}',
    ]


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        ("date", ["0001-01-01", "9999-12-31"], ["0000-12-31", "10000-01-01"]),
        (
            "timestamp",
            ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"],
            ["0000-06-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"],
        ),
    ],
)
def test_dates_that_python_does_not_have_stay_texts(
    kind: Any, inside: list[str], outside: list[str]
) -> None:
    declared = RecordSchema({"v": FieldType(kind)})
    within = [f'{{"v": "{text}"}}' for text in inside]
    assert kinds_of(within, declared=declared) == {"v": kind}
    assert [row["v"] for row in rows_of(within, declared=declared)] == inside
    for text in outside:
        lines = [f'{{"v": "{text}"}}', '{"v": "2026-01-01"}']
        assert kinds_of(lines, declared=declared) == {"v": "text"}
        assert [row["v"] for row in rows_of(lines, declared=declared)] == [text, "2026-01-01"]
