"""The preset that a connection names, among those of the package and of the user's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import kind

ACME = "title: Acme\ntoken_url: https://id.acme.example/token\nbase_url: https://api.acme.example\n"


def test_a_preset_is_found_in_the_folder_that_is_handed_in(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(ACME)
    named = kind("oauth2", {"provider": "acme"}, host="")
    settings = parse_connection(named, presets_folder=tmp_path)
    assert isinstance(settings.auth, OAuth2Settings)
    assert settings.base_url == "https://api.acme.example"
    assert settings.auth.token_url == "https://id.acme.example/token"
    with pytest.raises(ConnectionConfigError, match="There is no preset of that name"):
        parse_connection(named)


def test_a_folder_that_does_not_exist_is_an_error_of_connections_with_a_provider_only(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConnectionConfigError, match="is not a folder on this machine"):
        parse_connection(kind("oauth2", {"provider": "xero"}, host=""), presets_folder=missing)
    assert parse_connection(kind("basic"), presets_folder=missing).conn_id == "crm"
