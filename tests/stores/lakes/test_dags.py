"""Specs whose records go to tables of lakes and of dlt, run as DAGs: children read their parents' rows, re-runs replace them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)
pytest.importorskip("deltalake")
pytest.importorskip("dlt")

from oauth_taskflow.engine.output_records import EndpointRecords
from oauth_taskflow.taskflow.dags.storage import store_access
from tests.support.lanes import gate_and_full
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.dags.family import run_family, write_family

pytestmark = pytest.mark.airflow

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
FULL = ("delta", "iceberg")
GATE = [name for name in TABLES if name not in FULL]


@pytest.mark.no_cover
@pytest.mark.parametrize("table", gate_and_full(GATE, FULL))
def test_children_read_what_their_parents_wrote_and_a_rerun_replaces_all(
    servers: None, tmp_path: Path, set_connection: SetConnection, run_dag: RunDag, table: str
) -> None:
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path / 'catalog.db'}?timeout=60"}
    set_connection("catalog", {"conn_type": "generic", "extra": catalog})
    options = TABLES[table].replace("FOLDER", str(tmp_path / "lake")).replace("NAME", tmp_path.name)
    path = write_family(tmp_path, options, contacts="{mode: merge}")
    for done, expected in run_family(path, set_connection, run_dag, counts=(5, 3)):
        found = EndpointRecords("details", [done], store_access())
        assert sorted(found, key=repr) == sorted(expected, key=repr)
