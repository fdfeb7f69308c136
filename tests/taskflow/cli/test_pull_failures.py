"""``airflow oauth pull`` whose endpoints fail, or which is interrupted: what was pulled is shown, and why the rest was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.taskflow.cli.pull import pull
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.test_pull import arguments, run_failing_pull


def test_ctrl_c_ends_the_command_without_traceback(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_conn_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oauth_taskflow.taskflow.cli.pull.open_session", interrupt)
    code, shown = run_failing_pull(capsys, spec)
    assert (code, shown) == (130, "Interrupted while pulling countries.\n")


def test_a_failing_endpoint_exits_1_with_the_typed_error(
    spec: Path, tmp_path: Path, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    oauth_server.fault("/countries", status=404, times=1)
    code, shown = run_failing_pull(capsys, spec, folder=str(tmp_path / "mine"))
    assert code == 1
    assert shown.startswith("countries: The API answered HTTP 404")
    assert "Traceback" not in shown
    assert not list((tmp_path / "mine" / "countries").rglob("part-*"))


def test_a_failing_endpoint_ends_no_other_but_those_that_repeat_over_it(
    spec: Path, tmp_path: Path, oauth_server: OAuthTestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    oauth_server.fault("/countries", status=404, times=1)
    with pytest.raises(SystemExit, match="1"):
        pull(arguments(spec, folder=str(tmp_path / "mine"), output="json"))
    out, err = capsys.readouterr()
    assert [row["endpoint"] for row in json.loads(out)] == ["regions"]
    found = {
        path.relative_to(tmp_path / "mine").parts[0] for path in tmp_path.rglob("_manifest.json")
    }
    assert found == {"regions"}
    assert "airports: Not pulled, because countries was not.\n" in err


def test_ctrl_c_shows_what_was_pulled_before(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def open_once(conn_id: str) -> OAuthSession:
        opened.append(conn_id)
        if len(opened) > 1:
            raise KeyboardInterrupt
        return open_session(conn_id)

    monkeypatch.setattr("oauth_taskflow.taskflow.cli.pull.open_session", open_once)
    with pytest.raises(SystemExit, match="130"):
        pull(arguments(spec, folder=str(tmp_path / "mine"), output="json"))
    out, err = capsys.readouterr()
    assert [row["endpoint"] for row in json.loads(out)] == ["countries"]
    assert err.startswith("Interrupted while pulling ")
