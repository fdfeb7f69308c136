"""When tokens of named providers are refreshed, and where their refresh tokens may be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.taskflow.sessions import token_manager
from tests.taskflow.test_provider_presets import oauth2, read_preset_connection


def test_a_provider_that_refreshes_late_only_shortens_the_leeway() -> None:
    assert oauth2(read_preset_connection("exact-online", {"refresh_token": "rt"})).leeway == 30
    assert (
        oauth2(
            read_preset_connection("exact-online", {"refresh_token": "rt", "leeway": 300})
        ).leeway
        == 30
    )
    assert (
        oauth2(read_preset_connection("exact-online", {"refresh_token": "rt", "leeway": 7})).leeway
        == 7
    )
    assert oauth2(read_preset_connection("xero", {"refresh_token": "rt"})).leeway == 60


def test_where_a_refresh_ends_the_token_before_it_comes_late_and_is_waited_for(
    airflow_home: Path,
) -> None:
    mine: dict[str, Any] = {"refresh_token": "rt"}
    alone: dict[str, Any] = {"subdomain": "acme", "grant_type": "client_credentials"}
    for provider, extra, leeway, serve_stale in (
        ("github", mine, 5, False),
        ("box", mine, 60, True),
        ("zendesk", alone, 60, True),
    ):
        settings = read_preset_connection(provider, extra)
        options = token_manager(settings, oauth2(settings))._context.options
        assert (options.leeway, options.serve_stale) == (leeway, serve_stale)
    assert (
        oauth2(read_preset_connection("github", {"refresh_token": "rt", "leeway": 20})).leeway == 20
    )


@pytest.mark.parametrize(("provider", "refused"), [("google", False), ("box", True)])
def test_only_refresh_tokens_that_stay_may_live_in_a_file_under_celery(
    monkeypatch: pytest.MonkeyPatch, airflow_home: Path, provider: str, refused: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    settings = read_preset_connection(provider, {"refresh_token": "rt"})
    if refused:
        with pytest.raises(ConnectionConfigError, match="cannot be kept in a SQLite file"):
            token_manager(settings, oauth2(settings))
    else:
        assert "crm" in repr(token_manager(settings, oauth2(settings)))
