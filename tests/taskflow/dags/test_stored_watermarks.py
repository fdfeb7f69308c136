"""Stored watermarks in Airflow's tasks: which runs use them, where they may be kept, and their mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.errors import SpecError, WatermarkError
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.taskflow.dags import stored_watermarks
from oauth_taskflow.taskflow.dags.stored_watermarks import (
    find_watermark_run,
    finish_watermarks,
    mirror,
    open_watermark_store,
    open_watermarks,
)
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.state import NOTHING, Move, WatermarkState
from oauth_taskflow.watermarks.store import PendingCommit
from tests.api.scripted import Asked, scripted
from tests.taskflow.broker.supervisor import not_found, supervise
from tests.taskflow.conftest import RunDag, SetConnection
from tests.watermarks.test_reruns import Runs, reach

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_home")]

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATER = NEW_YEAR + timedelta(hours=1)
SPEC = """\
version: 1
dag_id: {dag_id}
connection: crm
defaults: {{records: data, destination: {{path: "{folder}/{{{{ endpoint }}}}"}}}}
endpoints:
  contacts:
    request: {{path: /contacts, params: {{since: "{{{{ window.start }}}}"}}}}
    incremental: {{by: watermark, field: at, start: 2026-01-01}}
  notes:
    for_each: {{region: [eu, us]}}
    request: {{path: "/notes/{{{{ region }}}}", params: {{since: "{{{{ watermark.value | default(0) }}}}"}}}}
    incremental: {{by: watermark, field: id}}
