"""Runs the DAG of a spec with OpenLineage's listener: ``lineage_run.py SPEC``; the environment says where events go.

A separate process, because OpenLineage's plugin reads its configuration when Airflow loads plugins.
"""

from __future__ import annotations

import sys

from oauth_taskflow import build_dag
from tests.taskflow.dags.dag_runs import run_once


def main() -> None:
    """Runs it once."""
    run = run_once(build_dag(sys.argv[1]))
    assert run.state == "success", run.state


if __name__ == "__main__":
    main()
