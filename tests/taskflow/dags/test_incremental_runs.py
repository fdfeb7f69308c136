"""Incremental endpoints as Airflow runs them: mapped tasks, with a data interval and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow import build_dag
from tests.api.scripted import Asked, ScriptedApi, scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: feeds
schedule: "@hourly"
start_date: 2026-01-01
connection: crm
endpoints:
  messages:
    for_each: {channel: [general, random]}
    request: {path: "/{{ channel }}/feed"}
    records: items
    primary_key: id
    paginate: {type: cursor, next: next, param: after}
    incremental:
      field: ts
      field_format: epoch
      start: 2025-12-31
      until: -PT10M
      keep: window
      order: newest_first
      first_run: {request: {path: "/{{ channel }}/export"}, paginate: null}
    destination: {path: "%s/{{ endpoint }}"}
"""
MIDNIGHT = datetime(2026, 1, 1, tzinfo=timezone.utc)
# Every half hour of the day before and of this one, newest first; times as Slack writes them.
ROWS: list[dict[str, Any]] = [
    {"id": n, "ts": f"{(MIDNIGHT + timedelta(minutes=30 * n)).timestamp():.6f}"}
    for n in range(47, -48, -1)
]


def route(asked: Asked) -> Any:
    if asked.path.endswith("/export"):
        return {"items": ROWS}
    first = int(asked.query.get("after", 0))
    return {"items": ROWS[first : first + 10], "next": first + 10 if first < 90 else None}


@pytest.fixture
def api(set_connection: SetConnection) -> Iterator[ScriptedApi]:
    with scripted(route) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield server


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "feeds.yaml"
    path.write_text(SPEC % tmp_path)
    return path


def ids(summary: dict[str, Any]) -> list[int]:
    paths = [Path(file["path"]) for file in summary["files"]]
    return sorted(
        json.loads(line)["id"] for path in paths for line in path.read_text().splitlines()
    )


@pytest.mark.airflow
def test_an_hour_of_each_channel_is_read_to_its_last_page_and_moved_by_until(
    spec: Path, api: ScriptedApi, run_dag: RunDag
) -> None:
    run = run_dag(build_dag(spec), logical_date=MIDNIGHT + timedelta(hours=7, minutes=15))
    assert run.state == "success"
    total = run.result("messages__done")
    # [06:00, 07:00) moved to [05:50, 06:50) holds 06:00 and 06:30, numbers 12 and 13.
    assert ids(total) == [12, 12, 13, 13]
    assert total["interval"] == ["2026-01-01T05:50:00+00:00", "2026-01-01T06:50:00+00:00"]
    assert total["watermark"] == "1767249000.000000"
    # 47 to 8 are four pages; the last two of them are the first that are older twice in a row.
    assert len(api.asked) == 2 * 4
    assert total["outside"] == 2 * (40 - 2)


@pytest.mark.airflow
def test_a_run_without_an_interval_is_the_first_one(
    spec: Path, api: ScriptedApi, run_dag: RunDag
) -> None:
    run = run_dag(build_dag(spec), logical_date=None)
    assert run.state == "success"
    total = run.result("messages__done")
    assert {asked.path for asked in api.asked} == {"/general/export", "/random/export"}
    assert len(api.asked) == 2
    # From 2025-12-31 on; the API itself begins half an hour later.
    assert ids(total) == sorted([row["id"] for row in ROWS] * 2)
    manifest = json.loads(Path(run.result("messages", map_index=0)["manifest"]).read_text())
    assert manifest["first_run"] is True
