"""Connections with ``dpop``: what the key may say, and whole runs against a server that demands it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwk

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.dpop import prover
from oauth_taskflow.taskflow.broker.server import read_brokered_settings
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.taskflow.grants.connection_check import try_connection
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.taskflow.sessions import open_async_session, open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.connections.samples import connection, kind
from tests.oauth.test_dpop import read
from tests.taskflow.cli.login_runs import arguments, person_with_device
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")


@pytest.mark.parametrize(
    ("written", "algorithm"),
    [
        (True, "ES256"),
        ("true", "ES256"),
        ("ES384", "ES384"),
        ("RS256", "RS256"),
        (False, ""),
        ("false", ""),
    ],
)
def test_the_key_names_an_algorithm_or_leaves_it_to_us(written: object, algorithm: str) -> None:
    auth = parse_connection(connection({"dpop": written})).auth
    assert isinstance(auth, OAuth2Settings)
    assert auth.dpop == algorithm


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (connection({"dpop": "HS256"}), "must be true, false or one of ES256, ES384"),
        (connection({"dpop": 1}), "must be true, false or one of"),
        (connection({"dpop": True, "token_header": "X-Auth: {token}"}), "field 'token_header'"),
        (kind("bearer", {"dpop": True}), "has no effect with auth_type bearer"),
    ],
)
def test_what_cannot_be_done_is_refused(wrong: Any, said: str) -> None:
    with pytest.raises(ConnectionConfigError, match=said):
        parse_connection(wrong)


def test_the_broker_hands_out_no_bound_token() -> None:
    with pytest.raises(ConnectionConfigError, match="bound to a key") as caught:
        read_brokered_settings(connection({"dpop": True}))
    assert caught.value.field == "dpop"


@pytest.fixture
def demanding(oauth_server: OAuthTestServer) -> OAuthTestServer:
    """The server, with proofs and nonces wanted everywhere."""
    oauth_server.dpop.required = True
    oauth_server.dpop.nonces = 1
    return oauth_server


def give(monkeypatch: pytest.MonkeyPatch, server: OAuthTestServer, **extra: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", server.connection_json(dpop=True, **extra))


def test_a_task_works_with_bound_tokens_and_their_rotation(
    monkeypatch: pytest.MonkeyPatch, demanding: OAuthTestServer
) -> None:
    give(monkeypatch, demanding, refresh_token=demanding.issue_refresh_token())
    with open_session("crm") as session:
        assert session.get("/countries").status_code == 200
        demanding.revoke_access_tokens()
        assert session.get("/countries").status_code == 200
    assert demanding.counters.refreshes == 2
    assert demanding.counters.reuse_detected == 0


def test_async_tasks_do_too(monkeypatch: pytest.MonkeyPatch, demanding: OAuthTestServer) -> None:
    give(monkeypatch, demanding)

    async def call() -> int:
        async with await open_async_session("crm") as session:
            return (await session.get("/countries")).status_code

    assert asyncio.run(call()) == 200


def test_a_token_endpoint_found_by_its_issuer_is_shown_proofs_too(
    monkeypatch: pytest.MonkeyPatch, demanding: OAuthTestServer
) -> None:
    give(monkeypatch, demanding, token_url=None, issuer=demanding.base_url)
    with open_session("crm") as session:
        assert session.get("/countries").status_code == 200


def test_testing_a_connection_gets_a_token(
    monkeypatch: pytest.MonkeyPatch, demanding: OAuthTestServer
) -> None:
    give(monkeypatch, demanding)
    assert try_connection("crm")[0]


def keys_shown(server: OAuthTestServer, path: str) -> set[str]:
    """Thumbprints of the keys that signed the proofs of requests to ``path``."""
    proofs = [one.headers["Dpop"] for one in server.requests if one.path == path]
    return {jwk.import_key(read(proof)[0]["jwk"]).thumbprint() for proof in proofs}


def stored_key() -> str:
    """The thumbprint of the key that is kept with the grant."""
    return prover(load_managed_grant("crm").manager.stored.read().dpop_key).thumbprint


def call_twice(server: OAuthTestServer) -> None:
    """Make the calls of a task: one call with the token of the login, one with a refreshed one."""
    with open_session("crm") as session:
        assert session.get("/countries").status_code == 200
        server.revoke_access_tokens()
        assert session.get("/countries").status_code == 200
    assert server.counters.refreshes == 1


@pytest.mark.parametrize("pushed", [False, True])
def test_one_key_goes_through_a_login_into_the_grant_and_its_refreshes(
    connect: Connect, demanding: OAuthTestServer, browser: list[str], pushed: bool
) -> None:
    connect(dpop=True, **({"par_url": f"{demanding.base_url}/oauth/par"} if pushed else {}))
    login(arguments())
    call_twice(demanding)
    assert keys_shown(demanding, "/oauth/token") == {stored_key()}
    if pushed:
        assert keys_shown(demanding, "/oauth/par") == {stored_key()}
    else:
        assert parse_qs(urlsplit(browser[0]).query)["dpop_jkt"] == [stored_key()]


def test_so_it_does_through_a_login_on_another_device(
    connect: Connect, demanding: OAuthTestServer
) -> None:
    connect(dpop=True)
    demanding.desk.device_interval = 0.05
    with person_with_device(demanding, after_polls=2):
        login(arguments(device=True))
    call_twice(demanding)
    assert keys_shown(demanding, "/oauth/token") == {stored_key()}


def test_the_key_is_masked_and_logged_nowhere(
    monkeypatch: pytest.MonkeyPatch, demanding: OAuthTestServer, caplog: pytest.LogCaptureFixture
) -> None:
    give(monkeypatch, demanding)
    caplog.set_level(logging.DEBUG)
    with open_session("crm") as session:
        session.get("/countries")
        source: Any = session.auth
        token = source.auth.source.token()
        shown = repr(session) + repr(source) + repr(token) + repr(source.auth)
    lines = [line for line in token.dpop_key.splitlines() if "KEY" not in line and len(line) > 20]
    assert lines
    assert set(lines) <= set(secret_registry.list_secrets()[token.dpop_key])
    assert not [line for line in lines if line in shown or line in caplog.text]
