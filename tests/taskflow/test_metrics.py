"""Airflow's metrics of tokens, in the right one of its two copies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from oauth_taskflow.errors import InvalidGrant
from oauth_taskflow.taskflow import metrics
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.events import Event, Step
from tests.taskflow.conftest import SetConnection

_TRIGGERER = "airflow.jobs.triggerer_job_runner"


class Recorder:
    """Keeps what Airflow would send to StatsD: kind, name, value and tags."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, str, Any, Any]] = []

    def incr(self, stat: str, count: int = 1, tags: Any = None) -> None:
        self.reported.append(("counter", stat, count, tags))

    def timing(self, stat: str, dt: timedelta, tags: Any = None) -> None:
        self.reported.append(("timer", stat, dt, tags))

    def gauge(self, stat: str, value: float, tags: Any = None) -> None:
        self.reported.append(("gauge", stat, value, tags))

    def values(self, stat: str) -> list[Any]:
        return [value for _, name, value, _ in self.reported if name == stat]


def _connect(stats: ModuleType) -> Iterator[Recorder]:
    from airflow._shared.observability.metrics.base_stats_logger import (  # noqa: PLC0415 - as below
        NoStatsLogger,
    )

    recorder = Recorder()
    stats.initialize(factory=lambda: recorder, export_legacy_names=False)
    yield recorder
    stats.initialize(factory=NoStatsLogger, export_legacy_names=False)


@pytest.fixture
def on_servers() -> Iterator[Recorder]:
    """The metrics of API server, triggerer and scripts."""
    from airflow.observability import stats  # noqa: PLC0415 - Airflow needs its home first

    yield from _connect(stats)


@pytest.fixture
def in_tasks() -> Iterator[Recorder]:
    """The metrics of task processes."""
    from airflow.sdk.observability import stats  # noqa: PLC0415 - as above

    yield from _connect(stats)


def _run_by_the_task_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)


def test_a_refresh_is_counted_and_timed_for_its_connection(
    oauth_server: OAuthTestServer, set_connection: SetConnection, on_servers: Recorder
) -> None:
    seed = oauth_server.issue_refresh_token()
    set_connection("metered", oauth_server.connection(refresh_token=seed))
    with open_session("metered") as session:
        assert session.get("/countries").status_code == 200
    assert on_servers.values("oauth_taskflow.token_refresh") == [1]
    (took,) = on_servers.values("oauth_taskflow.token_refresh_duration")
    assert timedelta(0) < took < timedelta(seconds=30)
    assert [tags for *_, tags in on_servers.reported] == [{"conn_id": "metered"}] * 2


def test_a_refusal_is_counted_with_its_error_and_makes_the_consent_due_now(
    oauth_server: OAuthTestServer, set_connection: SetConnection, on_servers: Recorder
) -> None:
    set_connection("refused", oauth_server.connection(refresh_token="was-revoked"))
    with open_session("refused") as session, pytest.raises(InvalidGrant):
        session.get("/countries")
    tags = {"conn_id": "refused"}
    assert on_servers.reported == [
        ("counter", "oauth_taskflow.token_refresh_failed", 1, {**tags, "error": "InvalidGrant"}),
        ("gauge", "oauth_taskflow.consent_due", 0, tags),
    ]


def test_a_consent_that_ends_is_a_gauge_in_seconds(on_servers: Recorder) -> None:
    metrics.observe(Event(Step.PERSISTED, "key", "crm", 3, 1, seconds=0.2, consent_due=86400.4))
    assert on_servers.values("oauth_taskflow.consent_due") == [86400]


def test_waiting_for_another_workers_refresh_is_timed(on_servers: Recorder) -> None:
    metrics.observe(Event(Step.WAITED, "key", "crm", 3, 1, seconds=1.5))
    (reported,) = on_servers.reported
    assert reported == (
        "timer",
        "oauth_taskflow.token_refresh_wait",
        timedelta(seconds=1.5),
        {"conn_id": "crm"},
    )


def test_intermediate_steps_are_not_metrics(on_servers: Recorder) -> None:
    for step in (Step.LEASED, Step.JOURNALED, Step.ANSWERED, Step.RELEASED):
        metrics.observe(Event(step, "key", "crm", 3, 1, consent_due=5.0))
    assert on_servers.reported == []


def test_a_task_reports_to_the_metrics_of_the_task_runner(
    on_servers: Recorder, in_tasks: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_by_the_task_runner(monkeypatch)
    monkeypatch.delitem(sys.modules, _TRIGGERER, raising=False)
    metrics.observe(Event(Step.PERSISTED, "key", "crm", 3, 1))
    assert in_tasks.values("oauth_taskflow.token_refresh") == [1]
    assert on_servers.reported == []


def test_a_trigger_reports_to_the_metrics_of_its_triggerer(
    on_servers: Recorder, in_tasks: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_by_the_task_runner(monkeypatch)
    monkeypatch.setitem(sys.modules, _TRIGGERER, ModuleType(_TRIGGERER))
    metrics.observe(Event(Step.PERSISTED, "key", "crm", 3, 1))
    assert on_servers.values("oauth_taskflow.token_refresh") == [1]
    assert in_tasks.reported == []


def test_metrics_that_fail_cost_nothing(
    on_servers: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no route to the StatsD host")

    monkeypatch.setattr(on_servers, "incr", broken)
    metrics.observe(Event(Step.PERSISTED, "key", "crm", 3, 1))
    assert on_servers.reported == []
