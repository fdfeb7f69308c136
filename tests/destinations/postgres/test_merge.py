"""Mode ``merge``: one row for each key, the newest by the incremental field, and tombstones."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import Warehouse, ids
from tests.support.examples import examples

BY_TIME = EndpointFacts(("id",), "at")
LAYOUTS = pytest.mark.parametrize("layout", ["raw", "columns"])


def values(warehouse: Warehouse, layout: str, field: str = "v") -> dict[Any, Any]:
    names = ["id", field] if layout == "columns" else ["record -> 'id'", f"record -> '{field}'"]
    rows = warehouse.ask(f'SELECT {", ".join(names)} FROM "{warehouse.schema}".contacts')
    return dict(rows)


def day(number: int) -> str:
    return f"2026-01-{number:02d}T00:00:00Z"


@LAYOUTS
def test_the_newest_record_of_a_key_counts_and_of_equals_the_last(
    warehouse: Warehouse, layout: str
) -> None:
    pages = [
        [{"id": 1, "at": day(2), "v": "new"}, {"id": 2, "at": day(1), "v": "first"}],
        [{"id": 1, "at": day(1), "v": "old"}, {"id": 2, "at": day(1), "v": "last"}],
    ]
    warehouse.pull(pages, BY_TIME, layout=layout, mode="merge")
    assert values(warehouse, layout) == {1: "new", 2: "last"}
    later = [
        {"id": 1, "at": day(1), "v": "older run"},
        {"id": 2, "at": day(1), "v": "equal run"},
        {"id": 3, "at": day(1), "v": "other"},
    ]
    warehouse.pull([later], BY_TIME, layout=layout, mode="merge", run="r2")
    assert values(warehouse, layout) == {1: "new", 2: "equal run", 3: "other"}
    assert warehouse.stages() == []


def test_values_compare_as_instants_and_numbers_not_as_text(warehouse: Warehouse) -> None:
    first = [
        {"id": 1, "at": "2026-01-01T00:30:00+02:00", "v": "old"},
        {"id": 2, "at": day(1), "v": "old"},
    ]
    second = [
        {"id": 1, "at": "2025-12-31T23:00:00Z", "v": "new"},
        {"id": 2, "at": "2026-01-01T00:00:00.000000001Z", "v": "new"},
    ]
    for pages in ([first, second], [second, first]):
        warehouse.pull(pages, BY_TIME, mode="merge")
        assert values(warehouse, "raw") == {1: "new", 2: "new"}
    numbers = [
        [
            {"id": 1, "n": 9, "v": "old"},
            {"id": 1, "n": 10, "v": "new"},
            {"id": 1, "n": 9.5, "v": "mid"},
        ]
    ]
    warehouse.pull(
        numbers, EndpointFacts(("id",), "n"), mode="merge", table=f"{warehouse.schema}.n"
    )
    assert warehouse.column("record ->> 'v'", "n") == ["new"]
    german = EndpointFacts(("id",), "at", order_form="%d.%m.%Y")
    days = [[{"id": 1, "at": "02.01.2026", "v": "new"}, {"id": 1, "at": "31.12.2025", "v": "old"}]]
    warehouse.pull(days, german, mode="merge", table=f"{warehouse.schema}.g")
    assert warehouse.column("record ->> 'v'", "g") == ["new"]


@LAYOUTS
def test_keys_may_be_nested_composite_and_of_any_type(warehouse: Warehouse, layout: str) -> None:
    facts = EndpointFacts(("owner.id", "kind"))
    records = [
        {"owner": {"id": 1}, "kind": "a", "v": 1},
        {"owner": {"id": "1"}, "kind": "a", "v": 2},
        {"owner": {"id": 1}, "kind": "b", "v": 3},
        {"owner": {"id": 1}, "kind": "a", "v": 4},
    ]
    for run in ("r1", "r2"):
        warehouse.pull([records], facts, layout=layout, mode="merge", run=run)
    column = "v" if layout == "columns" else "(record -> 'v')::int"
    assert sorted(warehouse.column(column)) == [2, 3, 4]


@LAYOUTS
def test_a_tombstone_marks_the_row_and_a_later_record_revives_it(
    warehouse: Warehouse, layout: str
) -> None:
    options: dict[str, Any] = {"layout": layout, "mode": "merge", "deleted_when": "gone"}
    alive = [{"id": 1, "at": day(1), "v": "kept"}, {"id": 2, "at": day(1), "v": "stays"}]
    warehouse.pull([alive], BY_TIME, **options)
    stale = {"id": 2, "at": "2025-01-01T00:00:00Z", "gone": True}
    output = warehouse.pull(
        [[{"id": 1, "at": day(2), "gone": True}, stale]], BY_TIME, **options, run="r2"
    )
    assert values(warehouse, layout) == {1: "kept", 2: "stays"}
    is_gone = warehouse.column("_deleted_at IS NOT NULL", order="_order_value")
    assert is_gone == [False, True]
    (part,) = warehouse.destination(BY_TIME, **options).describe(output).parts
    assert part.rows == 0
    warehouse.pull([[{"id": 1, "at": day(3), "v": "back"}]], BY_TIME, **options, run="r3")
    assert values(warehouse, layout) == {1: "back", 2: "stays"}
    assert set(warehouse.column("_deleted_at")) == {None}


@LAYOUTS
def test_a_hard_delete_removes_the_row_unless_it_is_newer(
    warehouse: Warehouse, layout: str
) -> None:
    options: dict[str, Any] = {
        "layout": layout,
        "mode": "merge",
        "deleted_when": "status == 'deleted'",
        "delete": "hard",
    }
    warehouse.pull(
        [[{"id": n, "at": day(2), "v": n, "status": "ok"} for n in range(3)]], BY_TIME, **options
    )
    gone = [
        {"id": 0, "at": day(3), "status": "deleted"},
        {"id": 1, "at": day(1), "status": "deleted"},
        {"id": 9, "at": day(1), "status": "deleted"},
    ]
    warehouse.pull([gone], BY_TIME, **options, run="r2")
    assert values(warehouse, layout) == {1: 1, 2: 2}


RECORDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 4), "at": st.integers(1, 5).map(day), "gone": st.booleans()}
    ),
    max_size=8,
)


@examples(0.4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(RECORDS, min_size=1, max_size=3), layout=st.sampled_from(["raw", "columns"]))
def test_runs_in_any_order_end_with_the_newest_of_each_key(
    warehouse: Warehouse, runs: list[list[Any]], layout: str
) -> None:
    table = f"{layout}_merged"
    warehouse.ask(f'DROP TABLE IF EXISTS "{warehouse.schema}".{table}')
    number = 0
    latest: dict[int, Any] = {}
    for at, records in enumerate(runs):
        for record in records:
            number += 1
            record["v"] = number
            kept = latest.get(record["id"])
            if kept is None or record["at"] >= kept["at"]:
                latest[record["id"]] = record
        warehouse.pull(
            [records],
            BY_TIME,
            layout=layout,
            mode="merge",
            deleted_when="gone",
            run=f"r{at}",
            table=f"{warehouse.schema}.{table}",
        )
    pick = ("id, v", "")[layout != "columns"] or "(record -> 'id')::int, (record -> 'v')::int"
    rows = (
        warehouse.ask(f'SELECT {pick}, _deleted_at IS NOT NULL FROM "{warehouse.schema}".{table}')
        if any(runs)
        else []
    )
    assert {row[0]: row[2] for row in rows} == {
        key: record["gone"] for key, record in latest.items()
    }
    alive = {key: record["v"] for key, record in latest.items() if not record["gone"]}
    assert {row[0]: row[1] for row in rows if not row[2]} == alive


def test_many_tasks_at_once_merge_into_one_table(warehouse: Warehouse) -> None:
    errors: list[BaseException] = []

    def merge(task: int) -> None:
        try:
            records = [{"id": n, "at": day(task + 1), "v": task} for n in range(200)]
            records = records[::-1] if task % 2 else records
            warehouse.pull([records], BY_TIME, mode="merge", map_index=task)
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=merge, args=(task,)) for task in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert values(warehouse, "raw") == dict.fromkeys(range(200), 5)


def test_a_table_with_repeated_keys_cannot_be_merged_into(warehouse: Warehouse) -> None:
    warehouse.pull([[*ids(2), *ids(1)]])
    with pytest.raises(DestinationError, match="The table has several rows of one primary key"):
        warehouse.pull([ids(1)], EndpointFacts(("id",)), mode="merge", run="r2")


def test_a_primary_key_of_the_table_itself_is_used(warehouse: Warehouse) -> None:
    schema = warehouse.schema
    warehouse.ask(f"CREATE SCHEMA {schema}")
    warehouse.ask(f"CREATE TABLE {schema}.contacts (id bigint PRIMARY KEY, v text)")
    warehouse.pull([[{"id": 1, "v": "x"}]], EndpointFacts(("id",)), layout="columns", mode="merge")
    found = warehouse.ask(
        "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = 'contacts'", schema
    )
    assert found == [("contacts_pkey",)]


def test_a_value_that_cannot_be_compared_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(
        DestinationError, match="The incremental field of a record, 'soon', cannot be compared"
    ):
        warehouse.pull([[{"id": 1, "at": "soon"}]], BY_TIME, mode="merge")


@LAYOUTS
def test_a_merge_without_records_changes_nothing(warehouse: Warehouse, layout: str) -> None:
    warehouse.pull([[]], BY_TIME, layout=layout, mode="merge")
    warehouse.pull([[{"id": 1, "at": day(1), "v": 1}]], BY_TIME, layout=layout, mode="merge")
    warehouse.pull([[]], BY_TIME, layout=layout, mode="merge", run="r2")
    assert values(warehouse, layout) == {1: 1}
