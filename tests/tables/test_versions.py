"""A record that comes twice in one run in mode merge: the newer version counts, wherever it was on the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.specs.windows import Incremental
from tests.engine.cut_off import ListedApi, build_endpoint, pull_after_cuts
from tests.tables.kinds import Kind, read_rows

OPEN = {"id": 1, "at": "2026-01-01T10:00:00Z", "v": "open"}
CLOSED = {"id": 1, "at": "2026-01-01T15:00:00Z", "v": "closed"}
OTHER = {"id": 2, "at": "2026-01-01T11:00:00Z", "v": "other"}
CASES = {
    "oldest first, on two pages": [[OPEN, OTHER], [OTHER, CLOSED]],
    "oldest first, on one page": [[OPEN, CLOSED, OTHER]],
    "newest first": [[CLOSED], [OTHER, OPEN]],
}


def merge(kind: Kind, folder: Path, api: ListedApi, field: str | None = "at") -> Any:
    endpoint = build_endpoint(
        folder,
        api.style,
        destination=kind.options(folder, mode="merge"),
        incremental=None if field is None else Incremental(field=field),
    )
    names = {"template_context": {"endpoint": "contacts"}, "name": "contacts"}
    return pull_after_cuts(folder, api, endpoint, access=kind.access, **names)


@pytest.mark.parametrize("pages", CASES.values(), ids=list(CASES))
def test_the_newer_version_of_a_record_counts(
    kind: Kind, tmp_path: Path, pages: list[list[Any]]
) -> None:
    merge(kind, tmp_path, ListedApi({"ann": pages}))
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "closed"), (2, "other")]


def test_without_an_incremental_field_the_last_version_counts(kind: Kind, tmp_path: Path) -> None:
    pages = [[CLOSED, OTHER], [OPEN], [CLOSED, OPEN]]
    merge(kind, tmp_path, ListedApi({"ann": pages}), field=None)
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "open"), (2, "other")]


def test_the_newer_version_under_another_parent_counts(kind: Kind, tmp_path: Path) -> None:
    summary = merge(kind, tmp_path, ListedApi({"ann": [[OPEN, OTHER]], "bob": [[OTHER, CLOSED]]}))
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "closed"), (2, "other")]
    assert (summary.rows, summary.duplicates) == (3, 1)


def test_a_pull_that_was_cut_off_merges_the_newer_version(kind: Kind, tmp_path: Path) -> None:
    merge(kind, tmp_path, ListedApi({"ann": CASES["oldest first, on two pages"]}, cuts=[1]))
    assert read_rows(kind, tmp_path, "id", "v") == [(1, "closed"), (2, "other")]
