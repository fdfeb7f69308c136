"""The ledgers on real databases: shared by connections, created once, and safe when a commit's answer is lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, create_engine, text
from sqlalchemy.exc import OperationalError

from oauth_taskflow.budgets.ledger import Window
from oauth_taskflow.budgets.slots import Ask, Charge, Slot
from oauth_taskflow.budgets.sql import BUDGETS, SqlBudgetStore, open_budget_store
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.testing.airflow_deployment import free_port
from oauth_taskflow.tokens.sql.table import create_schema
from tests.support.clock import FakeClock

DATABASES = ["sqlite", "postgres", "mariadb"]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'budgets.db'}"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def stores(url: str) -> Iterator[list[SqlBudgetStore]]:
    """Three processes' views of one database."""
    stores = [SqlBudgetStore(url) for _ in range(3)]
    yield stores
    for store in stores:
        store.close()
    engine = create_engine(url)
    BUDGETS.drop(engine, checkfirst=True)
    engine.dispose()


def limit(requests: float, per: float, key: str = "k") -> Charge:
    return Charge(Window(key, f"{requests} per {per}", requests, per))


def test_stores_of_one_database_share_a_budget(stores: list[SqlBudgetStore]) -> None:
    asks = [
        store.ask(Ask((limit(3, 60.0),), f"w{number}", 1)) for number, store in enumerate(stores)
    ]
    assert [ask.grant.slots[0].start - ask.grant.now < 5 for ask in asks] == [True] * 3
    later = stores[0].ask(Ask((limit(3, 60.0),), "w0", 1)).grant
    assert later.slots[0].start - later.now > 50


def test_many_threads_ask_at_once_and_none_is_given_too_much(stores: list[SqlBudgetStore]) -> None:
    given: list[Slot] = []

    def ask(store: SqlBudgetStore, worker: str) -> None:
        for _ in range(4):
            answer = store.ask(Ask((limit(5, 3600.0), limit(7, 3600.0, "other")), worker, 1))
            given.extend(answer.grant.slots)

    threads = [
        threading.Thread(target=ask, args=(store, f"w{number}"))
        for number, store in enumerate(stores * 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = min(slot.start for slot in given)
    assert sum(slot.count for slot in given if slot.start < first + 3600) == 5


def test_the_clock_is_the_databases(stores: list[SqlBudgetStore]) -> None:
    first, second = (store.ask(Ask((limit(3, 60.0),), "w")) for store in stores[:2])
    assert 0 <= second.grant.now - first.grant.now < 60
    assert first.before <= first.after <= second.before


def test_a_label_says_whose_budget_a_row_is(stores: list[SqlBudgetStore], url: str) -> None:
    stores[0].ask(Ask((limit(3, 60.0),), "w"))
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT budget_key, label FROM oauth_taskflow_budget")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [("k", "3 per 60.0")]


def test_slots_are_returned_once_even_if_a_commit_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlBudgetStore(f"sqlite:///{tmp_path / 'b.db'}")
    slots = store.ask(Ask((limit(4, 3600.0),), "a", 4)).grant.slots
    answer, lost = store._answer, [True]

    def lose_one_answer(connection: Any, question: Ask) -> Any:
        result = answer(connection, question)
        if lost:
            lost.clear()
            connection.commit()
            raise OperationalError("COMMIT", {}, Exception("connection lost"))
        return result

    monkeypatch.setattr(store, "_answer", lose_one_answer)
    back = Slot(slots[0].start, slots[0].end, 2)
    store.ask(Ask((limit(4, 3600.0),), "a", 0, returned=(back,)))
    free = store.ask(Ask((limit(4, 3600.0),), "b", 4)).grant
    assert sum(slot.count for slot in free.slots if slot.start < free.now + 3000) == 2
    store.close()


def test_one_store_serves_a_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b.db'}"
    assert open_budget_store(url) is open_budget_store(url)
    assert repr(open_budget_store(url)) == f"SqlBudgetStore({url!r})"


def test_a_database_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqlBudgetStore(f"sqlite:///{tmp_path / 'file' / 'b.db'}")
    with pytest.raises(TokenStoreError):
        store.ask(Ask((limit(1, 1.0),), "w"))


def test_the_first_question_waits_for_a_busy_database_as_later_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def create(engine: Engine, table: Table) -> None:
        tries.append(table)
        if len(tries) == 1:  # SQLite does not wait where two connections begin its log at once
            raise OperationalError("", {}, sqlite3.OperationalError("database is locked"))
        create_schema(engine, table)

    monkeypatch.setattr("oauth_taskflow.tokens.sql.transactions.create_schema", create)
    store = SqlBudgetStore(f"sqlite:///{tmp_path}/budgets.db", FakeClock())
    assert store.ask(Ask((limit(3, 60.0),), "w")).grant.slots
    assert len(tries) == 2
    store.close()


def test_a_database_that_is_away_at_the_first_question_is_an_error_of_the_store() -> None:
    url = f"postgresql+psycopg://me:s3cret@127.0.0.1:{free_port()}/budgets"
    with pytest.raises(TokenStoreError) as caught:
        SqlBudgetStore(url, FakeClock()).ask(Ask((limit(3, 60.0),), "w"))
    assert caught.value.retryable
    assert "s3cret" not in str(caught.value)


def test_sqlite_waits_for_no_disk_after_it_was_closed_either(tmp_path: Path) -> None:
    store = SqlBudgetStore(f"sqlite:///{tmp_path}/budgets.db")
    for _ in range(2):
        modes = store._database.run(
            lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar(),
            writes=False,
        )
        assert modes == 1, "NORMAL"
        store.close()
