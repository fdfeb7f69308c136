"""A library of an extra that is not installed: a warning when the DAG is parsed, an error before the first request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SPEC = """\
version: 1
dag_id: lake
connection: crm
defaults: {destination: {path: "s3://lake/{{ endpoint }}"}}
endpoints:
  contacts: {request: {path: /contacts}}
  notes: {request: {path: /notes}}
  local: {request: {path: /local}, destination: {path: /data/local}}
"""
PARSE = """
import logging, sys
sys.modules["s3fs"] = None
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
from oauth_taskflow import build_dag
dag = build_dag(sys.argv[1])
print(sorted(dag.task_ids))
"""
RUN = """
import sys
sys.modules["s3fs"] = None
from datetime import datetime, timezone
from pathlib import Path
from oauth_taskflow import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import scripted
from tests.support.auth import bearer_auth

def refuse(path, conn_id):
    raise AssertionError("opened before the check")

interval = Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc))
endpoint = check_file(sys.argv[1]).spec.endpoints["contacts"]
run = EndpointRun("contacts", endpoint, "r", {"endpoint": "contacts"}, interval, StoreAccess(refuse))
asked = []
with scripted(asked.append) as server, OAuthSession(server.url, bearer_auth("t")) as session:
    try:
        run_endpoint(run, session)
    except DestinationError as error:
        print(error)
print(asked)
"""


def run_script(script: str, spec: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, str(spec)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "lake.yaml"
    path.write_text(SPEC)
    return path


@pytest.mark.airflow
@pytest.mark.slow
def test_parsing_the_dag_warns_and_builds_it(spec: Path) -> None:
    lines = run_script(PARSE, spec).splitlines()
    (warning,) = [line for line in lines if "s3fs" in line]
    assert "[warning  ]" in warning
    assert (
        "] lake, endpoint contacts, notes: s3fs is not installed on the machine that parses DAGs; without it on the "
        "workers the task fails at its start. Install on every worker: pip install 'oauth-taskflow[s3]'."
    ) in warning
    assert lines[-1] == "['contacts', 'local', 'notes']"


def test_the_task_fails_before_its_first_request(spec: Path) -> None:
    assert run_script(RUN, spec).splitlines() == [
        "The destination needs a library: s3fs is not installed at the destination of type 'file'. "
        "Install on every worker: pip install 'oauth-taskflow[s3]'.",
        "[]",
    ]


# By endpoint: the destination, and the extras that it asks for where none is installed.
EVERY_EXTRA = {
    "delta": ("{type: delta, path: /lake}", "delta"),
    "delta_s3": ('{type: delta, path: "s3://lake/a"}', "delta,s3"),
    "iceberg": ("{type: iceberg, warehouse: /lake, table: a.b}", "iceberg"),
    "dlt": ("{type: dlt, destination: duckdb, dataset: a, table: b}", "dlt"),
    "postgres": ("{type: postgres, conn_id: a, table: b}", "postgres"),
    "parquet": ("{path: /parquet, format: parquet}", "parquet"),
    "arrow": ("{path: /arrow, format: arrow}", "parquet"),
    "zst": ("{path: /zst, format: jsonl.zst}", "zstd"),
    "azure": ('{path: "abfs://lake/a"}', "azure"),
    "function": ("{type: python, function: a.b, batch: arrow}", "parquet"),
}
ASK_ALL = """
import sys
for name in ("s3fs", "adlfs", "deltalake", "pyiceberg", "dlt", "psycopg", "pyarrow", "zstandard", "compression.zstd"):
    sys.modules[name] = None
from oauth_taskflow.destinations.requirements import describe_missing, find_missing, require_libraries
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.taskflow.dags.factory import build_dag
import logging
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
build_dag(sys.argv[1])
for name, endpoint in check_file(sys.argv[1]).spec.endpoints.items():
    try:
        require_libraries(endpoint.destination)
    except DestinationError as error:
        print("error", name, error.hint)
"""


@pytest.mark.airflow
@pytest.mark.slow
def test_each_extra_is_a_warning_of_the_dag_and_an_error_of_the_task(tmp_path: Path) -> None:
    endpoints = [
        f"  {name}: {{request: {{path: /{name}}}, destination: {destination}}}"
        for name, (destination, _) in EVERY_EXTRA.items()
    ]
    head = "version: 1\ndag_id: lake\nconnection: crm\nendpoints:\n"
    (tmp_path / "lake.yaml").write_text(head + "\n".join(endpoints))
    printed = run_script(ASK_ALL, tmp_path / "lake.yaml").splitlines()
    (warning,) = [line for line in printed if "[warning" in line and "not installed" in line]
    endpoints_named, _, hint = warning.partition(": deltalake")
    for name, (_, extras) in EVERY_EXTRA.items():
        install = f"Install on every worker: pip install 'oauth-taskflow[{extras}]'."
        assert f"error {name} {install}" in printed
        assert name in endpoints_named
        assert all(extra in hint for extra in extras.split(","))
    project = (ROOT / "pyproject.toml").read_text()
    for extra in ",".join(extras for _, extras in EVERY_EXTRA.values()).split(","):
        assert f"\n{extra} = [" in project


def test_the_check_of_specs_says_nothing_of_libraries(spec: Path) -> None:
    script = "import sys; from oauth_taskflow.specs.cli import main; sys.exit(main(['--strict', sys.argv[1]]))"
    assert "s3fs" not in run_script(script, spec)
