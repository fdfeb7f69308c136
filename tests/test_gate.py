"""``scripts/test``: what it runs, with what, and what becomes of failures. The tools are replaced by scripts that record their arguments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "test"
# The exit status is that of the first pattern that the call matches.
STAND_IN = r"""#!/usr/bin/env bash
case "$*" in *cpu_count*) echo 3; exit ;; esac
echo "$(basename "$0")${1:+ $*}" | tee -a calls
echo "${SPEC_MUTANTS:-some}" >mutants
case "$*" in ${HANGS:-none}) until grep -q tests/browser calls && grep -q end_to_end calls; do sleep 0.1; done; echo "this hangs"; sleep 60 ;; esac
case "$*" in ${FAILS:-none}) echo "this failed"; exit 3 ;; esac
case "$*" in *--cov*|*coverage\ run*) touch "$COVERAGE_FILE" ;; esac
"""
ELSEWHERE = (
    "--ignore=tests/browser --ignore=tests/end_to_end --ignore=tests/stores --ignore=tests/tables --ignore=tests/celery"
    " --ignore=tests/fab --ignore=tests/oidc_provider"
)
# At the same time as the rest.
BESIDE = [
    f"python -m pytest --collect-only -q {ELSEWHERE}",
    "python -m pytest tests/end_to_end",
    "python -m pytest tests/browser",
]
FULL = "--full -o faulthandler_timeout=7200"
REST = "python -m pytest -n 3 --dist loadfile --max-worker-restart=0"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    for name in ("python", "ruff", "mypy", "coverage"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "scripts/install.sh").write_text(
        "install_test_environment() { :; }\ninstall_services() { :; }\n"
    )
    (tmp_path / "scripts/test-airflow-3.2").write_text("#!/bin/sh\necho test-airflow-3.2 >>calls\n")
    (tmp_path / "scripts/test-airflow-3.2").chmod(0o755)
    return tmp_path


def run(checkout: Path, *arguments: str, fails: str = "") -> tuple[int, str, list[str]]:
    """Exit status, output, and the calls of the tools."""
    environment = {**os.environ, "CI": "", "FAILS": fails, "TMPDIR": str(checkout)}
    done = subprocess.run(
        ["bash", "scripts/test", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, (checkout / "calls").read_text().splitlines()


def test_the_gate_checks_everything_and_leaves_no_files_behind(checkout: Path) -> None:
    before = {path.name for path in checkout.iterdir()}
    status, output, calls = run(checkout)
    assert status == 0
    assert sorted(call for call in calls if call in BESIDE) == sorted(BESIDE)
    # These run at the same time as the rest, so their place is left open.
    assert [call for call in calls if call not in BESIDE] == [
        "ruff format --check .",
        "ruff check .",
        "python scripts/validate_specs.py --strict dag_specs",
        "python scripts/generate_docs.py --check",
        "mypy",
        f"{REST} {ELSEWHERE}",
    ]
    assert "skipped: their servers and libraries are not installed here" in output
    assert {path.name for path in checkout.iterdir()} - before == {"calls", "mutants"}


@pytest.mark.parametrize("arguments", [(), ("--full",)])
@pytest.mark.parametrize(
    "part", ["*pytest tests/end_to_end*", "*pytest tests/browser*", "*loadfile*"]
)
def test_a_run_fails_with_each_part_after_all_of_them(
    checkout: Path, part: str, arguments: tuple[str, ...]
) -> None:
    status, output, calls = run(checkout, *arguments, fails=part)
    assert status == 3
    assert "this failed" in output
    for begun in ("pytest tests/end_to_end", "pytest tests/browser", REST):
        assert [call for call in calls if begun in call], begun
    assert calls[-1].startswith("coverage report") == bool(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("--full",)])
@pytest.mark.parametrize(
    "folders",
    [
        ("tests/celery", "tests/stores/lakes", "tests/fab"),
        ("tests/stores", "--ignore=tests/stores/lakes"),
        ("tests/tables", "tests/oidc_provider"),
    ],
)
def test_servers_of_stores_are_tested_where_they_are_installed(
    checkout: Path, folders: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    services = checkout / "scripts/test-services"
    (checkout / ".venv-services").mkdir()
    services.write_text(STAND_IN)
    services.chmod(0o755)
    measured = ["--cov", "--cov-report="] if arguments else []
    options = FULL.split() if arguments else []
    call = " ".join(["test-services", *folders, *options, *measured])
    assert call in run(checkout, *arguments)[2]
    status, output, _ = run(checkout, *arguments, fails=call.removeprefix("test-services "))
    assert status == 3
    assert "this failed" in output


def test_a_run_that_is_ended_shows_what_its_parts_wrote(checkout: Path) -> None:
    environment = {**os.environ, "CI": "", "HANGS": "*loadfile*", "TMPDIR": str(checkout)}
    with subprocess.Popen(
        ["bash", "scripts/test"],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        while "this hangs" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGTERM)
        output = process.stdout.read()
    assert process.returncode == -signal.SIGTERM
    assert "== test deployments\npython -m pytest tests/end_to_end" in output
    assert "== test services\n" in output
    assert not list(checkout.glob("tmp.*"))


def test_files_that_do_not_compile_fail_where_they_are_run(checkout: Path) -> None:
    status, output, _ = run(checkout, fails="*collect-only*")
    assert status == 0
    assert "this failed" not in output


def test_the_fast_run_checks_no_types_and_takes_arguments_of_pytest(checkout: Path) -> None:
    status, _, calls = run(checkout, "--fast", "-k", "lease")
    assert status == 0
    assert calls == [
        "ruff format --check .",
        "ruff check .",
        "python -m pytest --fast -q -n 3 --dist loadfile --max-worker-restart=0 -k lease",
    ]


def test_the_full_run_adds_what_is_too_long_for_the_gate(checkout: Path) -> None:
    status, _, calls = run(checkout, "--full")
    assert status == 0
    assert [call for call in calls if "--max-worker-restart=0 --full" in call]
    assert f"python -m pytest --collect-only -q {ELSEWHERE} {FULL}" in calls
    assert "mypy" in calls
    assert (checkout / "mutants").read_text() == "all\n"
    assert calls[-1] == "test-airflow-3.2"


def test_the_full_run_measures_each_part_and_fails_below_the_least_coverage(
    checkout: Path,
) -> None:
    _, _, calls = run(checkout, "--full")
    assert f"python -m pytest tests/end_to_end {FULL} --cov --cov-report=" in calls
    assert f"python -m coverage run -m pytest tests/browser {FULL}" in calls
    assert f"{REST} {FULL} {ELSEWHERE} --cov --cov-report=" in calls
    (combined,) = [call.split() for call in calls if "combine" in call]
    assert [Path(name).parent.name for name in combined[3:]] == ["browser", "deployments", "rest"]
    assert calls[-2] == "coverage report --skip-covered --show-missing --fail-under=99"
    assert run(checkout, "--full", fails="report*--fail-under*")[0] == 3


def test_other_arguments_go_to_pytest(checkout: Path) -> None:
    assert run(checkout, "-k", "lease")[2] == ["python -m pytest -k lease"]
    assert run(checkout, "-k", "lease", fails="*lease*")[0] == 3
