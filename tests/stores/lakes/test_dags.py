"""Specs whose records go to tables of lakes and of dlt, run as DAGs: children read their parents' rows, re-runs replace them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)
pytest.importorskip("deltalake")
pytest.importorskip("dlt")

from oauth_taskflow import build_dag
from oauth_taskflow.engine.output_records import EndpointRecords
from oauth_taskflow.taskflow.dags.storage import store_access
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = pytest.mark.airflow

SPEC = """\
version: 1
dag_id: family
connection: crm
defaults:
  records: data
  destination: %s
endpoints:
  contacts: {request: {path: /contacts}, primary_key: id, destination: {mode: merge}}
  notes:
    for_each: {contact: {endpoint: contacts, batch: 2}}
    request: {path: "/notes/{{ contact.id }}"}
  details:
    for_each: {note: {endpoint: notes, batch: 4}}
    request: {path: "/details/{{ note.id }}"}
"""
TABLES = {
    "delta": '{type: delta, path: "FOLDER/{{ endpoint }}"}',
    "delta-s3": '{type: delta, path: "s3://lake/NAME/{{ endpoint }}", conn_id: s3}',
    "iceberg": '{type: iceberg, table: "crm.{{ endpoint }}", warehouse: FOLDER}',
    "iceberg-s3": (
        '{type: iceberg, table: "crm.{{ endpoint }}", warehouse: "s3://lake/NAME", conn_id: s3, catalog_conn_id: catalog}'
    ),
    "dlt": (
        '{type: dlt, destination: duckdb, dataset: crm, table: "{{ endpoint }}", options: {credentials: "FOLDER.duckdb"}}'
    ),
}
# Folders of lakes differ from their stores by the path alone here.
FULL = {"delta", "iceberg"}


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "table",
    [pytest.param(name, marks=pytest.mark.full) if name in FULL else name for name in TABLES],
)
def test_children_read_what_their_parents_wrote_and_a_rerun_replaces_all(
    servers: None, tmp_path: Path, set_connection: SetConnection, run_dag: RunDag, table: str
) -> None:
    contacts = 5

    def api(asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if asked.path == "/contacts":
            return {"data": [{"id": number} for number in range(contacts)]}
        if asked.path.startswith("/notes"):
            return {"data": [{"id": f"{name}-{number}"} for number in range(2)]}
        return {"data": [{"detail": name}]}

    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path / 'catalog.db'}?timeout=60"}
    set_connection("catalog", {"conn_type": "generic", "extra": catalog})
    options = TABLES[table].replace("FOLDER", str(tmp_path / "lake")).replace("NAME", tmp_path.name)
    path = tmp_path / "family.yaml"
    path.write_text(SPEC % options)
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        for contacts in (5, 3):
            run = run_dag(build_dag(path), run_conf={})
            assert run.state == "success"
            done = run.result("details__done")
            assert done["rows"] == contacts * 2
            found = EndpointRecords("details", [done], store_access())
            expected = [{"detail": f"{c}-{n}"} for c in range(contacts) for n in range(2)]
            assert sorted(found, key=repr) == sorted(expected, key=repr)
