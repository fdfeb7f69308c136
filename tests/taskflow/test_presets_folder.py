"""Presets in a folder of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.connection_lookup import read_settings
from tests.connections.samples import kind
from tests.taskflow.cli.test_presets import rows, run

ACME = """
title: Acme
variables: {tenant: {description: Name of the tenant, example: north}}
token_url: https://{tenant}.id.acme.example/oauth/token
base_url: https://{tenant}.api.acme.example/v2
client_auth: [client_secret_post]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airflow_home: Path) -> Path:
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER", str(tmp_path))
    return tmp_path


def refusal(provider: str) -> str:
    with pytest.raises(ConnectionConfigError) as caught:
        read_settings(kind("oauth2", {"provider": provider}, host=""))
    return str(caught.value)


def test_a_connection_names_a_preset_of_ones_own(folder: Path) -> None:
    (folder / "Acme.yaml").write_text(ACME)
    settings = read_settings(kind("oauth2", {"provider": "acme", "tenant": "north"}, host=""))
    assert isinstance(settings.auth, OAuth2Settings)
    assert settings.base_url == "https://north.api.acme.example/v2"
    assert settings.auth.token_url == "https://north.id.acme.example/oauth/token"
    assert settings.auth.client_auth == "client_secret_post"


def test_an_own_preset_replaces_one_of_the_same_name_and_is_read_again(folder: Path) -> None:
    fields: dict[str, Any] = {"provider": "xero"}
    shipped = read_settings(kind("oauth2", fields, host=""))
    for host in ("one", "two"):
        text = f"title: X\ntoken_url: https://id.acme.example/t\nbase_url: https://{host}.example\n"
        (folder / "xero.yaml").write_text(text)
        own = read_settings(kind("oauth2", fields, host=""))
        assert own.base_url == f"https://{host}.example" != shipped.base_url


def test_the_command_lists_and_shows_an_own_preset(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text(ACME)
    run("--output", "json")
    assert {"preset": "acme", "provider": "Acme", "verified": "no", "own_keys": ["tenant"]} in rows(
        capsys
    )
    run("acme", "--output", "json")
    (only,) = rows(capsys)
    assert only["title"] == "Acme"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title: A\nrefresh: {]", "{file}:2: "),
        ("titel: Acme", "{file}: Object contains unknown field `titel`"),
        ("- Acme", "{file}: Expected `object`, got `array`"),
        ("title: A\nrefresh: {rotation: x}", "{file}: Invalid enum value 'x' - at `$.refresh.rotation`"),
        (
            "title: A\nvariables: {scope: {description: S, example: s}}",
            "version of a key that every connection has: scope",
        ),
    ],
    ids=["syntax", "unknown key", "no mapping", "wrong value", "taken key"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(
    folder: Path, text: str, problem: str
) -> None:
    file = folder / "acme.yaml"
    file.write_text(text)
    reported = refusal("acme")
    assert problem.format(file=file) in reported
    assert "provider" in reported


def test_the_command_names_an_own_preset_that_cannot_be_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text("titel: Acme")
    with pytest.raises(SystemExit) as exit_:
        run("acme")
    assert exit_.value.code == 2
    assert (
        f"{folder / 'acme.yaml'}: Object contains unknown field `titel`" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("named", "problem"),
    [("presets", "is not an absolute path"), ("/no/such/folder", "is not a folder")],
)
def test_a_missing_presets_folder_is_an_error(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch, named: str, problem: str
) -> None:
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER", named)
    reported = refusal("xero")
    assert f"[oauth_taskflow] presets_folder '{named}' {problem} on this machine" in reported


def test_own_presets_are_suggested_for_misspelled_names(folder: Path) -> None:
    (folder / "acme.yaml").write_text(ACME)
    assert "Did you mean 'acme'?" in refusal("acmee")
