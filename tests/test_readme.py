"""Every example of the README works as shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import yaml

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.taskflow.dags.local_run import (
    LocalRun,
    Observer,
    add_parents,
    run_locally,
    utc_now,
)
from oauth_taskflow.testing import OAuthTestServer
from tests.support.auth import bearer_auth

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 200


def spec_text() -> str:
    (spec,) = [block for block in blocks("yaml") if "dag_id:" in block]
    return spec


def test_the_spec_has_no_problems() -> None:
    assert check_text(spec_text(), "countries.yaml").problems == ()


@pytest.mark.slow
def test_the_spec_pulls_from_the_server_that_is_named(tmp_path: Path) -> None:
    spec = check_text(spec_text(), "countries.yaml").spec
    assert spec is not None
    run = LocalRun(spec, add_parents(spec, []), tmp_path, {}, Interval(None, utc_now()), utc_now())
    with OAuthTestServer() as server:
        grant = requests.post(
            f"{server.base_url}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(server.client_id, server.client_secret),
            timeout=20,
        ).json()

        def open_session(_: str) -> OAuthSession:
            return OAuthSession(server.base_url, bearer_auth(grant["access_token"]))

        observer = Observer(begin=lambda *_: None, page=lambda _: None)
        results = list(run_locally(run, open_session, observer))
    assert [result.failure for result in results if result.failure] == []
    summaries = [each for result in results for each in result.summaries]
    rows = {s.endpoint: 0 for s in summaries}
    for summary in summaries:
        rows[summary.endpoint] += summary.rows
    assert rows["countries"] > 200
    assert rows["airports"] > 28_000
    assert rows["changed"] > 0


@pytest.mark.airflow
def test_the_commands_it_names_are_there_with_their_options() -> None:
    from oauth_taskflow.taskflow.cli.commands import get_cli_commands  # noqa: PLC0415 - loads Airflow

    shown = "\n".join(blocks("bash"))
    known = {command.name for command in get_cli_commands()[0].subcommands}  # type: ignore[union-attr]  # a group
    named = set(re.findall(r"airflow oauth (\w+)", README))
    assert named <= known
    server = subprocess.run(
        [sys.executable, "-m", "oauth_taskflow.testing", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"--port", "--connection-file"} <= set(re.findall(r"--[a-z-]+", server.stdout))
    assert "python -m oauth_taskflow.testing --port 8765 --connection-file" in shown


def test_the_connection_shown_is_complete() -> None:
    (shown,) = blocks("json")
    connection = SimpleNamespace(conn_id="crm", schema=None, port=None, **json.loads(shown))
    connection.extra = json.dumps(connection.extra)
    settings = parse_connection(connection)
    assert isinstance(settings.auth, OAuth2Settings)
    assert settings.auth.grant_type == "refresh_token"
    assert settings.auth.consent.authorize_url == "https://id.example.com/oauth/authorize"


def test_the_hook_it_shows_is_one_of_this_repository() -> None:
    (config,) = [yaml.safe_load(block) for block in blocks("yaml") if "repos:" in block]
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in config["repos"][0]["hooks"]] == [hook["id"] for hook in offered]


@pytest.mark.airflow
def test_the_decorated_dag_file_parses_in_airflow(tmp_path: Path) -> None:
    decorated = next(block for block in blocks("python") if "@dag" in block)
    file = tmp_path / "airports.py"
    file.write_text(decorated + "assert airports\n")
    subprocess.run([sys.executable, str(file)], check=True, capture_output=True)


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_block_compiles(code: str) -> None:
    compile(code, "README.md", "exec")


def test_the_message_shown_is_the_one_printed() -> None:
    (shown,) = [line for block in blocks("text") for line in block.splitlines()]
    text = "version: 1\ndag_id: crm\n\n\n\n\nendpoints:\n  contacts:\n    requst: {}\n"
    printed = [str(problem) for problem in check_text(text, "dag_specs/crm.yaml").problems]
    assert shown in printed


def changelog_entries() -> list[str]:
    text = (ROOT / "CHANGELOG.md").read_text()
    return [
        " ".join(entry.split()) for entry in re.findall(r"^- (.+(?:\n  .+)*)", text, re.MULTILINE)
    ]


def test_the_changelog_has_its_headings_in_order_and_each_entry_once() -> None:
    order = ["Highlights", "Changed", "Added", "Fixed", "Security"]
    for version in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        headings = re.findall(r"^### (\w+)", version, re.MULTILINE)
        assert headings == [name for name in order if name in headings]
    entries = changelog_entries()
    assert [entry for entry in set(entries) if entries.count(entry) > 1] == []


def test_an_entry_of_the_changelog_is_one_sentence_of_at_most_25_words() -> None:
    # Code in backticks counts as one word.
    plain = [re.sub(r"`[^`]*`", "code", entry) for entry in changelog_entries()]
    assert [
        entry for entry in plain if len(entry.split()) > 25 or re.search(r"[.!?] [A-Z]", entry)
    ] == []


def test_the_scripts_it_names_are_executable() -> None:
    for name in ("scripts/demo", "scripts/test", "scripts/lock", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111


def test_it_promises_the_two_commands_of_a_fresh_machine() -> None:
    assert {"scripts/demo", "scripts/test"} <= set(re.findall(r"`(scripts/\w+)`", README))
