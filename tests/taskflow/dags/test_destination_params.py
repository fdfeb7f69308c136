"""Params in a destination's path, in real runs: the author's may be paths, the run's conf may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk import DAG

from oauth_taskflow import build_dag, endpoint_tasks
from tests.api.scripted import scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: places
connection: crm
params: {root: "%s", region: eu}
defaults: {records: data, destination: {path: "{{ params.root }}/{{ params.region }}/{{ endpoint }}"}}
endpoints:
  contacts: {request: {path: /contacts}, task: {retries: 0}}
  notes: {for_each: {kind: [a, b]}, request: {path: /notes}, task: {retries: 0}}
"""


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "places.yaml"
    path.write_text(SPEC % (tmp_path / "lake" / "deep"))
    with scripted(lambda _: {"data": [{"id": 1}]}) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def written(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)).partition("/run_id")[0]
        for path in folder.rglob("_manifest.json")
    }


@pytest.mark.airflow
def test_a_segment_of_the_conf_and_the_authors_own_path_are_taken(
    spec: Path, tmp_path: Path, run_dag: RunDag
) -> None:
    # As Airflow's form does it: all params are sent, changed or not.
    run = run_dag(
        build_dag(spec), run_conf={"root": str(tmp_path / "lake" / "deep"), "region": "us"}
    )
    assert run.state == "success"
    assert written(tmp_path) == {"lake/deep/us/contacts", "lake/deep/us/notes"}


@pytest.mark.airflow
@pytest.mark.parametrize("conf", [{"region": "../../../out"}, {"root": "out"}, {"region": ".."}])
def test_a_path_of_the_conf_is_refused_and_nothing_is_written(
    spec: Path, tmp_path: Path, run_dag: RunDag, conf: dict[str, str]
) -> None:
    if "root" in conf:
        conf = {"root": str(tmp_path / "elsewhere")}
    run = run_dag(build_dag(spec), run_conf=conf)
    assert run.state == "failed"
    assert {run.task_state("contacts"), run.task_state("notes", 0)} == {"failed"}
    assert list(tmp_path.rglob("_manifest.json")) == []


@pytest.mark.airflow
def test_defaults_of_a_handwritten_dag_are_its_authors(
    spec: Path, tmp_path: Path, run_dag: RunDag
) -> None:
    own = str(tmp_path / "own")
    with DAG("handwritten", schedule=None, params={"root": own, "region": "eu"}) as dag:
        endpoint_tasks(spec)
    assert run_dag(dag, run_conf={"root": own}).state == "success"
    assert written(tmp_path) == {"own/eu/contacts", "own/eu/notes"}
