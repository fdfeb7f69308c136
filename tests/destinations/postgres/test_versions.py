"""Records that come twice in one run: equal ones are dropped, also after a cut, and of versions the newer one counts in mode merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.specs.windows import Incremental
from tests.destinations.postgres.tables import Warehouse
from tests.engine.cut_off import ListedApi, build_endpoint, pull_after_cuts

LAYOUTS = pytest.mark.parametrize("layout", ["raw", "columns"])
CREATED = {"id": 1, "at": "2026-01-01T10:00:00Z", "v": "created"}
CHANGED = {"v": "changed", "id": 1, "at": "2026-01-01T12:00:00Z"}
DELETED = {"id": 1, "at": "2026-01-01T15:00:00Z", "gone": True}
OTHER = {"id": 2, "at": "2026-01-01T11:00:00Z", "v": "other"}


def merge(
    warehouse: Warehouse, folder: Path, pages: list[Any], cuts: Any = (), **options: Any
) -> Any:
    """Merges the pages into the table ``rows``."""
    return pull(warehouse, folder, {"ann": pages}, cuts, mode="merge", **options)


def pull(warehouse: Warehouse, folder: Path, listed: Any, cuts: Any, **options: Any) -> Any:
    """Pulls into the table ``rows``; ``field`` is the incremental one."""
    field = options.pop("field", "at")
    destination = PostgresDestination(
        conn_id="warehouse", table=f"{warehouse.schema}.rows", **options
    )
    api = ListedApi(listed, cuts)
    endpoint = build_endpoint(
        folder,
        api.style,
        destination=destination,
        incremental=None if field is None else Incremental(field=field),
    )
    return pull_after_cuts(folder, api, endpoint, access=warehouse.access)


def read(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.ask(
        f"SELECT to_jsonb(r), _deleted_at IS NOT NULL FROM {warehouse.schema}.rows r"
    )
    found = ((row.get("record", row), is_gone) for row, is_gone in rows)
    return sorted((row["id"], row.get("v", ""), is_gone) for row, is_gone in found)


@LAYOUTS
@pytest.mark.parametrize("cuts", [[], [1], [1, 3]])
def test_a_row_that_is_created_and_deleted_in_one_run_is_deleted(
    warehouse: Warehouse, tmp_path: Path, layout: str, cuts: list[int]
) -> None:
    pages = [[CREATED, OTHER], [OTHER, CHANGED], [DELETED]]
    merge(warehouse, tmp_path, pages, cuts, layout=layout, deleted_when="gone")
    found = read(warehouse)
    assert [(row[0], row[2]) for row in found] == [(1, True), (2, False)]


@LAYOUTS
def test_a_row_that_is_created_and_deleted_in_one_run_is_removed(
    warehouse: Warehouse, tmp_path: Path, layout: str
) -> None:
    options = {"layout": layout, "deleted_when": "gone", "delete": "hard"}
    merge(warehouse, tmp_path, [[CREATED, OTHER], [DELETED]], **options)
    assert read(warehouse) == [(2, "other", False)]


@LAYOUTS
@pytest.mark.parametrize("field", ["at", None])
def test_the_newer_version_counts_and_without_an_order_the_last(
    warehouse: Warehouse, tmp_path: Path, layout: str, field: str | None
) -> None:
    pages = [[CHANGED, OTHER], [CREATED]]
    merge(warehouse, tmp_path, pages, layout=layout, field=field)
    assert read(warehouse)[0] == (1, "changed" if field else "created", False)


ODD = {"v": "shared", "id": 3, "at": "2026-01-01T11:00:00Z", "x": {"b": [1e-7, 1.50], "a": None}}


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
@LAYOUTS
def test_an_equal_record_is_a_repeat_after_a_cut(
    warehouse: Warehouse, tmp_path: Path, mode: str, layout: str
) -> None:
    listed = {"ann": [[ODD, OTHER], [CHANGED, OTHER]], "bob": [[ODD, CREATED]]}
    summary = pull(warehouse, tmp_path, listed, [1, 3], mode=mode, layout=layout)
    assert (summary.rows, summary.duplicates, summary.resumed) == (4, 2, 2)


def test_a_record_that_comes_back_as_another_one_makes_the_pull_start_over(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    odd = {**ODD, "v": "\0shared"}
    listed = {"ann": [[odd, OTHER], [CHANGED]], "bob": [[odd]]}
    summary = pull(warehouse, tmp_path, listed, [2], nul="strip")
    assert (summary.rows, summary.duplicates, summary.resumed) == (3, 1, 0)
