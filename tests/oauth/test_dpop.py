"""DPoP proofs: what they say, checked with joserfc, and how the token endpoint is asked with them (RFC 9449)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwk, jws, jwt

from oauth_taskflow.errors import InvalidTokenResponse, ResultRefused, TokenRequestRejected
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dpop import DPOP_ALGORITHMS, Prover, new_key, prover, target
from oauth_taskflow.oauth.endpoint.outcomes import Granted, OutcomeUnknown, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, RefreshToken
from oauth_taskflow.testing import OAuthTestServer

URL = "https://api.example.com/v3/contacts"


def read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, if the signature fits the key in the header."""
    registry = jws.JWSRegistry(algorithms=list(DPOP_ALGORITHMS))
    registry.max_header_length = 2048  # an RSA key does not fit into joserfc's 512
    header = dict(jws.extract_compact(proof.encode(), registry=registry).headers())
    key = jwk.import_key(header["jwk"])
    return header, jwt.decode(proof, key, registry=registry).claims


@pytest.mark.parametrize("algorithm", DPOP_ALGORITHMS)
def test_a_proof_shows_the_public_key_and_only_that(algorithm: str) -> None:
    under_test = prover(new_key(algorithm))
    header, _ = read(under_test.proof("resource", "get", URL))
    assert (header["typ"], header["alg"]) == ("dpop+jwt", algorithm)
    assert set(header["jwk"]) <= {"kty", "crv", "x", "y", "e", "n"}
    assert jwk.import_key(header["jwk"]).thumbprint() == under_test.thumbprint


def test_a_proof_names_method_url_and_token() -> None:
    under_test = prover(new_key("ES256"))
    _, bare = read(under_test.proof("resource", "get", f"{URL}?page=2#top"))
    assert (bare["htm"], bare["htu"]) == ("GET", URL)
    assert set(bare) == {"jti", "htm", "htu", "iat"}
    # RFC 9449 §7.1, its example
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    _, claims = read(under_test.proof("resource", "GET", URL, access_token=token))
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_no_two_proofs_share_their_identifier() -> None:
    under_test = prover(new_key("ES256"))
    proofs = [read(under_test.proof("resource", "GET", URL))[1]["jti"] for _ in range(20)]
    assert len(set(proofs)) == 20


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@API.example.com:8443", "https://api.example.com:8443/"),
        ("https://api.example.com/A%20b?x=1", "https://api.example.com/A%20b"),
        ("http://[::1]:80/x#y", "http://[::1]/x"),
        ("https://api.example.com:443/x", "https://api.example.com/x"),
        ("https://api.example.com:80/x", "https://api.example.com:80/x"),
    ],
)
def test_the_target_has_no_query_fragment_or_user(url: str, expected: str) -> None:
    assert target(url) == expected


def nonce_of(under_test: Prover, role: Any, url: str) -> str | None:
    nonce: str | None = read(under_test.proof(role, "GET", url))[1].get("nonce")
    return nonce


def test_each_server_has_its_own_nonce_even_on_one_origin() -> None:
    under_test = prover(new_key("ES256"))
    under_test.remember_nonce("authorization", URL, {"dpop-nonce": "of-as"})
    under_test.remember_nonce("resource", "https://api.example.com/other", {"DPoP-Nonce": "of-rs"})
    under_test.remember_nonce("resource", "https://files.example.com/", {"DPoP-Nonce": "of-files"})
    assert nonce_of(under_test, "authorization", URL) == "of-as"
    assert nonce_of(under_test, "resource", URL) == "of-rs"
    assert nonce_of(under_test, "resource", "https://files.example.com/x") == "of-files"
    assert nonce_of(under_test, "resource", "https://api.example.com:8443/x") is None


def test_an_answer_replaces_the_nonce_and_one_without_keeps_it() -> None:
    under_test = prover(new_key("ES256"))
    for headers in (
        {"DPoP-Nonce": "first"},
        {"DPoP-Nonce": "second"},
        {},
        {"DPoP-Nonce": "x" * 2000},
    ):
        under_test.remember_nonce("resource", URL, headers)
    assert nonce_of(under_test, "resource", URL) == "second"


def test_nonces_of_countless_origins_do_not_pile_up() -> None:
    under_test = prover(new_key("ES256"))
    for number in range(300):
        under_test.remember_nonce("resource", f"https://h{number}.example.com", {"DPoP-Nonce": "n"})
    assert nonce_of(under_test, "resource", "https://h0.example.com") is None
    assert nonce_of(under_test, "resource", "https://h299.example.com") == "n"


