"""Specs whose records go to S3 and Azure, run as DAGs: children read their parents' objects, re-runs replace them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.taskflow.dags.storage import store_access
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.dags.family import run_family, write_family


def lines(files: list[dict[str, Any]], conn_id: str) -> list[Any]:
    destination = FileDestination.connect_for_reading(conn_id, store_access())
    return [record for file in files for record in destination.read(file["path"], 0, file["rows"])]


@pytest.mark.no_cover
@pytest.mark.airflow
def test_children_read_what_their_parents_wrote_and_a_rerun_replaces_all(
    place: str, tmp_path: Path, set_connection: SetConnection, run_dag: RunDag
) -> None:
    conn_id = place.partition(":")[0]
    path = write_family(
        tmp_path,
        destination=f'{{path: "{place}/{{{{ endpoint }}}}", conn_id: {conn_id}}}',
        contacts="{format: jsonl.gz}",
    )
    for done, expected in run_family(path, set_connection, run_dag, counts=(5, 3, 0)):
        assert lines(done["files"], conn_id) == expected
