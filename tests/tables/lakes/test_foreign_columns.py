"""An Iceberg table that another tool made has types that records do not have, or decimals with fewer digits."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

pytest.importorskip(
    "pyiceberg", reason="lakes are tested in .venv-services (scripts/test-services)"
)

from deltalake import DeltaTable

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.tables.kinds import (
    KINDS,
    TECHNICAL,
    connect,
    open_catalog,
    open_iceberg,
    put,
    read_rows,
)

ICEBERG = next(kind for kind in KINDS if kind.name == "iceberg")
DELTA = next(kind for kind in KINDS if kind.name == "delta")


def declare(kind: FieldType) -> EndpointFacts:
    """Facts of an endpoint whose field ``v`` has this type."""
    return EndpointFacts(primary_key=("id",), declared=RecordSchema({"v": kind}))


def decimals(precision: int, scale: int = 2) -> EndpointFacts:
    """The same for decimals."""
    return declare(FieldType("fixed", precision=precision, scale=scale))


def create_table(folder: Path, foreign: pa.DataType, *, nullable: bool = True) -> None:
    (folder / "lake").mkdir()
    catalog = open_catalog(folder)
    catalog.create_namespace("crm")
    own = [pa.field(name, pa.string()) for name in TECHNICAL[:3]]
    columns = [*own, pa.field(TECHNICAL[3], pa.int64()), pa.field("id", pa.int64())]
    catalog.create_table("crm.contacts", pa.schema([*columns, pa.field("v", foreign, nullable)]))


@pytest.mark.parametrize(
    ("foreign", "kind", "value", "change"),
    [
        (pa.timestamp("us"), "timestamp", "2026-01-02T03:04:05Z", "timestamp -> timestamptz"),
        (pa.time64("us"), "text", "03:04:05", "time -> string"),
    ],
)
def test_a_type_that_records_do_not_have_is_named_and_nothing_is_written(
    tmp_path: Path, foreign: pa.DataType, kind: Any, value: str, change: str
) -> None:
    create_table(tmp_path, foreign)
    # Records without the field are not kept out by it, whatever the mode.
    put(ICEBERG, tmp_path, [{"id": 0}], "r0", facts=EndpointFacts(("id",)), mode="merge")
    put(ICEBERG, tmp_path, [], "r0", facts=EndpointFacts(("id",)))
    put(ICEBERG, tmp_path, [{"id": 1}], "r1")
    before = sorted((tmp_path / "lake").rglob("*.parquet"))
    with pytest.raises(DestinationError) as error:
        put(ICEBERG, tmp_path, [{"id": 2, "v": value}], "r2", facts=declare(FieldType(kind)))
    assert f"(Cannot change column type: v: {change}); nothing was written at file://" in str(
        error.value
    )
    assert "Make it a column of the type behind the arrow" in str(error.value)
    assert read_rows(ICEBERG, tmp_path, "id") == [(1,)]
    assert sorted((tmp_path / "lake").rglob("*.parquet")) == before


def test_a_column_that_must_have_a_value_may_be_null_from_the_first_record_without_one(
    tmp_path: Path,
) -> None:
    create_table(tmp_path, pa.int64(), nullable=False)
    put(ICEBERG, tmp_path, [{"id": 1, "v": 2}], "r1")
    put(ICEBERG, tmp_path, [{"id": 2}], "r2")
    assert read_rows(ICEBERG, tmp_path, "id", "v") == [(1, 2), (2, None)]
    assert not open_iceberg(tmp_path).schema().find_field("v").required


@pytest.mark.parametrize("mode", ["append", "replace_run", "merge"])
def test_a_column_of_decimals_of_iceberg_gets_more_digits_before_the_point(
    tmp_path: Path, mode: str
) -> None:
    records = [{"id": number, "v": 999.99} for number in range(3)]
    put(ICEBERG, tmp_path, records, "r1", facts=decimals(5), mode=mode)
    part = put(
        ICEBERG, tmp_path, [{"id": 1, "v": 12345.67}], "r2", facts=decimals(7), mode=mode
    ).parts[0]
    # Fewer digits than the table has: they fit.
    put(ICEBERG, tmp_path, [{"id": 2, "v": 0.01}], "r3", facts=decimals(5), mode=mode)
    small, big, last = (Decimal(text) for text in ("999.99", "12345.67", "0.01"))
    merged = [(0, small), (1, big), (2, last)]
    added = sorted([*((number, small) for number in range(3)), (1, big), (2, last)], key=repr)
    assert read_rows(ICEBERG, tmp_path, "id", "v") == (merged if mode == "merge" else added)
    found = connect(ICEBERG, tmp_path, "r2", decimals(7), mode=mode).read(
        part.path, 0, 1, selector=part.selector
    )
    assert [str(row["v"]) for row in found] == ["12345.67"]


def test_decimals_within_lists_and_objects_get_more_digits_too(tmp_path: Path) -> None:
    def facts(precision: int) -> EndpointFacts:
        price = FieldType("fixed", precision=precision, scale=2)
        return declare(FieldType("list", item=FieldType("object", fields={"price": price})))

    for run, precision, price in (("r1", 5, "1.10"), ("r2", 9, "1234567.89")):
        record = msgspec.Raw(f'{{"id": 1, "v": [{{"price": {price}}}]}}'.encode())
        put(ICEBERG, tmp_path, [record], run, facts=facts(precision))
    assert read_rows(ICEBERG, tmp_path, "v") == [
        ([{"price": Decimal("1.10")}],),
        ([{"price": Decimal("1234567.89")}],),
    ]


@pytest.mark.parametrize(("kind", "precision", "scale"), [(DELTA, 7, 2), (ICEBERG, 8, 3)])
def test_digits_that_a_column_cannot_get_fail_and_say_what_to_do(
    tmp_path: Path, kind: Any, precision: int, scale: int
) -> None:
    put(kind, tmp_path, [{"id": 1, "v": 1.25}], "r1", facts=decimals(5))
    with pytest.raises(DestinationError) as error:
        put(kind, tmp_path, [{"id": 2, "v": 1.25}], "r2", facts=decimals(precision, scale))
    assert (
        f"holds decimal(5, 2), and the records of this run need decimal({precision}, {scale})"
        in (str(error.value))
    )
    assert "Declare the field as decimal(5, 2) in the schema of the contract" in str(error.value)
    assert read_rows(kind, tmp_path, "id") == [(1,)]


def test_a_table_that_only_takes_more_rows_is_not_tried_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(DELTA, tmp_path, [{"id": 1}], "r1")
    table = DeltaTable(str(tmp_path / "contacts"))
    table.alter.set_table_properties({"delta.appendOnly": "true"})
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(DestinationError, match=r"^The table refuses the commit .*append-only"):
        put(DELTA, tmp_path, [{"id": 2}], "r2")
    assert len(waits) == 1
    assert read_rows(DELTA, tmp_path, "id") == [(1,)]


def test_a_partitioned_iceberg_table_takes_runs_that_are_in_one_partition(tmp_path: Path) -> None:
    create_table(tmp_path, pa.int64())
    with open_iceberg(tmp_path).update_spec() as update:
        update.add_identity("v")
    put(ICEBERG, tmp_path, [{"id": 1, "v": 1}, {"id": 2, "v": 1}], "r1")
    with pytest.raises(DestinationError, match="belongs into several partitions"):
        put(ICEBERG, tmp_path, [{"id": 3, "v": 1}, {"id": 4, "v": 2}], "r2")
    assert read_rows(ICEBERG, tmp_path, "id", "v") == [(1, 1), (2, 1)]