"""


def context(run_type: str, **given: Any) -> dict[str, Any]:
    return {"dag_run": SimpleNamespace(run_after=LATER, run_type=run_type), **given}


def build_endpoint(request: Request | None = None, **options: Any) -> Endpoint:
    sent = request or Request(params={"since": "{{ window.start }}"})
    return Endpoint(request=sent, incremental=Incremental(by="watermark", field="t", **options))


INTERVAL = {"data_interval_start": NEW_YEAR, "data_interval_end": LATER}


def test_every_run_but_a_backfill_reads_from_the_watermark_up_to_its_moment() -> None:
    expected = Interval(None, LATER, open_end=True)
    for run_type in ("manual", "scheduled", "asset_triggered"):
        assert find_watermark_run(build_endpoint(), context(run_type, **INTERVAL)) == expected
    assert find_watermark_run(build_endpoint(), context("backfill", **INTERVAL)) is None
    assert find_watermark_run(Endpoint(), context("manual")) is None


def test_without_an_interval_only_such_runs_read_from_the_watermark() -> None:
    endpoint = Endpoint(incremental=Incremental(field="t", without_interval="watermark"))
    assert find_watermark_run(endpoint, context("scheduled", **INTERVAL)) is None
    assert find_watermark_run(endpoint, context("manual")) == Interval(None, LATER, open_end=True)


def test_a_backfill_of_what_knows_no_interval_is_refused() -> None:
    number = build_endpoint(Request(params={"since": "{{ watermark.value }}"}))
    for endpoint in (build_endpoint(cursor="next"), number):
        with pytest.raises(
            SpecError, match="A backfill reads a data interval, and this endpoint sends none"
        ):
            find_watermark_run(endpoint, context("backfill", **INTERVAL))


class Api:
    """Contacts and notes that grow; a region fails on demand."""

    def __init__(self) -> None:
        self.count = 2
        self.broken = ""

    def __call__(self, asked: Asked) -> Any:
        rows: list[dict[str, Any]] = [
            {"id": n, "at": f"2026-01-01T00:00:{n:02d}Z"} for n in range(1, self.count + 1)
        ]
        since = asked.query["since"]
        if asked.path == "/contacts":
            return {"data": [row for row in rows if row["at"] >= since]}
        if asked.path.endswith(self.broken or "-"):
            return {"data": [{"id": None}]}
        return {"data": [row for row in rows if row["id"] > int(since)]}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def dag(
    api: Api, tmp_path: Path, set_connection: SetConnection, request: pytest.FixtureRequest
) -> Iterator[Any]:
    dag_id = str(request.node.name)
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(dag_id=dag_id, folder=tmp_path))
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield build_dag(path)


def rows(folder: Path, endpoint: str) -> list[int]:
    files = sorted((folder / endpoint).rglob("part-*.jsonl"))
    return sorted(
        json.loads(line)["id"] for file in files for line in file.read_text().splitlines()
    )


def test_runs_without_a_schedule_read_everything_once(
    dag: Any, api: Api, run_dag: RunDag, tmp_path: Path
) -> None:
    assert dag.max_active_runs == 1
    assert run_dag(dag).state == "success"
    api.count = 5
    assert run_dag(dag).state == "success"
    assert rows(tmp_path, "contacts") == [1, 2, 3, 4, 5]
    assert rows(tmp_path, "notes") == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    stored = open_watermark_store().list_watermarks(dag.dag_id)
    values = {(row.identity.endpoint, row.partition): row.state.value for row in stored}
    assert values == {
        ("contacts", ""): "2026-01-01T00:00:05Z",
        ("notes", ""): None,
        ("notes", '{"region":"eu"}'): 5,
        ("notes", '{"region":"us"}'): 5,
    }


def test_a_failed_instance_leaves_its_watermark_and_no_other(
    dag: Any, api: Api, run_dag: RunDag, tmp_path: Path
) -> None:
    api.broken = "us"
    assert run_dag(dag).state == "failed"
    api.broken = ""
    assert run_dag(dag).state == "success"
    assert rows(tmp_path, "notes") == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("highest", "shared"),
    [
        ("2026-01-01T00:00:30Z", "2026-01-01T00:00:30Z"),
        ("2026-01-01T05:00:00Z", "2025-12-31T00:00:00Z"),  # later than the run read up to
        (30, "2025-12-31T00:00:00Z"),  # a number says nothing of the moment of the others
        (None, "2025-12-31T00:00:00Z"),
    ],
)
def test_more_instances_than_watermarks_share_the_instant_up_to_which_all_have_read(
    own_store: None,
    set_connection: SetConnection,
    monkeypatch: pytest.MonkeyPatch,
    highest: Any,
    shared: str,
) -> None:
    extra = {"auth_type": "none"}
    set_connection("crm", {"conn_type": "oauth2", "host": "http://a", "extra": extra})
    identity = EndpointId("d", "notes", "crm")
    store = open_watermark_store()
    monkeypatch.setattr(store, "_most_partitions", 1)
    before = WatermarkState("2025-12-31T00:00:00Z")
    moves = tuple(Move(f'{{"p":{n}}}', NOTHING, before) for n in range(2))
    for run_id in ("earlier", "r"):
        head = store.begin(identity, run_id)
        store.read(identity, run_id, ["{}"], head)
        store.prepare(PendingCommit(run_id, identity, run_id, head.generation, {}, moves))
        store.settle(PendingCommit(run_id, identity, run_id, head.generation, {}, moves))
    operator: Any = SimpleNamespace(conn_id="crm", instances_task_id="notes", outlets=[])
    finish_watermarks(
        *(operator, build_endpoint(), highest),
        context("scheduled", run_id="r", dag=SimpleNamespace(dag_id="d"), **INTERVAL),
    )
    assert store.begin(identity, "next").shared == WatermarkState(shared)


def test_the_last_task_sets_back_the_partitions_of_instances_that_a_cleared_run_lost(
    dag: Any,
) -> None:
    identity = EndpointId(dag.dag_id, "notes", "crm")
    runs = Runs(open_watermark_store(), identity)
    regions = [f'{{"region":"{name}"}}' for name in ("eu", "us", "jp")]
    for instance, region in enumerate(regions):
        runs.attempt("r", reach(7, region), instance)
    done: Any = dag.get_task("notes__done")
    done.outlets = []
    ti = SimpleNamespace(map_index=-1, xcom_pull=lambda **_: [])  # two regions are left in the list
    run = SimpleNamespace(run_type="manual", run_after=LATER, conf={})
    done.execute({"ti": ti, "run_id": "r", "dag": dag, "dag_run": run})
    assert runs.begin(*regions) == [WatermarkState(7), WatermarkState(7), NOTHING]


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, msg: str, /, *args: Any) -> None:
        self.lines.append(msg % args)


def test_the_mirror_shows_the_lowest_and_never_fails_a_run(dag: Any, run_dag: RunDag) -> None:
    run_dag(dag)
    identity, log = EndpointId(dag.dag_id, "notes", "crm"), Lines()
    shown: dict[str, Any] = {}
    store = {"asset": SimpleNamespace(set=shown.__setitem__)}
    mirror(identity, "asset", {"asset_state_store": store, "run_id": "r"}, log)
    assert shown == {"watermark": {"value": 2, "cursor": None, "partitions": 2, "run_id": "r"}}
    mirror(identity, "asset", {}, log)
    assert log.lines == []
    mirror(identity, "other", {"asset_state_store": store, "run_id": "r"}, log)
    assert log.lines == [
        f"The watermark of {identity} is stored, but Airflow's asset state store does not show it (KeyError: 'other')"
    ]


def test_a_file_on_one_machine_is_refused_under_a_distributed_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    with pytest.raises(WatermarkError) as caught:
        open_watermarks(EndpointId("d", "e", "crm"), "r")
    assert str(caught.value) == (
        "A watermark cannot be kept in a SQLite file under CeleryExecutor, because workers on other machines do not see it: "
        "each would read from another one for d/e on connection 'crm'. Set [oauth_taskflow] token_store (or "
        "watermark_store) to a database that all workers share, as in postgresql+psycopg://user@host/db, or read by data "
        "interval: remove incremental.by."
    )


def test_an_api_server_that_keeps_no_watermarks_is_refused_with_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from oauth_taskflow.connections.settings import BrokeredSettings  # noqa: PLC0415 - after Airflow's home

    brokered = SimpleNamespace(auth=BrokeredSettings.__new__(BrokeredSettings))
    monkeypatch.setattr(stored_watermarks, "load_settings", lambda _conn_id: brokered)
    supervise(monkeypatch, not_found)
    with pytest.raises(WatermarkError) as caught:
        open_watermarks(EndpointId("d", "e", "crm"), "r").open({})
    assert str(caught.value) == (
        "In broker mode the API server keeps watermarks, and this one has an earlier release that does not, or no broker "
        "for d/e on connection 'crm'. Update the API server, set [oauth_taskflow] watermark_store to a database that "
        "tasks may open (it holds no secrets), or read by data interval: remove incremental.by (docs/incremental.md)."
    )
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__WATERMARK_STORE", f"sqlite:///{tmp_path}/w.db")
    open_watermarks(EndpointId("d", "e", "crm"), "r").open(
        {"kind": "file", "path": "/none", "conn_id": None}
    )
    assert (tmp_path / "w.db").exists()


def test_a_store_that_will_be_refused_is_logged_when_the_dag_is_parsed(
    dag: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(
        "AIRFLOW__SECRETS__BACKEND", "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"
    )
    build_dag(tmp_path / "spec.yaml")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    build_dag(tmp_path / "spec.yaml")
    assert "watermark" not in caplog.text, "in broker mode the API server keeps them"
    caplog.clear()
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__WATERMARK_STORE", "postgresql+psycopg://db/w")
    build_dag(tmp_path / "spec.yaml")
    assert caplog.text == ""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__WATERMARK_STORE", f"sqlite:///{tmp_path}/w.db")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    build_dag(tmp_path / "spec.yaml")
    assert "A watermark cannot be kept in a SQLite file under CeleryExecutor" in caplog.text
