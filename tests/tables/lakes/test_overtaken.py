"""Commits to an Iceberg table that others overtake again and again: their rows are written once, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyiceberg")
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Transaction

from oauth_taskflow.destinations.tables import overtaking
from oauth_taskflow.errors import DestinationError
from tests.tables.kinds import KINDS, put, read_rows

(KIND,) = (kind for kind in KINDS if kind.name == "iceberg")


def overtake(patch: pytest.MonkeyPatch, folder: Path, *others: dict[str, Any]) -> None:
    """Lets other runs commit, each right before the next commit."""
    waiting = [(f"other{number}", record) for number, record in enumerate(others)]
    real = Transaction.commit_transaction

    def commit(self: Transaction) -> Any:
        if waiting:
            run, record = waiting.pop(0)
            before, waiting[:] = [*waiting], []
            put(KIND, folder, [record], run)
            waiting[:] = before
        return real(self)

    patch.setattr(Transaction, "commit_transaction", commit)


def data_files(folder: Path) -> int:
    return len(list(folder.rglob("*.parquet")))


def test_a_commit_that_is_overtaken_does_not_write_its_rows_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(KIND, tmp_path, [{"id": 0, "tag": "z"}], "r0")
    written = count_writes(monkeypatch)
    overtake(monkeypatch, tmp_path, {"id": 1}, {"id": 2, "more": "x"}, {"id": 3})
    put(KIND, tmp_path, [{"id": number, "tag": "a"} for number in range(10, 13)])
    assert read_rows(KIND, tmp_path, "_run_id", "id") == [
        *((f"other{n}", n + 1) for n in range(3)),
        ("r0", 0),
        *(("r1", number) for number in range(10, 13)),
    ]
    assert len(written) == data_files(tmp_path) - 1 == 4


def test_a_new_column_of_another_run_never_takes_the_values_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(KIND, tmp_path, [{"id": 0}], "r0")
    overtake(monkeypatch, tmp_path, {"id": 1, "more": "x"})  # which gets the id that ours had
    put(KIND, tmp_path, [{"id": 2, "tag": "a"}])
    assert read_rows(KIND, tmp_path, "id", "more", "tag") == [
        (0, None, None),
        (1, "x", None),
        (2, None, "a"),
    ]


def test_rows_are_written_again_where_another_run_changed_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(KIND, tmp_path, [{"id": 0}], "r0")
    overtake(monkeypatch, tmp_path, {"id": 1, "owner": {"b": "x"}})
    put(KIND, tmp_path, [{"id": 2, "owner": {"a": 1}}])
    assert read_rows(KIND, tmp_path, "id", "owner") == [
        (0, None),
        (1, {"b": "x", "a": None}),
        (2, {"b": None, "a": 1}),
    ]
    assert data_files(tmp_path) == 3


def test_who_gives_up_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(KIND, tmp_path, [{"id": 0}], "r0")

    def refuse(_self: Transaction) -> None:
        raise CommitFailedException("overtaken")

    monkeypatch.setattr(Transaction, "commit_transaction", refuse)
    monkeypatch.setattr(overtaking, "_PATIENCE", -1.0)
    with pytest.raises(DestinationError, match="overtaken"):
        put(KIND, tmp_path, [{"id": 1}])
    assert data_files(tmp_path) == 1


def count_writes(patch: pytest.MonkeyPatch) -> list[str]:
    """The data files that are written from now on."""
    from oauth_taskflow.destinations.tables.iceberg_files import DataFiles  # noqa: PLC0415 - an extra

    found: list[str] = []
    real = DataFiles._write_file

    def write(self: DataFiles, *given: Any) -> None:
        real(self, *given)
        found.append(self.names[-1])

    patch.setattr(DataFiles, "_write_file", write)
    return found
