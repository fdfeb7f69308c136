"""Limits of a task that sends hostile requests about budgets in broker mode."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.budgets import connection_store
from oauth_taskflow.budgets.connection_store import ConnectionBudgetStore
from oauth_taskflow.budgets.ledger import Window
from oauth_taskflow.budgets.slots import Ask, Charge
from oauth_taskflow.budgets.sql import SqlBudgetStore
from oauth_taskflow.errors import ConnectionConfigError, TokenStoreError
from oauth_taskflow.taskflow.broker.budget_wire import read_ask, write_ask
from tests.taskflow.broker.test_budget_questions import budget, charge_of


def make(tmp_path: Path, conn_id: str, *limits: Any, team: str = "") -> ConnectionBudgetStore:
    store = SqlBudgetStore(f"sqlite:///{tmp_path}/t.db")
    stated = msgspec.convert(limits, tuple[RateLimit, ...])
    return ConnectionBudgetStore(store, conn_id, stated, team)


def stated_key(store: ConnectionBudgetStore) -> str:
    return next(iter(store._stated))


def test_a_task_neither_spends_nor_holds_a_budget_of_another_connection(tmp_path: Path) -> None:
    crm, erp = make(tmp_path, "crm", budget(5)), make(tmp_path, "erp", budget(5))
    key = stated_key(crm)
    stolen = Charge(Window(key, "x", 5, 3600))
    erp.ask(Ask((stolen,), "evil", 256, hold=(frozenset({key}), 1e6)))
    reading = crm.ask(Ask((stolen,), "good", 5))
    assert sum(slot.count for slot in reading.grant.slots) == 5


def test_a_task_does_not_make_a_stated_budget_larger(tmp_path: Path) -> None:
    crm = make(tmp_path, "crm", budget(5))
    enlarged = Charge(Window(stated_key(crm), "x", 1e12, 0.001), 1e-9)
    reading = crm.ask(Ask((enlarged,), "evil", 256))
    assert sum(slot.count for slot in reading.grant.slots) == 256  # its cost is its own affair
    plain = crm.ask(Ask((replace(enlarged, cost=1.0),), "evil", 256))
    assert sum(slot.count for slot in plain.grant.slots) < 5


def test_names_are_shared_only_by_connections_that_state_them(tmp_path: Path) -> None:
    named = budget(5, name="acme")
    stores = [make(tmp_path, one, named) for one in ("crm", "erp")]
    charge = Charge(Window(stated_key(stores[0]), "x", 5, 3600))
    assert sum(s.count for s in stores[0].ask(Ask((charge,), "a", 5)).grant.slots) == 5
    assert stores[1].ask(Ask((charge,), "b", 1, latest=1.0)).grant.slots == ()
    other = make(tmp_path, "other")
    assert sum(s.count for s in other.ask(Ask((charge,), "c", 5)).grant.slots) == 5


def test_teams_with_connections_of_one_name_have_budgets_of_their_own(tmp_path: Path) -> None:
    stores = [make(tmp_path, "crm", budget(5), team=team) for team in ("red", "blue")]
    charge = Charge(Window(stated_key(stores[0]), "x", 5, 3600))
    for store in stores:
        assert sum(s.count for s in store.ask(Ask((charge,), "a", 5)).grant.slots) == 5


def test_the_database_holds_so_many_budgets_of_a_connection_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_store, "_MOST_BUDGETS", 5)
    crm, erp = make(tmp_path, "crm"), make(tmp_path, "erp")
    for number in range(5):
        crm.ask(Ask((charge_of(5, 60, f"{number:064x}"),), "evil", 1))
    with pytest.raises(TokenStoreError, match="ask for more than 5 budgets"):
        crm.ask(Ask((charge_of(5, 60, f"{9:064x}"),), "evil", 1))
    crm.ask(Ask((charge_of(5, 60, f"{3:064x}"),), "good", 1))
    erp.ask(Ask((charge_of(5, 60, f"{9:064x}"),), "good", 1))
    again = make(tmp_path, "crm")  # another process of the API server
    again.ask(Ask((charge_of(5, 60, f"{4:064x}"),), "good", 1))
    with pytest.raises(TokenStoreError):
        again.ask(Ask((charge_of(5, 60, f"{8:064x}"),), "evil", 1))


def test_a_ledger_stays_small_whatever_is_asked(tmp_path: Path) -> None:
    crm = make(tmp_path, "crm")
    began = time.perf_counter()
    for _ in range(30):
        crm.ask(Ask((charge_of(1, 0.001),), "evil", 1_000_000, 1_000_000))
    assert (tmp_path / "t.db").stat().st_size < 1_000_000
    assert time.perf_counter() - began < 60


@pytest.mark.parametrize(
    "change",
    [
        {"charges": []},
        {"charges": [["x", "l", 1, 1, 1]]},
        {"charges": [["a" * 64, "l", -1, 1, 1]]},
        {"charges": [["a" * 64, "l", 1, float("inf"), 1]]},
        {"charges": [["a" * 64, "l", 1, 1, 2]]},
        {"charges": [["a" * 64, "l" * 500, 1, 1, 1]]},
        {"worker": "w" * 1000},
        {"demand": -1},
        {"demand": 10**9},
        {"slack": -5},
        {"turn": 0},
        {"returned": [[0, -5]]},
        {"returned": [[0, 1]] * 2000},
        {"hold": 1e12},
        {"held": ["'; DROP TABLE oauth_taskflow_budget"]},
    ],
)
def test_values_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    good = write_ask(Ask((charge_of(5, 1.0),), "w1"), turn=1, slack=0.1)
    names = type(good).__struct_fields__
    values = dict(zip(names, msgspec.to_builtins(good), strict=True)) | change
    with pytest.raises(ConnectionConfigError, match="does not understand"):
        read_ask([values[name] for name in names])


def test_a_question_that_arrives_twice_returns_its_slots_once(tmp_path: Path) -> None:
    store = SqlBudgetStore(f"sqlite:///{tmp_path}/t.db")
    charge = charge_of(10, 3600.0)
    first = store.ask(Ask((charge,), "w1", 10, turn=1))
    back = tuple(replace(slot, count=4) for slot in first.grant.slots[:1])
    for _ in range(3):
        store.ask(Ask((charge,), "w1", 0, returned=back, turn=2))
    second = store.ask(Ask((charge,), "w2", 10, latest=1.0, turn=1))
    assert sum(slot.count for slot in second.grant.slots) == 4
