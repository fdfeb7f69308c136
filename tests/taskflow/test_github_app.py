"""GitHub Apps as installations: a JWT as bearer token, a JSON body, ``token`` and ``expires_at``, all by a preset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from msgspec.structs import replace

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError, InvalidClient, TokenRequestRejected
from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.signing import Signer
from oauth_taskflow.taskflow.sessions import open_session, token_manager
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from oauth_taskflow.testing import LoggedRequest, OAuthTestServer
from oauth_taskflow.testing.server_state import Client
from tests.connections.samples import kind
from tests.oauth.keys import new_key, pem_of, public_pem_of, rsa_key
from tests.support.clock import FakeClock
from tests.taskflow.conftest import SetConnection

KEY = rsa_key()
PATH = "/app/installations/42/access_tokens"
APP = "Iv1.0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    """A server that knows the App."""
    with OAuthTestServer() as running:
        running.state.clients[APP] = Client(APP, public_key=public_pem_of(KEY).decode())
        yield running


def app(server: OAuthTestServer, **extra: Any) -> dict[str, Any]:
    """A connection of the App, with the test server in GitHub's place."""
    return {
        "provider": "github-app-installation",
        "installation_id": "42",
        "private_key": pem_of(KEY),
        "token_url": server.base_url + PATH,
        **extra,
    }


def settings_of(server: OAuthTestServer, **extra: Any) -> Any:
    fields = {"login": APP, "password": "", "host": server.base_url}
    return parse_connection(kind("oauth2", app(server, **extra), **fields))


def exchange(server: OAuthTestServer, **extra: Any) -> tuple[LoggedRequest, Any]:
    """The token request of such a connection and its outcome."""
    server.clear_log()
    settings = settings_of(server, **extra)
    outcome = token_endpoint(settings, settings.auth).exchange(grant(settings.auth))
    (request,) = server.requests
    return request, outcome


def test_a_connection_calls_the_api_as_the_installation(
    server: OAuthTestServer, set_connection: SetConnection, airflow_home: Path
) -> None:
    server.clear_log()
    fields = {"conn_type": "oauth2", "login": APP, "host": server.base_url}
    set_connection("app", {**fields, "extra": app(server)})
    with open_session("app") as session:
        assert session.get("/page/airports").status_code == 200
    token, api = server.requests
    assert (token.method, token.path, token.status) == ("POST", PATH, 201)
    assert api.headers["X-Github-Api-Version"] == token.headers["X-Github-Api-Version"]
    assert api.headers["Authorization"].startswith("Bearer ")


def test_the_jwt_says_who_the_app_is_for_two_minutes_and_nothing_more(
    server: OAuthTestServer,
) -> None:
    request, outcome = exchange(server)
    assert isinstance(outcome, Granted)
    assertion = request.headers["Authorization"].removeprefix("Bearer ")
    token = jwt.decode(assertion, RSAKey.import_key(public_pem_of(KEY)), ["RS256"])
    assert token.header["alg"] == "RS256"
    assert set(token.claims) == {"iss", "iat", "exp"}
    assert token.claims["iss"] == APP
    assert token.claims["exp"] - token.claims["iat"] == 180
    assert token.claims["exp"] - request.time == pytest.approx(120, abs=5)


def test_the_body_is_json_with_what_narrows_the_token_and_nothing_of_the_client(
    server: OAuthTestServer,
) -> None:
    assert json.loads(exchange(server)[0].body) == {}
    wanted = {"repositories": ["docs", "site"], "permissions": {"contents": "read"}}
    request, outcome = exchange(server, token_params=wanted)
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == wanted
    assert outcome.token.extras["permissions"] == {"contents": "read"}
    typed_in_the_form = exchange(server, token_params=json.dumps(wanted))
    assert json.loads(typed_in_the_form[0].body) == wanted


def test_the_token_ends_when_the_answer_says(server: OAuthTestServer) -> None:
    _, outcome = exchange(server)
    end = parse_instant(outcome.token.extras["expires_at"])
    assert end is not None
    assert outcome.token.expires_at == pytest.approx(end.timestamp(), abs=2)
    assert outcome.token.expires_at - outcome.token.obtained_at == pytest.approx(3600, abs=5)


def test_installations_and_permissions_have_separate_tokens(
    server: OAuthTestServer, airflow_home: Path
) -> None:
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"token_params": {"permissions": {"contents": "read"}}},
        {"token_params": {"permissions": {"contents": "write"}}},
        {"token_url": f"{server.base_url}/app/installations/43/access_tokens"},
    )
    found = [settings_of(server, **extra) for extra in kinds]
    assert len({token_manager(one, one.auth).grant_key for one in found}) == len(kinds)


def test_a_refusal_is_shown_in_githubs_words(server: OAuthTestServer) -> None:
    _, outcome = exchange(server, private_key=pem_of(new_key()))
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, InvalidClient)
    assert "(http_401, HTTP 401): A JSON web token could not be decoded" in str(outcome.error)
    _, outcome = exchange(server, token_params={"permissions": ["read"]})
    assert type(outcome.error) is TokenRequestRejected
    assert "(http_422, HTTP 422): Expected `object`, got `array`" in str(outcome.error)


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_wrong_clock_is_put_right_by_the_servers(server: OAuthTestServer, ahead: float) -> None:
    server.clear_log()
    settings = settings_of(server)
    endpoint = token_endpoint(settings, settings.auth)
    signer = endpoint.client.signer
    assert signer is not None
    clock = FakeClock(signer.clock.now() + ahead)
    wrong = replace(
        endpoint,
        clock=clock,
        client=replace(endpoint.client, signer=Signer(signer.key, clock=clock)),
    )
    assert isinstance(wrong.exchange(grant(settings.auth)), Granted)
    assert [request.status for request in server.requests] == [401, 201]


@pytest.mark.parametrize(
    ("extra", "fields", "message"),
    [
        (
            {"private_key": None},
            {},
            "The private key is missing, and client_auth is private_key_jwt_header in connection 'crm', field "
            "'private_key'. Put the PEM text there, or its path into private_key_file.",
        ),
        (
            {},
            {"password": "s3cret"},
            "A client secret is given, and client_auth private_key_jwt_header would not send it in connection 'crm', "
            "field 'client_auth'. Remove the secret, or use client_secret_basic or client_secret_post.",
        ),
        (
            {"installation_id": "docs"},
            {},
            "Connection 'crm': provider GitHub App (as an installation) takes another form of 'installation_id'. Number of the installation, at the end of its settings page's address. Write it as in "
            "25446738.",
        ),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    server: OAuthTestServer, extra: dict[str, Any], fields: dict[str, str], message: str
) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        parse_connection(
            kind("oauth2", app(server, **extra), **{"login": APP, "password": "", **fields})
        )
    assert str(caught.value) == message


def test_an_audience_is_signed_only_when_the_connection_names_one(server: OAuthTestServer) -> None:
    settings = settings_of(server, assertion_audience="https://appstore.example.com")
    assert isinstance(settings.auth, OAuth2Settings)
    assert settings.auth.signer is not None
    public = RSAKey.import_key(public_pem_of(KEY))
    claims = jwt.decode(settings.auth.signer.statement(APP), public, ["RS256"]).claims
    assert claims["aud"] == "https://appstore.example.com"
