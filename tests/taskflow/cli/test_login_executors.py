"""Stores that a login accepts when tasks run on other machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def broker_machine(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The configuration of an API server that is a broker, which Airflow forgets afterwards."""
    from airflow.sdk import configuration  # noqa: PLC0415 - Airflow needs its home first

    assert airflow_home.is_dir()
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", _BROKER)
    yield
    # Since Airflow 3.3, a process keeps the first secrets backend that it finds configured.
    getattr(configuration, "_secrets_backend_cache", {}).clear()


@pytest.mark.usefixtures("broker_machine")
def test_a_sqlite_store_is_enough_on_the_machine_of_the_broker(
    connect: Connect, browser: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    login(arguments())
    assert read_row(capsys)["state"] == "fresh"
    assert len(browser) == 1
