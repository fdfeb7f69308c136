"""Values and names in a warehouse: exactly as they were, and read back so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run, StoreAccess
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.destinations.contract import open_local, render
from tests.support.lanes import gate_and_full
from tests.tables.kinds import Kind, connect, put, read_rows, summary_of
from tests.tables.warehouses.support import TABLES, ask, tables_of

pytest.importorskip("dlt")
from oauth_taskflow.destinations.tables.dlt import _plain

OWN = "oauth_taskflow_5"  # as our own columns begin


def test_a_commit_leaves_no_staging_table_and_no_note_of_dlt(kind: Kind, tmp_path: Path) -> None:
    for run in ("r1", "r2", "r1"):
        put(kind, tmp_path, [{"id": 1}], run)
    assert tables_of(kind, tmp_path) == TABLES
    for table in ("_dlt_loads", "_dlt_version"):
        assert ask(kind, tmp_path, f"SELECT COUNT(*) FROM {{}}.{table}") == [(0,)]


def test_values_arrive_exactly(kind: Kind, tmp_path: Path) -> None:
    record = {
        "id": 1,
        "empty": "",
        "none": None,
        "quoted": 'a "b", c;\n\\N \\x NULL',
        "unicode": "äß\u2028😀",
        "large": 9007199254740993,
        "huge": 2**80,
        "number": 0.1,
        "yes": True,
        "object": {"n": None, "z": 1, "a": [1, {"b": ""}]},
        "list": ["", None, "x"],
    }
    part = put(kind, tmp_path, [record, {"id": 2, "none": "x", "object": None}]).parts[0]
    found = list(connect(kind, tmp_path).read(part.path, 0, 2, selector=part.selector))
    assert found[0] == record
    assert found[1] == {**dict.fromkeys(record), "id": 2, "none": "x"}
    assert read_rows(kind, tmp_path, "empty", "large", "huge")[0] == (
        "",
        9007199254740993,
        str(2**80),
    )


def test_declared_types_become_columns(kind: Kind, tmp_path: Path) -> None:
    declared = RecordSchema(
        {
            "id": FieldType("integer"),
            "at": FieldType("timestamp", nullable=True),
            "day": FieldType("date", nullable=True),
            "price": FieldType("decimal", nullable=True),
            "owner": FieldType("object", nullable=True, fields={"id": FieldType("integer")}),
        }
    )
    records = [
        {"id": 1, "at": "2026-01-02T03:04:05.678901Z", "day": "2026-01-02", "price": 1.10},
        {"id": 2, "owner": {"id": 5, "more": "x"}},
    ]
    facts = EndpointFacts(declared=declared)
    part = put(kind, tmp_path, records, facts=facts).parts[0]
    found = list(connect(kind, tmp_path).read(part.path, 0, 2, selector=part.selector))
    assert (found[0]["at"], found[0]["day"]) == ("2026-01-02T03:04:05.678901Z", "2026-01-02")
    assert found[1]["owner"] == {"id": 5, "more": "x"}
    types = {
        type(value).__name__ for row in read_rows(kind, tmp_path, "at", "day") for value in row
    }
    assert types == {"datetime", "date", "NoneType"}


def test_names_are_made_for_the_warehouse_and_read_back_as_they_were(
    kind: Kind, tmp_path: Path
) -> None:
    records = [{"Id": 1, "firstName": "a", "zip code": "b", "select": "c", "x" * 100: "d"}]
    part = put(kind, tmp_path, records).parts[0]
    assert read_rows(kind, tmp_path, "id", "first_name", "zip_code", "select") == [
        (1, "a", "b", "c")
    ]
    reader = type(kind.options(tmp_path)).connect_for_reading(None, StoreAccess(open_local))
    assert list(reader.read(part.path, 0, 1, selector=part.selector)) == records


def test_two_fields_of_one_column_are_refused(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(
        DestinationError, match="'firstName' and 'first_name' would have one column"
    ):
        put(kind, tmp_path, [{"firstName": 1, "first_name": 2}])
    assert tables_of(kind, tmp_path) == []


def test_values_that_a_driver_has_decoded_are_json_and_digits_again() -> None:
    assert _plain({"a": [1]}, "json") == '{"a":[1]}'
    assert _plain(Decimal("1.10"), "decimal") == "1.10"
    assert [_plain(value, "json") for value in ('{"a":1}', None)] == ['{"a":1}', None]


def test_records_without_fields_are_counted(duckdb: Kind, tmp_path: Path) -> None:
    part = put(duckdb, tmp_path, [{}, {}]).parts[0]
    destination = connect(duckdb, tmp_path)
    for skip, rows in ((0, 2), (1, 1), (2, 0), (9, 0)):
        found = list(destination.read(part.path, skip, 5, selector=part.selector))
        assert found == [{}] * rows


def test_a_field_never_lands_in_the_column_of_another_one(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"firstName": "a"}], "r1")
    with pytest.raises(DestinationError, match="would have one column"):
        put(kind, tmp_path, [{"first_name": 5}], "r2")
    put(kind, tmp_path, [{"firstName": "b"}], "r2")
    assert read_rows(kind, tmp_path, "first_name") == [("a",), ("b",)]


@pytest.mark.parametrize(
    "name", gate_and_full(["a__b", "Ünï 1", "x" * 80], ["order", "_x", "1st", OWN])
)
def test_hostile_names_of_tables_and_fields(kind: Kind, tmp_path: Path, name: str) -> None:
    options = kind.options(tmp_path)
    options = msgspec.structs.replace(options, table=name)
    access = StoreAccess(open_local)
    destination = options.connect(options.locate(render, "r1"), access)
    for _ in range(2):
        writer = destination.open(Run("contacts", "r1"))
        writer.write([{name: 1, "other": name}])
        part = destination.describe(writer.commit(summary_of(1))).parts[0]
    found = list(destination.read(part.path, 0, 5, selector=part.selector))
    assert found == [{name: 1, "other": name}]


def test_the_naming_of_dlt_can_be_chosen(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"firstName": 1}], naming="direct", column_prefix="_")
    assert read_rows(kind, tmp_path, "firstName") == [(1,)]


def test_records_are_read_in_the_order_of_the_pull(kind: Kind, tmp_path: Path) -> None:
    records = [{"id": (number * 7919) % 1000} for number in range(1000)]
    for mode in ("replace_run", "merge"):
        facts = EndpointFacts(("id",))
        part = put(kind, tmp_path, records, f"r-{mode}", facts=facts, mode=mode).parts[0]
        destination = connect(kind, tmp_path, f"r-{mode}")
        found = list(destination.read(part.path, 3, 500, selector=part.selector))
        assert found == records[3:503]


def test_a_merge_takes_the_newest_of_a_key_and_refuses_records_without_one(
    kind: Kind, tmp_path: Path
) -> None:
    facts = EndpointFacts(("id",), "at")
    records = [{"id": 1, "at": 2}, {"id": 1, "at": 3}, {"id": 1, "at": None}, {"id": 1, "at": 1}]
    put(kind, tmp_path, records, "r1", facts=facts, mode="merge")
    assert read_rows(kind, tmp_path, "id", "at") == [(1, 3)]
    with pytest.raises(DestinationError, match="1 of 2 records have no 'id'"):
        put(kind, tmp_path, [{"id": None, "at": 5}, {"id": 2}], "r2", facts=facts, mode="merge")
    with pytest.raises(DestinationError, match="No record has 'id'"):
        put(kind, tmp_path, [{"at": 5}], "r2", facts=facts, mode="merge")
    assert read_rows(kind, tmp_path, "id", "at") == [(1, 3)]
    assert tables_of(kind, tmp_path) == TABLES


def test_a_large_record_arrives(kind: Kind, tmp_path: Path) -> None:
    record = {"id": 1, "text": "ü" * 5_000_000, "json": {"k": "x" * 1_000_000}}
    part = put(kind, tmp_path, [record]).parts[0]
    (found,) = connect(kind, tmp_path).read(part.path, 0, 1, selector=part.selector)
    assert found == record


def test_nul_is_kept_or_one_clear_error(kind: Kind, tmp_path: Path) -> None:
    for number, value in enumerate(("a\x00b", {"k": "a\x00b"})):
        run = f"r{number}"
        if kind.name == "dlt-duckdb":
            part = put(kind, tmp_path, [{"id": 1, f"v{number}": value}], run).parts[0]
            found = list(connect(kind, tmp_path, run).read(part.path, 0, 1, selector=part.selector))
            assert found == [{"id": 1, f"v{number}": value}]
        else:
            with pytest.raises(DestinationError, match="Remove the NUL characters"):
                put(kind, tmp_path, [{"id": 1, f"v{number}": value}], run)
            assert read_rows(kind, tmp_path, "id") == []
            assert tables_of(kind, tmp_path) == TABLES


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("FLOAT", 0.1, r"Column 'v' of the table holds text.*such as FLOAT of DuckDB"),
        ("INTEGER", 2**40, "out of range.*Give the column a type that holds the value"),
    ],
)
def test_a_column_of_somebody_else_that_cannot_hold_a_value_says_what_to_do(
    duckdb: Kind, tmp_path: Path, column: str, value: float, error: str
) -> None:
    put(duckdb, tmp_path, [{"id": 1}], "r0")
    ask(duckdb, tmp_path, f"ALTER TABLE {{}}.contacts ADD COLUMN v {column}")
    with pytest.raises(DestinationError, match=error):
        put(duckdb, tmp_path, [{"id": 2, "v": value}])
    assert read_rows(duckdb, tmp_path, "id") == [(1,)]
