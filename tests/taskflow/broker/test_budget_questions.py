"""Request budgets in broker mode: the API server keeps them, and a task asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import create_engine, text

from oauth_taskflow.budgets.gate import BudgetGate
from oauth_taskflow.budgets.ledger import Window
from oauth_taskflow.budgets.leftovers import return_all
from oauth_taskflow.budgets.slots import Ask, Charge, Slot
from oauth_taskflow.errors import BudgetWait, ConnectionConfigError, TokenStoreError
from oauth_taskflow.taskflow.broker import budget_stores, desk
from oauth_taskflow.taskflow.broker.budget_client import BrokerBudgetStore
from oauth_taskflow.taskflow.broker.budget_wire import (
    read_answer,
    read_ask,
    write_ask,
    write_reading,
)
from oauth_taskflow.taskflow.broker.channel import ask_about
from oauth_taskflow.taskflow.broker.questions import LONGEST_ID, Asked, write_question
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.retry_policy import map_failures
from oauth_taskflow.taskflow.sessions import budgets_of, open_session
from tests.api.scripted import scripted
from tests.budgets.crowd import most_in_any
from tests.budgets.memory import MemoryBudgetStore
from tests.support.clock import FakeClock
from tests.taskflow.broker.supervisor import Supervisor, broker_answers, supervise
from tests.taskflow.conftest import SetConnection

BACKEND = "AIRFLOW__SECRETS__BACKEND"
BROKER = "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"


@pytest.fixture
def store_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The token store of an API server in broker mode."""
    path = tmp_path / "tokens.db"
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{path}")
    monkeypatch.setenv(BACKEND, BROKER)
    budget_stores._ask_broker_for.cache_clear()
    return path


@pytest.fixture
def task(store_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """This process, as a task of that API server."""
    assert store_file.parent.exists()
    yield supervise(monkeypatch)
    budget_stores._ask_broker_for.cache_clear()


def connect(
    set_connection: SetConnection, conn_id: str, *limits: Any, host: str = "http://127.0.0.1:9"
) -> None:
    extra = {"auth_type": "none", "rate_limit": list(limits)}
    set_connection(conn_id, {"conn_type": "oauth2", "host": host, "extra": extra})


def budget(requests: int, per: str = "PT1H", **more: Any) -> dict[str, Any]:
    return {"requests": requests, "per": per, **more}


def list_rows(path: Path) -> dict[str, str]:
    with create_engine(f"sqlite:///{path}").connect() as connection:
        rows = connection.execute(text("SELECT budget_key, label FROM oauth_taskflow_budget"))
        return {row.budget_key: row.label for row in rows}


def charge_of(requests: float, per: float, key: str = "a" * 64) -> Charge:
    return Charge(Window(key, f"{requests} per {per}, crm", requests, per))


@given(
    latencies=st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 0.6)), min_size=1, max_size=12),
    ahead=st.floats(-1e6, 1e6),
    drift=st.floats(-1e-4, 1e-4),
    budget=st.sampled_from([(5, 1.0), (3, 0.5), (20, 10.0), (4, 60.0)]),
)
def test_however_long_answers_take_no_period_holds_more_than_the_budget(
    latencies: list[tuple[float, float]], ahead: float, drift: float, budget: tuple[int, float]
) -> None:
    clock, sent = FakeClock(), []
    far = _DriftingClock(clock, ahead, drift)
    store, turns = MemoryBudgetStore(far), iter(range(10**6))

    def ask(_: str, __: str, body: Any, **___: Any) -> Any:
        there, back = latencies[next(turns) % len(latencies)]
        clock.sleep(there)
        began = far.monotonic()
        reading = store.ask(read_ask(msgspec.to_builtins(body)))
        answer = write_reading(reading, began, far.monotonic(), ())
        clock.sleep(back)
        return msgspec.to_builtins(answer)

    gates = [
        BudgetGate(
            BrokerBudgetStore("crm", lambda: store, ask, clock),
            [charge_of(*budget)],
            clock=clock,
            worker=f"w{number}",
        )
        for number in range(2)
    ]
    for number in range(budget[0] * 3):
        permit = gates[number % 2].acquire()
        permit.confirm()
        sent.append(clock.monotonic())
    assert most_in_any(sent, budget[1]) <= budget[0]


class _DriftingClock(FakeClock):
    """A clock elsewhere: ahead by some time, and a little faster or slower."""

    def __init__(self, near: FakeClock, ahead: float, drift: float) -> None:
        super().__init__()
        self._near, self._ahead, self._drift = near, ahead, drift

    def now(self) -> float:
        return self._near.monotonic() * (1 + self._drift) + self._ahead + 2e9

    def monotonic(self) -> float:
        return self._near.monotonic() * (1 + self._drift)


slots = st.builds(
    lambda start, length, count: Slot(start, start + length, count),
    st.floats(1e9, 1.0000001e9),
    st.floats(0.005, 3),
    st.integers(1, 9),
)


