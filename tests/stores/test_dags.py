"""Specs whose records go to S3 and Azure, run as DAGs: children read their parents' objects, re-runs replace them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)

from oauth_taskflow import build_dag
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.taskflow.dags.storage import store_access
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: family
connection: crm
defaults:
  records: data
  destination: {path: "%s/{{ endpoint }}", conn_id: %s}
endpoints:
  contacts: {request: {path: /contacts}, destination: {format: jsonl.gz}}
  notes:
    for_each: {contact: {endpoint: contacts, batch: 2}}
    request: {path: "/notes/{{ contact.id }}"}
  details:
    for_each: {note: {endpoint: notes, batch: 4}}
    request: {path: "/details/{{ note.id }}"}
"""


def lines(files: list[dict[str, Any]], conn_id: str) -> list[Any]:
    destination = FileDestination.connect_for_reading(conn_id, store_access())
    return [record for file in files for record in destination.read(file["path"], 0, file["rows"])]


@pytest.mark.no_cover
@pytest.mark.airflow
def test_children_read_what_their_parents_wrote_and_a_rerun_replaces_all(
    place: str, tmp_path: Path, set_connection: SetConnection, run_dag: RunDag
) -> None:
    contacts = 5

    def api(asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if asked.path == "/contacts":
            return {"data": [{"id": number} for number in range(contacts)]}
        if asked.path.startswith("/notes"):
            return {"data": [{"id": f"{name}-{number}"} for number in range(2)]}
        return {"data": [{"detail": name}]}

    conn_id = place.partition(":")[0]
    path = tmp_path / "family.yaml"
    path.write_text(SPEC % (place, conn_id))
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        for contacts in (5, 3, 0):
            run = run_dag(build_dag(path), run_conf={})
            assert run.state == "success"
            done = run.result("details__done")
            assert done["rows"] == contacts * 2
            expected = [{"detail": f"{c}-{n}"} for c in range(contacts) for n in range(2)]
            assert lines(done["files"], conn_id) == expected
