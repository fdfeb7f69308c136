"""Parquet and Arrow files of many partitions: memory is bounded, and each partition is still one file."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations import partitioned_writer
from oauth_taskflow.destinations.arrow.table_files import TableFileWriter
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import FieldPartition
from oauth_taskflow.destinations.transfer import transfer
from tests.destinations.arrow.wider_run import RUN, TABLES

_ROWS = [{"k": f"k{n % 10}", "n": n if n < 1500 else n + 0.5, "t": "x" * 50} for n in range(2000)]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets little wait; one number for each group that was ended early."""
    found: list[int] = []
    real = TableFileWriter.end_group

    def end_group(self: TableFileWriter) -> None:
        real(self)
        found.append(len(found))

    monkeypatch.setattr(partitioned_writer, "HELD_BYTES", 4_000)
    monkeypatch.setattr(partitioned_writer, "GATHERED_BYTES", 20_000)
    monkeypatch.setattr(TableFileWriter, "end_group", end_group)
    return found


def write(folder: Path, name: str) -> list[Path]:
    lines = [msgspec.Raw(json.dumps(row).encode()) for row in _ROWS]
    pages = [Page(lines[at : at + 100], 1, "", 0) for at in range(0, len(lines), 100)]
    destination = PartitionedDestination(folder, name, levels=[FieldPartition(field="k")])
    return [folder / file for file in transfer(pages, destination, RUN).files]


@pytest.mark.parametrize("name", TABLES)
def test_groups_end_before_all_partitions_fill_the_memory(
    tmp_path: Path, ended: list[int], name: str
) -> None:
    files = write(tmp_path, name)
    # 140 kB of JSON, of which 20 kB may wait.
    assert len(ended) > 10
    table = pyarrow.dataset.dataset(files, format=name).to_table()
    assert sorted(table.to_pylist(), key=lambda row: row["n"]) == _ROWS
    assert {path.parent.name for path in files} == {f"k=k{n}" for n in range(10)}


def test_a_partition_without_a_change_of_schema_is_one_file(
    tmp_path: Path, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}._ROWS", [{**row, "n": 1} for row in _ROWS])
    files = write(tmp_path, "parquet")
    assert len(files) == 10
    groups = sum(pq.ParquetFile(file).num_row_groups for file in files)
    assert groups >= len(ended) > 10
