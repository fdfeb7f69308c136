"""The broker and connections whose requests need more than a token in a header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import BrokeredSettings
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection


@pytest.fixture
def backend(airflow_home: Path) -> Iterator[OAuthBroker]:
    """The broker as Airflow sets it up on the API server."""
    from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first

    made = OAuthBroker()
    made._set_connection_class(Connection)  # noqa: AIR311 - the class that Airflow's server sets
    yield made
    broker._sources.clear()


def test_a_token_for_the_query_is_handed_out_with_its_parameter(
    backend: OAuthBroker, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection(token_in="query", token_param="auth"))
    settings = parse_connection(backend.get_connection("crm"))
    assert isinstance(settings.auth, BrokeredSettings)
    assert settings.auth.token_place.param == "auth"


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("api_params", {"api_params": {"auth": "hush-hush"}}),
        ("api_body", {"api_body": {"auth": "hush-hush"}}),
        (
            "host",
            {"host_values": {"api_token": "hush-hush"}, "host": "https://x.example/{api_token}"},
        ),
    ],
)
def test_secrets_of_every_request_are_not_handed_out(
    backend: OAuthBroker,
    oauth_server: OAuthTestServer,
    set_connection: SetConnection,
    name: str,
    extra: dict[str, Any],
) -> None:
    set_connection("crm", oauth_server.connection(**extra))
    with pytest.raises(PermissionError) as caught:
        backend.get_connection("crm")
    text = str(caught.value)
    assert f"field '{name}'" in text
    assert "[workers] secrets_backend or AIRFLOW_CONN_CRM" in text
    assert "hush" not in text
