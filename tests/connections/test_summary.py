"""The summary of an unchecked connection in lists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.summary import ConnectionSummary, summarize


def read(conn_type: str = "oauth2", **extra: Any) -> ConnectionSummary | None:
    return summarize(conn_type, json.dumps(extra))


@pytest.mark.parametrize(
    ("extra", "asks_person"),
    [
        ({}, False),
        ({"refresh_token": "seed-1234567"}, True),
        ({"grant_type": "authorization_code"}, True),
        ({"grant_type": "refresh_token"}, True),
        ({"grant_type": "client_credentials", "refresh_token": "x"}, False),
        ({"grant_type": "jwt_bearer"}, False),
        ({"provider": "hubspot"}, True),
        ({"provider": "hubspot", "grant_type": "client_credentials"}, False),
        ({"provider": "unknown"}, False),
        ({"auth_type": "api_key", "refresh_token": "x"}, False),
    ],
)
def test_whether_a_person_must_consent_follows_from_grant_and_preset(
    extra: dict[str, Any], asks_person: bool
) -> None:
    summary = read(**extra)
    assert summary is not None
    assert summary.asks_person is asks_person


def test_the_title_of_the_preset_is_shown_else_the_name_that_was_written() -> None:
    known, unknown = read(provider="HubSpot"), read(provider="nowhere")
    assert known is not None
    assert (known.provider, known.title) == ("hubspot", "HubSpot")
    assert unknown is not None
    assert unknown.title == "nowhere"


@pytest.mark.parametrize(
    ("conn_type", "text", "is_ours"),
    [
        ("oauth2", None, True),
        ("OAuth2", "no JSON", True),
        ("oauth2", "[1, 2]", True),
        ("oauth2", '{"provider": 5, "auth_type": null}', True),
        ("http", '{"auth_type": "bearer"}', True),
        ("http", "{}", False),
        ("postgres", '{"auth_type": "oauth2"}', False),
        (None, None, False),
    ],
)
def test_any_connection_is_read_or_left_alone(
    conn_type: str | None, text: str | None, is_ours: bool
) -> None:
    assert (summarize(conn_type, text) is not None) is is_ours


def test_no_secret_is_kept_or_announced() -> None:
    before = set(secret_registry.list_secrets())
    summary = read(refresh_token="s3cret-seed", private_key="s3cret-key")
    assert "s3cret" not in repr(summary)
    assert summary is not None
    assert summary.has_seed
    assert set(secret_registry.list_secrets()) == before
