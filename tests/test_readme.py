"""What the README shows, works as shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_text

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 200


def test_the_spec_has_no_problems() -> None:
    (spec,) = blocks("yaml")
    assert check_text(spec, "crm.yaml").problems == ()


def test_the_decorated_dag_file_parses_in_airflow(tmp_path: Path) -> None:
    decorated = next(block for block in blocks("python") if "@dag" in block)
    file = tmp_path / "crm.py"
    file.write_text(decorated + "assert crm_contacts\n")
    subprocess.run([sys.executable, str(file)], check=True, capture_output=True)


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_block_compiles(code: str) -> None:
    compile(code, "README.md", "exec")


def test_the_message_shown_is_the_one_printed() -> None:
    (shown,) = [line for block in blocks("text") for line in block.splitlines()]
    text = "version: 1\ndag_id: crm\n\n\n\n\nendpoints:\n  contacts:\n    requst: {}\n"
    printed = [str(problem) for problem in check_text(text, "dag_specs/crm.yaml").problems]
    assert shown in printed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_scripts_it_names_are_executable() -> None:
    for name in ("scripts/demo", "scripts/test", "scripts/lock", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111
