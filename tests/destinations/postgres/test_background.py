"""Records that go into the staging table in the background, while the pull goes on."""

from __future__ import annotations

import threading

import msgspec
import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.destinations.postgres import register, staging
from oauth_taskflow.destinations.postgres.database import Database
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import Warehouse, ids, summary

RUN = Run("contacts", "r1", dag_id="crm")
TOO_LARGE = msgspec.Raw(b'{"secret": "vertraulich", "n": 1e200000}')


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_BACKGROUND_BYTES", 900)


def count_staged(warehouse: Warehouse) -> list[int]:
    return [
        count
        for (count,) in warehouse.ask(
            f"SELECT row_count FROM {warehouse.schema}._oauth_taskflow_stages"
        )
    ]


@pytest.mark.parametrize("options", [{"layout": "columns"}, {"mode": "merge"}], ids=str)
def test_records_that_need_a_staging_table_go_there_before_the_commit(
    warehouse: Warehouse, options: dict[str, str]
) -> None:
    writer = warehouse.destination(EndpointFacts(("id",)), **options).open(RUN)
    for start in range(0, 1000, 100):
        writer.write([{"id": start + n} for n in range(100)])
    writer._staged.settle()
    assert count_staged(warehouse) == [1000]
    writer.write([{"id": 1000}])
    assert writer.commit(summary(1001)).figures[0].rows == 1001
    value = "id" if "layout" in options else "record -> 'id'"
    assert warehouse.column(value) == list(range(1001))
    assert warehouse.stages() == []


def test_records_that_need_none_wait_on_the_worker(warehouse: Warehouse) -> None:
    writer = warehouse.destination().open(RUN)
    writer.write(ids(1000))
    assert count_staged(warehouse) == []
    writer.commit(summary(1000))
    assert len(warehouse.column("record")) == 1000


def test_the_pull_goes_on_while_the_database_takes_records(warehouse: Warehouse) -> None:
    destination = warehouse.destination(layout="columns")
    writer = destination.open(RUN)
    writer.write(ids(100))
    writer._staged.settle()
    (stage,) = warehouse.stages()
    table = f'"{warehouse.schema}"."{stage}"'
    with warehouse.lock(table):
        writer.write(ids(100))
        assert [t.name for t in threading.enumerate()].count("oauth-taskflow-staging") == 1
        writer.write([{"id": 100}])
    writer.commit(summary(201))
    assert warehouse.column("id") == [*range(100), *range(100), 100]


def test_a_refused_record_fails_the_attempt_with_its_number(warehouse: Warehouse) -> None:
    writer = warehouse.destination(layout="columns").open(RUN)
    writer.write(ids(104))
    writer._staged.settle()
    writer.write([*ids(3), TOO_LARGE, *ids(97)])
    for again in range(2):
        with pytest.raises(DestinationError, match="Staging records failed") as caught:
            writer.commit(summary(205))
        assert f"at record 108, {warehouse.schema}.contacts" in str(caught.value), again
        assert "vertraulich" not in str(caught.value)
    with pytest.raises(DestinationError, match="Staging records failed"):
        writer.write(ids(100))
    writer.abort()
    assert (warehouse.column("1"), warehouse.stages()) == ([], [])


def test_an_attempt_that_ends_at_once_leaves_nothing(warehouse: Warehouse) -> None:
    writer = warehouse.destination(layout="columns").open(RUN)
    writer.write(ids(50_000))
    writer.abort()
    assert (warehouse.column("1"), warehouse.stages()) == ([], [])


@pytest.mark.parametrize("answers", [True, False], ids=["cancelled", "no answer"])
def test_an_attempt_ends_while_the_database_keeps_the_background_waiting(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(register, "_CLEANING_LOCK_MS", 50)
    if not answers:
        monkeypatch.setattr(Database, "cancel", lambda *_: None)
        monkeypatch.setattr(staging, "_END_SECONDS", 0.1)
    writer = warehouse.destination(layout="columns").open(RUN)
    writer.write(ids(100))
    writer._staged.settle()
    (stage,) = warehouse.stages()
    with warehouse.lock(f'"{warehouse.schema}"."{stage}"'):
        writer.write(ids(100))
        writer.abort()
        assert writer._staged.is_moving is not answers
    if not answers:
        writer._staged.settle()
        writer.abort()
    warehouse.pull([ids(3)], layout="columns")
    assert (warehouse.column("id"), warehouse.stages()) == ([0, 1, 2], [])
