"""CeleryExecutor with two isolated workers: they share one rotating grant, and their pools start warm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.postgres import postgres_programs

_ROOT = Path(__file__).parents[2]
# Built by benchmarks/cold_start.py; Celery would double what a developer has to install.
_PYTHON = _ROOT / ".benchmarks" / "celery" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.airflow
@pytest.mark.postgres
@pytest.mark.skipif(
    not (_PYTHON.exists() and shutil.which("redis-server") and postgres_programs()),
    reason="needs redis-server, PostgreSQL and the environment that "
    "'benchmarks/cold_start.py --executor celery' builds",
)
def test_isolated_celery_workers_share_one_rotating_grant_and_start_warm(tmp_path: Path) -> None:
    done = subprocess.run(
        [_PYTHON, "-m", "tests.end_to_end.celery_run", str(tmp_path)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["state"] == "success", found
    assert {Path(home).name for home, *_ in found["returned"]} == {"one", "two"}
    assert all(len(warm) == 3 for _, *warm in found["returned"]), found["returned"]
    counters = found["counters"]
    assert counters["token_requests"] > 1
    assert (counters["reuse_detected"], counters["revoked_families"]) == (0, 0)
