"""Attempts at one run in a warehouse: killed, at once, cut off; the rows are there once, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.errors import ApiError, DestinationError
from tests.tables.kinds import Kind, connect, put, read_rows, summary_of
from tests.tables.warehouses.attempts import KEYED, DltAttempt
from tests.tables.warehouses.support import TABLES, ask, tables_of

pytest.importorskip("dlt")
from oauth_taskflow.destinations.tables.dlt import DltTable
from oauth_taskflow.destinations.tables.dlt_session import DltSession
from oauth_taskflow.destinations.tables.dlt_stage import Stage

# As DltAttempt writes them: of kinds that a warehouse may keep as texts.
MORE = {"map": -1, "huge": 2**80, "firstName": {"a": [1]}}
# Calls of the session within a commit: before the staging table, while it is filled, within the transaction, after it.
BOUNDARIES = (2, 4, 6, 8, 10, 11, 13, 16)
gate_and_all = pytest.mark.parametrize(
    "boundaries", [BOUNDARIES, pytest.param(range(24), marks=pytest.mark.full)], ids=["gate", "all"]
)


@pytest.mark.no_cover
@gate_and_all
def test_a_rerun_completes_what_a_killed_attempt_began(
    kind: Kind, tmp_path: Path, boundaries: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert DltAttempt(kind, tmp_path, die_at=3).run() == "killed", "before the table has a column"
    put(kind, tmp_path, [{"id": 1}], "r0")
    before = [("r0", 1)]
    ends = []
    for boundary in boundaries:
        ended = DltAttempt(kind, tmp_path, die_at=boundary).run()
        assert ended in {"killed", "won"}
        ends.append(ended)
        rows = read_rows(kind, tmp_path, "_run_id", "id")
        whole = [*before, *(("r1", number) for number in range(3))]
        assert rows in (before, whole), boundary
        put(kind, tmp_path, [{"id": number, **MORE} for number in range(3)], "r1")
        assert read_rows(kind, tmp_path, "_run_id", "id") == whole, boundary
        assert tables_of(kind, tmp_path) == TABLES, boundary
        assert list(temporary.glob("oauth-taskflow.*")) == [], boundary
        put(kind, tmp_path, [], "r1")
    assert ends.count("killed") >= 8, ends


@pytest.mark.no_cover
@gate_and_all
def test_a_merge_that_was_killed_changed_all_keys_or_none_and_the_next_one_changes_all(
    kind: Kind, tmp_path: Path, boundaries: Sequence[int]
) -> None:
    more: dict[str, Any] = {"facts": KEYED, "mode": "merge"}
    ends = []
    for boundary in boundaries:
        put(kind, tmp_path, [{"id": number, **MORE} for number in range(3)], "r0", **more)
        ends.append(DltAttempt(kind, tmp_path, die_at=boundary, mode="merge").run())
        rows = read_rows(kind, tmp_path, "_run_id", "id")
        assert rows in [[(run, number) for number in range(3)] for run in ("r0", "r1")], boundary
        put(kind, tmp_path, [{"id": number, **MORE} for number in range(3)], "r1", **more)
        assert read_rows(kind, tmp_path, "_run_id", "id") == [("r1", n) for n in range(3)], boundary
        assert tables_of(kind, tmp_path) == TABLES, boundary
    assert ends.count("killed") >= 8, ends


def test_instances_that_create_the_table_at_once_all_get_in(tmp_path: Path, postgres: Kind) -> None:
    attempts = [DltAttempt(postgres, tmp_path, map_index=number) for number in range(4)]
    for attempt in attempts:
        attempt.wait_until_ready()
    for attempt in attempts:
        attempt.let_go()
    assert [attempt.outcome() for attempt in attempts] == ["won"] * 4
    rows = read_rows(postgres, tmp_path, "_map_index", "map", "id")
    assert rows == [(number, number, n) for number in range(4) for n in range(3)]
    assert tables_of(postgres, tmp_path) == TABLES


def test_an_attempt_waits_for_another_one_in_its_transaction_and_then_fails(
    tmp_path: Path, postgres: Kind
) -> None:
    put(postgres, tmp_path, [{"id": 1}], "r0")
    file = tmp_path / "go"
    other = DltAttempt(postgres, tmp_path, wait_for=str(file))
    other.wait_until_ready()
    writer = connect(postgres, tmp_path).open(Run("contacts", "r1"))
    writer.write([{"id": 9}])
    other.let_go()
    other.wait_for("waiting")
    Timer(2, file.touch).start()
    with pytest.raises(DestinationError, match="Another attempt of the same run"):
        writer.commit(summary_of(1))
    assert other.outcome() == "won"
    assert read_rows(postgres, tmp_path, "_run_id", "id") == [
        ("r0", 1),
        *(("r1", number) for number in range(3)),
    ]
    assert tables_of(postgres, tmp_path) == TABLES


def test_a_connection_that_is_lost_in_the_transaction_leaves_the_table_as_it_was(
    tmp_path: Path, postgres: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(postgres, tmp_path, [{"id": 1}], "r1")
    real = Stage.append

    def cut(self: Stage, target: str) -> None:
        real(self, target)
        ask(
            postgres,
            tmp_path,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'idle in transaction'",
        )

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "append", cut)
        with pytest.raises(DestinationError, match="Committing to the table failed"):
            put(postgres, tmp_path, [{"id": 2}], "r1")
    assert read_rows(postgres, tmp_path, "id") == [(1,)]
    put(postgres, tmp_path, [{"id": 3}], "r1")
    assert read_rows(postgres, tmp_path, "id") == [(3,)]
    assert tables_of(postgres, tmp_path) == TABLES


def test_merges_of_two_runs_at_once_leave_one_row_of_a_key(tmp_path: Path, postgres: Kind) -> None:
    facts = EndpointFacts(("id",))
    put(postgres, tmp_path, [{"id": 0}], "r0", facts=facts, mode="merge")
    writers = []
    for run in ("r1", "r2"):
        destination = connect(postgres, tmp_path, run, facts, mode="merge")
        writer = destination.open(Run("contacts", run))
        writer.write([{"id": number, "run": run} for number in range(100)])
        writers.append(writer)
    # dlt's settings are of a process, so the second merge is another one that waits in its transaction.
    for writer in writers:
        writer.commit(summary_of(100))
    assert [row[0] for row in read_rows(postgres, tmp_path, "id")] == sorted(
        range(100), key=lambda n: repr((n,))
    )


def test_rows_that_another_attempt_replaced_are_not_read_as_those_of_the_first(
    kind: Kind, tmp_path: Path
) -> None:
    part = put(kind, tmp_path, [{"id": 1}]).parts[0]
    put(kind, tmp_path, [{"id": 2}])
    destination = connect(kind, tmp_path)
    with pytest.raises(ApiError, match="Another attempt has replaced"):
        list(destination.read(part.path, 0, 1, selector=part.selector))


def fail_once(patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Lets the next call of a method fail."""
    real, calls = getattr(owner, name), iter([True])

    def call(*given: Any, **more: Any) -> Any:
        if next(calls, False):
            raise OSError("another task is faster")
        return real(*given, **more)

    patch.setattr(owner, name, call)