def test_a_prover_shows_and_pickles_nothing_of_its_key() -> None:
    stored = new_key("ES256")
    under_test = prover(stored)
    assert repr(under_test) == f"Prover({under_test.thumbprint!r})"
    with pytest.raises(ResultRefused):
        pickle.dumps(under_test)
    assert prover(stored) is under_test


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        running.dpop.required = True
        yield running


def endpoint(server: OAuthTestServer) -> TokenEndpoint:
    client = Client(server.client_id, server.client_secret)
    return TokenEndpoint(server.token_url, client, conn_id="crm", dpop="ES256")


def token_requests(server: OAuthTestServer) -> int:
    return server.counters.token_requests


def test_a_token_is_bound_to_the_key_that_proved_the_request(server: OAuthTestServer) -> None:
    under_test = endpoint(server).with_dpop_key()
    outcome = under_test.exchange(ClientCredentials())
    assert isinstance(outcome, Granted)
    assert outcome.token.token_type == "DPoP"
    assert outcome.token.dpop_key == under_test.dpop_key
    shown = repr(outcome) + repr(under_test)
    assert "PRIVATE KEY" in under_test.dpop_key
    assert "PRIVATE KEY" not in shown


def test_an_endpoint_without_a_key_makes_one_for_the_exchange(server: OAuthTestServer) -> None:
    outcome = endpoint(server).exchange(ClientCredentials())
    assert isinstance(outcome, Granted)
    assert outcome.token.dpop_key.startswith("ES256\n")


def test_a_refresh_needs_the_key_of_the_grant(server: OAuthTestServer) -> None:
    first = endpoint(server).with_dpop_key()
    outcome = first.exchange(RefreshToken(server.issue_refresh_token()))
    assert isinstance(outcome, Granted)
    assert outcome.refresh_token
    refused = endpoint(server).exchange(RefreshToken(outcome.refresh_token))
    assert isinstance(refused, Rejected)
    assert isinstance(first.exchange(RefreshToken(outcome.refresh_token)), Granted)


def test_a_nonce_asked_for_is_sent_at_once_and_then_kept_up_to_date(
    server: OAuthTestServer,
) -> None:
    server.dpop.nonces = 1
    under_test = endpoint(server).with_dpop_key()
    assert isinstance(under_test.exchange(ClientCredentials()), Granted)
    assert token_requests(server) == 2
    for _ in range(3):
        assert isinstance(under_test.exchange(ClientCredentials()), Granted)
    assert token_requests(server) == 5


def test_a_refresh_token_survives_the_question_for_a_nonce(server: OAuthTestServer) -> None:
    server.dpop.nonces = 1
    outcome = endpoint(server).exchange(RefreshToken(server.issue_refresh_token()))
    assert isinstance(outcome, Granted)
    assert server.counters.reuse_detected == 0


def test_a_server_that_never_has_enough_nonces_is_asked_twice_only(server: OAuthTestServer) -> None:
    body = json.dumps({"error": "use_dpop_nonce"})
    server.fault("/oauth/token", status=400, body=body, headers={"DPoP-Nonce": "again"}, times=9)
    outcome = endpoint(server).exchange(ClientCredentials())
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, TokenRequestRejected)
    assert token_requests(server) == 2


def test_a_proof_names_the_address_as_requests_writes_it(server: OAuthTestServer) -> None:
    client = Client(server.client_id, server.client_secret)
    roundabout = TokenEndpoint(
        f"{server.base_url}/oauth/x/../%74oken", client, conn_id="crm", dpop="ES256"
    )
    assert isinstance(roundabout.exchange(ClientCredentials()), Granted)


def test_a_bearer_token_where_a_bound_one_was_asked_for_is_discarded() -> None:
    with OAuthTestServer() as server:
        outcome = endpoint(server).exchange(ClientCredentials())
    assert isinstance(outcome, OutcomeUnknown)
    assert isinstance(outcome.error, InvalidTokenResponse)
    assert "not bound to the DPoP key" in str(outcome.error)


def test_without_dpop_nothing_is_proved() -> None:
    with OAuthTestServer() as server:
        client = Client(server.client_id, server.client_secret)
        plain = TokenEndpoint(server.token_url, client)
        assert plain.with_dpop_key("any") is plain
        outcome = plain.exchange(ClientCredentials())
        assert isinstance(outcome, Granted)
        assert outcome.token.dpop_key == ""
        assert "Dpop" not in server.requests[-1].headers
