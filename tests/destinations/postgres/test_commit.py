"""Commits under fire: several attempts at once, connections that are lost, and a database that loses its memory."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.postgres import staging, writer
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.attempt import AttemptProcess
from tests.destinations.postgres.proxy import cutting_proxy
from tests.destinations.postgres.tables import Warehouse, ids, summary

RUN = Run("contacts", "r1", dag_id="crm")
OVERTAKEN = "Another attempt of the same run committed its output while this one was writing, so this attempt was discarded"


def terminate_all(warehouse: Warehouse) -> None:
    """Ends all connections of the destination, as an administrator or a failover does."""
    warehouse.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'oauth-taskflow'"
    )


def test_eight_processes_create_one_table_at_once(postgres_url: str, warehouse: Warehouse) -> None:
    attempts = [AttemptProcess(postgres_url, warehouse.schema, "r1", n, 10 + n) for n in range(8)]
    for attempt in attempts:
        attempt.wait_until_ready()
        attempt.let_go()
    assert [attempt.outcome() for attempt in attempts] == ["won"] * 8
    counts = warehouse.ask(
        f"SELECT _map_index, count(*) FROM {warehouse.schema}.contacts GROUP BY 1 ORDER BY 1"
    )
    assert counts == [(n, 10 + n) for n in range(8)]


def test_of_two_attempts_at_once_the_first_to_commit_wins(
    postgres_url: str, warehouse: Warehouse
) -> None:
    attempts = [AttemptProcess(postgres_url, warehouse.schema, "r1", -1, 10 + n) for n in range(2)]
    for attempt in attempts:
        attempt.wait_until_ready()
    for attempt in attempts:
        attempt.let_go()
    outcomes = [attempt.outcome() for attempt in attempts]
    assert sorted(outcomes) == [OVERTAKEN, "won"]
    assert len(warehouse.column("record")) == 10 + outcomes.index("won")
    assert warehouse.stages() == []


def test_a_loser_cannot_stage_either(warehouse: Warehouse) -> None:
    destination = warehouse.destination()
    slow, quick = destination.open(RUN), destination.open(RUN)
    slow.write(ids(3))
    slow.keep(b"slow")
    quick.write(ids(2))
    quick.commit(summary(2))
    slow.write(ids(1))
    with pytest.raises(DestinationError, match="Another attempt of the same run"):
        slow.keep(b"later")
    slow.suspend()
    assert (warehouse.stages(), len(warehouse.column("record"))) == ([], 2)
    assert destination.find_progress(RUN) is None


@pytest.mark.parametrize("forwards", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("options", [{}, {"layout": "columns"}, {"mode": "append"}], ids=str)
@pytest.mark.parametrize("staged", [False, True], ids=["from the file", "staged"])
def test_a_connection_lost_at_the_commit_is_cleared_up_by_the_register(
    warehouse: Warehouse, forwards: bool, options: dict[str, Any], staged: bool
) -> None:
    run = options.get("mode", "") + "r1"
    with cutting_proxy(warehouse.found.port or 0, b"COMMIT", forwards=forwards, cuts=0) as proxy:
        warehouse.found.port = proxy.port
        writer = warehouse.destination(**options, run=run).open(RUN)
        writer.write(ids(500))
        if staged:
            writer.keep(b"state")
            writer.write(ids(7))
        writer._target.change_structure(writer._database.connection)
        proxy.left = 1
        output = writer.commit(summary(507))
        assert proxy.left == 0
    assert output.figures[0].rows == (507 if staged else 500)
    table = warehouse.ask(f"SELECT count(*) FROM {warehouse.schema}.contacts")
    assert table == [(output.figures[0].rows,)]
    assert warehouse.ask(f"SELECT count(*) FROM {warehouse.schema}._oauth_taskflow_runs") == [(1,)]
    assert warehouse.stages() == []


def test_a_commit_whose_connection_is_lost_again_and_again_fails_and_can_be_repeated(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PAUSE_SECONDS", 0.0)
    port = warehouse.found.port
    with cutting_proxy(port or 0, b"COPY", forwards=False, cuts=99) as proxy:
        warehouse.found.port = proxy.port
        made = warehouse.destination().open(RUN)
        made.write(ids(3))
        with pytest.raises(DestinationError, match="Committing the output failed") as caught:
            made.commit(summary(3))
        made.abort()
    assert caught.value.retryable
    warehouse.found.port = port
    warehouse.pull([ids(3)])
    assert len(warehouse.column("record")) == 3


@pytest.mark.parametrize("forwards", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("layout", ["raw", "columns"])
def test_records_are_staged_once_when_the_connection_is_lost(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, layout: str, forwards: bool
) -> None:
    monkeypatch.setattr(staging, "_MOST_FILE_BYTES", 900)
    monkeypatch.setattr(staging, "_BACKGROUND_BYTES", 900)
    cut = 0
    with cutting_proxy(warehouse.found.port or 0, b"COMMIT", forwards=forwards, cuts=0) as proxy:
        warehouse.found.port = proxy.port
        writer = warehouse.destination(layout=layout).open(RUN)
        for page in range(10):
            proxy.left = int(page % 3 == 1)
            cut += proxy.left
            writer.write([{"id": page * 100 + n} for n in range(100)])
            writer._staged.settle()
            cut -= proxy.left
        writer.commit(summary(1000))
    assert cut == 3
    value = "record -> 'id'" if layout == "raw" else "id"
    assert warehouse.column(value) == [page * 100 + n for page in range(10) for n in range(100)]
    assert warehouse.stages() == []


def test_connections_that_an_administrator_ends_are_opened_again(warehouse: Warehouse) -> None:
    writer = warehouse.destination().open(RUN)
    writer.write(ids(5))
    terminate_all(warehouse)
    writer.keep(b"state")
    writer.write(ids(3))
    terminate_all(warehouse)
    writer.commit(summary(8))
    assert len(warehouse.column("record")) == 8


def test_a_staging_table_that_a_crash_emptied_is_noticed(warehouse: Warehouse) -> None:
    for layout in ("raw", "columns"):
        destination = warehouse.destination(layout=layout, table=f"{warehouse.schema}.{layout}")
        writer = destination.open(RUN)
        writer.write(ids(5))
        writer.keep(b"state")
        warehouse.ask(f"TRUNCATE {warehouse.schema}.{writer._staged.name}")
        with pytest.raises(
            DestinationError, match="The staging table has 0 records of 5"
        ) as caught:
            writer.commit(summary(5))
        assert caught.value.retryable
        progress = destination.find_progress(RUN)
        assert progress is not None
        assert destination.resume(RUN, progress, 5) is None, "starts over"
        writer.abort()
        assert warehouse.column("1", layout) == []


def test_leftovers_of_dead_attempts_go_with_the_next_commit(warehouse: Warehouse) -> None:
    destination = warehouse.destination()
    for _ in range(3):
        dead = destination.open(RUN)
        dead.write(ids(2))
        dead.keep(b"dead")
        dead.suspend()
    other = warehouse.destination(run="r0").open(Run("contacts", "r0", dag_id="crm"))
    other.write(ids(2))
    other.keep(b"other run")
    assert len(warehouse.stages()) == 4
    warehouse.pull([ids(1)])
    assert len(warehouse.stages()) == 1
    warehouse.ask(
        f"UPDATE {warehouse.schema}._oauth_taskflow_stages SET used_at = now() - interval '8 days'"
    )
    other.suspend()
    warehouse.pull([ids(1)], run="r2")
    assert warehouse.stages() == []


def test_an_attempt_that_cannot_go_on_leaves_what_was_kept(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> bool:
        raise DestinationError("Staging records failed")

    destination = warehouse.destination()
    first = destination.open(RUN)
    first.write(ids(3))
    first.keep(b"one")
    first.suspend()
    progress = destination.find_progress(RUN)
    with monkeypatch.context() as patch:
        patch.setattr(writer.PostgresWriter, "take_over", refuse)
        with pytest.raises(DestinationError, match="Staging records failed"):
            destination.resume(RUN, progress, 3)
    assert len(warehouse.stages()) == 1
    destination.resume(RUN, progress, 3).commit(summary(3))
    assert warehouse.column("record -> 'id'") == [0, 1, 2]


def test_progress_goes_on_in_the_next_attempt_and_is_kept_there(warehouse: Warehouse) -> None:
    destination = warehouse.destination()
    first = destination.open(RUN)
    first.write(ids(10))
    first.keep(b"one")
    first.suspend()
    progress = destination.find_progress(RUN)
    assert progress is not None
    assert (progress.rows, progress.state) == (10, b"one")
    kept = list(destination.read_kept(RUN, progress, 2, 3))
    assert [bytes(record) for record in kept] == [b'{"id": 2}', b'{"id": 3}', b'{"id": 4}']
    second = destination.resume(RUN, progress, 6)
    assert second is not None
    second.write([{"id": 60}])
    second.keep(b"two")
    second.suspend()
    assert len(warehouse.stages()) == 1
    progress = destination.find_progress(RUN)
    assert (progress.rows, progress.state) == (7, b"two")
    third = destination.resume(RUN, progress, 7)
    third.commit(summary(7))
    assert warehouse.column("record -> 'id'") == [0, 1, 2, 3, 4, 5, 60]
    assert warehouse.stages() == []
