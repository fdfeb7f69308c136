"""The broker around another secrets backend: asked first, never trusted to say "not there" by failing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.errors import ConnectionConfigError, TokenEndpointUnavailable
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.broker.protocol import (
    bypass_broker,
    question_id,
    read_failure,
)
from oauth_taskflow.taskflow.connection_lookup import find_connection
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection
from tests.taskflow.test_secrets_backend import access_denied, as_airflow_makes_it


@pytest.fixture(autouse=True)
def _airflow(airflow_home: Path) -> Iterator[None]:
    assert airflow_home.is_dir()
    yield
    broker._sources.clear()


class Wrapped:
    """A secrets backend in the shape of before Airflow 3.2."""

    held: dict[str, Any] = {}  # noqa: RUF012 - replaced by each test
    failure: Exception = RuntimeError("vault sealed")

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def _set_connection_class(self, conn_class: type) -> None:
        self.conn_class = conn_class

    def get_connection(self, conn_id: str) -> Any:
        if conn_id == "forbidden":
            raise access_denied()("not for you")
        if conn_id == "broken":
            raise self.failure
        fields = self.held.get(self.prefix + conn_id)
        return fields and self.conn_class(conn_id=conn_id, **fields)

    def get_variable(self, key: str) -> str | None:
        return f"variable {key}"

    def get_config(self, key: str) -> str | None:
        return f"config {key}"


def wrapping() -> OAuthBroker:
    return as_airflow_makes_it(backend=f"{__name__}.Wrapped", backend_kwargs={"prefix": "a/"})


def test_a_wrapped_backend_is_asked_first_and_its_connections_are_brokered(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    whole = oauth_server.connection()
    Wrapped.held = {"a/crm": {**whole, "extra": json.dumps(whole["extra"])}}
    set_connection("crm", {"conn_type": "postgres"})
    found = wrapping().get_connection("crm")
    assert found.password in oauth_server.state.list_issued()
    with bypass_broker():
        assert wrapping().get_connection("crm").password == oauth_server.client_secret
    assert repr(wrapping()) == "OAuthBroker(backend=Wrapped)"
    assert wrapping().get_variable("x") == "variable x"
    assert wrapping().get_config("y") == "config y"


def test_after_a_failure_of_the_wrapped_backend_the_raw_connection_is_not_handed_out(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("broken", oauth_server.connection())
    found = wrapping().get_connection("broken")
    assert found.password in oauth_server.state.list_issued()


def test_a_connection_not_found_while_the_wrapped_backend_fails_is_retryable() -> None:
    with pytest.raises(PermissionError, match=r"Wrapped \(RuntimeError\) failed") as caught:
        wrapping().get_connection("broken")
    assert "vault sealed" not in str(caught.value)
    failure = read_failure(wrapping().get_connection(question_id("broken")).extra)
    assert isinstance(failure, TokenEndpointUnavailable)
    assert failure.retryable
    with bypass_broker():
        assert wrapping().get_connection("broken") is None


def test_a_connection_that_the_wrapped_backend_cannot_read_is_a_permanent_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Wrapped, "failure", ValueError("no JSON: p4ssw0rd"))
    with pytest.raises(PermissionError) as caught:
        wrapping().get_connection("broken")
    assert str(caught.value) == (
        "The connection cannot be read: Wrapped (ValueError) failed in connection 'broken'."
    )
    failure = read_failure(wrapping().get_connection(question_id("broken")).extra)
    assert isinstance(failure, ConnectionConfigError)


def test_a_denial_of_the_wrapped_backend_ends_the_search_with_403_and_its_reason() -> None:
    with pytest.raises(PermissionError, match=r"denies access \(not for you\)") as caught:
        wrapping().get_connection("forbidden")
    assert getattr(caught.value, "status_code", None) == 403
    failure = read_failure(wrapping().get_connection(question_id("forbidden")).extra)
    assert (
        str(failure) == "A secrets backend denies access (not for you) in connection 'forbidden'."
    )


def test_a_command_prints_a_denial_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import airflow.sdk  # noqa: PLC0415 - Airflow needs its home first

    def look_up(conn_id: str) -> Any:
        return wrapping().get_connection(conn_id)

    monkeypatch.setattr(airflow.sdk.BaseHook, "get_connection", look_up)
    with pytest.raises(ConnectionConfigError, match=r"denies access \(not for you\)"):
        find_connection("forbidden")


def test_teams_with_a_connection_of_the_same_name_never_share_a_token(
    oauth_server: OAuthTestServer,
) -> None:
    of_teams = TeamBackend(oauth_server)
    backend = as_airflow_makes_it()
    backend._wrapped = of_teams
    oauth_server.faults.latency = 0.3  # both questions are under way together
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(backend.get_connection, "crm", team) for team in ("red", "blue")]
        red, blue = (future.result().password for future in asked)
    assert red != blue
    assert oauth_server.counters.logins == 2
    oauth_server.faults.latency = 0.0
    assert backend.get_connection("crm", "red").password == red
    assert backend.get_connection("crm", "blue").password == blue
    assert oauth_server.counters.logins == 2


class TeamBackend:
    """Knows a ``crm`` for each team, with the same login and another base URL."""

    def __init__(self, server: OAuthTestServer) -> None:
        from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first

        self.conn_class, self.server = Connection, server  # noqa: AIR311 - the server's

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        known = self.server.credentials
        return self.conn_class(
            conn_id=conn_id,
            conn_type="oauth2",
            host=self.server.base_url,
            login=known.username,
            password=known.password,
            extra=json.dumps({"auth_type": "session", "api_headers": {"X-Team": team_name}}),
        )


def test_in_a_tasks_process_only_configuration_comes_from_the_wrapped_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    assert wrapping().get_variable("x") is None
    assert wrapping().get_config("y") == "config y"
