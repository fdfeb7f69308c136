from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from oauth_taskflow.specs.cli import main

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "validate_specs.py"
CORPUS = Path(__file__).parent

# Fails on any import of Airflow or requests and on any socket, as a bare CI machine would.
GUARD = """
import socket, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"airflow", "requests", "sqlalchemy", "httpx", "cryptography"}:
            raise ImportError(f"{name} must not be imported here")
sys.meta_path.insert(0, Refuse())
def no_socket(*args, **kwargs):
    raise OSError("no network here")
socket.socket = socket.create_connection = socket.getaddrinfo = no_socket
"""


Done = subprocess.CompletedProcess[str]


def run_script(*arguments: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Done:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=cwd,
        env=plain_environment() | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def plain_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "AIRFLOW"))}


def validate(*arguments: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Done:
    """What ``run_script`` gives, in this process, which takes a hundredth of the time."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.setattr(os, "environ", plain_environment() | (env or {}))
        patch.chdir(cwd)
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(arguments, status, output.getvalue(), errors.getvalue())


@pytest.fixture
def warned(tmp_path: Path) -> Path:
    file = tmp_path / "warned.yaml"
    clean = (CORPUS / "valid" / "smallest.yaml").read_text(encoding="utf-8")
    file.write_text(f"{clean}params: {{unused: 1}}\n", encoding="utf-8")
    return file


@pytest.mark.slow
def test_it_needs_neither_airflow_nor_network(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    env = {"PYTHONPATH": str(tmp_path)}
    assert run_script("-h", env=env).returncode == 0
    done = run_script(CORPUS / "invalid", CORPUS / "valid", env=env)
    assert done.stderr == ""
    assert done.returncode == 1
    assert "[secret-literal]" in done.stdout
    assert "[bad-cron]" in done.stdout


def test_the_shipped_specs_are_clean() -> None:
    done = validate("--strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" files checked: 0 errors, 0 warnings\n")


def test_the_default_is_the_folder_dag_specs(tmp_path: Path) -> None:
    folder = tmp_path / "dag_specs"
    folder.mkdir()
    shutil.copy(CORPUS / "valid" / "smallest.yaml", folder)
    assert validate(cwd=tmp_path).stdout == "1 file checked: 0 errors, 0 warnings\n"


def test_warnings_count_only_when_strict(warned: Path) -> None:
    assert validate(warned).returncode == 0
    assert validate(warned, "--strict").returncode == 1


def test_all_problems_of_all_files_are_reported_in_order() -> None:
    names = ("secret-literal.yaml", "bad-cron.yaml")
    done = validate(*(CORPUS / "invalid" / name for name in names))
    files = [line.split(":")[0].rpartition("/")[2] for line in done.stdout.splitlines()[:-1]]
    assert list(dict.fromkeys(files)) == list(names)
    assert done.returncode == 1


@pytest.mark.parametrize("path", ["missing.yaml", "missing/", "x" * 300])
def test_an_unreadable_path_gives_exit_status_2_and_a_message(path: str) -> None:
    done = validate(path)
    assert done.returncode == 2
    assert "cannot be read" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_folder_without_specs_gives_exit_status_2(tmp_path: Path) -> None:
    done = validate(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"No .yaml or .yml file below {tmp_path}.\n"


def test_a_wrong_option_gives_exit_status_2_without_traceback() -> None:
    done = validate("--format", "xml")
    assert done.returncode == 2
    assert "invalid choice: 'xml'" in done.stderr
    assert "Traceback" not in done.stderr


def test_annotations_are_the_default_on_github() -> None:
    bad = CORPUS / "invalid" / "bad-cron.yaml"
    on_github = {"GITHUB_ACTIONS": "true"}
    assert validate(bad, env=on_github).stdout.startswith("::error file=")
    assert "[bad-cron]" in validate(bad, "--format", "text", env=on_github).stdout


@pytest.mark.parametrize("name", ["json", "sarif"])
def test_machine_formats_are_json_and_nothing_else(name: str) -> None:
    done = validate(CORPUS / "invalid" / "bad-asset-uri.yaml", "--format", name)
    assert isinstance(json.loads(done.stdout), dict)
    assert done.returncode == 1


@pytest.mark.slow
def test_a_narrow_terminal_encoding_does_not_stop_it() -> None:
    env = {"PYTHONIOENCODING": "ascii"}
    done = run_script(CORPUS / "invalid" / "bad-asset-uri.yaml", env=env)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.slow
def test_the_pre_commit_hook_is_a_script_that_installs_no_airflow_and_checks_the_whole_folder() -> (
    None
):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    # "python" would install this package, and with it Airflow.
    assert hook["language"] == "script"
    assert re.match(hook["files"], "dag_specs/sub/crm.yml")
    assert not hook["pass_filenames"]
    script = ROOT / hook["entry"]
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env -S uv run --script\n")
    done = run_script(*hook["args"])
    assert (done.returncode, done.stderr) == (0, "")


def script_packages() -> set[str]:
    """The packages that the script requires from its runner (PEP 723)."""
    text = SCRIPT.read_text(encoding="utf-8")
    block = re.search(r"(?m)^# /// script\n(?:# .*\n)+# ///$", text)
    assert block is not None
    assert '# requires-python = ">=3.10"' in block[0]
    (listed,) = re.findall(r"(?m)^# dependencies = (\[.*\])$", block[0])
    return {re.split(r"[<>=]", one)[0] for one in json.loads(listed)}


@pytest.mark.slow
def test_the_script_requires_exactly_the_packages_that_the_check_imports() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED.format(scripts=str(ROOT / "scripts"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {"yaml": "pyyaml"}
    assert {names.get(one, one) for one in loaded.stdout.split()} <= script_packages()
    assert "apache-airflow" not in script_packages()
    message = SCRIPT.read_text(encoding="utf-8")
    assert f"pip install {' '.join(sorted(script_packages()))}\\n" in message


_LOADED = """
import contextlib, io, sys
sys.path.insert(0, {scripts!r})
sys.argv = ["validate_specs.py", "dag_specs", "tests/specs/invalid"]
import validate_specs
with contextlib.redirect_stdout(io.StringIO()):
    validate_specs.main()
wanted = ("croniter", "jinja2", "jmespath", "jsonschema", "msgspec", "yaml", "requests", "rich", "pendulum", "sqlalchemy",
          "cryptography", "airflow", "jwt", "httpx")
print(*[name for name in wanted if name in sys.modules])
"""


def run_command(*arguments: str, command: str) -> Done:
    """The result of a command that installing the package puts into the folder of Python."""
    file = Path(sys.executable).with_name(command)
    return subprocess.run([file, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_installed_command_prints_the_schema_for_editors() -> None:
    done = run_command("--schema", command="validate-dag-specs")
    shipped = ROOT / "oauth_taskflow" / "specs" / "dag_spec.schema.json"
    assert done.stdout == shipped.read_text(encoding="utf-8")
    assert done.returncode == 0


def test_a_missing_package_gives_exit_status_2_and_says_what_to_install(tmp_path: Path) -> None:
    guard = GUARD.replace('"requests"', '"msgspec"')
    (tmp_path / "sitecustomize.py").write_text(guard.replace("ImportError", "ModuleNotFoundError"))
    done = run_script(env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install croniter jinja2 jmespath" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("specs/loader.py", "from oauth_taskflow import load_specs\nload_specs(globals())\n", True),
        (
            "loader.py",
            "from oauth_taskflow import load_specs\nload_specs(globals(), 'specs')\n",
            True,
        ),
        ("specs/loader.py", "# Airflow DAGs\nload_specs(globals())\n", False),
        ("specs/other.py", "print('hello')\n", False),
    ],
)
def test_a_dag_file_that_airflow_would_skip_is_a_warning(
    tmp_path: Path, name: str, text: str, *, found: bool
) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "a.yaml").write_text((CORPUS / "valid" / "smallest.yaml").read_text())
    (tmp_path / name).write_text(text)
    done = validate(specs, "--strict")
    assert done.returncode == int(found)
    assert (f"{tmp_path / name}:1:1: warning: Airflow skips this DAG file" in done.stdout) is found
