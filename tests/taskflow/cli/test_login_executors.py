"""Stores that a login accepts when tasks run on other machines."""

from __future__ import annotations

import pytest

from oauth_taskflow.taskflow.cli.login import login
from tests.taskflow.cli.login_runs import arguments, read_row, run_failing_login
from tests.taskflow.conftest import Connect

_BROKER = "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"


def test_a_sqlite_store_is_refused_under_an_executor_of_several_machines(
    connect: Connect,
    browser: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    connect()
    assert "cannot be kept in a SQLite file under CeleryExecutor" in run_failing_login(capsys)
    assert browser == []


@pytest.mark.usefixtures(
    "airflow_home"
)  # an Airflow that is imported under this setting keeps the broker for good
def test_a_sqlite_store_is_enough_on_the_machine_of_the_broker(
    connect: Connect,
    browser: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", _BROKER)
    connect()
    login(arguments())
    assert read_row(capsys)["state"] == "fresh"