@given(st.lists(slots, max_size=60), st.integers(0, 1000), st.floats(0, 3600))
def test_a_question_says_on_the_wire_what_the_worker_asks(
    returned: list[Slot], demand: int, latest: float
) -> None:
    ask = Ask((charge_of(5, 1.0),), "w1", demand, 7, tuple(returned), latest, lag=0.25)
    body = msgspec.to_builtins(write_ask(ask, turn=3, slack=0.125))
    read = read_ask(msgspec.json.decode(msgspec.json.encode(body)))
    found = sorted((slot.middle, slot.count) for slot in read.returned)
    expected = sorted((slot.middle, slot.count) for slot in returned)
    assert [count for _, count in found].sort() == [count for _, count in expected].sort()
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected], abs=6e-5)
    rest = replace(read, returned=(), charges=())
    assert rest == Ask((), "w1", demand, 7, (), latest, lag=0.25, turn=3)
    assert read.charges == (Charge(replace(ask.charges[0].window, slack=0.125)),)


def test_many_leftovers_fit_into_an_id_or_are_left_out() -> None:
    store = BrokerBudgetStore("crm", _never, _KeepLast())
    for count in (10, 120, 4000):
        returned = tuple(
            Slot(1e9 + n * 0.0317, 1e9 + n * 0.0317 + 0.01, 1 + n % 7) for n in range(count)
        )
        store.ask(Ask((charge_of(5, 1.0),) * 4, "w1", 1, 16, returned))
    assert max(len(one) for one in _KeepLast.texts) < LONGEST_ID
    assert len(read_ask(_KeepLast.bodies[1]).returned) == 120


@pytest.mark.usefixtures("airflow_home")
def test_a_task_that_is_over_does_not_fail_because_its_leftovers_are_not_taken(
    task: Supervisor, set_connection: SetConnection
) -> None:
    connect(set_connection, "crm", budget(20))
    with map_failures():
        gate = budgets_of(load_settings("crm")).find_gate("/")
        assert gate is not None
        gate.acquire()
        task.answers = lambda name: broker_answers()(name.replace("crm", "gone"))
    return_all()


class _KeepLast:
    """Answers nothing to spend, and keeps the questions that fit."""

    texts: list[str] = []  # noqa: RUF012 - of one test
    bodies: list[Any] = []  # noqa: RUF012 - as above

    def __call__(self, _: str, kind: str, body: Any, **__: Any) -> Any:
        text = write_question(kind, body)[1]
        self.texts.append(text)
        self.bodies.append(msgspec.to_builtins(body))
        return [1e9, 0.0, 0.0, None, []]


def _never() -> Any:
    raise AssertionError("the API server knows the question")


@pytest.mark.usefixtures("airflow_home")
def test_sessions_of_a_task_spend_the_budget_that_the_api_server_keeps(
    task: Supervisor, store_file: Path, set_connection: SetConnection
) -> None:
    with scripted(lambda _: {"ok": True}) as server:
        connect(set_connection, "crm", budget(3), host=server.url)
        with open_session("crm") as session:
            session.budgets.longest_wait = 5.0  # type: ignore[union-attr]  # as the class has it
            for _ in range(3):
                session.get("/").raise_for_status()
            with pytest.raises(Exception, match="The request budget is used up until"):
                session.get("/")
    assert list(list_rows(store_file).values()) == ["3 per PT1H, crm"]
    questions = [name for name in task.asked if "~oauth~ask." in name]
    assert 0 < len(questions) <= 4
    assert max(map(len, questions)) < LONGEST_ID


@pytest.mark.usefixtures("airflow_home", "task")
def test_two_machines_share_what_the_api_server_keeps(
    set_connection: SetConnection,
) -> None:
    connect(set_connection, "crm", budget(6))
    charges = [Charge(Window(one.window.key, one.window.label, 6, 3600)) for one in _charges("crm")]
    gates = [
        BudgetGate(BrokerBudgetStore("crm", _never), charges, worker=f"machine{n}", longest_wait=9)
        for n in range(2)
    ]
    gates[0].acquire()
    gates[0].give_back()
    given_out = 1 + sum(_count_until_used_up(gate) for gate in gates)
    assert given_out == 6


def _count_until_used_up(gate: BudgetGate) -> int:
    """How many requests ``gate`` lets pass before the budget is used up."""
    count = 0
    with suppress(BudgetWait):
        while True:
            gate.acquire()
            count += 1
    return count


def _charges(conn_id: str) -> tuple[Charge, ...]:
    gate = budgets_of(load_settings(conn_id)).find_gate("/")
    assert gate is not None
    return gate.charges


@pytest.mark.usefixtures("airflow_home", "task")
def test_what_a_task_did_not_use_goes_back_when_the_task_ends(
    set_connection: SetConnection,
) -> None:
    connect(set_connection, "crm", budget(20))
    with map_failures():
        gate = budgets_of(load_settings("crm")).find_gate("/")
        assert gate is not None
        gate.acquire()
        assert sum(slot.count for slot in gate._slots) > 0
        time.sleep(1.0)
    assert gate._slots == []
    other = BudgetGate(
        BrokerBudgetStore("crm", _never), gate.charges, worker="other", longest_wait=1
    )
    for _ in range(19):
        other.acquire()
    return_all()


