"""Missing lists and maps of objects in an Iceberg table: PyIceberg's projection takes them for empty ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

import pyarrow as pa
import pyarrow.parquet as pq

from oauth_taskflow.destinations.base import EndpointFacts
from tests.tables.kinds import KINDS, connect, open_iceberg, put

ICEBERG = next(kind for kind in KINDS if kind.name == "iceberg")
FACTS = EndpointFacts(("id",))
RECORDS: list[dict[str, Any]] = [
    {"id": 1, "lines": [{"sku": "a"}], "order": {"lines": [{"sku": "b"}]}},
    {"id": 2, "lines": [], "order": {"lines": []}},
    {"id": 3, "lines": None, "order": {"lines": None}},
    {"id": 4, "lines": [{"sku": "c"}, {"sku": None}], "order": None},
]


def read_files(folder: Path, *columns: str) -> list[dict[str, Any]]:
    """The rows of the newest snapshot, read from its files without PyIceberg."""
    paths = open_iceberg(folder).inspect.files()["file_path"].to_pylist()
    rows = [
        row for path in paths for row in pq.read_table(path.removeprefix("file://")).to_pylist()
    ]
    found = [{name: row.get(name) for name in columns} for row in rows]
    return sorted(found, key=lambda row: int(row["id"]))


def test_a_merge_keeps_missing_lists_of_objects_in_the_other_rows(tmp_path: Path) -> None:
    put(ICEBERG, tmp_path, RECORDS, "r1", mode="merge", facts=FACTS)
    put(ICEBERG, tmp_path, [{**RECORDS[0], "lines": []}], "r2", mode="merge", facts=FACTS)
    expected = [{**RECORDS[0], "lines": []}, *RECORDS[1:]]
    assert read_files(tmp_path, "id", "lines", "order") == expected


def test_missing_lists_of_objects_are_read_back_as_missing(tmp_path: Path) -> None:
    (part,) = put(ICEBERG, tmp_path, RECORDS).parts
    found = connect(ICEBERG, tmp_path).read(part.path, 1, 3, selector=part.selector)
    assert list(found) == RECORDS[1:]


def test_a_merge_keeps_missing_maps_of_another_tool(tmp_path: Path) -> None:
    put(ICEBERG, tmp_path, [{"id": 1}], "r1", mode="merge", facts=FACTS)
    sizes = pa.map_(pa.string(), pa.struct([("cm", pa.int64())]))
    table = open_iceberg(tmp_path)
    with table.update_schema() as update:
        update.union_by_name(pa.schema([("sizes", sizes)]))
    rows = [{"id": 2, "sizes": None}, {"id": 3, "sizes": [("s", {"cm": 5})]}, {"id": 4}]
    table.append(pa.Table.from_pylist(rows, pa.schema([("id", pa.int64()), ("sizes", sizes)])))
    put(ICEBERG, tmp_path, [{"id": 4, "name": "x"}], "r2", mode="merge", facts=FACTS)
    found = [row["sizes"] for row in read_files(tmp_path, "id", "sizes")]
    assert found == [None, None, [("s", {"cm": 5})], None]
