"""When a second client authentication method is there to be tried."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.taskflow.token_sources import token_endpoint
from tests.connections.samples import kind


@pytest.mark.parametrize(
    ("provider", "extra", "other"),
    [
        ("google", {}, "client_secret_basic"),
        ("google", {"client_auth": "client_secret_basic"}, None),
        ("box", {}, None),
        ("x", {"client_auth": "none"}, None),
    ],
)
def test_the_second_method_of_a_preset_is_there_when_the_first_is_refused(
    provider: str, extra: dict[str, Any], other: str | None
) -> None:
    password = "" if extra.get("client_auth") == "none" else "s3cret"
    settings = parse_connection(
        kind("oauth2", {"provider": provider, "refresh_token": "rt", **extra}, password=password)
    )
    assert isinstance(settings.auth, OAuth2Settings)
    endpoint = token_endpoint(settings, settings.auth)
    assert getattr(endpoint, "other_auth", None) == other
