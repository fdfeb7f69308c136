"""Runs that are repeated, parents without records, and the one event of a mapped endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.dags.operators import EndpointDoneOperator, ParentBatchesOperator
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: family
connection: crm
defaults: {records: data, destination: {path: "%s/{{ endpoint }}"}}
endpoints:
  contacts: {request: {path: /contacts}}
  notes:
    for_each: {contact: {endpoint: contacts, batch: 2}}
    request: {path: "/notes/{{ contact.id }}"}
  details:
    for_each: {note: {endpoint: notes, batch: 1}, region: [eu, us]}
    request: {path: "/details/{{ note.id }}", params: {region: "{{ region }}"}}
"""


REJECTING = """\
version: 1
dag_id: regions
connection: crm
defaults:
  records: data
  contract: {types: discard_row, schema: {fields: {id: integer}}}
  destination: {path: "%(base)s/{{ endpoint }}"}
endpoints:
  notes:
    for_each: {region: [eu, us]}
    request: {path: "/{{ region }}"}
    quarantine: {path: "%(base)s/rejected/{{ region }}"}
"""


class Api:
    """As many contacts as asked for, two notes each."""

    contacts = 3
    at_contacts: Callable[[], None] = staticmethod(lambda: None)

    def __call__(self, asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if asked.path == "/contacts":
            self.at_contacts()
            return {"data": [{"id": number} for number in range(self.contacts)]}
        if asked.path.startswith("/notes"):
            return {"data": [{"id": f"{name}-{number}"} for number in range(2)]}
        return {"data": [{"detail": name, **asked.query}]}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def spec(api: Api, tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "family.yaml"
    path.write_text(SPEC % tmp_path)
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def records(folder: Path) -> list[str]:
    lines = [line for file in folder.rglob("part-*") for line in file.read_text().splitlines()]
    return sorted(lines)


@pytest.mark.airflow
def test_a_repeated_run_with_fewer_records_removes_the_output_of_the_first(
    spec: Path, api: Api, tmp_path: Path, run_dag: RunDag
) -> None:
    def earlier_try() -> None:
        (run,) = (tmp_path / "contacts").iterdir()
        old = tmp_path / "details" / run.name / "map_index=99"
        old.mkdir(parents=True)
        (old / "_manifest.json").write_text("{}")
        (old / "part-00000.jsonl").write_text("{}\n")

    api.at_contacts = earlier_try
    run = run_dag(build_dag(spec))
    assert run.state == "success"
    assert (len(records(tmp_path / "notes")), len(records(tmp_path / "details"))) == (6, 12)
    assert "{}" not in records(tmp_path / "details")
    total = run.result("details__done")
    assert (total["rows"], total["pages"], total["tasks"], len(total["files"])) == (12, 12, 12, 12)


@pytest.mark.airflow
def test_rejected_records_of_a_value_that_another_instance_has_now_are_removed(
    tmp_path: Path, run_dag: RunDag, set_connection: SetConnection
) -> None:
    path = tmp_path / "regions.yaml"
    path.write_text(REJECTING % {"base": tmp_path})

    def api(asked: Asked) -> Any:
        if asked.path == "/eu":  # an earlier try had the values in another order, and one more
            (run,) = (tmp_path / "rejected" / "eu").iterdir()
            for place in ("eu", "us"):
                for index in {0, 1, 2} - {0 if place == "eu" else 1}:
                    old = tmp_path / "rejected" / place / run.name / f"map_index={index}"
                    old.mkdir(parents=True)
                    (old / "_manifest.json").write_text("{}")
        return {"data": [{"id": asked.path}]}

    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        run = run_dag(build_dag(path))
    assert run.state == "success"
    found = sorted((tmp_path / "rejected").rglob("_manifest.json"))
    assert [(one.parents[2].name, one.parent.name) for one in found] == [
        ("eu", "map_index=0"),
        ("us", "map_index=1"),
    ]


@pytest.mark.airflow
def test_a_parent_without_records_gives_children_without_rows(
    spec: Path, api: Api, run_dag: RunDag
) -> None:
    api.contacts = 0
    run = run_dag(build_dag(spec))
    assert run.state == "success"
    assert run.task_state("details__done") == "success"
    assert run.result("details__done")["rows"] == 0


def test_only_the_last_task_of_a_mapped_endpoint_updates_its_asset(spec: Path) -> None:
    dag = build_dag(spec)
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks}
    assert {name: found for name, found in outlets.items() if found} == {
        "contacts": ["family/contacts"],
        "notes__done": ["family/notes"],
        "details__done": ["family/details"],
    }


class Instance:
    """The task instance of a run that was cleared: XComs by task, including those of map indexes that no longer exist."""

    map_index = -1

    def __init__(self, **xcoms: Any) -> None:
        self.xcoms = xcoms

    def xcom_pull(self, task_ids: str, map_indexes: int | None = None) -> Any:
        return self.xcoms.get(task_ids, None if map_indexes == -1 else [])


def summary(folder: Path, map_index: int) -> dict[str, Any]:
    figures = dict.fromkeys(("pages", "sequences", "bytes", "received_bytes", "seconds"), 1)
    path = folder / "notes" / "run_id=r" / f"map_index={map_index}"
    path.mkdir(parents=True)
    (path / "_manifest.json").write_text(json.dumps({}))
    file = {"path": str(path / "part-00000.jsonl"), "rows": 2, "bytes": 1}
    manifest = str(path / "_manifest.json")
    return {
        "endpoint": "notes",
        "rows": 2,
        "files": [file],
        "manifest": manifest,
        "map_index": map_index,
        **figures,
    }


def finish(spec: Path, instance: Instance) -> Any:
    done: Any = build_dag(spec).get_task("notes__done")
    assert isinstance(done, EndpointDoneOperator)
    done.outlets = []
    run = SimpleNamespace(dag_id="family")
    dag_run = SimpleNamespace(conf={}, run_after=None)
    return done.execute({"ti": instance, "run_id": "r", "dag": run, "dag_run": dag_run})


def test_results_of_instances_that_a_cleared_run_no_longer_has_are_ignored(
    spec: Path, tmp_path: Path
) -> None:
    kept = [summary(tmp_path, index) for index in (2, 0, 1)]
    total = finish(spec, Instance(notes__batches=[{}, {}], notes=kept))
    assert (total["rows"], total["tasks"]) == (4, 2)
    assert sorted(path.name for path in (tmp_path / "notes" / "run_id=r").iterdir()) == [
        "map_index=0",
        "map_index=1",
    ]


def test_output_of_an_instance_that_was_marked_as_successful_by_hand_stays(
    spec: Path, tmp_path: Path
) -> None:
    summary(tmp_path, 1)
    total = finish(spec, Instance(notes__batches=[{}, {}], notes=summary(tmp_path, 0)))
    assert total["tasks"] == 1
    assert (tmp_path / "notes" / "run_id=r" / "map_index=1" / "_manifest.json").exists()


def test_the_last_task_logs_what_the_ends_of_all_instances_show(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {"ends_by": "pointer", "marker": "a cursor at 'next'", "full": 10}
    instances = [{**summary(tmp_path, index), "ends": ends} for index in range(2)]
    total = finish(spec, Instance(notes__batches=[{}, {}, {}], notes=instances))
    (warning,) = total["warnings"]
    assert warning.startswith("No second page was ever found")
    assert (
        capsys.readouterr().out.count(warning) == 1
    )  # although the third instance left no summary


def test_a_parent_without_result_is_named(spec: Path) -> None:
    batches = build_dag(spec).get_task("details__batches")
    assert isinstance(batches, ParentBatchesOperator)
    with pytest.raises(OAuthTaskflowError) as caught:
        batches.execute({"ti": Instance()})
    assert str(caught.value) == (
        "The parent endpoint 'notes' left no result in this run in task 'notes__done'. "
        "Clear that task: it was marked as successful by hand, or its XCom was deleted."
    )
