"""Destinations on one machine's disk, under executors whose tasks run on several."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.engine.for_each import Slice, template_contexts
from oauth_taskflow.errors import ApiError, DestinationError
from oauth_taskflow.taskflow.dags.operators import EndpointDoneOperator
from oauth_taskflow.taskflow.dags.storage import (
    airflow_home,
    open_path,
    own_disk_warning,
    store_access,
)
from tests.api.scripted import scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: spread
connection: crm
params: {output: "%s"}
defaults: {records: data, destination: {path: "{{ params.output }}/{{ endpoint }}"}}
endpoints:
  contacts: {request: {path: /contacts}}
  notes: {for_each: {contact: contacts}, request: {path: "/notes/{{ contact.id }}"}}
"""
DAG_SPECS = sorted((Path(__file__).parents[3] / "dag_specs").glob("*.yaml"))


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,CeleryExecutor")


def root(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__DESTINATION_ROOT", place)


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "spread.yaml"
    path.write_text(SPEC % (tmp_path / "lake"))
    with scripted(lambda _: {"data": [{"id": 1}]}) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def test_executors_of_one_machine_give_no_warning() -> None:
    assert own_disk_warning("/lake") is None


def test_a_folder_of_one_machine_is_named_with_the_way_out(celery: None) -> None:
    warning = own_disk_warning("lake/contacts")
    assert warning is not None
    assert str(airflow_home() / "lake" / "contacts") in warning
    assert "CeleryExecutor" in warning
    assert "[oauth_taskflow] destination_root" in warning
    assert own_disk_warning("file:///lake") is not None


def test_stores_and_folders_below_the_root_are_shared(
    celery: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_disk_warning("s3://lake/contacts") is None
    root(monkeypatch, "/mnt/lake")
    assert own_disk_warning("contacts") is None
    assert own_disk_warning("/mnt/lake/contacts") is None
    assert own_disk_warning("/mnt/lakeside") is not None


def test_relative_paths_are_below_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root(monkeypatch, f"{tmp_path}/")
    assert open_path("a/b") == tmp_path / "a" / "b"
    assert open_path("/a/b") == Path("/a/b")
    root(monkeypatch, "gopher://lake")
    with pytest.raises(DestinationError, match=r"at gopher://lake/a/b\."):
        open_path("a/b")


@pytest.mark.parametrize("shipped", DAG_SPECS, ids=lambda path: path.stem)
def test_parsing_a_spec_warns_of_a_local_folder_before_the_first_run(
    shipped: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    build_dag(shipped)
    assert "Output goes to" not in caplog.text
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    build_dag(shipped)
    assert caplog.text.count("Output goes to") == 1
    caplog.clear()
    root(monkeypatch, "s3://lake")
    build_dag(shipped)
    assert "Output goes to" not in caplog.text


@pytest.mark.airflow
def test_the_first_task_warns_of_a_local_folder_and_items_carry_the_host(
    spec: Path, celery: None, run_dag: RunDag, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dag(build_dag(spec))
    assert run.state == "success"
    shown = capsys.readouterr()
    assert "contacts: Output goes to" in shown.out + shown.err
    (item,) = run.result("notes__batches")
    assert item["contact"]["host"] == socket.gethostname()


def test_a_child_task_on_another_machine_names_both_machines(tmp_path: Path) -> None:
    file = str(tmp_path / "part-00000.jsonl")
    with pytest.raises(ApiError) as caught:
        list(
            template_contexts(
                {"contact": Slice(file=file, take=1, host="worker-a")}, store_access()
            )
        )
    assert str(caught.value) == (
        f"Records of the parent endpoint are not on this machine, {socket.gethostname()}: worker-a wrote them to its own "
        f"disk at {file}. Let the destination be an object store, or a folder that all workers share (docs/destinations.md)."
    )
    with pytest.raises(ApiError, match="are gone"):
        list(
            template_contexts(
                {"contact": Slice(file=file, take=1, host=socket.gethostname())}, store_access()
            )
        )


class Instances:
    """The task instance of a last task, whose instances ran elsewhere."""

    map_index = -1

    def __init__(self, summary: dict[str, Any]) -> None:
        self._xcoms = {"notes": [summary], "notes__batches": [{}]}

    def xcom_pull(self, task_ids: str, map_indexes: int | None = None) -> Any:
        return self._xcoms[task_ids]


@pytest.mark.parametrize(("host", "red"), [("worker-a", True), ("", False)])
def test_output_on_the_disks_of_several_machines_fails_the_run(
    spec: Path, tmp_path: Path, host: str, red: bool
) -> None:
    dag = build_dag(spec)
    done = dag.get_task("notes__done")
    assert isinstance(done, EndpointDoneOperator)
    folder = tmp_path / "lake" / "notes" / "run_id=r" / "map_index=0"
    file = {"path": str(folder / "part-00000.jsonl"), "rows": 1, "bytes": 1, "host": host}
    figures = {"rows": 1, "pages": 1, "sequences": 1, "bytes": 1, "received_bytes": 1, "seconds": 1}
    manifest = str(folder / "_manifest.json")
    summary = {
        "endpoint": "notes",
        "files": [file],
        "manifest": manifest,
        "map_index": 0,
        **figures,
    }
    context = {
        "run_id": "r",
        "dag": dag,
        "ti": Instances(json.loads(msgspec.json.encode(summary))),
        "params": dag.params.dump(),
        "dag_run": SimpleNamespace(conf={}, run_after=None),
        "outlet_events": {asset: SimpleNamespace(extra=None) for asset in done.outlets},
    }
    if red:
        with pytest.raises(DestinationError, match="on the disks of other machines, worker-a"):
            done.execute(context)
    else:
        assert done.execute(context)["rows"] == 1
