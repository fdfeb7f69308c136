"""The columns of a table over runs: they grow, keep their types, and never take a value that would lose digits."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.tables.kinds import Kind, connect, put, read_rows


def skip_warehouses(kind: Kind) -> None:
    """Names and nested values are other ones there: tests/tables/warehouses."""
    if not kind.is_nested:
        pytest.skip("has tests of its own")


def test_new_fields_become_columns_and_absent_ones_are_null(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1, "name": "a"}], "r1")
    put(kind, tmp_path, [{"id": 2, "email": "e"}], "r2")
    put(kind, tmp_path, [{"id": 3}], "r3")
    assert read_rows(kind, tmp_path, "id", "name", "email") == [
        (1, "a", None),
        (2, None, "e"),
        (3, None, None),
    ]


def test_objects_grow(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1, "owner": {"id": 1}}], "r1")
    put(kind, tmp_path, [{"id": 2, "owner": {"name": "n"}}], "r2")
    if not kind.is_nested:
        rows = [
            (number, json.loads(text)) for number, text in read_rows(kind, tmp_path, "id", "owner")
        ]
        assert rows == [(1, {"id": 1}), (2, {"name": "n"})]
        return
    assert read_rows(kind, tmp_path, "id", "owner") == [
        (1, {"id": 1, "name": None}),
        (2, {"id": None, "name": "n"}),
    ]


def test_a_field_that_was_null_gets_its_type_from_the_first_value(
    kind: Kind, tmp_path: Path
) -> None:
    put(kind, tmp_path, [{"id": 1, "age": None, "tags": []}], "r1")
    put(kind, tmp_path, [{"id": 2, "age": 5, "tags": ["a"]}], "r2")
    lists = [None, ["a"]] if kind.is_nested else ["[]", '["a"]']
    assert read_rows(kind, tmp_path, "id", "age", "tags") == [(1, None, lists[0]), (2, 5, lists[1])]


def test_lists_that_are_empty_in_the_whole_run_stay_empty_where_the_table_has_their_type(
    kind: Kind, tmp_path: Path
) -> None:
    skip_warehouses(kind)
    put(kind, tmp_path, [{"id": 1, "tags": ["a"], "lines": [{"sku": "a"}]}], "r1")
    put(kind, tmp_path, [{"id": 2, "tags": [], "lines": []}, {"id": 3, "tags": None}], "r2")
    rows = read_rows(kind, tmp_path, "id", "tags", "lines")
    assert rows[1:] == [(2, [], []), (3, None, None)]


def test_the_schema_may_widen_within_a_run(kind: Kind, tmp_path: Path) -> None:
    many = [{"id": number, "v": number} for number in range(20)]
    put(kind, tmp_path, [*many, {"id": 20, "v": 0.5, "late": "x"}], "r1")
    found = read_rows(kind, tmp_path, "id", "v", "late")
    assert (9, 9.0, None) in found
    assert (20, 0.5, "x") in found


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (1, 1.5, "Column 'v' of the table holds integer"),
        (1, "text", "Column 'v' of the table holds integer"),
        ("text", 1, "Column 'v' of the table holds text"),
        ({"a": 1}, {"a": "text"}, r"Column 'v\.a' of the table holds integer"),
        ([1], ["text"], r"Column 'v\[\]' of the table holds integer"),
    ],
)
def test_another_type_fails_and_writes_nothing(
    kind: Kind, tmp_path: Path, first: Any, second: Any, message: str
) -> None:
    put(kind, tmp_path, [{"id": 1, "v": first}], "r1")
    if isinstance(first, dict | list) and not kind.is_nested:
        put(kind, tmp_path, [{"id": 2, "v": second}], "r2")
        return
    with pytest.raises(DestinationError, match=message):
        put(kind, tmp_path, [{"id": 2, "v": second}], "r2")
    assert read_rows(kind, tmp_path, "id") == [(1,)]


def test_a_column_of_any_json_takes_everything(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1, "v": 1}, {"id": 2, "v": "a"}], "r1")
    put(kind, tmp_path, [{"id": 3, "v": "b"}, {"id": 4, "v": [1.5]}], "r2")
    assert read_rows(kind, tmp_path, "id", "v") == [
        (1, "1"),
        (2, '"a"'),
        (3, '"b"'),
        (4, "[1.5]"),
    ]


def test_items_of_several_types_keep_their_kind_from_run_to_run(kind: Kind, tmp_path: Path) -> None:
    mixed, digits = [1, "2"], [2**70, 1]
    values: dict[str, Any] = {
        "mixed": mixed,
        "digits": digits,
        "lists": [[mixed], []],
        "owner": {"mixed": mixed},
        "owners": [{"mixed": mixed, "digits": digits}],
    }
    for run in ("r1", "r2"):
        put(kind, tmp_path, [{"id": 1, **values}], run)
    for _ in range(2):
        records = [{"id": 2, **values, "late": mixed}]
        part = put(kind, tmp_path, records, "r3").parts[0]
        destination = connect(kind, tmp_path, "r3")
        assert list(destination.read(part.path, 0, 2, selector=part.selector)) == records


def test_a_field_named_like_a_technical_column_is_refused(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="technical column"):
        put(kind, tmp_path, [{"id": 1, "_run_id": "x"}])
    put(kind, tmp_path, [{"id": 1, "_run_id": "x"}], column_prefix="load_")
    assert read_rows(kind, tmp_path, "load_run_id", "_run_id") == [("r1", "x")]


def test_names_that_differ_in_case_alone_are_refused_at_any_depth(
    kind: Kind, tmp_path: Path
) -> None:
    skip_warehouses(kind)
    for record in ({"a": 1, "A": 2}, {"o": {"a": 1, "A": 2}}, {"l": [[{"a": 1, "A": 2}]]}):
        with pytest.raises(DestinationError, match="differ in case alone"):
            put(kind, tmp_path, [record])


def test_names_that_a_kind_cannot_have_are_refused_at_any_depth(kind: Kind, tmp_path: Path) -> None:
    skip_warehouses(kind)
    bad = "a b" if kind.name == "delta" else "a.b"
    for record in ({bad: 1}, {"o": {bad: 1}}, {"l": [{bad: 1}]}):
        with pytest.raises(DestinationError, match=f"{bad}', which is not a name for a column"):
            put(kind, tmp_path, [record])


def test_unusual_values_arrive_whole(kind: Kind, tmp_path: Path) -> None:
    skip_warehouses(kind)
    put(kind, tmp_path, [{"id": n, "x": "z" * 10_000_000} for n in range(3)], "r0")
    assert [len(row["x"]) for row in kind.read(tmp_path)] == [10_000_000] * 3
    record = {"id": 1, "x": "a\0b", "e": {}, "f": {"g": {}}, "h": [{}], "ll": [[1], [], [2, 3]]}
    put(kind, tmp_path, [{**record, "lo": [{"a": 1}]}], "r0")
    put(kind, tmp_path, [{"id": 2, "e": {"x": 1}, "h": [{"z": 1}], "lo": [{"b": "n"}]}], "r1")
    assert read_rows(kind, tmp_path, "id", "x", "e", "f", "h", "ll", "lo") == [
        (1, "a\0b", None, None, None, [[1], [], [2, 3]], [{"a": 1, "b": None}]),
        (2, None, {"x": 1}, None, [{"z": 1}], None, [{"a": None, "b": "n"}]),
    ]


@pytest.mark.no_cover
def test_hundreds_of_columns_and_a_schema_that_grows_with_every_block(
    kind: Kind, tmp_path: Path
) -> None:
    put(kind, tmp_path, [{f"c{n}": n for n in range(300)}], "r1")
    put(kind, tmp_path, [{f"c{n}": n for n in range(350)}], "r2")
    technical = 4 if kind.is_nested else 5
    assert {len(row) for row in kind.read(tmp_path)} == {350 + technical}


def test_folders_may_have_unusual_names(kind: Kind, tmp_path: Path) -> None:
    if kind.name == "dlt-postgres":
        pytest.skip("not in a folder")
    # Delta Lake refuses ? and #, see lakes/test_missing_tables.py; DuckDB's URL ends at ?.
    refused = {"delta": "?#", "iceberg": ""}.get(kind.name, "?")
    folder = tmp_path / "a bé?#+:".translate(dict.fromkeys(map(ord, refused)))
    for _ in range(2):
        put(kind, folder, [{"id": 1}])
    assert read_rows(kind, folder, "id") == [(1,)]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_declared_decimals_are_columns_of_decimals_with_every_digit(
    kind: Kind, tmp_path: Path
) -> None:
    facts = EndpointFacts(
        declared=RecordSchema({"total": FieldType("fixed", precision=22, scale=2)})
    )
    texts = ['{"id":1,"total":1.10}', '{"id":2,"total":12345678901234567890.12}', '{"id":3}']
    part = put(kind, tmp_path, map(msgspec.Raw, map(str.encode, texts)), facts=facts).parts[0]
    assert read_rows(kind, tmp_path, "id", "total") == [
        (1, Decimal("1.10")),
        (2, Decimal("12345678901234567890.12")),
        (3, None),
    ]
    put(kind, tmp_path, [{"id": 4, "total": 5}], "r2", facts=facts)
    found = connect(kind, tmp_path, facts=facts).read(part.path, 0, 3, selector=part.selector)
    assert [str(row["total"]) for row in found] == ["1.10", "12345678901234567890.12", "None"]
    with pytest.raises(
        DestinationError, match=r"holds decimal\(22, 2\), and the records of this run need decimal"
    ):
        put(kind, tmp_path, [{"id": 5, "total": 0.125}], "r3", facts=facts)
    assert len(kind.read(tmp_path)) == 4
