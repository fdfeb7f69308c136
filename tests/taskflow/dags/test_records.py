"""Records of an endpoint in the tasks that come after it, in this DAG and in another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow import endpoint_records, endpoint_tasks
from oauth_taskflow.errors import OAuthTaskflowError
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: crm
connection: crm
defaults: {records: data, destination: {path: "%s/{{ endpoint }}", format: jsonl.gz}}
endpoints:
  contacts: {request: {path: /contacts}}
  notes: {for_each: {contact: {endpoint: contacts, batch: 1}}, request: {path: "/notes/{{ contact.id }}"}}
"""
pytestmark = pytest.mark.airflow


def api(asked: Asked) -> Any:
    if asked.path == "/contacts":
        return {"data": [{"id": 1, "name": "ann"}, {"id": 2, "name": None}]}
    return {"data": [{"note": asked.path.rpartition("/")[2]}]}


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "crm.yaml"
    path.write_text(SPEC % tmp_path)
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def build(spec: Path, read: Callable[[], Any], after: str) -> Any:
    from airflow.sdk import DAG, task  # noqa: PLC0415 - Airflow needs its home first

    with DAG("crm", schedule=None) as dag:
        made = endpoint_tasks(spec)
        reading: Any = task(task_id="reading")(read)()
        last: Any = dag.get_task(after) if after not in made else made[after]
        last.set_downstream(reading.operator)
    return dag


def read_contacts() -> Any:
    found = endpoint_records("contacts")
    again = list(found)
    return {
        "records": list(found),
        "again": again,
        "rows": [found.rows, len(found)],
        "parts": [Path(part.path).name for part in found.parts],
        "manifest": found.manifest["rows"],
        "arrow": found.arrow().to_pylist(),
        "batches": sum(batch.num_rows for batch in found.arrow_batches()),
        "shown": repr(found),
    }


def test_a_task_reads_the_records_of_an_endpoint_of_its_run(spec: Path, run_dag: RunDag) -> None:
    run = run_dag(build(spec, read_contacts, "contacts"))
    records = [{"id": 1, "name": "ann"}, {"id": 2, "name": None}]
    assert run.result("reading") == {
        "records": records,
        "again": records,
        "rows": [2, 2],
        "parts": ["part-00000.jsonl.gz"],
        "manifest": 2,
        "arrow": records,
        "batches": 2,
        "shown": "EndpointRecords('contacts', rows=2, parts=1)",
    }


def read_notes() -> Any:
    found = endpoint_records("notes")
    try:
        _ = found.manifest
    except OAuthTaskflowError as error:
        message = str(error)
    return [sorted(each["note"] for each in found), len(found.manifests), message]


@pytest.mark.parametrize("after", ["notes__done", "notes"])
def test_a_mapped_endpoint_gives_the_records_of_all_its_instances(
    spec: Path, run_dag: RunDag, after: str
) -> None:
    run = run_dag(build(spec, read_notes, after))
    assert run.result("reading") == [
        ["1", "2"],
        2,
        "The records of 'notes' have 2 manifests. Use .manifests: a mapped endpoint has one for each instance.",
    ]


def complain() -> list[str]:
    return [refusal(name) for name in ("contact", "notes__done", "other/contacts")]


def refusal(name: str) -> str:
    with pytest.raises(OAuthTaskflowError) as caught:
        endpoint_records(name)
    return str(caught.value)


def test_errors_name_the_endpoint_and_what_to_do(spec: Path, run_dag: RunDag) -> None:
    assert run_dag(build(spec, complain, "contacts")).result("reading") == [
        "This DAG has no endpoint 'contact'. Did you mean 'contacts'? Records of another DAG: "
        'endpoint_records("<dag_id>/contact").',
        "The endpoint 'notes__done' left no result in this run in task 'notes__done'. This task must come after it. "
        "If it does, that task was skipped, or marked as successful by hand: clear it.",
        "No event of the asset 'other/contacts' started this run. Schedule this DAG by it: "
        'schedule: {assets: ["other/contacts"]}. No asset started this run.',
    ]


def test_outside_a_task_there_are_no_records() -> None:
    with pytest.raises(OAuthTaskflowError) as caught:
        endpoint_records("contacts")
    assert str(caught.value) == (
        "endpoint_records('contacts') was called outside a task. "
        "Call it in the function of a task, which runs after the endpoint."
    )


