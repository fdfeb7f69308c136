"""How much of a Delta Lake table's log a commit reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("deltalake")
from deltalake import DeltaTable

from tests.tables.kinds import KINDS, put, read_rows

(KIND,) = (kind for kind in KINDS if kind.name == "delta")


def test_a_commit_reads_the_log_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = DeltaTable.history

    def history(self: DeltaTable, limit: int | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = real(self, limit)
        asked.append(len(found))
        return found

    for number in range(6):
        put(KIND, tmp_path, [{"id": number}], f"r{number % 4}")
    monkeypatch.setattr(DeltaTable, "history", history)
    put(KIND, tmp_path, [{"id": 9}], "r0")
    assert asked == [7, 1], "the whole log, then the transaction of the commit"
    assert read_rows(KIND, tmp_path, "id") == [(2,), (3,), (5,), (9,)]
