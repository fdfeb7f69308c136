"""Destinations that are no files, in a real run: parents, mapped children, what is stale, and later tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow import endpoint_records, endpoint_tasks
from tests.api.scripted import Asked, scripted
from tests.destinations.author_sinks import STORED
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: kinds
connection: crm
defaults:
  records: data
  destinations:
    - {type: python, function: tests.destinations.author_sinks.Memory, size: 1}
    - {path: "%s/{{ endpoint }}"}
endpoints:
  contacts: {request: {path: /contacts}}
  notes:
    for_each: {contact: {endpoint: contacts, batch: 1}}
    request: {path: "/notes/{{ contact.id }}"}
    contract: {types: discard_row, schema: {fields: {note: text}}}
    quarantine: {path: "%s/{{ endpoint }}_rejected"}
"""


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    def api(asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if name == "contacts":
            return {"data": [{"id": 1}, {"id": 2}]}
        (run,) = (key[2] for key in STORED if key[1] == "contacts")
        # As an earlier try with more parents left it.
        STORED["kinds", "notes", run, 7] = [{"note": "stale"}]
        (rejected,) = (tmp_path / "notes_rejected").iterdir()
        (rejected / "map_index=7").mkdir(exist_ok=True)
        (rejected / "map_index=7" / "_manifest.json").write_text("{}")
        return {"data": [{"note": name}, {"note": int(name)}]}

    path = tmp_path / "kinds.yaml"
    path.write_text(SPEC % (tmp_path, tmp_path))
    STORED.clear()
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield path


def read_back() -> Any:
    found = endpoint_records("notes")
    return [list(endpoint_records("contacts")), list(found), [part.path for part in found.parts]]


@pytest.mark.airflow
def test_parents_children_and_later_tasks_read_what_a_function_took(
    spec: Path, tmp_path: Path, run_dag: RunDag
) -> None:
    from airflow.sdk import DAG, task  # noqa: PLC0415 - Airflow needs its home first

    with DAG("kinds", schedule=None) as dag:
        made = endpoint_tasks(spec)
        reading: Any = task(task_id="reading")(read_back)()
        dag.get_task("notes__done").set_downstream(reading.operator)
        assert sorted(made) == ["contacts", "notes"]
    run = run_dag(dag)
    assert run.state == "success"
    memory = "tests.destinations.author_sinks.Memory"
    assert run.result("reading") == [
        [{"id": 1}, {"id": 2}],
        [{"note": "1"}, {"note": "2"}],
        [memory, memory],
    ]
    assert sorted((key[1], key[3]) for key in STORED) == [
        ("contacts", -1),
        ("notes", 0),
        ("notes", 1),
    ]
    copies = sorted((tmp_path / "notes").rglob("part-*"))
    assert [json.loads(path.read_text()) for path in copies] == [{"note": "1"}, {"note": "2"}]
    rejected = sorted((tmp_path / "notes_rejected").rglob("part-*"))
    assert [json.loads(path.read_text())["record"] for path in rejected] == [
        {"note": 1},
        {"note": 2},
    ]
    (of_run,) = (tmp_path / "notes_rejected").iterdir()
    assert sorted(path.name for path in of_run.iterdir()) == ["map_index=0", "map_index=1"]
    assert run.result("notes__done")["rejected"] == 2
    assert [file["rows"] for file in run.result("contacts")["further"][0]["files"]] == [2]
