"""Stored watermarks in broker mode: the API server keeps them, and a run asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, to_builtins

from oauth_taskflow.errors import ConnectionConfigError, TokenStoreError
from oauth_taskflow.taskflow.broker.desk import answer_question
from oauth_taskflow.taskflow.broker.questions import read_question, read_value, write_question
from oauth_taskflow.taskflow.broker.watermark_client import BrokerWatermarkStore
from oauth_taskflow.taskflow.broker.watermark_server import answer_watermark
from oauth_taskflow.taskflow.broker.watermark_wire import WatermarkQuestion
from oauth_taskflow.taskflow.dags.stored_watermarks import find_watermark_keeper, open_watermarks
from oauth_taskflow.watermarks import bounds
from oauth_taskflow.watermarks.bounds import GRACE
from oauth_taskflow.watermarks.keeper import WatermarkKeeper
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState
from oauth_taskflow.watermarks.store import Head, PendingCommit, WatermarkStore
from tests.support.examples import examples
from tests.taskflow.broker.answered import TOKEN, Wire, answer_from, refuse, settings_of
from tests.taskflow.broker.supervisor import Supervisor, supervise
from tests.taskflow.conftest import SetConnection
from tests.watermarks import test_model
from tests.watermarks.test_reruns import Runs, reach

IDENTITY = EndpointId("crm", "contacts", "crm")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatermarkStore:
    """The store of the API server."""
    store = WatermarkStore(f"sqlite:///{tmp_path}/w.db")
    answer_from(store, monkeypatch)
    return store


@pytest.fixture
def wire(store: WatermarkStore) -> Wire:
    return Wire(store)


@pytest.fixture
def broker(wire: Wire) -> BrokerWatermarkStore:
    """The store as a task has it."""
    return BrokerWatermarkStore(refuse, wire)


class _Brokered(test_model.Model):
    """Runs that ask the API server; each question arrives twice."""

    def find_keeper(self) -> Any:
        self._patch = pytest.MonkeyPatch()
        answer_from(self.store, self._patch)
        return BrokerWatermarkStore(refuse, Wire(self.store, repeat=2))

    def teardown(self) -> None:
        if hasattr(self, "_patch"):
            self._patch.undo()
        super().teardown()


class OneByOne(_Brokered, test_model.RunsOneByOne):
    """As the model."""


class AtOnce(_Brokered, test_model.RunsAtOnce):
    """As the model."""


SETTINGS = examples(0.1, stateful_step_count=12)
TestOneByOne = OneByOne.TestCase
TestOneByOne.settings = SETTINGS
TestAtOnce = AtOnce.TestCase
TestAtOnce.settings = SETTINGS


def test_a_commit_settles_once_and_only_on_its_own_connection(
    broker: BrokerWatermarkStore, store: WatermarkStore
) -> None:
    head = broker.begin(IDENTITY, "run")
    move = Move("", NOTHING, WatermarkState("2026-01-01T00:00:00Z", "c1"))
    commit = PendingCommit(TOKEN, IDENTITY, "run", head.generation, {}, (move,))
    broker.prepare(commit)
    other = PendingCommit(TOKEN, EndpointId("crm", "contacts", "erp"), "run", 0, {}, ())
    assert broker.settle(other) == "refused"  # no run of it ever began
    broker.drop_pending(other)
    with pytest.raises(TokenStoreError):
        broker.prepare(other)
    assert store.find_pending(IDENTITY, TOKEN) == commit
    assert broker.settle(commit) == "moved"
    assert broker.settle(commit) == "done"
    assert store.sum_up(IDENTITY)[0] == move.reached
    assert broker.sum_up(other.identity) == (NOTHING, 0)


def test_commits_are_dropped_rolled_up_and_swept_as_by_the_store_itself(
    broker: BrokerWatermarkStore, store: WatermarkStore, tmp_path: Path
) -> None:
    plain = WatermarkStore(f"sqlite:///{tmp_path}/plain.db")
    store._most_partitions = plain._most_partitions = 1
    keepers: tuple[WatermarkKeeper, ...] = (broker, plain)
    days = [WatermarkState(f"2026-01-0{day}T00:00:00Z") for day in (1, 2, 3)]
    moves = tuple(Move(json.dumps({"p": n}), NOTHING, days[n]) for n in (0, 2))
    found = []
    for keeper in keepers:
        head = keeper.begin(IDENTITY, "run")
        keeper.read(IDENTITY, "run", [moves[0].partition], head)
        dropped = PendingCommit("a" * 32, IDENTITY, "run", head.generation, {}, moves)
        keeper.prepare(dropped)
        keeper.drop_pending(dropped)
        assert keeper.list_pending(IDENTITY) == []
        commit = PendingCommit(TOKEN, IDENTITY, "run", head.generation, {}, moves)
        keeper.prepare(commit)
        outcomes = [keeper.settle(commit), keeper.roll_up(IDENTITY, "run", days[1])]
        found.append([*outcomes, keeper.sweep(IDENTITY, GRACE), keeper.sum_up(IDENTITY)])
    assert found[0] == found[1]
    assert found[0][:2] == ["shared", True]
    assert store.begin(IDENTITY, "next").shared == days[1]


def test_partitions_that_a_run_reads_no_longer_go_back_as_in_the_store_itself(
    broker: BrokerWatermarkStore, store: WatermarkStore
) -> None:
    parts = [json.dumps({"p": number}) for number in range(3)]
    runs = Runs(broker, IDENTITY)
    for instance, partition in enumerate(parts):
        runs.attempt("monday", reach(10, partition), instance)
    runs.attempt("monday", reach(10, parts[2]), 0)
    assert broker.sweep(IDENTITY, GRACE, "monday", 1) == 0
    assert runs.begin(*parts) == [NOTHING, NOTHING, WatermarkState(10)]
    # A worker of an earlier release says nothing of its instances.
    assert answer_watermark(["sweep", "crm", "contacts"], settings_of("crm"), "") == 0
    assert runs.begin(parts[2]) == [WatermarkState(10)]


def test_a_task_learns_that_its_run_is_forgotten_unless_one_side_is_of_an_earlier_release(
    broker: BrokerWatermarkStore, store: WatermarkStore
) -> None:
    Runs(store, IDENTITY).attempt("run", reach(7, ""))
    store.replace(IDENTITY, "", WatermarkState(9))
    assert broker.begin(IDENTITY, "run").forgot_run
    asked = ["begin", "crm", "contacts", "run"]
    assert answer_watermark(asked, settings_of("crm"), "") == (1, None, False)
    earlier = BrokerWatermarkStore(refuse, lambda *_args, **_options: [1, None, False])
    assert earlier.begin(IDENTITY, "run") == Head(1)


def test_a_reset_by_a_person_refuses_the_move_of_a_run_under_way(
    broker: BrokerWatermarkStore, store: WatermarkStore
) -> None:
    run = RunWatermarks(broker, IDENTITY, "run", lambda _: None)
    run.open({})
    run.prepare([Move("", NOTHING, WatermarkState(7))])
    store.reset(IDENTITY)
    assert "was set or reset" in run.settle()
    assert store.sum_up(IDENTITY)[0] == NOTHING


def test_a_worker_of_an_earlier_release_sends_no_generation_and_learns_of_no_reset(
    broker: BrokerWatermarkStore, store: WatermarkStore
) -> None:
    move = Move("", NOTHING, WatermarkState(7))
    outcomes = []
    for token in ("a" * 32, "b" * 32):
        head = broker.begin(IDENTITY, token)
        broker.prepare(PendingCommit(token, IDENTITY, token, head.generation, {}, (move,)))
        asked = ["settle", IDENTITY.dag_id, IDENTITY.endpoint, token, token]
        outcomes.append(answer_watermark(asked, settings_of(IDENTITY.conn_id), ""))
        store.reset(IDENTITY)
        outcomes.append(answer_watermark(asked, settings_of(IDENTITY.conn_id), ""))
    assert outcomes == ["moved", "done"] * 2


def test_an_api_server_of_an_earlier_release_overlooks_the_generation() -> None:
    class Earlier(Struct, frozen=True, array_like=True):
        operation: str
        dag_id: str
        endpoint: str
        run_id: str = ""
        arguments: Any = None

    asked = WatermarkQuestion("settle", "crm", "contacts", "run", TOKEN, 3)
    assert read_value(Earlier, to_builtins(asked)).arguments == TOKEN


def test_teams_with_connections_of_one_name_have_watermarks_of_their_own(
    store: WatermarkStore,
) -> None:
    connection = settings_of("crm")
    for team in ("red", ""):
        answer_watermark(["begin", "crm", "contacts", "run"], connection, team)
    assert sorted(row.identity.conn_id for row in store.list_watermarks()) == ["crm", "red/crm"]


def test_the_database_holds_so_many_endpoints_of_a_connection_and_no_more(
    broker: BrokerWatermarkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_MOST_SCOPES", 3)
    identities = [EndpointId("crm", f"e{number}", "crm") for number in range(4)]
    for identity in identities[:3]:
        broker.begin(identity, "r")
    with pytest.raises(TokenStoreError, match="too many watermarks for one connection"):
        broker.begin(identities[3], "r")
    broker.begin(identities[0], "r")
    broker.begin(EndpointId("crm", "e3", "erp"), "r")
    monkeypatch.setattr(bounds, "_MOST_UNDER_WAY", 100)
    moves = tuple(Move(json.dumps({"p": n}), NOTHING, WatermarkState(n)) for n in range(2000))
    with pytest.raises(TokenStoreError, match="too many watermarks"):
        broker.prepare(PendingCommit(TOKEN, identities[0], "run", 0, {}, moves))


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        ["drop table", "d", "e"],
        ["begin", "d" * 251, "e"],
        ["begin", 1, "e"],
        ["read", "d", "e", "r", ["x"]],
        ["read", "d", "e", "r", ["a" * 64] * 1000],
        ["prepare", "d", "e", "r", [TOKEN, 5, 5, "{}"]],
        ["prepare", "d", "e", "r", ["short", 0, 1, "{}"]],
        ["prepare", "d", "e", "r", [TOKEN, 0, 1, "[" * 40_000]],
        [
            "prepare",
            "d",
            "e",
            "r",
            [TOKEN, 0, 1, '{"generation":0,"place":{},"moves":[["[1]",{},{}]]}'],
        ],
        ["prepare", "d", "e", "r", [TOKEN, 0, 1, '{"generation":-1,"place":{},"moves":[]}']],
        ["prepare", "d", "e", "r", [TOKEN, 0, 1, '{"generation":0,"place":7,"moves":[]}']],
        ["settle", "d", "e", "r", "'; DELETE"],
        ["roll_up", "d", "e", "r", '{"value":[1]}'],
        ["roll_up", "d", "e", "r", "nonsense"],
        ["sweep", "d", "e", "r", -1],
    ],
)
@pytest.mark.usefixtures("store")
def test_questions_that_make_no_sense_are_refused(body: Any) -> None:
    with pytest.raises(ConnectionConfigError, match="does not understand this question"):
        answer_watermark(body, settings_of("crm"), "")


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """This process, as a task whose API server keeps the watermarks in a file that the task never opens."""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{tmp_path}/tokens.db")
    monkeypatch.setenv(
        "AIRFLOW__SECRETS__BACKEND", "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"
    )
    return supervise(monkeypatch)


@pytest.mark.usefixtures("airflow_home")
def test_a_task_in_broker_mode_reads_and_moves_its_watermark_through_the_api_server(
    task: Supervisor, set_connection: SetConnection, tmp_path: Path
) -> None:
    set_connection(
        "crm", {"conn_type": "oauth2", "host": "http://a", "extra": {"auth_type": "none"}}
    )
    for run_id, value in (("one", 5), ("two", 9)):
        run = open_watermarks(IDENTITY, run_id)
        run.open({"kind": "file", "path": str(tmp_path / "none"), "conn_id": None})
        base = run.find([""])[0]
        run.prepare([Move("", base, WatermarkState(value))])
        assert run.settle() == ""
    assert base == WatermarkState(5)
    assert isinstance(find_watermark_keeper(IDENTITY), BrokerWatermarkStore)
    assert WatermarkStore(f"sqlite:///{tmp_path}/tokens.db").sum_up(IDENTITY)[0].value == 9
    assert all("~oauth~ask." in name for name in task.asked)


@pytest.mark.usefixtures("airflow_home", "task")
def test_values_that_cannot_be_compared_fail_as_they_do_without_the_broker(
    set_connection: SetConnection, tmp_path: Path
) -> None:
    set_connection(
        "crm", {"conn_type": "oauth2", "host": "http://a", "extra": {"auth_type": "none"}}
    )
    place = {"kind": "file", "path": str(tmp_path / "none"), "conn_id": None}
    for run_id, value, warned in (
        ("one", 5, ""),
        ("two", "2026-01-01T00:00:00Z", "cannot be compared"),
    ):
        run = open_watermarks(IDENTITY, run_id)
        run.open(place)
        run.prepare([Move("", NOTHING, WatermarkState(value))])
        assert warned in run.settle()


def test_the_desk_answers_questions_about_watermarks(store: WatermarkStore) -> None:
    ask: Callable[..., Any] = answer_question
    asked = read_question(write_question("watermark", ["sum_up", "crm", "contacts"])[1])
    assert ask(asked, settings_of("crm"), "") == ("{}", 0)
    assert store.list_watermarks() == []
