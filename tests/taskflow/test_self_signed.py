"""Connections that sign their own token, in tasks and behind the broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import BrokeredSettings
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.grants.connection_check import try_connection
from oauth_taskflow.taskflow.secrets_backend import OAuthBroker
from oauth_taskflow.taskflow.sessions import open_session
from tests.api.scripted import Asked, Reply, ScriptedApi, scripted
from tests.oauth.keys import new_key, pem_of
from tests.taskflow.conftest import SetConnection

PEM = pem_of(new_key())
PUBLIC: Any = load_pem_private_key(PEM.encode(), None).public_key()


def check(asked: Asked) -> Reply:
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    try:
        claims = jwt.decode(token, PUBLIC, ["ES256"], audience="api", issuer="me")
    except jwt.InvalidTokenError:
        return Reply({}, 401)
    return Reply({"scheme": scheme, "lives": claims["exp"] - claims["iat"]})


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with scripted(check) as started:
        yield started


def connection(api: ScriptedApi, **extra: Any) -> dict[str, Any]:
    named = {"auth_type": "self_signed_jwt", "private_key": PEM, "jwt_claims": {"aud": "api"}}
    return {"conn_type": "oauth2", "host": api.url, "login": "me", "extra": {**named, **extra}}


def test_a_task_calls_the_api_with_a_jwt_that_it_signed(
    api: ScriptedApi, set_connection: SetConnection
) -> None:
    set_connection("crm", connection(api, jwt_lifetime=300))
    with open_session("crm") as session:
        assert session.get("/a").json() == {"scheme": "Bearer", "lives": 300}
        assert session.get("/b").status_code == 200
    assert len({asked.headers["Authorization"] for asked in api.asked}) == 1
    assert try_connection("crm") == (True, f"The API answered: HTTP 200 from {api.url}.")


def test_a_refused_token_is_signed_anew_once(
    api: ScriptedApi, set_connection: SetConnection
) -> None:
    set_connection("crm", connection(api, jwt_claims={"aud": "elsewhere"}))
    with open_session("crm") as session:
        assert session.get("/a").status_code == 401
    assert len(api.asked) == 2
    assert try_connection("crm")[0] is False


def test_the_broker_signs_and_hands_out_the_token_without_the_key(
    api: ScriptedApi, set_connection: SetConnection, airflow_home: Path
) -> None:
    from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first

    backend = OAuthBroker()
    backend._set_connection_class(Connection)  # noqa: AIR311 - the class that Airflow's server sets
    set_connection("crm", connection(api, token_header="Authorization: Ghost {token}"))
    found = backend.get_connection("crm")
    broker._sources.clear()
    settings = parse_connection(found)
    assert isinstance(settings.auth, BrokeredSettings)
    assert settings.auth.expires_at is not None
    assert settings.auth.token_place.scheme == "Ghost"
    assert jwt.decode(settings.auth.token, PUBLIC, ["ES256"], audience="api")["iss"] == "me"
    assert "PRIVATE KEY" not in f"{found.login} {found.extra}"
    assert found.login is None