@pytest.mark.usefixtures("airflow_home", "store_file")
def test_without_the_api_server_a_request_fails_and_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, set_connection: SetConnection
) -> None:
    from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415 - needs its home first
    from airflow.sdk.execution_time.comms import ErrorResponse  # noqa: PLC0415 - as above

    answers, away = broker_answers(), ErrorResponse(error=ErrorType.API_SERVER_ERROR)
    supervise(monkeypatch, lambda name: away if "~oauth~" in name else answers(name))
    asked: list[Any] = []
    with scripted(asked.append) as server:
        connect(set_connection, "crm", budget(3), host=server.url)
        with (
            open_session("crm") as session,
            pytest.raises(TokenStoreError, match="does not answer") as caught,
        ):
            session.get("/")
    assert caught.value.retryable
    assert asked == []


@pytest.mark.usefixtures("airflow_home", "task")
def test_a_task_asks_about_connections_that_it_may_read_alone(
    monkeypatch: pytest.MonkeyPatch, set_connection: SetConnection
) -> None:
    body = write_ask(Ask((charge_of(5, 1.0),), "w1"), turn=1, slack=0.1)
    for name in ("missing", "crm'; DROP TABLE connection", "a b", "ü"):
        with pytest.raises(ConnectionConfigError, match="no connection of this package by that"):
            ask_about(name, "budget", body)
    connect(set_connection, "crm")
    with pytest.raises(ConnectionConfigError, match="does not understand this question"):
        ask_about("crm", "nothing", body)
    monkeypatch.setattr("oauth_taskflow.taskflow.secrets_backend.OAuthBroker._find", _deny_access)
    with pytest.raises(ConnectionConfigError, match="denies access"):
        ask_about("crm", "budget", body)


def _deny_access(*_: Any) -> Any:
    from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # noqa: PLC0415 - as above

    raise AirflowSecretsBackendAccessDenied("not yours")


@pytest.mark.usefixtures("airflow_home", "task")
def test_a_crowd_of_questions_occupies_a_few_threads_and_is_asked_to_come_again(
    monkeypatch: pytest.MonkeyPatch, set_connection: SetConnection
) -> None:
    connect(set_connection, "crm", budget(3))
    settings = load_settings("crm")
    hangs = threading.Event()
    monkeypatch.setitem(desk._ANSWERS, "hang", lambda *_: hangs.wait(30))
    monkeypatch.setattr(desk, "_ANSWER_WITHIN", 0.05)
    asked = Asked("n", "hang")
    refused: list[str] = []
    for _ in range(desk._MOST_OF_ONE + 3):
        with pytest.raises(TokenStoreError, match="no time for more questions") as caught:
            desk.answer_question(asked, settings, "")
        assert (caught.value.retryable, caught.value.retry_after) == (True, 1.0)
        refused.append(str(caught.value))
    threads = [one for one in threading.enumerate() if one.name.startswith("oauth_taskflow-desk")]
    assert 0 < len(threads) <= desk._THREADS
    hangs.set()
    _wait_until(lambda: not desk._Desk.under_way)


def _wait_until(is_over: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_over() and time.monotonic() < end:
        time.sleep(0.01)
    assert is_over()


@pytest.mark.usefixtures("airflow_home", "task")
def test_a_named_budget_that_its_connection_does_not_state_is_warned_of(
    set_connection: SetConnection, caplog: pytest.LogCaptureFixture
) -> None:
    connect(set_connection, "crm")
    window = Window("b" * 64, "5 per PT1S, name acme", 5, 1.0)
    store = BrokerBudgetStore("crm", _never)
    for _ in range(2):
        store.ask(
            Ask(
                (
                    Charge(window),
                    Charge(replace(window, key="c" * 64, label="5 per PT1S, name spec:a@crm")),
                ),
                "w1",
            )
        )
    warned = [record.getMessage() for record in caplog.records if "state it" in record.getMessage()]
    assert len(warned) == 1
    assert "5 per PT1S, name acme" in warned[0]


def test_an_api_server_that_is_always_too_late_is_no_reason_to_wait_for_ever() -> None:
    clock = FakeClock()

    def ask(*_: Any, **__: Any) -> Any:
        clock.sleep(9.0)
        return [clock.now(), 0.0, 0.0, None, [[clock.now(), clock.now() + 5, 1]]]

    gate = BudgetGate(BrokerBudgetStore("crm", _never, ask, clock), [charge_of(5, 60)], clock=clock)
    with pytest.raises(TokenStoreError, match="answers questions about budgets too late"):
        gate.acquire()


def test_what_a_broker_answers_is_checked() -> None:
    assert read_answer([1.0, 0.0, 0.0, None, [[1.0, 2.0, 3]], ["k"]]).grant.slots == (
        Slot(1.0, 2.0, 3),
    )
    with pytest.raises(ConnectionConfigError):
        read_answer({"now": 1})
