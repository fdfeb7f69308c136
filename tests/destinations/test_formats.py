"""File formats: the list names writer and reader together, and everything else follows it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.formats import FORMATS, find_format
from oauth_taskflow.destinations.formats.base import ByteSink, FileFormat, NextPart, PausingWriter
from oauth_taskflow.destinations.output_folders import is_ours
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.specs.json_schema import spec_schema

RECORDS: list[Any] = [{"id": str(number), "name": f"n{number}"} for number in range(6)]


def one_part_only(_rows: int) -> ByteSink:
    raise AssertionError("records of one schema go to one part")


def written(file_format: FileFormat) -> bytes:
    sink = io.BytesIO()
    writer = file_format.open_writer(sink, one_part_only, None)
    writer.write(RECORDS[:4])
    writer.write(RECORDS[4:])
    writer.close()
    assert not sink.closed
    return sink.getvalue()


def check_formats(formats: Mapping[str, FileFormat]) -> None:
    """Each format reads what it writes, and writes what no other format does."""
    for name, file_format in formats.items():
        data = written(file_format)
        for skip, take in ((0, 6), (2, 3), (5, 9), (6, 1)):
            read = list(file_format.read_records(io.BytesIO(data), skip, take))
            assert read == RECORDS[skip : skip + take], name
    assert len({written(one) for one in formats.values()}) == len(formats), "two names, one format"


def test_each_format_reads_what_it_writes_and_is_no_other() -> None:
    check_formats(FORMATS)


def test_the_spec_format_takes_the_formats_of_the_list_and_no_others() -> None:
    schema = spec_schema(merged=True)["$defs"]["FileDestination"]["properties"]["format"]
    assert sorted(schema["enum"]) == sorted(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_parts_of_each_format_are_known_as_ours(name: str) -> None:
    assert is_ours(f"part-00000.{name}")
    assert is_ours(f"part-00000-5f3a.{name}")
    assert is_ours(f".part-00000.{name}.5f3a.tmp")
    assert not is_ours(f"part-00000.{name}.bak")
    assert not is_ours(f"part-x.{name}")


def test_a_file_of_an_unknown_format_is_refused() -> None:
    with pytest.raises(DestinationError) as caught:
        find_format("part-00000.xml")
    assert str(caught.value) == (
        f"No file format has the suffix 'xml' at part-00000.xml. Formats are {', '.join(FORMATS)}."
    )


class TabWriter:
    """Takes the columns from the first record."""

    def __init__(self, sink: ByteSink, _next: NextPart, _declared: RecordSchema | None) -> None:
        self._sink = sink
        self._columns: list[str] = []

    def write(self, records: Sequence[Any], /) -> None:
        text = io.StringIO()
        values = [msgspec.json.decode(r) if isinstance(r, msgspec.Raw) else r for r in records]
        lines = csv.writer(text, "excel-tab")
        if not self._columns and values:
            self._columns = list(values[0])
            lines.writerow(self._columns)
        lines.writerows([record[name] for name in self._columns] for record in values)
        self._sink.write(text.getvalue().encode())

    def close(self) -> None:
        self._sink.flush()


def read_tabs(file: IO[bytes], skip: int, take: int) -> Iterator[Any]:
    rows = csv.DictReader(io.TextIOWrapper(file), dialect="excel-tab")
    yield from itertools.islice(rows, skip, skip + take)


def test_a_new_format_is_one_entry_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "tsv", FileFormat(TabWriter, read_tabs))
    check_formats(FORMATS)
    destination = FolderDestination(tmp_path, "tsv")
    output = transfer([Page(RECORDS, 1, "", 0)], destination, Run("contacts", map_index=0))
    (part,) = destination.describe(output).parts
    assert Path(part.path).read_bytes().startswith(b"id\tname\r\n0\tn0\r\n")
    assert list(destination.read(part.path, 1, 2)) == RECORDS[1:3]
    assert destination.remove_stale({}) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_format_without_its_reader_or_with_that_of_another_is_noticed() -> None:
    with pytest.raises(TypeError, match="read_records"):
        FileFormat(TabWriter)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(msgspec.DecodeError):
        check_formats({"tsv": FileFormat(TabWriter, FORMATS["jsonl"].read_records)})
    with pytest.raises(AssertionError, match="two names, one format"):
        check_formats({**FORMATS, "tsv": FORMATS["jsonl"]})


@pytest.mark.parametrize("name", ["jsonl.gz", "jsonl.zst"])
def test_a_compressed_file_that_was_cut_off_is_no_whole_one(name: str) -> None:
    data = written(FORMATS[name])
    for end in (1, 4, 20):
        with pytest.raises(EOFError):
            list(FORMATS[name].read_records(io.BytesIO(data[:-end]), 0, 9))


def test_other_tools_read_the_frames_of_zstandard() -> None:
    arrow = pytest.importorskip("pyarrow")
    sink = io.BytesIO()
    writer = FORMATS["jsonl.zst"].open_writer(sink, one_part_only, None)
    assert isinstance(writer, PausingWriter)
    for record in RECORDS:
        writer.write([record])
        writer.pause()
    writer.close()
    stream = arrow.CompressedInputStream(arrow.BufferReader(sink.getvalue()), "zstd")
    assert [msgspec.json.decode(line) for line in stream.read().splitlines()] == RECORDS
