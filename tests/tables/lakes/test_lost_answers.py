"""Commits whose answer was lost, or that another transaction overtook: the rows are there once, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from tests.tables.kinds import KINDS, Kind, connect, put, read_rows

Patch = Callable[..., None]


@pytest.fixture
def patch_commit(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> Patch:
    """``patch_commit(before, after)`` raises these errors, if given, before or after the next commit reaches the table."""
    owner: Any
    if kind.name == "delta":
        from oauth_taskflow.destinations.tables import delta  # noqa: PLC0415 - an extra

        owner, name = delta, "write_deltalake"
    else:
        from pyiceberg.table import Transaction  # noqa: PLC0415 - an extra

        owner, name = Transaction, "commit_transaction"
    real = getattr(owner, name)

    def patch(*, before: Exception | None = None, after: Exception | None = None) -> None:
        errors = [before, after]

        def commit(*args: Any, **options: Any) -> Any:
            first, last = errors
            errors[:] = [None, None]
            if first is not None:
                raise first
            made = real(*args, **options)
            if last is not None:
                raise last
            return made

        monkeypatch.setattr(owner, name, commit)

    return patch


def test_a_commit_whose_answer_was_lost_counts(
    kind: Kind, tmp_path: Path, patch_commit: Patch
) -> None:
    put(kind, tmp_path, [{"id": 0}], "r0")
    patch_commit(after=OSError("connection reset"))
    described = put(kind, tmp_path, [{"id": 1}])
    assert read_rows(kind, tmp_path, "_run_id", "id") == [("r0", 0), ("r1", 1)]
    assert described.parts[0].rows == 1


def test_a_commit_that_did_not_reach_the_table_fails_and_changes_nothing(
    kind: Kind, tmp_path: Path, patch_commit: Patch
) -> None:
    put(kind, tmp_path, [{"id": 0}], "r0")
    patch_commit(before=OSError("no route to host"))
    with pytest.raises(DestinationError, match="no route to host"):
        put(kind, tmp_path, [{"id": 1}])
    assert read_rows(kind, tmp_path, "_run_id", "id") == [("r0", 0)]
    put(kind, tmp_path, [{"id": 1}])
    assert read_rows(kind, tmp_path, "_run_id", "id") == [("r0", 0), ("r1", 1)]


def overtaken(kind: Kind) -> Any:
    """The error of a commit that another transaction overtook."""
    if kind.name == "delta":
        from deltalake.exceptions import CommitFailedError  # noqa: PLC0415 - an extra

        return CommitFailedError("another transaction")
    from pyiceberg.exceptions import CommitFailedException  # noqa: PLC0415 - an extra

    return CommitFailedException("another transaction")


@pytest.mark.parametrize("reached", [False, True], ids=["overtaken", "by itself"])
def test_a_commit_that_was_overtaken_is_in_the_table_once(
    kind: Kind, tmp_path: Path, patch_commit: Patch, reached: bool
) -> None:
    put(kind, tmp_path, [{"id": 0}], "r0")
    patch_commit(**{"after" if reached else "before": overtaken(kind)})
    put(kind, tmp_path, [{"id": 1}])
    assert read_rows(kind, tmp_path, "_run_id", "id") == [("r0", 0), ("r1", 1)]


def test_a_removal_that_was_overtaken_is_tried_again(
    kind: Kind, tmp_path: Path, patch_commit: Patch
) -> None:
    first, _ = (put(kind, tmp_path, [{"id": n}], "r1", map_index=n).manifest for n in range(2))
    files = len(list(tmp_path.rglob("*.parquet")))
    patch_commit(before=overtaken(kind))
    assert connect(kind, tmp_path, "r1").remove_stale({0: first}) == 1
    assert read_rows(kind, tmp_path, "id") == [(0,)]
    assert len(list(tmp_path.rglob("*.parquet"))) == files


@pytest.fixture
def repeat_commits(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, each commit to a catalog of Iceberg is sent twice, as by a proxy that lost the first answer."""
    pytest.importorskip("pyiceberg")
    from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415 - an extra

    real = SqlCatalog.commit_table

    def commit_twice(*args: Any) -> Any:
        real(*args)
        return real(*args)

    return lambda: monkeypatch.setattr(SqlCatalog, "commit_table", commit_twice)


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
def test_a_commit_that_a_proxy_sends_twice_is_in_the_table_once(
    tmp_path: Path, repeat_commits: Callable[[], None], mode: str
) -> None:
    iceberg = next(kind for kind in KINDS if kind.name == "iceberg")
    facts = EndpointFacts(primary_key=("id",))
    rows = [{"id": number, "v": "old"} for number in range(3)]
    put(iceberg, tmp_path, rows, "r0", mode=mode, facts=facts)
    repeat_commits()
    changed = [{"id": 1, "v": "new"}, {"id": 3, "v": "new"}]
    for _ in range(2):  # the second replaces rows, and rewrites files with rows of other runs
        put(iceberg, tmp_path, changed, "r1", mode=mode, facts=facts)
    kept = (
        [("old", 0), ("old", 1), ("old", 2)] if mode == "replace_run" else [("old", 0), ("old", 2)]
    )
    assert read_rows(iceberg, tmp_path, "v", "id") == [("new", 1), ("new", 3), *kept]


def test_rows_that_a_proxy_lets_remove_twice_take_no_others_with_them(
    tmp_path: Path, repeat_commits: Callable[[], None]
) -> None:
    iceberg = next(kind for kind in KINDS if kind.name == "iceberg")
    first, _ = (
        put(iceberg, tmp_path, [{"id": number}], "r1", map_index=number).manifest
        for number in range(2)
    )
    repeat_commits()
    assert connect(iceberg, tmp_path, "r1").remove_stale({0: first}) == 1
    assert read_rows(iceberg, tmp_path, "id") == [(0,)]
