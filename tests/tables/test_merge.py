"""Merges by primary key: one row a key, the newest, whatever the run and the table hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.errors import DestinationError
from tests.tables.kinds import Kind, connect, put, read_rows

FACTS = EndpointFacts(("id",), "u")


def merge(kind: Kind, folder: Path, run_id: str, records: list[Any], **more: Any) -> None:
    put(kind, folder, records, run_id, **{"facts": FACTS, "mode": "merge", **more})


def test_of_a_key_that_repeats_in_a_run_the_newest_counts(kind: Kind, tmp_path: Path) -> None:
    first = [{"id": 1, "u": n, "v": v} for n, v in ((1, "a"), (3, "b"), (2, "c"), (3, "d"))]
    merge(kind, tmp_path, "r1", first)
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "d")]
    merge(
        kind,
        tmp_path,
        "r2",
        [
            {"id": 1, "u": 2, "v": "older"},
            {"id": 2, "u": None, "v": "none"},
            {"id": 2, "u": 1, "v": "one"},
            {"id": 2, "v": "absent"},
        ],
    )
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "d"), (2, "one")]


def test_without_an_order_the_last_record_counts(kind: Kind, tmp_path: Path) -> None:
    facts = EndpointFacts(("a", "b"))
    rows = [{"a": 1, "b": "x", "v": 1}, {"a": 1, "b": "y", "v": 1}, {"a": 1, "b": "x", "v": 2}]
    merge(kind, tmp_path, "r1", rows, facts=facts)
    merge(kind, tmp_path, "r2", [{"b": "y", "a": 1, "v": 3}], facts=facts)
    assert read_rows(kind, tmp_path, "a", "b", "v") == [(1, "x", 2), (1, "y", 3)]


def test_a_row_without_an_order_is_older_than_any_other(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "r1", [{"id": 1, "u": None, "v": 1}, {"id": 2, "u": 5, "v": 1}])
    merge(kind, tmp_path, "r2", [{"id": 1, "u": 0, "v": 2}, {"id": 2, "u": None, "v": 2}])
    assert read_rows(kind, tmp_path, "id", "v") == [(1, 2), (2, 1)]


def test_columns_grow_in_a_merge(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "r1", [{"id": 1, "u": 1, "o": {"a": 1}, "l": [1]}, {"id": 3, "u": 1}])
    more = {"l": [{"x": 1}], "id": 1, "new": {"y": [1.5]}, "u": 1, "o": {"b": 3}}
    merge(kind, tmp_path, "r2", [{**more, "l": [2, 3]}, {"id": 2, "u": 1}])
    if not kind.is_nested:
        assert read_rows(kind, tmp_path, "id", "new")[0][1].replace(" ", "") == '{"y":[1.5]}'
        return
    assert read_rows(kind, tmp_path, "id", "o", "l", "new") == [
        (1, {"a": None, "b": 3}, [2, 3], {"y": [1.5]}),
        (2, None, None, None),
        (3, None, None, None),
    ]


@pytest.mark.no_cover
def test_a_table_may_get_its_key_and_order_late(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "r0", [])
    put(kind, tmp_path, [{"z": 1}], "r1")
    merge(kind, tmp_path, "r2", [{"id": 1}])
    merge(kind, tmp_path, "r3", [{"id": 1, "u": 1, "v": "new"}])
    merge(kind, tmp_path, "r4", [])
    assert read_rows(kind, tmp_path, "id", "v", "z") == [(1, "new", None), (None, None, 1)]


def test_keys_of_two_types_are_compared_as_json(kind: Kind, tmp_path: Path) -> None:
    for run_id, value in (("r1", 1), ("r2", 2)):
        merge(kind, tmp_path, run_id, [{"id": 1, "v": value}, {"id": "1", "v": -value}])
    assert read_rows(kind, tmp_path, "id", "v") == [('"1"', -2), ("1", 2)]


def test_rows_that_merges_wrote_are_read_back_and_counted(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "r1", [{"id": n, "u": 1, "v": "a"} for n in range(5)])
    more: dict[str, Any] = {"facts": FACTS, "mode": "merge", "map_index": 0}
    part = put(kind, tmp_path, [{"id": n, "u": 2, "v": "b"} for n in (1, 7)], "r2", **more).parts[0]
    destination = connect(kind, tmp_path, "r2", FACTS, mode="merge")
    found = list(destination.read(part.path, 0, 2, selector=part.selector))
    assert sorted((row["id"], row["v"]) for row in found) == [(1, "b"), (7, "b")]
    assert list(destination.read(part.path, 1, 5, selector=part.selector)) == found[1:]
    assert destination.remove_stale({0: None}) == 0
    assert destination.remove_stale({}) == 1


def test_rows_that_a_stale_instance_wrote_last_stay(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "monday", [{"id": 1, "u": 1, "v": "monday"}, {"id": 2, "u": 1}])
    for number in range(3):
        rows = [{"id": number + 1, "u": 2, "v": "tuesday", "o": {"l": [1.5]}}] if number else []
        merge(kind, tmp_path, "tuesday", rows, map_index=number)
    before = read_rows(kind, tmp_path, "id", "v", "_run_id", "_map_index")
    destination = connect(kind, tmp_path, "tuesday", FACTS, mode="merge")
    places = [
        destination.locate_manifest(Run("contacts", "tuesday", map_index=number)).path
        for number in range(3)
    ]
    assert all(destination.read_manifest(place) for place in places)
    assert destination.remove_stale({0: None}) == 2
    assert read_rows(kind, tmp_path, "id", "v", "_run_id", "_map_index") == before
    assert [destination.read_manifest(place) is None for place in places] == [False, True, True]
    assert destination.remove_stale({0: None}) == 0


def test_a_stale_instance_that_comes_back_merges_again(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "r1", [{"id": 1, "u": 1, "v": "first"}], map_index=1)
    destination = connect(kind, tmp_path, "r1", FACTS, mode="merge")
    assert destination.remove_stale({0: None}) == 1
    merge(kind, tmp_path, "r1", [{"id": 1, "u": 2, "v": "again"}], map_index=1)
    assert destination.remove_stale({1: None}) == 0
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "again")]


def test_many_rows_over_several_batches(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, "r1", [{"id": n, "u": 1, "v": "a"} for n in range(30_000)])
    again = [{"id": n, "u": n % 3, "v": "b"} for n in range(0, 40_000, 2)]
    merge(kind, tmp_path, "r2", [*again, *again])
    found = read_rows(kind, tmp_path, "id", "v")
    assert len(found) == len(dict(found)) == 35_000
    assert sum(v == "b" for _, v in found) == sum(
        n >= 30_000 or n % 3 > 0 for n in range(0, 40_000, 2)
    )


@pytest.mark.parametrize(
    ("facts", "record", "message"),
    [
        (EndpointFacts(), {"id": 1}, "needs primary_key"),
        (EndpointFacts(("o.id",)), {"o": {"id": 1}}, "'o.id' of primary_key is not a column"),
        (EndpointFacts(("id",)), {"x": 1}, "No record has 'id'"),
        (EndpointFacts(("id",)), {"id": {"a": 1}}, "holds object values"),
        (EndpointFacts(("id", "part")), {"id": 1, "part": None}, "No record has 'part'"),
        (
            EndpointFacts(("id",), "o.u"),
            {"id": 1},
            "'o.u' of the incremental field is not a column",
        ),
        (EndpointFacts(("id",), "u"), {"id": 1, "u": [1]}, "holds list values"),
    ],
)
def test_what_cannot_be_merged_is_refused_before_a_row_is_written(
    kind: Kind, tmp_path: Path, facts: EndpointFacts, record: Any, message: str
) -> None:
    if not kind.is_nested and "object" in message:
        pytest.skip("JSON has an equal")
    message = message.replace("list", "(list|json)")
    put(kind, tmp_path, [{"kept": 1}])
    with pytest.raises(DestinationError, match=message):
        merge(kind, tmp_path, "r2", [record], facts=facts)
    assert read_rows(kind, tmp_path, "kept") == [(1,)]


def test_records_without_a_key_are_counted_and_refused(kind: Kind, tmp_path: Path) -> None:
    records = [{"id": 1}, {"id": None}, {"v": 1}]
    with pytest.raises(DestinationError, match="2 of 3 records have no 'id'"):
        merge(kind, tmp_path, "r1", records)
