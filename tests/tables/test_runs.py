"""Runs in one table: each replaces its own rows, all of them or none, and no other run's."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from oauth_taskflow.destinations.base import EndpointFacts, Run, StoreAccess
from oauth_taskflow.destinations.tables.place import read_place
from oauth_taskflow.errors import DestinationError
from tests.destinations.contract import check_destination, open_local
from tests.tables.kinds import KINDS, Kind, connect, put, read_rows, summary_of

MERGED = EndpointFacts(("id",), "updated")


@pytest.mark.no_cover
def test_a_table_keeps_what_the_protocols_promise(kind: Kind, tmp_path: Path) -> None:
    check_destination(kind.options(tmp_path))


def test_a_run_replaces_its_own_rows_alone(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1}, {"id": 2}], "r1")
    put(kind, tmp_path, [{"id": 3}], "r2")
    put(kind, tmp_path, [{"id": 4}], "r1", map_index=0)
    put(kind, tmp_path, [{"id": 9}], "r1")
    assert read_rows(kind, tmp_path, "_run_id", "_map_index", "id") == [
        ("r1", -1, 9),
        ("r1", 0, 4),
        ("r2", -1, 3),
    ]


def test_a_run_without_records_leaves_none_of_its_earlier_try(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1}], "r1")
    put(kind, tmp_path, [{"id": 2}], "r2")
    described = put(kind, tmp_path, [], "r1")
    assert read_rows(kind, tmp_path, "id") == [(2,)]
    assert described.parts[0].rows == 0


def test_a_first_run_without_records_is_committed(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [], "r1")
    assert read_rows(kind, tmp_path, "id") == []
    put(kind, tmp_path, [{"id": 1}], "r2")
    assert read_rows(kind, tmp_path, "id") == [(1,)]


def test_run_ids_are_values_and_never_code(kind: Kind, tmp_path: Path) -> None:
    hostile = "x' OR '1'='1"
    put(kind, tmp_path, [{"id": 1}], "r1")
    put(kind, tmp_path, [{"id": 2}], hostile)
    put(kind, tmp_path, [{"id": 3}], hostile)
    assert read_rows(kind, tmp_path, "_run_id", "id") == sorted([("r1", 1), (hostile, 3)], key=repr)


def test_of_two_attempts_at_once_the_first_to_commit_counts(kind: Kind, tmp_path: Path) -> None:
    destination = connect(kind, tmp_path)
    first, second = (destination.open(Run("contacts", "r1")) for _ in range(2))
    first.write([{"id": 1}])
    second.write([{"id": 2}])
    first.commit(summary_of(1))
    with pytest.raises(DestinationError, match="Another attempt of the same run"):
        second.commit(summary_of(1))
    second.abort()
    assert read_rows(kind, tmp_path, "id") == [(1,)]


def test_an_aborted_writer_leaves_nothing(kind: Kind, tmp_path: Path) -> None:
    put(kind, tmp_path, [{"id": 1}])
    writer = connect(kind, tmp_path).open(Run("contacts", "r1"))
    writer.write([{"id": 2}])
    writer.abort()
    assert read_rows(kind, tmp_path, "id") == [(1,)]


def test_rows_of_an_instance_that_writes_to_another_table_now_are_stale(
    kind: Kind, tmp_path: Path
) -> None:
    first, second = (put(kind, tmp_path, [{"id": n}], map_index=n).manifest for n in range(2))
    destination = connect(kind, tmp_path)
    elsewhere = str(replace(read_place(second), table="another"))
    assert destination.remove_stale({0: first, 1: second}) == 0
    assert destination.remove_stale({0: first, 1: elsewhere}) == 1
    assert read_rows(kind, tmp_path, "_map_index", "id") == [(0, 0)]


def test_the_manifest_is_part_of_the_commit(kind: Kind, tmp_path: Path) -> None:
    destination = connect(kind, tmp_path)
    place = destination.locate_manifest(Run("contacts", "r1")).path
    assert destination.read_manifest(place) is None
    put(kind, tmp_path, [{"id": 1}])
    put(kind, tmp_path, [{"id": 2}], "r2")
    manifest = destination.read_manifest(place)
    assert manifest is not None
    assert (manifest["run_id"], manifest["rows"], manifest["endpoint"]) == ("r1", 1, "contacts")


def test_records_are_read_back_as_they_were(kind: Kind, tmp_path: Path) -> None:
    records = [
        {"id": 1, "tags": ["a", "b"], "owner": {"id": 7, "name": None}, "big": 2**70, "any": "x"},
        {"id": 2, "tags": [], "owner": {"id": 8, "name": "o"}, "big": 1, "any": {"k": [1]}},
        {"id": 3, "tags": ["c"], "owner": {"id": 9, "name": "p"}, "big": -1, "any": 1.5},
    ]
    part = put(kind, tmp_path, records).parts[0]
    put(kind, tmp_path, [{"id": 99}], "r2")
    destination = connect(kind, tmp_path)
    found = list(destination.read(part.path, 0, 3, selector=part.selector))
    assert sorted(found, key=lambda record: record["id"]) == records
    again = list(destination.read(part.path, 1, 2, selector=part.selector))
    assert again == found[1:]


def test_another_task_reads_rows_under_the_names_that_the_spec_chose(
    kind: Kind, tmp_path: Path
) -> None:
    part = put(kind, tmp_path, [{"id": 1}], column_prefix="load_").parts[0]
    put(kind, tmp_path, [{"id": 2}], "r2", column_prefix="load_")
    reader = type(kind.options(tmp_path)).connect_for_reading(None, StoreAccess(open_local))
    found = reader.read(part.path, 0, 1, selector=part.selector)
    assert [record["id"] for record in found] == [1]


def test_merge_updates_by_key_and_never_with_an_older_record(kind: Kind, tmp_path: Path) -> None:
    first = [{"id": 1, "updated": "2026-02", "v": "a"}, {"id": 2, "updated": "2026-02", "v": "b"}]
    second = [
        {"id": 1, "updated": "2026-01", "v": "older"},
        {"id": 2, "updated": "2026-03", "v": "newer"},
        {"id": 3, "updated": "2026-01", "v": "new"},
    ]
    put(kind, tmp_path, first, "r1", facts=MERGED, mode="merge")
    for _ in range(2):
        put(kind, tmp_path, second, "r2", facts=MERGED, mode="merge")
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "a"), (2, "newer"), (3, "new")]


def test_a_catalog_that_cannot_be_read_is_an_error_with_place_and_reason(tmp_path: Path) -> None:
    pytest.importorskip(
        "pyiceberg", reason="lakes are tested in .venv-services (scripts/test-services)"
    )
    iceberg = next(kind for kind in KINDS if kind.name == "iceberg")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "catalog.db").write_bytes(b"no database " * 999)
    with pytest.raises(
        DestinationError, match=r"Opening the catalog failed .*not a database"
    ) as caught:
        put(iceberg, tmp_path, [{"id": 1}])
    assert str(tmp_path / "lake") in caught.value.where
