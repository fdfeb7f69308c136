"""Where tokens are kept, with which keys, and when that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import ConnectionConfigError, TokenStoreError
from oauth_taskflow.taskflow import config
from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.processes.executors import executor_names
from oauth_taskflow.taskflow.sessions import open_session, token_source
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection


def test_the_default_store_is_a_file_in_airflows_home(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE")
    assert store_url() == f"sqlite:///{airflow_home}/oauth_taskflow.db"


def test_the_store_is_configured_like_any_airflow_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", " postgresql+psycopg://db/x ")
    assert store_url() == "postgresql+psycopg://db/x"


def test_the_key_ring_is_airflows(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", f"{new}, {old}")
    assert fernet_keys() == (new, old)


def test_without_a_fernet_key_no_token_is_fetched(
    monkeypatch: pytest.MonkeyPatch, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    set_connection("crm", oauth_server.connection())
    with pytest.raises(TokenStoreError) as caught:
        open_session("crm")
    assert str(caught.value) == (
        "Tokens cannot be encrypted because [core] fernet_key is empty. Set AIRFLOW__CORE__FERNET_KEY to the same "
        "value on every machine that runs tasks."
    )
    assert oauth_server.counters.token_requests == 0


def test_a_task_never_makes_up_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "{FERNET_KEY}")
    monkeypatch.setattr(config, "in_task", lambda: True)
    with pytest.raises(TokenStoreError, match="fernet_key is empty"):
        fernet_keys()


@pytest.mark.parametrize(
    ("configured", "names"),
    [
        ("LocalExecutor", ["LocalExecutor"]),
        ("LocalExecutor,CeleryExecutor", ["LocalExecutor", "CeleryExecutor"]),
        ("LocalExecutor, fast:my.module.EdgeExecutor", ["LocalExecutor", "EdgeExecutor"]),
        ("airflow.executors.local_executor.LocalExecutor", ["LocalExecutor"]),
        (
            "LocalExecutor;team_a=CeleryExecutor,KubernetesExecutor",
            ["LocalExecutor", "CeleryExecutor", "KubernetesExecutor"],
        ),
        ("", []),
    ],
)
def test_executors_are_read_in_every_form_airflow_allows(configured: str, names: list[str]) -> None:
    assert executor_names(configured) == names


@pytest.mark.parametrize(
    "executor", ["CeleryExecutor", "LocalExecutor,KubernetesExecutor", "my.own.FleetExecutor"]
)
def test_a_rotating_grant_in_a_file_is_refused_when_workers_are_elsewhere(
    executor: str,
    monkeypatch: pytest.MonkeyPatch,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    set_connection("crm", oauth_server.connection(refresh_token="rt"))
    with pytest.raises(ConnectionConfigError) as caught:
        open_session("crm")
    distributed = executor.rpartition(",")[2].rpartition(".")[2]
    assert str(caught.value) == (
        f"A refresh token cannot be kept in a SQLite file under {distributed}, because workers on other machines would "
        "use it a second time and so revoke it in connection 'crm', field 'refresh_token'. Set [oauth_taskflow] "
        "token_store to a database that all workers share, as in postgresql+psycopg://user@host/db, or use broker "
        "mode, in which only the API server refreshes (docs/broker.md)."
    )


def test_a_pod_of_the_kubernetes_executor_is_recognized_although_configured_as_local(
    monkeypatch: pytest.MonkeyPatch, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    monkeypatch.setenv("AIRFLOW_IS_K8S_EXECUTOR_POD", "True")
    set_connection("crm", oauth_server.connection(refresh_token="rt"))
    with pytest.raises(
        ConnectionConfigError, match="under KubernetesExecutor, because workers on other"
    ):
        open_session("crm")


def test_client_credentials_need_no_shared_store(
    monkeypatch: pytest.MonkeyPatch, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    set_connection("crm", oauth_server.connection())
    with open_session("crm") as session:
        assert session.get("/countries").status_code == 200


def test_a_shared_store_takes_a_rotating_grant(
    monkeypatch: pytest.MonkeyPatch, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv(
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", "postgresql+psycopg://u@127.0.0.1:1/x"
    )
    set_connection("crm", oauth_server.connection(refresh_token="rt"))
    with open_session("crm") as session:
        assert session.conn_id == "crm"  # the store is opened by the first request only


def test_two_sessions_of_a_process_share_one_token(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(refresh_token=oauth_server.issue_refresh_token()))
    for _ in range(2):
        with open_session("crm") as session:
            session.get("/countries").raise_for_status()
    assert oauth_server.counters.token_requests == 1


def test_secrets_and_every_new_token_are_masked_in_airflows_logs_in_all_forms(
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk._shared.secrets_masker import redact  # noqa: PLC0415 - Airflow's own judgement

    monkeypatch.setattr(secret_registry, "_known", type(secret_registry._known)())
    set_connection("crm", oauth_server.connection(refresh_token=oauth_server.issue_refresh_token()))
    with open_session("crm") as session:
        session.get("/countries").raise_for_status()
        oauth_server.revoke_access_tokens()
        session.get("/countries").raise_for_status()
    sent = [call.headers["Authorization"] for call in oauth_server.requests]
    assert len(set(sent)) == 3  # Basic, and two bearer tokens
    for header in set(sent):
        text: Any = redact(f"header {header} end")
        assert header.partition(" ")[2] not in str(text)
    assert str(redact(f"x{oauth_server.client_secret}x")) == "x***x"


def test_static_kinds_have_no_token_source(set_connection: SetConnection) -> None:
    set_connection(
        "crm", {"conn_type": "oauth2", "host": "a.example", "extra": {"auth_type": "none"}}
    )
    assert token_source(load_settings("crm")) is None
