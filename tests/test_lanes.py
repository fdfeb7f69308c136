"""Which tests run is decided by marks, fixtures and parameters, never by names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.lanes import WithoutAirflow
from tests.support.examples import examples

ROOT = Path(__file__).resolve().parents[1]


SLEEPING = """
import asyncio
import threading
import time


def test_directly():
    time.sleep(0.06)


def test_on_a_loop():
    asyncio.run(asyncio.sleep(0.06))


def test_in_a_thread():
    thread = threading.Thread(target=time.sleep, args=(0.06,))
    thread.start()
    thread.join()


def test_that_polls():
    time.sleep(0.01)
"""


def run_pytest(*arguments: str) -> str:
    """The output of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


def collect_tests(*arguments: str) -> str:
    """The tests that pytest would run, one a line."""
    return run_pytest("--collect-only", *arguments)


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


def test_a_fast_run_generates_fewer_examples_than_the_gate_and_a_full_one_more(
    pytestconfig: pytest.Config,
) -> None:
    expected = {"--fast": 10, "": 50, "--full": 1000}
    chosen = next((one for one in expected if one and pytestconfig.getoption(one)), "")
    assert settings.default is not None
    assert settings.default.max_examples == expected[chosen]


def test_the_run_decides_how_many_examples_each_property_gets() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name not in {"lanes.py", "examples.py", Path(__file__).name}:
            assert not re.search(
                r"max_examples|\bsettings\(deadline|@settings", path.read_text()
            ), f"{path.relative_to(ROOT)}: use tests.support.examples"


@pytest.mark.parametrize("times", [1, 0.5, 6])
def test_a_property_multiplies_the_examples_of_the_run(times: float) -> None:
    profile = settings()
    own = examples(times, suppress_health_check=[HealthCheck.function_scoped_fixture])
    assert own.max_examples == profile.max_examples * times
    assert set(own.suppress_health_check) == {
        HealthCheck.function_scoped_fixture,
        *profile.suppress_health_check,
    }
    assert own.deadline is None
    assert examples(1e-9).max_examples == 1


def test_a_fast_run_refuses_airflow() -> None:
    hook = WithoutAirflow()
    with pytest.raises(ImportError, match=r"mark this test with pytest\.mark\.airflow"):
        hook.find_spec("airflow.sdk", None, None)
    assert hook.find_spec("airflow_like", None, None) is None  # type: ignore[func-returns-value]  # that is the point


@pytest.mark.slow
def test_a_fast_run_fails_tests_that_sleep(tmp_path: Path) -> None:
    file = tmp_path / "test_sleeps.py"
    file.write_text(SLEEPING)
    arguments = ("-p", "tests.lanes", "--rootdir", str(tmp_path), str(file))
    fast = run_pytest("--fast", *arguments)
    assert "3 failed, 1 passed" in fast
    assert f"mark this test with pytest.mark.slow. It slept at {file}:8: 0.06 s" in fast
    assert "4 passed" in run_pytest(*arguments)


@pytest.mark.slow
def test_generated_examples_are_not_measured() -> None:
    file = "tests/test_dates.py"
    assert "test_any_value_is_an_instant_or_unreadable" in collect_tests("-m", "no_cover", file)
    assert "test_any_value_is" not in collect_tests("-m", "not no_cover", file)
