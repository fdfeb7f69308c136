"""Notices in broker mode: the API server looks at grants, refreshes them and keeps what was sent; a task asks it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.errors import ConnectionConfigError, TokenStoreError
from oauth_taskflow.notices.notice import Notice
from oauth_taskflow.notices.store import NoticeKeeper, NoticeStore
from oauth_taskflow.taskflow import secrets_backend
from oauth_taskflow.taskflow.broker import desk, notice_server, server
from oauth_taskflow.taskflow.broker.channel import UnknownQuestion, ask_about
from oauth_taskflow.taskflow.broker.notice_client import BrokerNoticeKeeper
from oauth_taskflow.taskflow.broker.notice_server import answer_notice
from oauth_taskflow.taskflow.broker.notice_wire import KIND, NoticeQuestion
from oauth_taskflow.taskflow.broker.protocol import question_id
from oauth_taskflow.taskflow.broker.questions import read_question, write_question
from oauth_taskflow.taskflow.notices.delivery import Channel
from oauth_taskflow.taskflow.notices.grant_watch import is_missing, list_granted_connections
from oauth_taskflow.taskflow.notices.watching import Report, Rules, watch_over
from oauth_taskflow.testing import OAuthTestServer
from tests.notices import test_model
from tests.support.clock import FakeClock
from tests.support.examples import examples
from tests.support.grants import kill_grants
from tests.support.notices import list_sent
from tests.taskflow.broker.answered import settings_of
from tests.taskflow.broker.supervisor import Supervisor, broker_answers, not_found, supervise
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.airflow


class Wire:
    """Carries questions to a store as the look-up does; each arrives twice."""

    def __init__(self, conn_id: str) -> None:
        self._settings = settings_of(conn_id)

    def __call__(self, conn_id: str, kind: str, body: Any, **_: Any) -> Any:
        asked = read_question(write_question(kind, body)[1])
        answers = [answer_notice(asked.body, self._settings, "") for _ in range(2)]
        return msgspec.json.decode(msgspec.json.encode(answers[-1]))


class Brokered(test_model.Notices):
    """As the model, with workers that ask the API server."""

    def find_keeper(self) -> NoticeKeeper:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(notice_server, "_open", lambda _: self.store)
        self._patch.setattr(notice_server, "store_url", str)
        return BrokerNoticeKeeper(Wire("crm"))

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "_patch"):
            self._patch.undo()


TestBrokered = Brokered.TestCase
TestBrokered.settings = examples(0.2, stateful_step_count=15)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airflow_home: Path) -> Supervisor:
    """This process, as a task whose API server keeps grants in a file that the task never opens."""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{tmp_path}/tokens.db")
    monkeypatch.setenv(
        "AIRFLOW__SECRETS__BACKEND", "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"
    )
    return supervise(monkeypatch)


def look_after(conn_id: str, sent: list[Notice]) -> Report:
    channel = Channel("dag: test", lambda notice, _: sent.append(notice))
    return watch_over(conn_id, [channel], Rules(), {})


def test_a_task_tells_once_of_a_dead_grant_that_it_never_sees(
    task: Supervisor, oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    seed = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection(refresh_token=seed))
    sent: list[Notice] = []
    first = look_after("crm", sent)
    assert (first.troubles, first.was_used, sent) == ((), True, [])  # it begins with the seed
    assert look_after("crm", sent).was_used is False
    assert oauth_server.counters.token_requests == 1
    assert list_granted_connections() == ["crm"]

    kill_grants(oauth_server)
    report_refused_token("crm")
    for _ in range(3):
        look_after("crm", sent)
    assert [(one.kind, one.conn_id) for one in sent] == [("needs_consent", "crm")]
    assert "Refresh token refused" in sent[0].text
    assert list_sent(NoticeStore(f"sqlite:///{tmp_path}/tokens.db"), "crm").keys() == {"dag: test"}


def report_refused_token(conn_id: str) -> None:
    """A task asks for another token than the one that the API refused."""
    answers = broker_answers()
    answers(question_id(conn_id, answers(conn_id).password))


def test_connections_that_the_task_may_not_read_are_not_listed(
    task: Supervisor,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("crm", "erp"):
        seed = oauth_server.issue_refresh_token()
        set_connection(name, oauth_server.connection(refresh_token=seed))
        look_after(name, [])
    monkeypatch.delenv("AIRFLOW_CONN_ERP")
    assert list_granted_connections() == ["crm"]
    monkeypatch.setattr(notice_server, "_MOST_NAMES", 1)  # comes in several answers
    set_connection("erp", oauth_server.connection())
    assert list_granted_connections() == ["crm", "erp"]


def test_a_brokered_connection_without_a_grant_is_refused_in_plain_words(
    task: Supervisor, set_connection: SetConnection
) -> None:
    set_connection(
        "keyed",
        {
            "conn_type": "oauth2",
            "host": "http://a",
            "extra": {"auth_type": "bearer"},
            "password": "x",
        },
    )
    with pytest.raises(ConnectionConfigError, match="This connection stores no grant"):
        look_after("keyed", [])
    with pytest.raises(ConnectionConfigError, match="There is no connection"):
        look_after("nowhere", [])


def test_an_api_server_without_a_broker_leaves_the_grant_to_the_task(
    airflow_home: Path,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervise(monkeypatch, not_found)
    monkeypatch.setattr(
        secrets_backend, "in_task", lambda: True
    )  # Airflow keeps one of a test before
    seed = oauth_server.issue_refresh_token()
    set_connection("crm", oauth_server.connection(refresh_token=seed))
    with pytest.raises(UnknownQuestion):
        ask_about("crm", KIND, NoticeQuestion("look", arguments=[1, 1, 1]))
    assert look_after("crm", []).was_used
    assert list_granted_connections() == ["crm"]


def test_an_api_server_that_knows_tokens_alone_is_named(
    airflow_home: Path,
    own_store: None,
    oauth_server: OAuthTestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = oauth_server.connection(refresh_token=oauth_server.issue_refresh_token())
    answers = broker_answers()

    def answer(name: str) -> Any:
        if "~oauth~ask." in name:
            return None
        with pytest.MonkeyPatch.context() as on_the_server:
            on_the_server.setenv("AIRFLOW_CONN_CRM", json.dumps(connection))
            return answers(name)

    monkeypatch.setenv(
        "AIRFLOW__SECRETS__BACKEND", "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"
    )
    supervise(monkeypatch, answer)
    monkeypatch.setattr(server, "_ANSWER_WITHIN", 120.0)  # this one may be loaded only now
    with pytest.raises(ConnectionConfigError, match="it has an earlier release") as caught:
        look_after("crm", [])
    assert "Update the API server." in str(caught.value)


def test_a_task_asks_again_while_the_api_server_has_no_time(
    task: Supervisor,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Waiting(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            monkeypatch.setattr(desk, "_MOST_OF_ONE", 16)

    set_connection("crm", oauth_server.connection())
    monkeypatch.setattr(desk, "_MOST_OF_ONE", 0)
    question, clock = NoticeQuestion("look", arguments=[1, 1, 1]), Waiting()
    with pytest.raises(TokenStoreError, match="no time for more questions"):
        ask_about("crm", KIND, question, patient=False, clock=clock)
    assert ask_about("crm", KIND, question, clock=clock) is not None
    assert len(task.asked) == 3


@pytest.mark.parametrize(
    ("failure", "is_gone"), [(LookupError("a backend denies it"), False), (None, True)]
)
def test_a_connection_that_a_backend_denies_is_not_missing(
    task: Supervisor, monkeypatch: pytest.MonkeyPatch, failure: Exception | None, is_gone: bool
) -> None:
    from airflow.sdk.execution_time import supervisor  # noqa: PLC0415 - Airflow needs its home first

    class Backend:
        def get_connection(self, conn_id: str) -> None:
            assert conn_id == "nowhere"
            if failure is not None:
                raise failure

    backends = [*supervisor.ensure_secrets_backend_loaded(), Backend()]
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: backends)
    assert is_missing("nowhere") is is_gone


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        ["drop"],
        ["look", "", "", [1, 2]],
        ["look", "", "", [-1, 2, 3]],
        ["claim", "c" * 251, "", [None, []]],
        ["claim", "c", "not hex", [None, []]],
        ["claim", "c", "", [None, [["nonsense", 1]]]],
        ["claim", "c", "", [None, [["needs_consent", 1]] * 9]],
        ["list", "", "", ""],
        ["list", "", "", 7],
    ],
)
def test_questions_that_make_no_sense_are_refused(
    body: Any, oauth_server: OAuthTestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.taskflow.connection_lookup import read_settings  # noqa: PLC0415 - next to its use
    from tests.connections.samples import kind  # noqa: PLC0415 - as above

    monkeypatch.setattr(notice_server, "store_url", lambda: f"sqlite:///{tmp_path}/n.db")
    with pytest.raises(ConnectionConfigError, match="does not understand this question"):
        answer_notice(body, read_settings(kind("oauth2", {"token_url": "https://a.example/t"})), "")


def test_teams_with_connections_of_one_name_are_told_each_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NoticeStore(f"sqlite:///{tmp_path}/n.db")
    monkeypatch.setattr(notice_server, "store_url", str)
    monkeypatch.setattr(notice_server, "_open", lambda _: store)
    for team in ("red", ""):
        body = ["claim", "c", "a" * 32, [None, [["needs_consent", None]]]]
        answer_notice(body, settings_of("crm"), team)
    assert set(list_sent(store, "crm")) == set(list_sent(store, "red/crm")) == {"c"}
