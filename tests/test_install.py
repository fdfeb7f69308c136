"""``scripts/install.sh`` on machines that are not as it would like them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
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
    (folder / "requirements.lock").write_text("")
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


def test_a_machine_without_a_fitting_python_is_told_so(checkout: Path) -> None:
    tools = checkout / "bin"
    tools.mkdir()
    for tool in ("bash", "cat"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    done = install(checkout, PATH=str(tools))
    assert done.returncode == 1
    assert done.stderr == (
        "oauth-taskflow needs Python 3.10 to 3.13 on the PATH, or its path in the variable PYTHON.\n"
    )


def test_a_python_without_venv_is_named_and_leaves_nothing_that_breaks_the_next_try(
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
