"""Commits whose answer was lost, or that another transaction overtook: the rows are there once, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.errors import DestinationError
from tests.tables.kinds import Kind, put, read_rows

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


def test_a_commit_that_was_overtaken_is_tried_again(
    kind: Kind, tmp_path: Path, patch_commit: Patch
) -> None:
    put(kind, tmp_path, [{"id": 0}], "r0")
    if kind.name == "delta":
        from deltalake.exceptions import CommitFailedError as overtaken  # noqa: N813, PLC0415 - an extra
    else:
        from pyiceberg.exceptions import (  # noqa: PLC0415 - an extra
            CommitFailedException as overtaken,  # noqa: N813
        )
    patch_commit(before=overtaken("another transaction"))
    put(kind, tmp_path, [{"id": 1}])
    assert read_rows(kind, tmp_path, "_run_id", "id") == [("r0", 0), ("r1", 1)]