def test_a_table_that_another_task_makes_at_this_moment_is_asked_for_again(
    tmp_path: Path, duckdb: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch, DltSession, "ensure")
    monkeypatch.setattr("time.sleep", lambda _: None)
    put(duckdb, tmp_path, [{"id": 1}])
    assert read_rows(duckdb, tmp_path, "id") == [(1,)]


def test_a_table_that_cannot_be_made_is_one_clear_error(
    tmp_path: Path, duckdb: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no right to create tables")

    monkeypatch.setattr(DltSession, "ensure", refuse)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(DestinationError, match="no right to create tables"):
        put(duckdb, tmp_path, [{"id": 1}])
    assert tables_of(duckdb, tmp_path) == []


def test_rows_that_are_committed_count_though_their_staging_table_stays(
    tmp_path: Path,
    duckdb: Kind,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail_once(monkeypatch, DltTable, "_clean")
    put(duckdb, tmp_path, [{"id": 1}])
    assert read_rows(duckdb, tmp_path, "id") == [(1,)]
    assert "A staging table stays at" in caplog.text
    assert len(tables_of(duckdb, tmp_path)) > len(TABLES)
    put(duckdb, tmp_path, [{"id": 2}])
    assert read_rows(duckdb, tmp_path, "id") == [(2,)]
    assert tables_of(duckdb, tmp_path) == TABLES


def test_rows_that_dlt_does_not_load_fail_the_run(
    tmp_path: Path, duckdb: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DltSession, "load", lambda *_: None)
    with pytest.raises(DestinationError, match="dlt loaded 0 of 2 rows"):
        put(duckdb, tmp_path, [{"id": 2}, {"id": 3}])
    assert read_rows(duckdb, tmp_path, "id") == []
    assert tables_of(duckdb, tmp_path) == TABLES
