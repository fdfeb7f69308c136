"""RFC 9449: requests-oauth2client's check takes our proofs, and ours say what its own would say."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from jwskate import Jwk, SignedJwt
from requests_oauth2client import (
    ClientSecretBasic,
    DPoPKey,
    DPoPToken,
    OAuth2Client,
    validate_dpop_proof,
)
from requests_oauth2client.dpop import InvalidDPoPProof

from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.oauth.dpop import DPOP_ALGORITHMS, new_key, prover
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.oracles.inputs import few, hosts, paths, ports, tokens, visible

KEYS = {algorithm: new_key(algorithm) for algorithm in DPOP_ALGORITHMS}
queries = st.sampled_from(["", "?page=2", "?a=%2F&b=#c", "#top"])
cases = st.sampled_from([str.lower, str.upper, str.title])
default_ports = st.sampled_from([("https", ":443"), ("http", ":80"), ("https", "")])
methods = st.sampled_from(["GET", "POST", "PATCH", "delete"])


def ath(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")


def check(proof: str, algorithm: str = "ES256", **expected: Any) -> SignedJwt:
    """The proof as their resource server reads it; in ``alg`` it would want the key itself to name one, as RFC 7517 §4.4 does not."""
    return validate_dpop_proof(proof, algs=[algorithm], **expected)


def private_jwk(stored: str) -> Jwk:
    return Jwk.from_pem(stored.partition("\n")[2])


@pytest.mark.parametrize("algorithm", DPOP_ALGORITHMS)
@few
@given(place=st.tuples(hosts, ports, paths), query=queries, method=methods, token=tokens)
def test_its_check_takes_our_proofs(
    algorithm: str, place: tuple[str, str, str], query: str, method: str, token: str
) -> None:
    host, port, path = place
    target = f"https://{host}{port}{path or '/'}"
    url = f"{target}{query}"
    proof = prover(KEYS[algorithm]).proof("resource", method, url, access_token=token)
    right = {"htm": method.upper(), "htu": target, "ath": ath(token)}
    check(proof, algorithm, **right)
    for wrong in ({"htm": "PUT"}, {"htu": f"{target}x"}, {"ath": ath(f"{token}x")}):
        with pytest.raises(InvalidDPoPProof):
            check(proof, algorithm, **{**right, **wrong})


@given(st.tuples(hosts, ports, paths), queries, tokens, visible)
def test_our_proofs_contain_the_claims_of_the_other_library(
    place: tuple[str, str, str], query: str, token: str, nonce: str
) -> None:
    host, port, path = place
    # Every request of an HTTP client has a path, so that ours writes it always (RFC 9110 §7.1).
    url = f"https://{host}{port}{path or '/'}{query}"
    stored = KEYS["ES256"]
    mine = prover(stored)
    mine.remember_nonce("resource", url, {"DPoP-Nonce": nonce})
    key = DPoPKey(private_jwk(stored), alg="ES256")
    theirs = key.proof("GET", url, ath=ath(token), nonce=nonce)
    ours = check(
        mine.proof("resource", "GET", url, access_token=token),
        htm="GET",
        htu=str(theirs.claims["htu"]),
        ath=ath(token),
        nonce=nonce,
    )
    assert set(ours.claims) == set(theirs.claims)
    assert {n: ours.claims[n] for n in ("htm", "htu", "ath", "nonce")} == {
        n: theirs.claims[n] for n in ("htm", "htu", "ath", "nonce")
    }
    assert ours.headers == theirs.headers
    assert mine.thumbprint == key.dpop_jkt


@given(hosts, default_ports, cases, paths)
def test_a_host_in_capitals_and_the_schemes_own_port_are_one_place(
    host: str, where: tuple[str, str], case: Any, path: str
) -> None:
    # RFC 3986 §6.2.2 and §6.2.3, which RFC 9449 §4.3 asks servers to apply; what they see of the port is nothing at all,
    # since a client leaves a default one out of Host.
    scheme, port = where
    url = f"{scheme}://{case(host)}{port}{path or '/'}"
    theirs = DPoPKey(private_jwk(KEYS["ES256"]), alg="ES256").proof("GET", url)
    mine = prover(KEYS["ES256"]).proof("resource", "GET", url)
    check(mine, htm="GET", htu=str(theirs.claims["htu"]))


def test_its_client_is_let_in_by_the_server_that_our_tests_ask() -> None:
    with OAuthTestServer() as server:
        server.dpop.required, server.dpop.nonces = True, 20
        auth = ClientSecretBasic(server.client_id, server.client_secret)
        client = OAuth2Client(server.token_url, auth, testing=True)
        token = client.client_credentials(dpop=True)
        assert isinstance(token, DPoPToken)
        for _ in range(2):
            answer = requests.get(f"{server.base_url}/countries", auth=token, timeout=20)
            assert answer.status_code == 200


@given(tokens, st.sampled_from(["DPoP", "dpop", "DPOP"]))
def test_the_type_of_a_bound_token_is_read_alike(value: str, kind: str) -> None:
    body = json.dumps({"access_token": value, "token_type": kind}).encode()
    stored = KEYS["ES256"]
    question = TokenRequestInfo("crm", "https://id.example.com/token", "x", dpop_key=stored)
    found = interpret(
        TokenHttpResponse(200, {"content-type": "application/json"}, body, 0.0, 0.0), question
    )
    theirs = DPoPToken(**json.loads(body), _dpop_key=DPoPKey(private_jwk(stored), alg="ES256"))
    assert isinstance(found, Granted)
    assert found.token.access_token == theirs.access_token
    source = OneToken(found.token)
    sent = requests.Request("GET", "https://api.example.com/", auth=OAuth2Auth(source)).prepare()
    assert sent.headers["Authorization"] == theirs.authorization_header()
    check(sent.headers["DPoP"], htm="GET", htu=sent.url, ath=ath(value))


class OneToken:
    """A token source that has one token."""

    def __init__(self, only: Token) -> None:
        self.only = only

    def token(self) -> Token:
        return self.only

    def replace_refused(self, access_token: str) -> Token:
        return self.only
