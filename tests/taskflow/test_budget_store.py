"""Where the request budgets of a connection are kept, and the warnings where machines do not share them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from oauth_taskflow.budgets.keeper import Budgets
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.taskflow.broker import budget_stores
from oauth_taskflow.taskflow.broker.budget_stores import budget_store_for
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.sessions import budgets_of, open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.broker.supervisor import not_found, supervise
from tests.taskflow.conftest import SetConnection

BUDGET_STORE = "AIRFLOW__OAUTH_TASKFLOW__BUDGET_STORE"
EXECUTOR = "AIRFLOW__CORE__EXECUTOR"
BACKEND = "AIRFLOW__SECRETS__BACKEND"
BROKER = "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"


@pytest.fixture
def limited(
    set_connection: SetConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ConnectionSettings:
    """A connection with a budget, a token store and a folder for temporary files of this test, and no warning yet."""
    extra = {"auth_type": "none", "rate_limit": {"requests": 60, "per": "PT1M"}}
    set_connection("crm", {"conn_type": "oauth2", "host": "http://127.0.0.1:9", "extra": extra})
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{tmp_path}/tokens.db")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(budget_stores, "_warned", set())
    return load_settings("crm")


def chosen(settings: ConnectionSettings, caplog: pytest.LogCaptureFixture) -> tuple[str, list[str]]:
    """The name of the store of ``crm``, and what was warned of when sessions asked for it twice."""
    with caplog.at_level("WARNING"):
        stores = [budget_store_for(settings) for _ in range(2)]
    assert stores[0] is stores[1]
    return stores[0].name, [record.getMessage() for record in caplog.records]


def warning(mode: str) -> str:
    return (
        f"The request budgets of connection 'crm' are kept by each machine for itself under {mode}. Set [oauth_taskflow] "
        "budget_store to a database that all workers reach, which holds no secrets, or divide the budgets by the number "
        "of machines (docs/budgets.md)."
    )


def test_budgets_are_kept_in_the_token_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, limited: ConnectionSettings
) -> None:
    assert chosen(limited, caplog) == (f"sqlite:///{tmp_path}/tokens.db", [])


def test_a_file_under_executors_with_several_machines_is_warned_of_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limited: ConnectionSettings,
) -> None:
    monkeypatch.setenv(EXECUTOR, "LocalExecutor,CeleryExecutor")
    expected = [warning("CeleryExecutor")]
    assert chosen(limited, caplog) == (f"sqlite:///{tmp_path}/tokens.db", expected)


def test_a_token_store_that_all_machines_share_is_not_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limited: ConnectionSettings
) -> None:
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    url = "postgresql+psycopg://user:secret@db.test/tokens"
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", url)
    name, warned = chosen(limited, caplog)
    assert warned == []
    assert "db.test/tokens" in name
    assert "secret" not in name


def test_a_budget_store_is_preferred_to_the_token_store_and_needs_no_broker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limited: ConnectionSettings
) -> None:
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    monkeypatch.setenv(BACKEND, BROKER)
    monkeypatch.setenv(BUDGET_STORE, " postgresql+psycopg://db.test/budgets ")
    name, warned = chosen(limited, caplog)
    assert (name, warned) == ("postgresql+psycopg://db.test/budgets", [])


def test_a_budget_store_in_a_file_is_warned_of_as_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limited: ConnectionSettings,
) -> None:
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    monkeypatch.setenv(BUDGET_STORE, f"sqlite:///{tmp_path}/budgets.db")
    assert chosen(limited, caplog) == (
        f"sqlite:///{tmp_path}/budgets.db",
        [warning("CeleryExecutor")],
    )


def test_an_api_server_that_knows_no_budgets_leaves_a_file_of_the_machine_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limited: ConnectionSettings,
) -> None:
    monkeypatch.setenv(BACKEND, BROKER)
    supervise(monkeypatch, answers=not_found)
    with caplog.at_level("WARNING"):
        for _ in range(2):
            budgets_of(limited).find_gate("/countries").acquire()  # type: ignore[union-attr]  # it has a budget
    folder = tmp_path / "temporary"
    assert [path.parent.parent for path in folder.rglob("budgets.db")] == [folder]
    assert [record.getMessage() for record in caplog.records] == [
        warning("broker mode with an API server of an earlier release")
    ]
    assert not (tmp_path / "tokens.db").exists()


def test_in_broker_mode_a_process_that_is_no_task_opens_the_token_store(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limited: ConnectionSettings,
) -> None:
    monkeypatch.setenv(BACKEND, BROKER)
    assert chosen(limited, caplog) == (f"sqlite:///{tmp_path}/tokens.db", [])


@pytest.mark.usefixtures("limited")
def test_nothing_is_opened_before_a_request_has_a_budget(
    tmp_path: Path, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("free", oauth_server.connection())
    with open_session("free") as session:
        assert isinstance(session.budgets, Budgets)
        assert session.budgets.find_gate("/countries") is None
    assert list(tmp_path.rglob("*.db")) == []


@pytest.mark.usefixtures("limited")
def test_a_request_is_a_row_of_that_store(
    tmp_path: Path, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    limit = {"requests": 60, "per": "PT1M"}
    set_connection("crm", oauth_server.connection(rate_limit=limit))
    with open_session("crm") as session:
        session.get("/countries").raise_for_status()
    with create_engine(f"sqlite:///{tmp_path}/tokens.db").connect() as connection:
        rows = connection.execute(text("SELECT label FROM oauth_taskflow_budget")).all()
    assert [row.label for row in rows] == ["60 per PT1M, crm"]
