"""Columns of an Iceberg table that a person renames or drops between two runs, which write their old names again."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyiceberg")

import pyarrow.parquet as pq

from oauth_taskflow.destinations.base import EndpointFacts
from tests.tables.kinds import KINDS, open_iceberg, put, read_rows

ICEBERG = next(kind for kind in KINDS if kind.name == "iceberg")
FIRST = {"id": 1, "phone": "1", "owner": {"name": "ann", "tags": [{"key": "k"}]}}
SECOND = {"id": 2, "phone": "2"}


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
def test_a_renamed_column_keeps_its_values(tmp_path: Path, mode: str) -> None:
    facts = EndpointFacts(("id",))
    put(ICEBERG, tmp_path, [FIRST, {"id": 3}], "r1", mode=mode, facts=facts)
    with open_iceberg(tmp_path).update_schema() as update:
        update.rename_column("phone", "mobile")
    put(ICEBERG, tmp_path, [SECOND], "r2", mode=mode, facts=facts)
    put(ICEBERG, tmp_path, [{"id": 3}], "r3", mode=mode, facts=facts)
    rows = read_rows(ICEBERG, tmp_path, "id", "mobile", "phone")
    assert set(rows) == {(1, "1", None), (2, None, "2"), (3, None, None)}


def test_a_dropped_column_does_not_come_back_with_its_values(tmp_path: Path) -> None:
    put(ICEBERG, tmp_path, [FIRST], "r1")
    with open_iceberg(tmp_path).update_schema() as update:
        update.delete_column("phone")
    put(ICEBERG, tmp_path, [SECOND], "r2")
    assert read_rows(ICEBERG, tmp_path, "id", "phone") == [(1, None), (2, "2")]


def test_every_field_of_a_data_file_has_the_id_of_the_table(tmp_path: Path) -> None:
    put(ICEBERG, tmp_path, [FIRST], "r1")
    table = open_iceberg(tmp_path)
    (path,) = table.inspect.files()["file_path"].to_pylist()
    written = pq.read_schema(path.removeprefix("file://"))
    owner = written.field("owner")
    tags = owner.type.field("tags")
    found = {
        "phone": written.field("phone"),
        "owner": owner,
        "owner.tags": tags,
        "owner.tags.element": tags.type.value_field,
        "owner.tags.element.key": tags.type.value_field.type.field("key"),
    }
    ids = {name: int(field.metadata[b"PARQUET:field_id"]) for name, field in found.items()}
    assert ids == {name: table.schema().find_field(name).field_id for name in found}
