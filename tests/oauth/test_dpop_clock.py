"""Proofs for servers whose clock is another one: their ``iat`` (RFC 9449 §11.1) is put right when it was refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from oauth_taskflow.errors import TokenRequestRejected
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dpop import new_key, prover
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, RefreshToken
from oauth_taskflow.redaction import redact_address
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.test_dpop import read
from tests.support.clock import FakeClock, ShiftedClock

URL = "https://api.example.com/v3"
BOTH_WAYS = pytest.mark.parametrize("server", [600.0, -600.0], indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[OAuthTestServer]:
    """A server that wants proofs on its clock, which is as many seconds ahead as the test says."""
    with OAuthTestServer(clock=ShiftedClock(getattr(request, "param", 0.0))) as running:
        running.dpop.required = True
        yield running


def endpoint(server: OAuthTestServer) -> TokenEndpoint:
    client = Client(server.client_id, server.client_secret)
    return TokenEndpoint(server.token_url, client, dpop="ES256").with_dpop_key()


def token_requests(server: OAuthTestServer) -> int:
    return server.counters.token_requests


@BOTH_WAYS
def test_a_refused_proof_is_made_again_on_the_servers_clock_which_is_remembered(
    server: OAuthTestServer,
) -> None:
    under_test = endpoint(server)
    assert isinstance(under_test.exchange(ClientCredentials()), Granted)
    assert token_requests(server) == 2
    assert isinstance(under_test.exchange(ClientCredentials()), Granted)
    assert token_requests(server) == 3


@BOTH_WAYS
def test_a_refresh_token_is_sent_again_after_a_refused_proof(
    server: OAuthTestServer,
) -> None:
    outcome = endpoint(server).exchange(RefreshToken(server.issue_refresh_token()))
    assert isinstance(outcome, Granted)
    assert server.counters.reuse_detected == 0


@BOTH_WAYS
def test_clock_and_nonce_may_be_asked_for_one_after_the_other(server: OAuthTestServer) -> None:
    server.dpop.nonces = 1
    server.fault(
        "/oauth/token", status=400, body='{"error": "invalid_dpop_proof"}'
    )  # no nonce in it
    assert isinstance(endpoint(server).exchange(ClientCredentials()), Granted)
    assert token_requests(server) == 3


@pytest.mark.parametrize("server", [0.0, 600.0], indirect=True)
def test_a_proof_that_is_refused_for_ever_is_not_made_for_ever(server: OAuthTestServer) -> None:
    body = '{"error": "invalid_dpop_proof"}'
    server.fault("/oauth/token", status=400, body=body, times=9)
    outcome = endpoint(server).exchange(ClientCredentials())
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, TokenRequestRejected)
    assert str(outcome.error) == (
        f"Token request refused (invalid_dpop_proof, HTTP 400) for connection '' at {redact_address(server.token_url)}. This machine's clock "
        "was checked against the server's: see whether the server takes the algorithm in dpop, and whether it is reached "
        "under the address in token_url."
    )
    assert token_requests(server) == (2 if server.dpop.clock.now() > time.time() + 60 else 1)


def date_header(when: float) -> dict[str, str]:
    return {"date": formatdate(when, usegmt=True)}


def test_each_server_has_a_separate_clock() -> None:
    under_test, clock = prover(new_key("ES256")), FakeClock()
    assert under_test.set_clock("resource", URL, date_header(clock.now() + 600), clock=clock)
    for role, url, ahead in (
        ("resource", "https://api.example.com:443/other", 600),
        ("resource", "https://files.example.com/", 0),
        ("authorization", URL, 0),
    ):
        claims = read(under_test.proof(role, "GET", url, clock=clock))[1]  # type: ignore[arg-type]
        assert claims["iat"] == clock.now() + ahead


def test_a_clock_that_was_set_right_meanwhile_counts_again() -> None:
    under_test, clock = prover(new_key("ES256")), FakeClock()
    assert under_test.set_clock("resource", URL, date_header(clock.now() + 600), clock=clock)
    clock.jump(600)
    assert under_test.set_clock("resource", URL, date_header(clock.now()), clock=clock)
    claims = read(under_test.proof("resource", "GET", URL, clock=clock))[1]
    assert claims["iat"] == clock.now()


def test_an_answer_without_a_date_or_with_ours_changes_nothing() -> None:
    under_test, clock = prover(new_key("ES256")), FakeClock()
    for headers in ({}, {"date": "soon"}, date_header(clock.now() + 4)):
        assert not under_test.set_clock("resource", URL, headers, clock=clock)


def test_a_second_thread_with_an_older_proof_tries_again_too() -> None:
    under_test, clock = prover(new_key("ES256")), FakeClock()
    late = date_header(clock.now() + 600)
    assert [under_test.set_clock("resource", URL, late, clock=clock) for _ in range(2)] == [
        True
    ] * 2
