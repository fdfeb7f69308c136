"""CSV: each reader finds the records that were written, and a new column begins a part."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.destinations.formats.base import ByteSink
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.destinations.attempts import RUN

ATTACKS = [
    "=1+1",
    "a,b",
    'say "x"',
    "",
    " ",
    "\r",
    "\n",
    "\r\n",
    "\\.",
    "\\N",
    "NULL",
    "\t",
    "\x00",
    "é\u2028",
    '"',
    ",",
    "'",
]


class Parts:
    """A writer of CSV, the parts that it has ended, and the one that it writes."""

    def __init__(self, declared: RecordSchema | None = None) -> None:
        self.done: list[tuple[int, bytes]] = []
        self._sink = io.BytesIO()
        self.writer: Any = FORMATS["csv"].open_writer(self._sink, self._begin_next, declared)

    def _begin_next(self, rows: int) -> ByteSink:
        self.done.append((rows, self.last))
        self._sink = io.BytesIO()
        return self._sink

    @property
    def last(self) -> bytes:
        return self._sink.getvalue()


def write(pages: list[list[Any]], declared: RecordSchema | None = None) -> list[tuple[int, bytes]]:
    """Returns the number of records and the content of each part."""
    parts = Parts(declared)
    for page in pages:
        parts.writer.write(page)
    parts.writer.close()
    total = sum(len(page) for page in pages)
    return [*parts.done, (total - sum(rows for rows, _ in parts.done), parts.last)]


def test_cells_hold_what_the_api_wrote() -> None:
    records = [
        msgspec.Raw(
            b'{"n": 1.10, "big": 9007199254740993, "e": 1E5, "b": true, "z": null, "t": "x"}'
        ),
        {"n": -0.5, "o": {"a": [1, 2.50]}, "l": [], "t": ""},
    ]
    ((_, content),) = write([records])
    assert content.decode() == (
        "n,big,e,b,z,t,o,l\r\n"
        "1.10,9007199254740993,1E5,true,,x,,\r\n"
        '-0.5,,,,,"","{""a"":[1,2.5]}",[]\r\n'
    )


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.none()
                | st.text(st.characters(exclude_categories=["Cs"]))
                | st.sampled_from(ATTACKS)
            },
            optional={
                'b, "c"': st.integers() | st.booleans(),
                "d": st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=2),
            },
        ),
        min_size=1,
    )
)
def test_every_reader_finds_the_texts(records: list[dict[str, Any]]) -> None:
    given = [{**record, "last": "x"} for record in records]
    ((_, content),) = write([given])
    columns = list(dict.fromkeys(name for record in given for name in record))
    expected = [
        {name: None if record.get(name) is None else _as_text(record[name]) for name in columns}
        for record in given
    ]
    assert list(FORMATS["csv"].read_records(io.BytesIO(content), 0, 10**6)) == expected
    empty = [{name: value or "" for name, value in row.items()} for row in expected]
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    if "\x00" not in content.decode():  # Python's reader refuses it before 3.11
        assert list(csv.DictReader(text, strict=True)) == empty


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def test_arrow_tells_null_from_empty_text() -> None:
    arrow = pytest.importorskip("pyarrow.csv")
    given = [{"a": text, "b": "x"} for text in [*ATTACKS, None]]
    ((_, content),) = write([given])
    table = arrow.read_csv(
        io.BytesIO(content),
        parse_options=arrow.ParseOptions(newlines_in_values=True),
        convert_options=arrow.ConvertOptions(
            column_types={"a": "string", "b": "string"},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    assert table.to_pylist() == given


def test_the_header_has_the_columns_of_the_first_block_and_a_later_one_begins_a_part() -> None:
    first = [[{"a": 1}], [{"b": 2}]]
    many = [[{"a": n} for n in range(500)] for _ in range(2)]
    later = [[{"a": 1}, {"c": 3}], [{"b": 4}]]
    parts = write([*first, *many, *later])
    assert [rows for rows, _ in parts] == [1002, 3]
    assert [content.partition(b"\r\n")[0] for _, content in parts] == [b"a,b", b"a,b,c"]
    assert parts[1][1] == b"a,b,c\r\n1,,\r\n,,3\r\n,4,\r\n"


def test_declared_columns_come_first_and_in_every_file(tmp_path: Path) -> None:
    declared = RecordSchema({"z": FieldType("text"), "a": FieldType("integer")})
    assert write([], declared) == [(0, b"z,a\r\n")]
    destination = FolderDestination(tmp_path, "csv", facts=EndpointFacts(declared=declared))
    transfer([Page([{"a": 1, "n": 2}], 1, "", 0)], destination, RUN)
    assert (tmp_path / "part-00000.csv").read_bytes() == b"z,a,n\r\n,1,2\r\n"


def test_parts_by_size_keep_their_columns(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path, "csv", target_part_size=10_000)
    pages = [Page([{"a": n, "b": None} for n in range(1000)], 1, "", 0)]
    pages += [Page([{"a": n} for n in range(1000)], 1, "", 0) for _ in range(5)]
    output = transfer(pages, destination, RUN)
    contents = [(tmp_path / name).read_bytes() for name in output.files]
    assert len(contents) == 3
    assert {content.partition(b"\r\n")[0] for content in contents} == {b"a,b"}
    assert [content.count(b"\n") - 1 for content in contents] == [f.rows for f in output.figures]
    assert sum(file.rows for file in output.figures) == 6000


@pytest.mark.parametrize(
    ("record", "said"),
    [
        # The pages' decoder puts U+FFFD in their place.
        ({"a": "\ud800"}, "surrogates not allowed"),
        (msgspec.Raw(b"[1]"), "Expected `object`, got `array`"),
        ("text", "Expected `object`, got `str`"),
    ],
)
def test_what_no_cell_can_hold_is_one_clear_error(tmp_path: Path, record: Any, said: str) -> None:
    destination = FolderDestination(tmp_path, "csv")
    with pytest.raises(InvalidRecord, match=said) as caught:
        transfer([Page([{"a": 1}, record], 1, "", 0)], destination, RUN)
    assert str(caught.value).startswith("A record is not an object of names and values")
    assert f"at {tmp_path}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_record_of_ten_megabytes(tmp_path: Path) -> None:
    text = 'line "one"\n' * 1_000_000
    record = {"id": 1, "text": text, "deep": json.loads("[" * 200 + "]" * 200)}
    for name in FORMATS:
        if name not in {"jsonl", "jsonl.gz", "jsonl.zst", "csv"}:
            continue
        destination = FolderDestination(tmp_path / name, name)
        output = transfer([Page([record], 1, "", 0)], destination, RUN)
        (part,) = destination.describe(output).parts
        (read,) = destination.read(part.path, 0, 9)
        assert read["text"] == text


def test_a_line_of_a_single_column_is_never_empty() -> None:
    assert write([[{"a": ""}, {"a": None}, {}]]) == [(3, b'a\r\n""\r\n""\r\n""\r\n')]


def test_a_part_that_ends_takes_what_is_held_and_the_next_has_the_same_columns() -> None:
    parts = Parts()
    parts.writer.end_part()  # nothing yet: no part
    parts.writer.write([{"a": 1, "b": 2}])
    parts.writer.end_part()
    parts.writer.write([{"b": 3}])
    parts.writer.close()
    assert parts.done == [(1, b"a,b\r\n1,2\r\n")]
    assert parts.last == b"a,b\r\n,3\r\n"


def test_a_column_that_comes_right_after_the_end_of_a_part_brings_no_second_header() -> None:
    parts = Parts()
    parts.writer.write([{"id": 1}])
    parts.writer.end_part()
    parts.writer.write([])
    parts.writer.write([{"id": 2, "new": "x"}])
    parts.writer.close()
    assert [*parts.done, parts.last] == [(1, b"id\r\n1\r\n"), b"id,new\r\n2,x\r\n"]


def test_a_file_that_others_changed_is_not_read_as_records(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path, "csv")
    transfer([Page([{"a": 1, "b": 2}], 1, "", 0)], destination, RUN)
    (part,) = tmp_path.glob("*.csv")
    part.write_text('a,b\r\n"1"x,2\r\n')
    with pytest.raises(InvalidRecord, match="not as it was written"):
        list(destination.read(str(part), 0, 1))
