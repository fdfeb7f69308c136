"""The tests of the tab once more, in their own process, with Airflow's metadata in PostgreSQL instead of SQLite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.full
@pytest.mark.slow
def test_the_tab_is_the_same_with_metadata_in_postgresql(postgres_url: str) -> None:
    tests = Path(__file__).with_name("test_endpoints.py")
    # Airflow would choose asyncpg next to psycopg, which can do both.
    names = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC")
    environment = {**os.environ, **dict.fromkeys(names, postgres_url)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
