"""OpenLineage's provider, which is installed where the stores are: the objects that a run wrote, as its events name them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "airflow.providers.openlineage", reason="is in .venv-services (scripts/test-services)"
)

from oauth_taskflow.taskflow.dags.lineage import describe_for_openlineage
from tests.stores.opener import CONTAINER
from tests.taskflow.conftest import SetConnection
from tests.taskflow.dags.test_lineage import SUMMARY, serving_two_records

pytestmark = pytest.mark.airflow

SPEC = """\
version: 1
dag_id: lineage
connection: crm
defaults:
  records: data
  destinations:
    - {path: "%(base)s/lake/{{ endpoint }}"}
    - {path: "s3://%(bucket)s/lineage/{{ endpoint }}", conn_id: s3}
endpoints:
  contacts: {request: {path: /contacts}}
  notes: {for_each: {contact: contacts}, request: {path: "/notes/{{ contact.id }}"}}
"""


@pytest.fixture
def spec(tmp_path: Path, set_connection: SetConnection) -> Iterator[Path]:
    path = tmp_path / "lineage.yaml"
    path.write_text(SPEC % {"base": tmp_path, "bucket": CONTAINER})
    with serving_two_records(set_connection):
        yield path


@pytest.mark.slow
@pytest.mark.usefixtures("servers", "airflow_home")
def test_the_events_of_a_real_run_name_each_object_with_rows_and_bytes(
    spec: Path, tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    subprocess.run(
        [sys.executable, "-m", "tests.stores.lineage_run", str(spec)],
        env={**os.environ, "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)},
        check=True,
    )
    events = [json.loads(line) for line in log.read_text().splitlines()]
    written = {
        event["job"]["name"]: [
            (one["namespace"], one["name"], *_sizes(one)) for one in event["outputs"]
        ]
        for event in events
        if event["eventType"] == "COMPLETE"
    }
    for task_id, rows in (("contacts", 2), ("notes", 4), ("notes__done", 4)):
        name = task_id.partition("__")[0]
        assert written[f"lineage.{task_id}"] == [
            ("file", f"{tmp_path}/lake/{name}", rows, 10 * rows),
            (f"s3://{CONTAINER}", f"lineage/{name}", rows, 10 * rows),
        ]


def _sizes(dataset: dict[str, Any]) -> tuple[int | None, int | None]:
    facet = dataset.get("outputFacets", {}).get("outputStatistics", {})
    return facet.get("rowCount"), facet.get("size")


def test_openlineage_gets_rows_bytes_and_fields() -> None:
    first, other = describe_for_openlineage(SUMMARY).outputs
    assert (first.namespace, first.name) == ("s3://lake", "contacts")
    assert (other.namespace, other.name) == ("postgres://db:5432", "crm.raw.contacts")
    assert [(f.name, f.type) for f in first.facets["schema"].fields] == [
        ("id", "integer"),
        ("name", "string or null"),
        ("x", "any"),
    ]
    assert [each.outputFacets["outputStatistics"].size for each in (first, other)] == [18, 40]
    assert first.outputFacets["outputStatistics"].rowCount == 2
    assert describe_for_openlineage({**SUMMARY, "schema": None}).outputs[0].facets == {}
