"""Which tests run is decided by marks, fixtures and parameters, never by names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lanes import WithoutAirflow

ROOT = Path(__file__).resolve().parents[1]


def collect_tests(*arguments: str) -> str:
    """The tests that pytest would run, one a line."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.slow
def test_a_fast_run_leaves_out_airflow_servers_and_slow_tests() -> None:
    files = (
        "tests/taskflow",
        "tests/budgets/test_sql.py",
        "tests/tokens/sql/test_store.py",
        "tests/tokens/refresh/test_crashes.py",
    )
    whole, fast = collect_tests(*files[1:]), collect_tests("--fast", *files)
    assert "[postgresql]" in whole
    assert "[mariadb]" in whole
    assert "test_crashes.py" in whole
    assert "[sqlite]" in fast
    assert not [
        name
        for name in ("[postgres", "[mariadb", "test_crashes.py", "tests/taskflow/")
        if name in fast
    ]


@pytest.mark.slow
def test_tests_marked_full_run_only_with_the_option_full() -> None:
    series = "tests/tokens/refresh/test_kill_series.py"
    assert "::" not in collect_tests(series)
    assert "::" in collect_tests("--full", series)


def test_a_fast_run_refuses_airflow() -> None:
    hook = WithoutAirflow()
    with pytest.raises(ImportError, match=r"mark this test with pytest\.mark\.airflow"):
        hook.find_spec("airflow.sdk", None, None)
    assert hook.find_spec("airflow_like", None, None) is None  # type: ignore[func-returns-value]  # that is the point
