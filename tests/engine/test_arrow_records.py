"""Records of an endpoint as Arrow tables, straight from Parquet and Arrow files or by way of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import EndpointFacts, Run, StoreAccess
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.engine import output_records
from oauth_taskflow.engine.output_records import EndpointRecords
from oauth_taskflow.errors import ApiError, DestinationError
from oauth_taskflow.record_schema.json_schema import schema_to_json
from oauth_taskflow.record_schema.model import FieldType, RecordSchema

RUN = Run("contacts", "r")
WIDE = 2**53 + 1


def write(
    folder: Path, name: str, rows: Sequence[Any], declared: RecordSchema | None = None
) -> dict[str, Any]:
    """Writes a run, and returns its summary as XCom has it."""
    destination = FolderDestination(folder, name, facts=EndpointFacts(declared=declared))
    described = destination.describe(transfer([Page(list(rows), 1, "", 0)], destination, RUN))
    files = [
        {"path": part.path, "rows": part.rows, "bytes": part.bytes} for part in described.parts
    ]
    return {"files": files, "manifest": described.manifest}


def records_of(*summaries: dict[str, Any]) -> EndpointRecords:
    return EndpointRecords("contacts", summaries, StoreAccess(lambda path, _: Path(path)))


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a record that is read one by one fail."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a record was decoded")

    monkeypatch.setattr(FolderDestination, "read", refuse)


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_tables_come_straight_from_files(tmp_path: Path, name: str) -> None:
    rows = [{"id": 1, "o": {"k": [1]}}, {"id": 2, "o": None}]
    found = records_of(write(tmp_path, name, rows))
    assert found.arrow().to_pylist() == rows
    assert [batch.num_rows for batch in found.arrow_batches()] == [2]


@pytest.mark.parametrize("names", [("parquet", "arrow"), ("jsonl", "parquet"), ("arrow", "jsonl")])
def test_runs_of_several_formats_are_one_table(tmp_path: Path, names: tuple[str, str]) -> None:
    first = write(tmp_path / "1", names[0], [{"id": WIDE, "n": 1}])
    second = write(tmp_path / "2", names[1], [{"id": 2, "n": 0.5, "late": "x"}, {"id": 3}])
    found = records_of(first, second).arrow()
    assert found.to_pylist() == [
        {"id": WIDE, "n": 1.0, "late": None},
        {"id": 2, "n": 0.5, "late": "x"},
        {"id": 3, "n": None, "late": None},
    ]
    batches = list(records_of(first, second).arrow_batches())
    assert [batch.num_rows for batch in batches] == [1, 2]
    assert batches[1].schema.names == ["id", "n", "late"]


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_no_digit_is_lost_where_runs_have_other_types(tmp_path: Path, name: str) -> None:
    found = records_of(
        write(tmp_path / "1", name, [{"v": WIDE}]), write(tmp_path / "2", name, [{"v": 0.5}])
    )
    assert found.arrow().column("v").to_pylist() == [str(WIDE), "0.5"]


def test_declared_types_of_a_file_stay(tmp_path: Path) -> None:
    declared = RecordSchema({"at": FieldType("timestamp"), "id": FieldType("integer")})
    summary = write(tmp_path, "parquet", [{"at": "2026-01-01T00:00:00Z", "id": 1}], declared)
    found = records_of(summary).arrow()
    assert str(found.schema.field("at").type) == "timestamp[us, tz=UTC]"


def test_a_file_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    summary = write(tmp_path, "parquet", [{"id": 1}])
    Path(summary["files"][0]["path"]).unlink()
    with pytest.raises(ApiError, match="are gone"):
        records_of(summary).arrow()


def test_outputs_with_a_contract_begin_with_the_schema_of_all_of_them(tmp_path: Path) -> None:
    schemas = (
        RecordSchema({"id": FieldType("integer"), "day": FieldType("date", nullable=True)}),
        RecordSchema({"id": FieldType("number"), "none": FieldType("text", nullable=True)}),
    )
    first, second = (
        {**write(tmp_path / str(number), "jsonl", [{"id": number}]), "schema": schema_to_json(one)}
        for number, one in enumerate(schemas)
    )
    found = records_of(first, second).arrow()
    assert found.schema.names == ["id", "day", "none"]
    assert [str(field.type) for field in found.schema] == ["double", "date32[day]", "string"]
    assert found.column("id").to_pylist() == [0.0, 1.0]


def test_records_of_csv_are_texts_whatever_the_schema_says(tmp_path: Path) -> None:
    declared = RecordSchema({"id": FieldType("integer"), "v": FieldType("json", nullable=True)})
    summary = write(tmp_path, "csv", [{"id": 1, "v": "a"}, {"id": 2, "v": None}], declared)
    found = records_of({**summary, "schema": schema_to_json(declared)})
    assert (
        list(found) == found.arrow().to_pylist() == [{"id": "1", "v": "a"}, {"id": "2", "v": None}]
    )


def test_an_endpoint_without_an_output_has_no_records() -> None:
    found = records_of()
    assert (len(found), list(found), found.manifests) == (0, [], [])
    assert found.arrow().num_rows == 0
    assert list(found.arrow_batches()) == []


def test_arrow_names_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_records, "is_installed", lambda _: False)
    monkeypatch.setattr(output_records, "describe_missing", lambda _: ("pyarrow", "Install it."))
    found = records_of(write(tmp_path, "jsonl", [{"id": 1}]))
    assert list(found) == [{"id": 1}]
    for read in (found.arrow, lambda: list(found.arrow_batches())):
        with pytest.raises(DestinationError, match="Arrow tables need a library: pyarrow"):
            read()


def test_no_records_are_an_empty_table(tmp_path: Path) -> None:
    assert records_of(write(tmp_path, "parquet", [])).arrow().num_rows == 0
