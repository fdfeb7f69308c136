"""Parquet and Arrow files of one run: one schema, every row, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.arrow import converter, table_files
from oauth_taskflow.destinations.base import EndpointFacts, Output, Run, StoreAccess
from oauth_taskflow.destinations.files import FileDestination, FolderDestination
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError, InvalidRecord
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.destinations.arrow.json_values import RECORDS, normalise, read_plainly
from tests.destinations.attempts import summary

RUN = Run("contacts", "manual__1")
TABLES = ("parquet", "arrow")


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """One record a block, two a row group."""
    monkeypatch.setattr(converter, "BLOCK_ROWS", 1)
    monkeypatch.setattr(
        converter.TableBuilder.__init__,
        "__kwdefaults__",
        {"block_bytes": 1, "block_rows": 1, "nested": True},
    )
    monkeypatch.setattr(converter, "_SLICE", 1)
    monkeypatch.setattr(table_files, "GROUP_ROWS", 2)


def raw(lines: Sequence[str]) -> list[Any]:
    return [msgspec.Raw(line.encode()) for line in lines]


def write(folder: Path, name: str, pages: Sequence[Sequence[str]], **options: Any) -> Output:
    destination = FolderDestination(folder, name, **options)
    return transfer([Page(raw(lines), 1, "", 0) for lines in pages], destination, RUN)


def read_back(folder: Path, output: Output) -> list[Any]:
    destination = FolderDestination(folder)
    parts = destination.describe(output).parts
    return [row for part in parts for row in destination.read(part.path, 0, part.rows)]


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "_manifest.json").read_text())
    return found


WIDER = [
    ['{"id":1}', '{"id":2}', '{"id":3}'],
    ['{"id":4,"n":1}'],
    ['{"id":5,"n":1.5,"o":{"k":[]}}'],
]
WIDER += [['{"id":6,"o":{"k":["x"],"l":9007199254740993}}', '{"id":7,"n":9007199254740993}']]
WIDER += [['{"id":8,"o":"text"}', '{"id":9}', '{"id":10}', '{"id":11}']]


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("name", TABLES)
def test_parts_that_were_narrower_get_the_schema_of_the_run(tmp_path: Path, name: str) -> None:
    output = write(tmp_path, name, WIDER)
    lines = [line for page in WIDER for line in page]
    assert [normalise(row) for row in read_back(tmp_path, output)] == read_plainly(lines)
    assert len(output.files) > 2
    schemas = {str(pa.dataset.dataset(tmp_path / one, format=name).schema) for one in output.files}
    assert len(schemas) == 1
    found = pa.dataset.dataset([str(tmp_path / one) for one in output.files], format=name)
    assert found.to_table().column("id").to_pylist() == list(range(1, 12))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["_manifest.json", *output.files]
    )
    assert manifest_of(tmp_path)["schema"]["properties"].keys() == {"id", "n", "o"}
    assert [part["rows"] for part in manifest_of(tmp_path)["files"]] == [
        figures.rows for figures in output.figures
    ]


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("name", TABLES)
@given(pages=st.lists(RECORDS, min_size=1, max_size=3))
def test_files_say_what_the_records_say(
    tmp_path_factory: pytest.TempPathFactory, name: str, pages: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    output = write(folder, name, pages)
    found = [normalise(row) for row in read_back(folder, output)]
    assert found == read_plainly([line for page in pages for line in page])


@pytest.mark.parametrize("name", TABLES)
def test_one_schema_that_grows_early_is_one_file(tmp_path: Path, name: str) -> None:
    output = write(tmp_path, name, WIDER)
    assert output.files == (f"part-00000.{name}",)


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("name", TABLES)
def test_a_reader_takes_records_from_the_middle(tmp_path: Path, name: str) -> None:
    rows = [{"id": number, "o": {"k": [number]}} for number in range(9)]
    output = write(tmp_path, name, [[json.dumps(row) for row in rows]])
    destination = FolderDestination(tmp_path)
    (part,) = destination.describe(output).parts
    for skip in range(10):
        for take in range(10):
            assert list(destination.read(part.path, skip, take)) == rows[skip : skip + take]


@pytest.mark.parametrize("name", TABLES)
def test_without_records_there_is_no_file_unless_columns_are_known(
    tmp_path: Path, name: str
) -> None:
    assert write(tmp_path / "a", name, []).files == ()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["_manifest.json"]
    declared = RecordSchema({"id": FieldType("integer"), "at": FieldType("timestamp")})
    output = write(tmp_path / "b", name, [], facts=EndpointFacts(declared=declared))
    (file,) = output.files
    table = pa.dataset.dataset(tmp_path / "b" / file, format=name).to_table()
    assert (table.num_rows, table.column_names) == (0, ["id", "at"])


@pytest.mark.parametrize("name", TABLES)
def test_records_without_fields_are_counted(tmp_path: Path, name: str) -> None:
    output = write(tmp_path, name, [["{}", "{}"]])
    assert [row.keys() for row in read_back(tmp_path, output)] == [{"_no_fields"}] * 2


@pytest.mark.parametrize("name", TABLES)
def test_a_record_that_is_not_an_object_commits_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises((InvalidRecord, DestinationError), match="A record has no columns"):
        write(tmp_path, name, [['{"a":1}'], ["5"]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "compression", "expected"),
    [
        ("parquet", None, "ZSTD"),
        ("parquet", "snappy", "SNAPPY"),
        ("parquet", "gzip", "GZIP"),
        ("parquet", "lz4", "LZ4"),
        ("parquet", "none", "UNCOMPRESSED"),
    ],
)
def test_pages_are_compressed_as_the_spec_says(
    tmp_path: Path, name: str, compression: Any, expected: str
) -> None:
    options = FileDestination(path=str(tmp_path), format=name, compression=compression)
    destination = options.connect(str(tmp_path), StoreAccess(lambda path, _: Path(path)))
    output = transfer([Page(raw(['{"a":1}']), 1, "", 0)], destination, RUN)
    metadata = pq.ParquetFile(tmp_path / output.files[0]).metadata
    assert metadata.row_group(0).column(0).compression == expected


def test_only_values_that_come_again_get_a_dictionary(tmp_path: Path) -> None:
    lines = [
        f'{{"id":{n},"team":"t{n % 9}","owner":{{"key":"k{n}","region":"eu"}},"tags":["a","b{n % 3}"],"none":null}}'
        for n in range(5000)
    ]
    output = write(tmp_path, "parquet", [lines])
    assert read_back(tmp_path, output) == [json.loads(line) for line in lines]
    group = pq.ParquetFile(tmp_path / output.files[0]).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    found = {one.path_in_schema for one in columns if one.has_dictionary_page}
    assert found >= {"team", "owner.region", "tags.list.element"}
    assert not found & {"id", "owner.key"}


@pytest.mark.slow
@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kept", range(1, 6))
@pytest.mark.parametrize("wanted", [0, 1, 3, 4])
def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, name: str, kept: int, wanted: int) -> None:
    destination = FolderDestination(tmp_path, name)
    assert destination.is_resumable
    assert destination.keep_every == 300.0
    first = destination.open(RUN)
    for page in WIDER[:kept]:
        first.write(raw(page))
        first.keep(b"state")
    first.write(raw(['{"lost":1}']))
    first.suspend()
    lines = [line for page in WIDER for line in page]
    progress = destination.find_progress(RUN)
    assert progress is not None
    assert [normalise(row) for row in destination.read_kept(RUN, progress, 1, 99)] == read_plainly(
        lines[1 : progress.rows]
    )
    rows = min(wanted, progress.rows)
    second = destination.resume(RUN, progress, rows)
    assert second is not None
    second.write(raw(lines[rows:]))
    output = second.commit(summary(len(lines)))
    assert [normalise(row) for row in read_back(tmp_path, output)] == read_plainly(lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["_manifest.json", *output.files]
    )


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("name", TABLES)
def test_a_part_that_has_its_size_ends_and_the_schema_goes_on(tmp_path: Path, name: str) -> None:
    lines = [json.dumps({"id": number, "t": "x" * number}) for number in range(20)]
    output = write(tmp_path, name, [[line] for line in lines], target_part_size=1500)
    assert len(output.files) > 1
    assert output.files == tuple(f"part-{number:05d}.{name}" for number in range(len(output.files)))
    assert [normalise(row) for row in read_back(tmp_path, output)] == read_plainly(lines)


@pytest.mark.parametrize("name", TABLES)
def test_a_part_ends_with_the_records_that_fill_no_group_yet(name: str) -> None:
    sinks: list[BytesIO] = [BytesIO()]
    rows: list[int] = []

    def begin(before: int) -> BytesIO:
        rows.append(before)
        sinks.append(BytesIO())
        return sinks[-1]

    found = FORMATS[name]
    writer: Any = found.open_writer(sinks[0], begin, None)
    writer.write(raw(['{"id":1}', '{"id":2}']))
    writer.end_part()
    writer.write(raw(['{"id":3,"t":"x"}']))
    writer.end_group()
    writer.end_group()  # nothing waits
    writer.close()
    assert rows == [2]
    parts = [list(found.read_records(BytesIO(sink.getvalue()), 0, 9)) for sink in sinks]
    assert parts == [[{"id": 1}, {"id": 2}], [{"id": 3, "t": "x"}]]
