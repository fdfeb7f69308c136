"""Meta's ``appsecret_proof`` and the like: on every request to the API, in every kind of session, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk import DAG

from oauth_taskflow import OAuth2HttpOperator
from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import BrokeredSettings
from oauth_taskflow.errors import ConnectionConfigError, ForeignOriginRefused
from oauth_taskflow.oauth.request_proof import ProofTokenSource, RequestProof
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.secret_registry import list_secrets
from oauth_taskflow.taskflow.broker import server as broker
from oauth_taskflow.taskflow.sessions import (
    _token_of,
    open_async_session,
    open_session,
    session_for,
)
from oauth_taskflow.testing import LoggedRequest, OAuthTestServer
from tests.connections.samples import kind
from tests.oauth.test_request_proof import Source
from tests.taskflow.conftest import RunDag, SetConnection
from tests.taskflow.test_secrets_backend import as_airflow_makes_it

pytestmark = pytest.mark.usefixtures("own_store")
PROOF = RequestProof(name="appsecret_proof")
SECRET = "test-secret"


@pytest.fixture
def meta(
    airflow_home: Path, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> OAuthTestServer:
    """A connection ``ads`` to Meta, whose Graph API and token endpoint are on loopback."""
    fields = {"provider": "meta", "refresh_token": "EAAB-first", "scope": None}
    set_connection("ads", oauth_server.connection(**fields))
    gives(oauth_server, oauth_server.issue_access_token())
    return oauth_server


def gives(server: OAuthTestServer, token: str) -> None:
    body = json.dumps({"access_token": token, "token_type": "bearer", "expires_in": 5184000})
    headers = {"Content-Type": "application/json"}
    server.fault("/oauth/token", status=200, headers=headers, body=body)


def calls(server: OAuthTestServer) -> list[LoggedRequest]:
    return [one for one in server.requests if one.path != "/oauth/token"]


def right(call: LoggedRequest, secret: str = SECRET) -> bool:
    """Whether the request has one proof, and it belongs to the token of the request."""
    token = call.headers["Authorization"].removeprefix("Bearer ")
    return [v for name, v in call.query if name == "appsecret_proof"] == [
        PROOF.compute(token, secret)
    ]


def test_a_session_proves_every_request_and_keeps_its_parameters(meta: OAuthTestServer) -> None:
    with open_session("ads") as session:
        assert session.get("/page/airports", params={"limit": 5}).status_code == 200
        assert session.post("/echo?fields=id,name", json={"a": 1}).status_code == 200
    page, echo = calls(meta)
    assert right(page)
    assert right(echo)
    assert (page.params["limit"], echo.params["fields"]) == ("5", "id,name")


def test_a_replay_after_a_401_has_the_proof_of_the_new_token(meta: OAuthTestServer) -> None:
    with open_session("ads") as session:
        session.get("/page/airports")
        meta.revoke_access_tokens()
        gives(meta, meta.issue_access_token())
        assert session.get("/page/airports").status_code == 200
    assert [call.status for call in calls(meta)] == [200, 401, 200]
    assert all(right(call) for call in calls(meta))
    assert len({call.params["appsecret_proof"] for call in calls(meta)}) == 2


def test_next_links_and_redirects_within_the_api_are_proved_too(meta: OAuthTestServer) -> None:
    with open_session("ads") as session:
        session.get(f"{meta.base_url}/echo?appsecret_proof=stale&after=x")
        session.get("/redirect/same")
    assert len(calls(meta)) == 3
    assert all(right(call) for call in calls(meta))


def test_an_async_session_does_the_same(meta: OAuthTestServer) -> None:
    async def run() -> None:
        async with await open_async_session("ads") as session:
            assert (await session.get("/page/airports", params={"limit": 5})).status_code == 200
            meta.revoke_access_tokens()
            gives(meta, meta.issue_access_token())
            assert (await session.get("/page/airports")).status_code == 200
            await session.get("/redirect/same")

    asyncio.run(run())
    assert [call.status for call in calls(meta)] == [200, 401, 200, 302, 200]
    assert all(right(call) for call in calls(meta))


@pytest.mark.airflow
@pytest.mark.filterwarnings("ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning")
@pytest.mark.parametrize("deferrable", [False, True])
def test_operators_do_the_same(meta: OAuthTestServer, run_dag: RunDag, *, deferrable: bool) -> None:
    with DAG("ads", schedule=None) as dag:
        OAuth2HttpOperator(
            task_id="pull",
            http_conn_id="ads",
            endpoint="/page/airports",
            method="GET",
            deferrable=deferrable,
        )
    run_dag(dag)
    assert calls(meta)
    assert all(right(call) for call in calls(meta))


def test_no_stranger_is_sent_it_by_a_redirect(meta: OAuthTestServer) -> None:
    foreign = meta.base_url.replace("127.0.0.1", "localhost")
    location = {"Location": f"{foreign}/echo?x=1&appsecret_proof=copied"}
    meta.fault("/go", status=302, headers=location, times=2)
    source = ProofTokenSource(Source(), PROOF, SECRET)
    proof = OAuth2Auth(source, origins=[meta.base_url], proof=PROOF)
    with (
        OAuthSession(meta.base_url, proof) as session,
        pytest.raises(ForeignOriginRefused) as caught,
    ):
        session.get("/go")
    assert "copied" not in str(caught.value)
    with OAuthSession(meta.base_url, proof, foreign_redirects="bare") as session:
        assert session.get("/go").status_code == 200
    stranger = meta.requests[-1]
    assert (stranger.headers["Host"].split(":")[0], stranger.query) == ("localhost", (("x", "1"),))


def test_bare_requests_is_as_careful(meta: OAuthTestServer) -> None:
    foreign = meta.base_url.replace("127.0.0.1", "localhost")
    location = {"Location": f"{foreign}/echo?appsecret_proof=copied"}
    meta.fault("/go", status=302, headers=location, times=2)
    source = ProofTokenSource(Source(), PROOF, SECRET)
    requests.get(f"{meta.base_url}/go", auth=OAuth2Auth(source, proof=PROOF), timeout=60)
    assert (meta.requests[-1].headers["Host"].split(":")[0], meta.requests[-1].query) == (
        "localhost",
        (),
    )
    requests.get(f"{meta.base_url}/redirect/same", auth=OAuth2Auth(source, proof=PROOF), timeout=60)
    assert all(right(call) for call in meta.requests[-2:])
    in_header = RequestProof(name="X-Proof", place="header")
    with pytest.raises(ForeignOriginRefused, match="X-Proof"):
        requests.get(f"{meta.base_url}/go", auth=OAuth2Auth(source, proof=in_header), timeout=60)


def test_it_is_masked_and_redacted_as_the_token_is(
    meta: OAuthTestServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with open_session("ads") as session:
        session.get("/page/airports")
    (proof,) = {call.params["appsecret_proof"] for call in calls(meta)}
    assert proof in list_secrets()
    assert proof not in caplog.text
    for name in ("appsecret_proof", "request_proof"):
        assert proof not in redact_url(f"https://graph.test/me?{name}={proof}")


def test_without_a_client_secret_there_is_none(
    airflow_home: Path, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    fields: dict[str, Any] = {"provider": "meta", "refresh_token": "EAAB-first", "password": None}
    set_connection("ads", oauth_server.connection(**fields, client_auth="none"))
    gives(oauth_server, oauth_server.issue_access_token())
    with open_session("ads") as session:
        session.get("/page/airports")
    assert calls(oauth_server)[0].query == ()


@pytest.fixture
def brokered(meta: OAuthTestServer) -> Iterator[Any]:
    """The connection that a task gets from the broker."""
    yield as_airflow_makes_it().get_connection("ads")
    broker._sources.clear()


def test_the_broker_hands_out_the_proof_of_the_token_and_no_secret(
    meta: OAuthTestServer, brokered: Any
) -> None:
    assert SECRET not in brokered.extra + brokered.password
    assert json.loads(brokered.extra)["request_proof"] == {
        "name": "appsecret_proof",
        "proof": PROOF.compute(brokered.password, SECRET),
    }
    settings = parse_connection(brokered)
    proof = PROOF.compute(brokered.password, SECRET)
    assert proof in settings.secrets
    assert proof not in repr(settings)
    with session_for(settings) as session:
        assert session.get("/page/airports").status_code == 200
    assert right(calls(meta)[0])


def test_the_proof_of_a_new_token_comes_from_the_broker_with_it() -> None:
    reported = {"name": "X-Proof", "place": "header", "proof": "abc"}
    extra = {"obtained_at": 1.0, "expires_at": None, "request_proof": reported}
    settings = parse_connection(kind("bearer", extra, password="token-1"))
    assert isinstance(settings.auth, BrokeredSettings)
    assert settings.auth.request_proof == RequestProof(name="X-Proof", place="header")
    assert _token_of(settings.auth).proof == "abc"
    with pytest.raises(ConnectionConfigError, match="only the broker writes it"):
        parse_connection(
            kind(
                "bearer", {**extra, "request_proof": {"place": "body", "proof": "x"}}, password="t"
            )
        )


def test_a_token_without_proof_leaves_requests_alone() -> None:
    request = requests.Request("GET", "https://graph.test/me").prepare()
    OAuth2Auth(Source(), proof=PROOF).apply(request)
    assert request.url == "https://graph.test/me"
    assert Token("t", 0.0).proof == ""
