"""The exit status and the streams of ``validate-dag-specs``."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.specs.cli import main
from oauth_taskflow.specs.json_schema import SCHEMA_FILE

GOOD = "version: 1\ndag_id: crm\nconnection: crm\nendpoints: {contacts: {request: {path: /contacts}, destination: {path: out}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "crm.yaml").write_text(GOOD)
    return tmp_path


def test_clean_specs_print_a_report_and_end_with_0(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "--format", "text"]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


def test_a_problem_ends_with_1_and_is_printed_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "crm.yaml").write_text(GOOD.replace("path: /contacts", "pth: /contacts"))
    assert main([str(folder), "--format", "text"]) == 1
    assert f"{folder / 'crm.yaml'}:4:34: error:" in capsys.readouterr().out


def test_a_warning_ends_with_1_only_if_strict(folder: Path) -> None:
    (folder / "crm.yaml").write_text(f"params: {{region: eu}}\n{GOOD}")
    assert main([str(folder)]) == 0
    assert main([str(folder), "--strict"]) == 1


def test_a_dag_file_that_airflow_skips_is_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dags.py").write_text(
        "from oauth_taskflow import load_specs\nload_specs(globals())\n"
    )
    assert main([str(folder), "--strict", "--format", "text"]) == 1
    assert "skipped-dag-file" in capsys.readouterr().out


def test_a_folder_without_specs_and_an_unreadable_file_end_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert main([str(tmp_path / "missing.yaml")]) == 2


def test_github_actions_get_annotations(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (folder / "crm.yaml").write_text("version: 1\n")
    assert main([str(folder)]) == 1
    assert capsys.readouterr().out.startswith("::error ")


def test_the_schema_is_printed_as_it_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    assert capsys.readouterr().out == SCHEMA_FILE.read_text(encoding="utf-8")