def test_another_dag_pulls_the_result_of_a_real_run(spec: Path, run_dag: RunDag) -> None:
    from airflow.sdk import DAG, Asset, get_current_context, task  # noqa: PLC0415 - Airflow needs its home first

    from oauth_taskflow import build_dag  # noqa: PLC0415 - as above

    produced = run_dag(build_dag(spec))

    def consume_notes() -> Any:
        event = SimpleNamespace(
            source_dag_id="crm", source_run_id=produced.run_id, source_task_id="notes__done"
        )
        # Stands for the scheduler, which starts a run by an event.
        context: Any = get_current_context()
        context["triggering_asset_events"] = {Asset("crm/notes"): [event]}
        return sorted(each["note"] for each in endpoint_records("crm/notes"))

    with DAG("consumer", schedule=None) as dag:
        task(task_id="reading")(consume_notes)()
    assert run_dag(dag).result("reading") == ["1", "2"]


class Producer:
    """The task instance of a consumer, which pulls the XComs of the DAG that started it."""

    def __init__(self, summaries: dict[tuple[str, str, str], Any]) -> None:
        self._summaries = summaries

    def xcom_pull(self, *, task_ids: str, dag_id: str, run_id: str, map_indexes: int) -> Any:
        assert map_indexes == -1
        return self._summaries.get((dag_id, run_id, task_ids))


def consume(name: str, ti: Producer, *runs: str, task_id: str | None = "contacts") -> Any:
    from airflow.sdk import Asset  # noqa: PLC0415 - Airflow needs its home first

    events = [
        SimpleNamespace(source_dag_id="crm", source_run_id=run, source_task_id=task_id)
        for run in runs
    ]
    started_by = {Asset(name="crm/contacts", uri="x://crm/contacts"): events}
    return read_in(name, ti, SimpleNamespace(task_dict={}), triggering_asset_events=started_by)


def read_in(name: str, ti: Any, dag: Any, **more: Any) -> Any:
    """The records as a task of ``dag`` gets them."""
    from airflow.sdk.execution_time.context import set_current_context  # noqa: PLC0415

    context: Any = {"ti": ti, "task": SimpleNamespace(dag=dag), **more}
    with set_current_context(context):
        return endpoint_records(name)


def write_output(folder: Path, name: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.jsonl"
    path.write_text(f'{{"run": "{name}"}}\n')
    return {"files": [{"path": str(path), "rows": 1, "bytes": 1}], "manifest": "m"}


def test_another_dag_reads_the_runs_whose_events_started_it(tmp_path: Path) -> None:
    summaries = {("crm", run, "contacts"): write_output(tmp_path, run) for run in ("a", "b", "c")}
    found = consume("crm/contacts", Producer(summaries), "a", "b", "a")
    assert list(found) == [{"run": "a"}, {"run": "b"}]
    assert found.rows == 2


def test_a_run_without_events_of_the_asset_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(OAuthTaskflowError) as caught:
        consume("crm/deals", Producer({}), "a")
    assert str(caught.value) == (
        "No event of the asset 'crm/deals' started this run. Schedule this DAG by it: "
        'schedule: {assets: ["crm/deals"]}. This run was started by: crm/contacts.'
    )
    with pytest.raises(
        OAuthTaskflowError, match="left no result in task 'contacts' of DAG 'crm', run 'a'"
    ):
        consume("crm/contacts", Producer({}), "a")


def test_an_event_that_no_task_made_is_told_apart() -> None:
    with pytest.raises(OAuthTaskflowError) as caught:
        consume("crm/contacts", Producer({}), "a", task_id=None)
    assert str(caught.value) == (
        "An event of the asset 'crm/contacts' that started this run was made by hand, or by another system. No task "
        "wrote records for it. Run the DAG that pulls the endpoint: its event starts this one."
    )


class Instance:
    """A task instance that pulls the XComs of its own run."""

    map_index = -1

    def __init__(self, **xcoms: Any) -> None:
        self._xcoms = xcoms

    def xcom_pull(self, *, task_ids: str, map_indexes: int | None = None) -> Any:
        found = self._xcoms.get(task_ids.replace(".", "_"))
        return found if map_indexes != -1 or not isinstance(found, list) else None


def test_an_endpoint_that_two_tasks_pull_is_named_by_its_task(spec: Path, tmp_path: Path) -> None:
    from airflow.sdk import DAG, TaskGroup  # noqa: PLC0415 - Airflow needs its home first

    with DAG("crm", schedule=None) as dag:
        for region in ("eu", "us"):
            with TaskGroup(region):
                endpoint_tasks(spec)
    ti = Instance(eu_contacts=write_output(tmp_path / "out", "eu"))
    with pytest.raises(OAuthTaskflowError) as caught:
        read_in("contacts", ti, dag)
    assert str(caught.value) == (
        "Several tasks of this DAG pull an endpoint 'contacts': eu.contacts, us.contacts. "
        "Name the task: endpoint_records takes its id too."
    )
    assert list(read_in("eu.contacts", ti, dag)) == [{"run": "eu"}]
