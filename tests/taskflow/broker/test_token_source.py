"""The task's side of broker mode: when and how a task asks the broker, and how it raises failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.connections.settings import BrokeredSettings, ConnectionSettings
from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidClient,
    LeaseTimeout,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.presets.load import load_preset
from oauth_taskflow.taskflow.broker import client
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.broker.protocol import (
    build_failure_answer,
    question_id,
)
from oauth_taskflow.taskflow.broker.token_source import BrokerTokenSource
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker
from oauth_taskflow.taskflow.sessions import _broker_source, open_session, retry_policy
from oauth_taskflow.testing import OAuthTestServer
from tests.support.clock import FakeClock
from tests.taskflow.conftest import SetConnection
from tests.taskflow.test_secrets_backend import as_airflow_makes_it
from tests.taskflow.test_write_back import StoredConnection


class Broker:
    """Hands out tokens ``1``, ``2``, … of ``lifetime`` seconds, and remembers what it was asked."""

    def __init__(self, clock: FakeClock, lifetime: float | None = 100.0) -> None:
        self.clock, self.lifetime = clock, lifetime
        self.asked: list[str | None] = []
        self.failure: Exception | None = None

    def ask(self, refused: str | None) -> Token:
        self.asked.append(refused)
        if self.failure is not None:
            raise self.failure
        return self.token(str(len(self.asked)))

    def token(self, name: str) -> Token:
        now = self.clock.now()
        return Token(name, now, None if self.lifetime is None else now + self.lifetime)

    def source(self) -> BrokerTokenSource:
        return BrokerTokenSource("crm", self.token("0"), self.ask, self.clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def unavailable() -> TokenEndpointUnavailable:
    return TokenEndpointUnavailable("No server answers", where="at x")


def test_the_broker_is_asked_when_the_token_becomes_stale(clock: FakeClock) -> None:
    source = (far := Broker(clock)).source()
    clock.advance(89)
    assert source.token().access_token == "0"
    clock.advance(2)
    assert source.token().access_token == "1"
    assert source.token().access_token == "1"
    assert far.asked == [None]


def test_a_token_without_end_is_used_until_it_is_refused(clock: FakeClock) -> None:
    source = (far := Broker(clock, lifetime=None)).source()
    clock.advance(1e6)
    assert source.token().access_token == "0"
    assert source.replace_refused("0").access_token == "1"
    assert source.replace_refused("0").access_token == "1"
    assert far.asked == ["0"]


def test_a_stale_token_is_used_while_the_broker_has_no_better_one(clock: FakeClock) -> None:
    source = (far := Broker(clock)).source()
    far.failure = unavailable()
    clock.advance(91)
    assert [source.token().access_token for _ in range(50)] == ["0"] * 50
    assert len(far.asked) == 1
    clock.advance(1)
    source.token()
    assert len(far.asked) == 2
    clock.advance(10)
    with pytest.raises(TokenEndpointUnavailable):
        source.token()


def test_the_same_stale_token_again_is_not_asked_for_at_each_request(clock: FakeClock) -> None:
    far = Broker(clock)
    same = far.token("0")
    asked: list[str | None] = []

    def ask(refused: str | None) -> Token:
        asked.append(refused)
        return same

    source = BrokerTokenSource("crm", same, ask, clock)
    clock.advance(95)
    assert {source.token().access_token for _ in range(50)} == {"0"}
    assert len(asked) == 1


def test_nothing_secret_is_in_its_repr(clock: FakeClock) -> None:
    assert repr(Broker(clock).source()) == "BrokerTokenSource('crm')"


class Supervisor:
    """Answers a task's questions as Airflow's supervisor does, with the broker where the API server would be."""

    def __init__(self, backend: OAuthBroker) -> None:
        self.backend = backend
        self.asked: list[str] = []

    def send(self, message: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415 - Airflow needs its home first
        from airflow.sdk.execution_time.comms import (  # noqa: PLC0415 - as above
            ConnectionResult,
            ErrorResponse,
            GetConnection,
        )
        from airflow.sdk.execution_time.supervisor import set_supervisor_comms  # noqa: PLC0415

        if not isinstance(message, GetConnection):
            return None
        self.asked.append(message.conn_id)
        with set_supervisor_comms(None):
            try:
                found = self.backend.get_connection(message.conn_id)
            except PermissionError:
                return ErrorResponse(error=ErrorType.PERMISSION_DENIED)
        if found is None:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
        fields = ("conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra")
        return ConnectionResult(**{name: getattr(found, name) for name in fields})


@pytest.fixture
def supervisor(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """This process is a task's from now on."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    assert airflow_home.is_dir()
    supervisor = Supervisor(as_airflow_makes_it())
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    yield supervisor
    broker._sources.clear()


@pytest.fixture
def store(
    airflow_home: Path, oauth_server: OAuthTestServer
) -> Iterator[dict[str, StoredConnection]]:
    """``crm``, a rotating grant, and ``wrong``, with a wrong secret, in the metadata database."""
    assert airflow_home.is_dir()
    seed = oauth_server.issue_refresh_token()
    made = {
        "crm": StoredConnection("crm", oauth_server.connection(refresh_token=seed)),
        "wrong": StoredConnection("wrong", oauth_server.connection(password="not-the-secret")),
    }
    yield made
    for each in made.values():
        each.delete()


