"""The broker around another secrets backend: asked first, never trusted to say "not there" by failing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.taskflow import broker
from oauth_taskflow.taskflow.broker_protocol import unbrokered
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

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def _set_connection_class(self, conn_class: type) -> None:
        self.conn_class = conn_class

    def get_connection(self, conn_id: str) -> Any:
        if conn_id == "forbidden":
            raise access_denied()("not for you")
        if conn_id == "broken":
            raise RuntimeError("vault sealed")
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
    assert found.password in oauth_server.vault.issued()
    with unbrokered():
        assert wrapping().get_connection("crm").password == oauth_server.client_secret
    assert repr(wrapping()) == "OAuthBroker(backend=Wrapped)"
    assert wrapping().get_variable("x") == "variable x"
    assert wrapping().get_config("y") == "config y"


def test_a_wrapped_backend_that_fails_does_not_open_the_way_to_the_raw_connection(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("broken", oauth_server.connection())
    found = wrapping().get_connection("broken")
    assert found.password in oauth_server.vault.issued()


def test_a_denial_of_the_wrapped_backend_stays_one() -> None:
    with pytest.raises(PermissionError, match="not for you"):
        wrapping().get_connection("forbidden")


def test_in_a_tasks_process_only_configuration_comes_from_the_wrapped_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    assert wrapping().get_variable("x") is None
    assert wrapping().get_config("y") == "config y"
