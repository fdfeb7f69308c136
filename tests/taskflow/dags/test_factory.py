"""Specs as DAGs: their shape at parse time, and a whole run in real Airflow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import DAG, Asset, BaseOperator
from airflow.sdk.definitions.asset import AssetNameRef
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.serialized_objects import DagSerialization

from oauth_taskflow import build_dag, endpoint_tasks
from oauth_taskflow.errors import SpecError
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.dags.specs_folder import write_spec


def timetable(dag: DAG) -> str:
    return type(dag.timetable).__name__


def version_hash(path: Path) -> str:
    """Returns the hash by which Airflow distinguishes versions of a DAG."""
    return str(SerializedDagModel.hash(DagSerialization.to_dict(build_dag(path))))  # type: ignore[no-untyped-call]  # of Airflow


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_each_endpoint_is_a_task_and_each_parent_gets_batches(tmp_path: Path) -> None:
    dag = build_dag(write_spec(tmp_path))
    assert dag.dag_id == "crm"
    assert sorted(dag.task_ids) == [
        "airports",
        "airports__batches",
        "airports__done",
        "countries",
        "regions",
        "regions__done",
    ]
    assert dag.get_task("countries").downstream_task_ids == {"airports__batches"}
    assert dag.get_task("airports__batches").downstream_task_ids == {"airports"}
    assert isinstance(dag.get_task("regions"), MappedOperator)


def test_task_arguments_come_from_default_args_and_the_endpoint(tmp_path: Path) -> None:
    dag = build_dag(write_spec(tmp_path))
    countries, airports = dag.get_task("countries"), dag.get_task("airports")
    assert (countries.owner, countries.retries) == ("data", 2)
    assert countries.retry_delay == timedelta(minutes=5)
    assert countries.execution_timeout == timedelta(hours=1)
    assert str(countries.doc_md).startswith(
        "Every country\n\n```yaml\nrequest:\n  path: /countries\n"
    )
    assert (airports.pool, airports.retries) == ("api", 5)


def test_the_default_kind_of_destination_makes_no_new_dag_version(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    plain, dag = version_hash(path), build_dag(path)
    assert "destination:\n  path: " in str(dag.get_task("countries").doc_md)
    mapped = dag.get_task("regions")
    assert isinstance(mapped, MappedOperator)
    assert set(mapped.partial_kwargs["endpoint"]["destination"]) == {"path"}
    edit(path, "destination: {type: file, ", "destination: {")
    assert version_hash(path) == plain


def test_params_of_the_spec_are_those_of_dag_and_tasks_unless_overridden(tmp_path: Path) -> None:
    path = edit(
        write_spec(tmp_path), "connection: crm", "connection: crm\nparams: {region: eu, n: 2}"
    )
    dag = build_dag(path)
    assert dag.params.dump() == {"region": "eu", "n": 2}
    assert dict(dag.get_task("countries").params) == {"region": "eu", "n": 2}
    assert DagSerialization.to_dict(dag)["dag"]["params"][0][0] == "region"
    assert build_dag(path, params={"region": "us"}).params.dump() == {"region": "us"}


def test_each_endpoint_declares_its_asset(tmp_path: Path) -> None:
    dag = build_dag(write_spec(tmp_path))
    assert dag.get_task("countries").outlets == [
        Asset(name="crm/countries", uri="oauth-taskflow://crm/countries")
    ]


def test_arguments_of_the_caller_override_the_spec(tmp_path: Path) -> None:
    dag = build_dag(write_spec(tmp_path), schedule="@daily", tags=["mine"], dag_id="other")
    assert (dag.dag_id, str(dag.schedule), set(dag.tags)) == ("other", "@daily", {"mine"})


def test_the_dag_is_the_same_after_airflows_serialisation(tmp_path: Path) -> None:
    dag = build_dag(write_spec(tmp_path, schedule='"@hourly"'))
    restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert sorted(restored.task_ids) == sorted(dag.task_ids)


@pytest.mark.parametrize(
    ("schedule", "plain", "incremental"),
    [
        ('"@hourly"', "CronTriggerTimetable", "CronDataIntervalTimetable"),
        ('"15 3 * * 1"', "CronTriggerTimetable", "CronDataIntervalTimetable"),
        ("PT15M", "DeltaTriggerTimetable", "DeltaDataIntervalTimetable"),
        ('"@once"', "OnceTimetable", "OnceTimetable"),
        ('"@continuous"', "ContinuousTimetable", "ContinuousTimetable"),
        ("null", "NullTimetable", "NullTimetable"),
    ],
)
def test_a_dag_with_an_incremental_endpoint_gets_real_data_intervals(
    tmp_path: Path, schedule: str, plain: str, incremental: str
) -> None:
    path = write_spec(tmp_path, schedule=schedule)
    one_run = {"max_active_runs": 1} if "continuous" in schedule else {}
    assert timetable(build_dag(path, **one_run)) == plain
    edit(
        path,
        "request: {path: /countries}",
        "request: {path: /countries, params: {since: '{{ window.start }}'}}\n"
        "    incremental: {field: t, start: 2026-01-01}",
    )
    assert timetable(build_dag(path, **one_run)) == incremental


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("", "CronTriggerTimetable"),
        ("start_date: 2026-01-01T00:00:00+05:00\n", "CronTriggerTimetable"),
        ("start_date: 2026-01-01T00:00:00Z\n", "CronTriggerTimetable"),
        ("start_date: 2026-01-01\n", "CronTriggerTimetable"),
    ],
)
@pytest.mark.parametrize("schedule", ['"15 3 * * *"', '"@daily"'])
def test_cron_is_in_the_zone_of_the_spec_whatever_its_start_date(
    tmp_path: Path, start: str, kind: str, schedule: str
) -> None:
    path = edit(
        write_spec(tmp_path, schedule=schedule),
        "start_date: 2026-01-01\n",
        f"{start}timezone: America/New_York\n",
    )
    dag = build_dag(path)
    assert timetable(dag) == kind
    encoded = DagSerialization.to_dict(dag)["dag"]["timetable"]["__var"]
    assert encoded["timezone"] == "America/New_York"


def test_cron_without_a_start_date_has_intervals_where_the_deployment_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS", "True")
    path = edit(write_spec(tmp_path, schedule='"@daily"'), "start_date: 2026-01-01\n", "")
    assert timetable(build_dag(path)) == "CronDataIntervalTimetable"


def test_a_continuous_schedule_has_one_run_at_once(tmp_path: Path) -> None:
    assert build_dag(write_spec(tmp_path, schedule='"@continuous"')).max_active_runs == 1


def test_documentation_that_ends_like_a_file_name_is_not_read_as_a_file(tmp_path: Path) -> None:
    path = edit(
        write_spec(tmp_path), "connection: crm", "connection: crm\ndoc_md: /etc/hostname.md"
    )
    assert build_dag(path).doc_md == "/etc/hostname.md\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("path: /countries}", "path: /lands}"),
        ("batch: 100", "batch: 50"),
        ("size: 1000,", "size: 500,"),
        ("[AT, NZ]", "[AT, DE]"),
        ("records: data", "records: rows"),
        ("{{ endpoint }}", "{{ endpoint }}/new"),
        ("connection: crm", "connection: erp"),
        ("total: total_entries", "total: count"),
    ],
)
def test_each_change_of_a_spec_changes_what_airflow_serialises(
    tmp_path: Path, old: str, new: str
) -> None:
    path = write_spec(tmp_path)
    before = version_hash(path)
    edit(path, old, new)
    assert version_hash(path) != before


def test_a_comment_changes_nothing_that_airflow_serialises(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    before = version_hash(path)
    path.write_text(f"# why\n{path.read_text()}")
    assert version_hash(path) == before


def test_a_schedule_of_assets_takes_names_and_uris(tmp_path: Path) -> None:
    path = write_spec(tmp_path, schedule="{assets: [crm/contacts, 's3://lake/raw']}")
    condition: Any = build_dag(path).timetable.asset_condition
    refs = list(condition.objects)
    assert [type(ref) for ref in refs] == [AssetNameRef, Asset]


def test_bare_dates_are_in_the_zone_of_the_spec(tmp_path: Path) -> None:
    path = edit(
        write_spec(tmp_path),
        "start_date: 2026-01-01",
        "start_date: 2026-07-01\nend_date: 2026-08-01T00:00:00Z\ntimezone: Europe/Berlin\n"
        "dagrun_timeout: PT6H\nmax_active_runs: 2\nmax_active_tasks: 3",
    )
    dag = build_dag(path)
    assert dag.start_date is not None
    assert dag.start_date.isoformat() == "2026-06-30T22:00:00+00:00"
    assert str(dag.timezone) == "Europe/Berlin"
    assert dag.end_date is not None
    assert dag.end_date.isoformat() == "2026-08-01T00:00:00+00:00"
    assert dag.dagrun_timeout == timedelta(hours=6)
    assert (dag.max_active_runs, dag.max_active_tasks) == (2, 3)


def test_a_broken_spec_raises_all_its_problems(tmp_path: Path) -> None:
    path = edit(write_spec(tmp_path), "path: /countries}", "pth: /countries}")
    edit(path, "batch: 100", "batch: none")
    with pytest.raises(SpecError) as caught:
        build_dag(path)
    message = str(caught.value)
    assert f"{path}:13:15: error: endpoints.countries.request" in message
    assert "Did you mean 'path'?" in message
    assert "batch" in message


@pytest.mark.no_cover
@pytest.mark.airflow
def test_endpoints_run_inside_a_hand_written_dag(
    tmp_path: Path,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    run_dag: RunDag,
) -> None:
    set_connection("crm", oauth_server.connection(refresh_token=oauth_server.issue_refresh_token()))
    seen: dict[str, Any] = {}

    class Reader(BaseOperator):
        def execute(self, context: Any) -> None:
            summaries = list(context["ti"].xcom_pull(task_ids="airports"))
            seen["rows"] = sum(summary["rows"] for summary in summaries)

    with DAG("embedded", schedule=None) as dag:
        tasks = endpoint_tasks(write_spec(tmp_path))
        tasks["airports"].set_downstream(Reader(task_id="reader"))
    run = run_dag(dag)
    assert run.state == "success"
    assert run.result("countries")["rows"] > 200
    assert run.result("regions", map_index=1)["rows"] > 100
    assert seen["rows"] > 28_000
    everyone = [("countries", -1), ("regions", 0), ("regions", 1)]
    counted = [run.result(task, map_index=index)["token_refreshes"] for task, index in everyone]
    assert sum(counted) == oauth_server.counters.refreshes == 1
    folders = {path.parent.parent.name for path in (tmp_path / "out").rglob("_manifest.json")}
    assert any(name.startswith("run_id=manual__") for name in folders)
