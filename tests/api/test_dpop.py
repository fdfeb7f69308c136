"""Calls with DPoP tokens against an API that checks every proof: sessions of both kinds and bare ``requests``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ForeignOriginRefused
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.messages import Request
from tests.support.clock import ShiftedClock

Get = Callable[..., Any]


@dataclass
class Grants:
    """A token source that asks the server for a token when one was refused."""

    endpoint: TokenEndpoint
    tokens: list[Token] = field(default_factory=list)

    def token(self) -> Token:
        return self.tokens[-1] if self.tokens else self.replace_refused("")

    def replace_refused(self, access_token: str) -> Token:
        outcome = self.endpoint.exchange(ClientCredentials())
        assert isinstance(outcome, Granted)
        self.tokens.append(outcome.token)
        return outcome.token


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[OAuthTestServer]:
    """The server; its clock is as many seconds ahead as a test says."""
    with OAuthTestServer(clock=ShiftedClock(getattr(request, "param", 0.0))) as running:
        running.dpop.required = True
        running.dpop.nonces = 1
        yield running


@pytest.fixture
def grants(server: OAuthTestServer) -> Grants:
    client = Client(server.client_id, server.client_secret)
    return Grants(TokenEndpoint(server.token_url, client, dpop="ES256").with_dpop_key())


@pytest.fixture(params=["session", "async session", "bare requests"])
def get(request: pytest.FixtureRequest, server: OAuthTestServer, grants: Grants) -> Iterator[Get]:
    """GET with a DPoP token, by each way there is."""
    if request.param == "session":
        with OAuthSession(server.base_url, grants) as session:
            yield session.get
    elif request.param == "async session":
        loop = asyncio.new_event_loop()
        asynchronous = AsyncOAuthSession(server.base_url, grants)
        yield lambda path: loop.run_until_complete(asynchronous.get(path))
        loop.run_until_complete(asynchronous.aclose())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    else:
        auth = OAuth2Auth(grants, origins=[server.base_url])
        yield lambda path: requests.get(f"{server.base_url}{path}", auth=auth, timeout=120)


def calls(server: OAuthTestServer) -> list[int | None]:
    """The statuses of the API's answers."""
    return [one.status for one in server.requests if one.path != "/oauth/token"]


def test_a_nonce_is_asked_for_once_and_then_taken_from_every_answer(
    server: OAuthTestServer, grants: Grants, get: Get
) -> None:
    for _ in range(3):
        assert get("/countries").status_code == 200
    assert calls(server) == [401, 200, 200, 200]
    assert len(grants.tokens) == 1


def test_a_replay_after_a_refused_token_has_a_new_proof(
    server: OAuthTestServer, grants: Grants, get: Get
) -> None:
    assert get("/countries").status_code == 200
    server.revoke_access_tokens()
    assert get("/countries").status_code == 200
    assert calls(server) == [401, 200, 401, 200]
    assert len(grants.tokens) == 2


def test_nonce_and_token_may_both_be_wrong(
    server: OAuthTestServer, grants: Grants, get: Get
) -> None:
    grants.token()
    server.revoke_access_tokens()
    assert get("/countries").status_code == 200
    assert calls(server) == [401, 401, 200]


def test_a_nonce_that_is_never_enough_ends_after_one_retry(
    server: OAuthTestServer, grants: Grants, get: Get
) -> None:
    challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "n"}
    server.fault("/countries", status=401, headers=challenge, times=9)
    assert get("/countries").status_code == 401
    assert calls(server) == [401, 401]
    assert len(grants.tokens) == 1


def test_a_refused_proof_costs_no_token(server: OAuthTestServer, grants: Grants, get: Get) -> None:
    challenge = {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}
    server.fault("/countries", status=401, headers=challenge, times=9)
    assert get("/countries").status_code == 401
    assert calls(server) == [401]
    assert len(grants.tokens) == 1


@pytest.mark.parametrize("server", [600.0, -600.0], indirect=True)
def test_an_api_with_another_clock_gets_proofs_with_its_time(
    server: OAuthTestServer, grants: Grants, get: Get
) -> None:
    challenge = {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}
    server.fault("/countries", status=401, headers=challenge)  # no nonce in it
    for _ in range(2):
        assert get("/countries").status_code == 200
    # Refused for its time, then for want of a nonce, then never again.
    assert calls(server) == [401, 401, 200, 200]
    assert len(grants.tokens) == 1


def test_a_redirect_on_the_same_origin_is_proved_for_its_target(
    server: OAuthTestServer, grants: Grants, get: Get
) -> None:
    server.dpop.nonces = 0
    answer = get("/redirect/same").json()
    headers = {name.title(): value for name, value in answer["headers"].items()}
    token = grants.token().access_token
    assert headers["Authorization"] == f"DPoP {token}"
    echoed = Request("GET", answer["path"], headers)
    assert server.dpop.check(echoed, "resource", token)


def test_a_foreign_origin_gets_neither_token_nor_proof(server: OAuthTestServer, get: Get) -> None:
    with pytest.raises(ForeignOriginRefused):
        get("/redirect/other")
    assert [one.path for one in server.requests if one.path == "/echo"] == []


def test_a_bare_redirect_takes_nothing_along(server: OAuthTestServer, grants: Grants) -> None:
    with OAuthSession(server.base_url, grants, foreign_redirects="bare") as session:
        headers = session.get("/redirect/other").json()["headers"]
    assert not {"Dpop", "Authorization"} & {name.title() for name in headers}


@pytest.mark.slow
def test_every_attempt_after_a_failure_has_a_new_proof(
    server: OAuthTestServer, grants: Grants
) -> None:
    server.dpop.nonces = 0
    server.fault("/countries", drop=True)
    server.fault("/countries", status=503, headers={"Retry-After": "0"})
    with OAuthSession(server.base_url, grants) as session:
        assert session.get("/countries").status_code == 200
    proofs = [one.headers["Dpop"] for one in server.requests if one.path == "/countries"]
    assert len(proofs) == len(set(proofs)) == 3


def test_errors_show_neither_token_nor_proof(server: OAuthTestServer, grants: Grants) -> None:
    with OAuthSession(server.base_url, grants) as session:
        session.get("/countries")
        sent = server.requests[-1].headers
        server.fault("/countries", status=400, body=f"{sent['Dpop']} {sent['Authorization']}")
        with pytest.raises(ApiStatusError) as caught:
            session.get("/countries").raise_for_status()
    assert grants.token().access_token not in str(caught.value)
    assert sent["Dpop"] not in str(caught.value)
