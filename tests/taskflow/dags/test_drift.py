"""Runs are compared with the run before, by Airflow's own events: drift, the notifier and ``max_change`` in real runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow import build_dag
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.dags.test_lineage import events_of

NOTIFIER = "AIRFLOW__OAUTH_TASKFLOW__SCHEMA_NOTIFIER"
SPEC = """\
version: 1
dag_id: drifting
connection: crm
defaults:
  task: {retries: 0}
  destination: {path: "%s/{{ endpoint }}"}
  records: data
  contract: evolve
  checks: {max_change: 0.5}
endpoints:
  contacts:
    request: {path: /contacts}
  notes:
    for_each: {region: [eu, us]}
    request: {path: "/notes/{{ region }}"}
"""
heard: list[Any] = []


def notify(context: Any) -> None:
    """The deployment's own notifier."""
    heard.append((context["endpoint"], context["schema_drift"]))


@pytest.fixture
def records(
    tmp_path: Path, set_connection: SetConnection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Any]]:
    """The records that the API gives at every path."""
    (tmp_path / "drifting.yaml").write_text(SPEC % (tmp_path / "out"))
    monkeypatch.setenv(NOTIFIER, f"{__name__}.notify")
    heard.clear()
    given: list[Any] = [{"id": 1}, {"id": 2}]

    def route(_: Asked) -> Any:
        return {"data": given}

    with scripted(route) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield given


def test_a_run_is_compared_with_the_run_before(
    records: list[Any], tmp_path: Path, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "drifting.yaml"
    first = run_dag(build_dag(spec))
    assert first.state == "success"
    assert "drift" not in first.result("contacts")

    records[:] = [{"id": 1, "name": "x"}, {"id": "b"}]
    second = run_dag(build_dag(spec))
    changes = ["field 'id' was integer, and is now json", "new field 'name' (text)"]
    assert second.result("contacts")["drift"] == changes
    assert second.result("notes__done")["drift"] == changes
    assert heard == [("contacts", changes), ("notes", changes)]
    shown = capfd.readouterr().out
    for task_id in ("contacts", "notes__done"):
        event = events_of(second.run_id)[task_id]
        assert event["drift"] == changes
        assert event["schema"]["properties"] == {"id": {}, "name": {"type": ["string", "null"]}}
        name = task_id.partition("__")[0]
        for change in changes:
            assert f"{name}: contract: since the run before: {change}." in shown

    records[:] = [{"id": 1}] * 4
    third = run_dag(build_dag(spec))
    assert third.state == "failed"
    assert third.task_state("contacts") == "failed"
    assert third.task_state("notes", 0) == "success"
    assert third.task_state("notes__done") == "failed"


def hear(context: Any) -> None:
    """The notifier of one contract, which reads what templates may name."""
    notice = context["notice"]
    heard.append((notice.kind, notice.title, notice.details, notice.link.partition("/dags/")[2]))


def test_the_notifier_of_a_contract_replaces_that_of_the_deployment(
    records: list[Any], tmp_path: Path, run_dag: RunDag
) -> None:
    spec = tmp_path / "drifting.yaml"
    own = f"contract: {{notifier: {__name__}.hear}}"
    spec.write_text(spec.read_text().replace("contract: evolve", own))
    assert run_dag(build_dag(spec)).state == "success"
    records[:] = [{"id": 1, "<b>": "x"}, {"id": 2}]
    second = run_dag(build_dag(spec))
    title = "The schema of drifting.{} changed since the run before"
    assert [one[:3] for one in heard] == [
        ("schema_drift", title.format(name), ("new field '<b>' (text)",))
        for name in ("contacts", "notes")
    ]
    assert heard[0][3].startswith(f"drifting/runs/{second.run_id.split('+')[0].split(':')[0]}"[:14])


def test_a_notifier_that_fails_fails_no_task(
    records: list[Any],
    tmp_path: Path,
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = tmp_path / "drifting.yaml"
    assert run_dag(build_dag(spec)).state == "success"
    records[:] = [{"id": 1, "new": 1}, {"id": 2}]
    monkeypatch.setenv(NOTIFIER, "no_such_module.notify")
    assert run_dag(build_dag(spec)).state == "success"
    assert heard == []
