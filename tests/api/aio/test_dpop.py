"""``AsyncOAuthSession`` with DPoP: many calls at once, and nothing that it sent is good for anything else (RFC 9449 §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import requests

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.request_log import LoggedRequest
from tests.api.test_dpop import Grants

Run = Callable[[Callable[[AsyncOAuthSession], Awaitable[object]]], None]


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    """A server that wants proofs, with one of its latest few nonces."""
    with OAuthTestServer() as running:
        running.dpop.required = True
        running.dpop.nonces = 64
        yield running


@pytest.fixture
def grants(server: OAuthTestServer) -> Grants:
    client = Client(server.client_id, server.client_secret)
    return Grants(TokenEndpoint(server.token_url, client, dpop="ES256").with_dpop_key())


@pytest.fixture
def run(server: OAuthTestServer, grants: Grants) -> Run:
    """Do something with a session that does not sleep between its tries."""

    def run(work: Callable[[AsyncOAuthSession], Awaitable[object]]) -> None:
        async def main() -> None:
            async with AsyncOAuthSession(server.base_url, grants, sleep=_skip_sleep) as session:
                await work(session)

        asyncio.run(main())

    return run


async def _skip_sleep(seconds: float) -> None:
    assert seconds >= 0


def calls(server: OAuthTestServer) -> list[LoggedRequest]:
    return [one for one in server.requests if one.path == "/countries"]


def test_calls_at_the_same_time_have_separate_proofs(
    server: OAuthTestServer, grants: Grants, run: Run
) -> None:
    async def twenty(session: AsyncOAuthSession) -> None:
        await session.get("/countries")  # fetches the first nonce
        answers = await asyncio.gather(*(session.get("/countries") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}

    run(twenty)
    assert [one.status for one in calls(server)] == [401] + [200] * 21
    assert len({one.headers["Dpop"] for one in calls(server)}) == 22
    assert len(grants.tokens) == 1


def test_a_nonce_that_all_lack_at_once_costs_each_one_retry(
    server: OAuthTestServer, grants: Grants, run: Run
) -> None:
    async def together(session: AsyncOAuthSession) -> None:
        await session.get("/countries")
        server.dpop.forget_nonces()
        answers = await asyncio.gather(*(session.get("/countries") for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}

    run(together)
    assert len(calls(server)) <= 2 + 8 * 2
    assert len(grants.tokens) == 1


def test_every_async_attempt_after_a_failure_has_a_new_proof(
    server: OAuthTestServer, run: Run
) -> None:
    server.dpop.nonces = 0
    server.fault("/countries", drop=True)
    server.fault("/countries", status=503, headers={"Retry-After": "0"})
    run(lambda session: session.get("/countries"))
    assert [one.status for one in calls(server)] == [None, 503, 200]
    assert len({one.headers["Dpop"] for one in calls(server)}) == 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "replayed"),
        ({"token": "another"}, "wrong: ath"),
        ({"path": "/airports"}, "wrong: htu"),
        ({"method": "POST"}, "wrong: htm"),
    ],
)
def test_a_recorded_request_is_rejected_when_replayed(
    server: OAuthTestServer, run: Run, changed: dict[str, str], reason: str
) -> None:
    run(lambda session: session.get("/countries"))
    sent = calls(server)[-1].headers
    own = sent["Authorization"].removeprefix("DPoP ")
    thief = requests.request(
        changed.get("method", "GET"),
        server.base_url + changed.get("path", "/countries"),
        headers={
            "Authorization": f"DPoP {changed.get('token', own)}",
            "DPoP": sent["Dpop"],
        },
        timeout=120,
    )
    assert thief.status_code == 401
    assert reason in thief.headers["WWW-Authenticate"]
