"""``scripts/install.sh`` on machines that are not as it would like them, and the locks that it installs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
BASE, TESTS, SERVICES, OLDEST = (
    ROOT / name
    for name in (
        "requirements.lock",
        "tests/requirements.lock",
        "tests/services.lock",
        "tests/airflow-3.2.lock",
    )
)
NPM_FOLDERS = ("tests/stores", "tests/oidc_provider")
# What Debian's python3 does while python3-venv is not installed: it fails with half an environment made.
WITHOUT_VENV = f"""#!/bin/sh
if [ "$2" = venv ]; then
    "{sys.executable}" -m venv --without-pip .venv
    exit 1
fi
exec "{sys.executable}" "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project whose lock names nothing, in a folder with a blank in its name."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPTS / "install.sh", folder / "scripts")
    (folder / "tests").mkdir()
    for lock in (BASE, TESTS):
        (folder / lock.relative_to(ROOT)).write_text("")
    (folder / "pyproject.toml").write_text("")
    return folder


def install(
    checkout: Path, function: str = "install_environment", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f". scripts/install.sh; {function}"],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_python_keeps_its_bytecode_also_where_the_machine_forbids_it(checkout: Path) -> None:
    done = install(checkout, 'echo "${PYTHONDONTWRITEBYTECODE:-kept}"', PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == "kept\n"


def test_a_machine_without_a_supported_python_gets_a_message(checkout: Path) -> None:
    tools = checkout / "bin"
    tools.mkdir()
    for tool in ("bash", "cat"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    done = install(checkout, PATH=str(tools))
    assert done.returncode == 1
    assert done.stderr == (
        "oauth-taskflow needs Python 3.10 to 3.13 on the PATH, or its path in the variable PYTHON.\n"
    )


def test_a_python_without_venv_gets_a_message_and_leaves_no_half_environment(
    checkout: Path,
) -> None:
    python = checkout / "python3"
    python.write_text(WITHOUT_VENV)
    python.chmod(0o755)
    done = install(checkout, PYTHON=str(python))
    assert done.returncode == 1
    assert done.stderr == (
        f"{python} cannot create a virtual environment; on Debian and Ubuntu: apt install python3-venv\n"
    )
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("made_in", "usable"), [(None, True), ("here", True), ("elsewhere", False)]
)
def test_an_environment_copied_from_another_checkout_is_not_used(
    checkout: Path, made_in: str | None, usable: bool
) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    python = checkout / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    if made_in is not None:
        folder = {"here": checkout.resolve()}.get(made_in, Path("/elsewhere"))
        (checkout / ".venv/made_in").write_text(f"{folder}\n")
    assert (install(checkout, "usable_environment").returncode == 0) is usable


def test_an_environment_without_pip_is_not_used(checkout: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True
    )
    assert install(checkout, "usable_environment").returncode == 1


def test_the_lock_of_the_tests_is_installed_once_on_top_of_the_base_lock(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    stand_ins = 'install_environment() { :; }; install_locked() { echo "$*"; }; '
    two = stand_ins + "install_test_environment; install_test_environment"
    assert install(checkout, two).stdout.splitlines()[1:] == [
        "requirements.lock tests/requirements.lock"
    ]
    (checkout / "tests/requirements.lock").write_text("# another\n")
    one = stand_ins + "install_test_environment"
    assert len(install(checkout, one).stdout.splitlines()) == 2


def test_packages_of_npm_are_installed_anew_after_a_change_of_any_lock(checkout: Path) -> None:
    (checkout / "tests/services.lock").write_text("")
    for folder in NPM_FOLDERS:
        (checkout / folder).mkdir()
        (checkout / folder / "package-lock.json").write_text("{}")
    for environment in (".venv", ".venv-services"):
        (checkout / environment / "bin").mkdir(parents=True)
        (checkout / environment / "bin/python").symlink_to(sys.executable)
    (checkout / ".venv/bin/uv").symlink_to(str(shutil.which("true")))
    stand_ins = 'install_environment() { :; }; npm() { echo "$(basename "$PWD") $*"; }; '
    once = stand_ins + "install_services"
    both = [f"{Path(folder).name} ci --silent --omit=dev" for folder in NPM_FOLDERS]
    assert install(checkout, once).stdout.splitlines()[1:] == both
    assert install(checkout, once).stdout == ""
    (checkout / NPM_FOLDERS[-1] / "package-lock.json").write_text("{ }")
    assert install(checkout, once).stdout.splitlines()[1:] == both
    (checkout / NPM_FOLDERS[-1] / "package-lock.json").write_text("another")
    refused = install(checkout, once.replace('echo "$(basename "$PWD") $*"', "false"))
    assert refused.returncode == 1
    assert "npm within reach?" in refused.stderr


@pytest.mark.parametrize("folder", NPM_FOLDERS)
def test_a_lock_of_npm_pins_each_package_by_hash_and_names_no_registry(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    found = [package for name, package in lock["packages"].items() if name]
    assert found
    assert [one for one in found if not one["integrity"].startswith("sha512-")] == []
    assert [one for one in found if "resolved" in one] == []
    declared = json.loads((ROOT / folder / "package.json").read_text())["dependencies"]
    assert [version for version in declared.values() if not version[0].isdigit()] == []


def packages(lock: Path) -> list[str]:
    return [line for line in lock.read_text().splitlines() if line[0] not in " #"]


@pytest.mark.parametrize("lock", [BASE, TESTS, SERVICES, OLDEST], ids=lambda lock: lock.name)
def test_a_lock_pins_each_package_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_the_base_lock_holds_no_tool_or_library_of_the_tests() -> None:
    assert set(packages(BASE)).isdisjoint(packages(TESTS))
    names = {entry.partition("==")[0] for entry in packages(BASE)}
    assert names.isdisjoint({"hypothesis", "mypy", "psycopg", "pymysql", "pytest-cov", "ruff"})
    assert "install_environment" in (SCRIPTS / "demo").read_text().splitlines()
    assert "install_test_environment" in (SCRIPTS / "test").read_text().splitlines()


def test_types_are_checked_at_each_push_and_not_at_each_commit() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    stages = {
        hook["id"]: hook.get("stages", config["default_stages"]) for hook in repository["hooks"]
    }
    assert stages.pop("types") == ["pre-push"]
    assert set(map(tuple, stages.values())) == {("pre-commit",)}


def test_a_script_works_on_its_own_checkout_whatever_cdpath_says(
    checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "other" / "scripts").mkdir(parents=True)
    change = next(line for line in (SCRIPTS / "test").read_text().splitlines() if " cd " in line)
    (checkout / "scripts/where").write_text(f"{change}\npwd -P\n")
    done = subprocess.run(
        ["bash", "scripts/where"],
        cwd=checkout,
        env={**os.environ, "CDPATH": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{checkout.resolve()}\n"
