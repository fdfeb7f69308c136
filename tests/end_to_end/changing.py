"""A spec that changes between runs, in the folder of DAGs and in a bundle with versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
_SPEC = """\
version: 1
dag_id: {dag_id}
connection: crm
endpoints:
  countries:
    request: {{path: /countries}}
    records: data
    incremental: {{field: changed, missing: include, start: 2026-01-01, without_interval: start}}
    destination: {{type: file, path: "{folder}/{place}/{{{{ run_after.year }}}}"}}
"""


def write_changing(folder: Path, home: Path, dag_id: str, place: str, note: str = "") -> str:
    """A spec whose destination is ``place``; its text."""
    text = f"{note}{_SPEC.format(dag_id=dag_id, folder=home / 'lake', place=place)}"
    (folder / f"{dag_id}.yaml").write_text(text)
    return text


def list_bundles(repository: Path, other: Path) -> list[dict[str, Any]]:
    """The folder of DAGs, a repository, and an ``other`` folder."""
    versioned = {"repository": str(repository), "refresh_interval": 2}
    return [
        {"name": "dags-folder", "classpath": _LOCAL, "kwargs": {}},
        {"name": "other", "classpath": _LOCAL, "kwargs": {"path": str(other)}},
        {
            "name": "commits",
            "classpath": "tests.end_to_end.git_bundle.GitBundle",
            "kwargs": versioned,
        },
    ]
