"""Specs whose records go into PostgreSQL, run as DAGs and by ``airflow oauth pull``."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from oauth_taskflow import build_dag
from oauth_taskflow.connections.parse import AirflowConnection
from oauth_taskflow.engine.output_records import EndpointRecords
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.taskflow.broker.server import read_brokered_settings
from oauth_taskflow.taskflow.connection_lookup import find_connection
from oauth_taskflow.taskflow.dags.local_run import LocalRun, Observer, run_locally
from oauth_taskflow.taskflow.dags.storage import store_access
from oauth_taskflow.taskflow.sessions import open_session
from tests.api.scripted import scripted
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.dags.family import FamilyApi, run_family, write_family

pytestmark = pytest.mark.airflow

DESTINATION = '{type: postgres, conn_id: warehouse, table: "{{ params.area }}.{{ endpoint }}", layout: columns}'


def write_spec(folder: Path, schema: str) -> Path:
    return write_family(folder, DESTINATION, "{mode: merge}", params=f"{{area: {schema}}}")


@pytest.fixture
def schema() -> str:
    return f"d{secrets.token_hex(6)}"


@pytest.fixture
def warehouse(postgres_url: str, set_connection: SetConnection) -> dict[str, Any]:
    parts = urlsplit(postgres_url)
    fields = {"host": parts.hostname, "port": parts.port, "schema": "postgres"}
    login = {"login": "postgres", "password": "geheim-und-lang-7"}
    set_connection("warehouse", {"conn_type": "postgres", **fields, **login})
    return fields


def ask(warehouse: dict[str, Any], statement: str) -> list[Any]:
    address = {"host": warehouse["host"], "port": warehouse["port"], "user": "postgres"}
    with psycopg.connect(**address) as connection:
        return [value for (value,) in connection.execute(statement)]


def test_children_read_what_their_parents_wrote_and_a_rerun_replaces_all(
    tmp_path: Path,
    schema: str,
    warehouse: dict[str, Any],
    set_connection: SetConnection,
    run_dag: RunDag,
) -> None:
    path = write_spec(tmp_path, schema)
    for done, expected in run_family(path, set_connection, run_dag, counts=(7, 5)):
        found = EndpointRecords("details", [done], store_access())
        assert sorted(record["detail"] for record in found) == sorted(
            record["detail"] for record in expected
        )
        assert "geheim" not in json.dumps(done)
        assert done["conn_id"] == "warehouse"
    # Merged: those that the second run did not see are still there.
    assert ask(warehouse, f'SELECT id FROM "{schema}".contacts ORDER BY id') == list(range(7))


def test_a_value_given_with_a_run_cannot_leave_its_place_in_the_name(
    tmp_path: Path,
    schema: str,
    warehouse: dict[str, Any],
    set_connection: SetConnection,
    run_dag: RunDag,
) -> None:
    path = write_spec(tmp_path, schema)
    with scripted(FamilyApi()) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        run = run_dag(build_dag(path), run_conf={"area": f"{schema}.contacts; --"})
    assert run.state == "failed"
    count = f"SELECT count(*) FROM information_schema.tables WHERE table_schema LIKE '{schema}%'"
    assert ask(warehouse, count) == [0]


def test_a_pull_from_the_shell_writes_files_and_leaves_the_table_alone(
    tmp_path: Path, schema: str, warehouse: dict[str, Any], set_connection: SetConnection
) -> None:
    spec = check_file(write_spec(tmp_path, schema)).spec
    assert spec is not None
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    with scripted(FamilyApi()) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        run = LocalRun(
            spec, spec.order, tmp_path / "out", {"area": schema}, Interval(None, now), now
        )
        observer = Observer(lambda *_: None, lambda _: None)
        results = list(run_locally(run, open_session, observer))
    assert [sum(s.rows for s in result.summaries) for result in results] == [5, 10, 10]
    assert (tmp_path / "out" / "contacts" / "part-00000.jsonl").exists()
    count = f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{schema}'"
    assert ask(warehouse, count) == [0]


def test_broker_mode_hands_the_connection_of_a_destination_out_as_it_is(
    warehouse: dict[str, Any],
) -> None:
    found: AirflowConnection = find_connection("warehouse")
    assert found.conn_type == "postgres"
    assert read_brokered_settings(found) is None
