"""Where a connection looks for tokens in the answer of its token endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from tests.connections.samples import connection


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ({}, "refresh_token"),
        ({"token_path": "id_token"}, "refresh_token"),
        ({"token_path": "data.access_token"}, "data.refresh_token || refresh_token"),
        ({"token_path": "a || b.c"}, "refresh_token"),
        ({"token_path": "data.at", "refresh_token_path": "data.rt"}, "data.rt"),
    ],
)
def test_a_refresh_token_is_next_to_its_access_token_by_default(
    extra: dict[str, Any], path: str
) -> None:
    settings = parse_connection(connection({"refresh_token": "rt", **extra}))
    assert isinstance(settings.auth, OAuth2Settings)
    assert settings.auth.preset.response.refresh_token == path