@pytest.mark.usefixtures("store")
def test_a_session_in_a_task_asks_the_broker_and_says_which_token_was_refused(
    supervisor: Supervisor, oauth_server: OAuthTestServer
) -> None:
    with open_session("crm") as session:
        session.get("/countries").raise_for_status()
        oauth_server.revoke_access_tokens()
        session.get("/countries").raise_for_status()
    used = [r.headers["Authorization"] for r in oauth_server.requests if r.path == "/countries"]
    first = used[0].removeprefix("Bearer ")
    assert supervisor.asked == ["crm", question_id("crm", first)]
    assert oauth_server.counters.refreshes == 2


@pytest.mark.usefixtures("supervisor")
def test_a_task_waits_for_a_rate_limit_as_the_preset_on_the_api_server_dates_it(
    store: dict[str, StoredConnection], oauth_server: OAuthTestServer
) -> None:
    # Reddit says how many seconds are left; read as an instant, that would be long ago.
    own = {"provider": "reddit", "refresh_token": oauth_server.issue_refresh_token()}
    store["reddit"] = StoredConnection("reddit", oauth_server.connection(**own))
    oauth_server.fault("/countries", status=429, headers={"X-RateLimit-Reset": "0.3"})
    with open_session("reddit") as session:
        session.get("/countries").raise_for_status()
    first, second = (r.time for r in oauth_server.requests if r.path == "/countries")
    assert second - first >= 0.3
    settings = load_settings("reddit")
    assert isinstance(settings.auth, BrokeredSettings)
    assert retry_policy(settings) == RetryPolicy(reset="seconds", reset_header="X-Ratelimit-Reset")


@pytest.mark.usefixtures("supervisor")
def test_a_task_receives_the_response_rules_of_the_preset(
    store: dict[str, StoredConnection], oauth_server: OAuthTestServer
) -> None:
    own = {"provider": "google", "refresh_token": oauth_server.issue_refresh_token()}
    store["google"] = StoredConnection("google", oauth_server.connection(**own))
    rules = load_settings("google").api_responses
    assert rules == load_preset("google").api_responses
    assert rules


@pytest.mark.usefixtures("supervisor")
def test_a_task_asks_for_the_next_token_as_late_as_the_broker_fetches_it(
    store: dict[str, StoredConnection], oauth_server: OAuthTestServer
) -> None:
    seed = oauth_server.issue_refresh_token()
    late = oauth_server.connection(refresh_token=seed, leeway=5)
    store["late"] = StoredConnection("late", late)
    settings = load_settings("late")
    source = _source_of(settings)
    token = source.token()
    assert token.expires_at is not None
    assert source._good_until == token.expires_at - 5


def _source_of(settings: ConnectionSettings) -> BrokerTokenSource:
    assert isinstance(settings.auth, BrokeredSettings)
    return _broker_source(settings.conn_id, settings.auth)


@pytest.mark.usefixtures("store", "supervisor")
def test_a_denied_connection_fails_with_the_reason() -> None:
    with pytest.raises(InvalidClient, match=r"refused \(invalid_client, HTTP 401\)"):
        open_session("wrong")


def test_a_connection_that_is_gone_meanwhile_is_reported(
    supervisor: Supervisor, store: dict[str, StoredConnection], oauth_server: OAuthTestServer
) -> None:
    with open_session("crm") as session:
        session.get("/countries").raise_for_status()
        store["crm"].delete()
        oauth_server.revoke_access_tokens()
        with pytest.raises(TokenEndpointUnavailable) as caught:
            session.get("/countries")
    assert str(caught.value) == (
        "Airflow's API server does not hand out a token for connection 'crm'. Its log says why; [secrets] backend "
        "there must be the OAuthBroker."
    )
    assert len(supervisor.asked) == 2


class NoBroker(OAuthBroker):
    """Another backend that denies everything."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        raise PermissionError(conn_id, team_name)


@pytest.mark.usefixtures("airflow_home")
def test_a_denial_by_another_backend_keeps_its_reason(supervisor: Supervisor) -> None:
    supervisor.backend = NoBroker()
    with pytest.raises(ConnectionConfigError) as caught:
        open_session("crm")
    assert str(caught.value) == (
        "Airflow denies this task the connection in connection 'crm'. Look into the API server's log."
    )


@pytest.mark.usefixtures("store")
def test_a_connection_that_is_no_longer_brokered_ends_the_session(
    supervisor: Supervisor, oauth_server: OAuthTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_session("crm") as session:
        session.get("/countries").raise_for_status()
        oauth_server.revoke_access_tokens()
        plain = {"conn_type": "oauth2", "host": "https://a.example", "password": "static"}
        monkeypatch.setattr(
            supervisor.backend,
            "get_connection",
            lambda _: supervisor.backend._build_connection(
                "crm", **plain, extra='{"auth_type": "bearer"}'
            ),
        )
        with pytest.raises(ConnectionConfigError, match="The connection is no longer brokered"):
            session.get("/countries")


def test_a_task_waits_for_a_running_refresh(
    supervisor: Supervisor, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = LeaseTimeout("Still being refreshed", where="on the API server", retry_after=1.0)
    answer = build_failure_answer(busy)
    monkeypatch.setattr(
        supervisor.backend,
        "get_connection",
        lambda _: supervisor.backend._build_connection("crm", **answer),
    )
    began = clock.now()
    with pytest.raises(LeaseTimeout):
        client.ask_broker("crm", clock=clock)
    assert 60 <= clock.now() - began <= 62


def test_an_api_server_out_of_threads_refreshes_once_it_has_one_again(
    oauth_server: OAuthTestServer, set_connection: SetConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    set_connection("crm", oauth_server.connection())
    settings = load_settings("crm")
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            broker.fetch_token(settings)
    token, _ = broker.fetch_token(settings)
    assert token.access_token in oauth_server.state.list_issued()
    broker._sources.clear()
