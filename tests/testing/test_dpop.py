"""The server's own check of proofs: the error that a wrong client gets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwk, jwt

from oauth_taskflow.oauth.dpop import Prover, new_key, prover
from oauth_taskflow.oauth.login.authorization import Verifier
from oauth_taskflow.testing import OAuthTestServer

KEY = new_key("ES256")
MINE = prover(KEY)


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        running.dpop.required = True
        yield running


def ask_token(server: OAuthTestServer, proof: str) -> requests.Response:
    return requests.post(
        server.token_url,
        {"grant_type": "client_credentials"},
        auth=(server.client_id, server.client_secret),
        headers={"DPoP": proof},
        timeout=20,
    )


def bound_token(server: OAuthTestServer) -> str:
    answer = ask_token(server, MINE.proof("authorization", "POST", server.token_url))
    assert answer.json()["token_type"] == "DPoP"
    return str(answer.json()["access_token"])


def forge_proof(url: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A proof that is right but for what is given."""
    key = jwk.ECKey.generate_key("P-256")
    right = {"jti": "x", "htm": "POST", "htu": url, "iat": int(time.time())}
    whole = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    return jwt.encode({**whole, **(header or {})}, {**right, **claims}, key)


@pytest.mark.parametrize(
    ("what", "claims"),
    [
        ("htm", {"htm": "GET"}),
        ("htu", {"htu": "https://id.example.com/token"}),
        ("iat", {"iat": 1}),
        ("iat", {"iat": "now"}),
        ("ath", {"ath": "x"}),
        ("jti", {"jti": 1}),
        ("typ", {"header": {"typ": "jwt"}}),
    ],
)
def test_a_proof_for_something_else_is_refused(
    server: OAuthTestServer, what: str, claims: dict[str, Any]
) -> None:
    assert ask_token(server, forge_proof(server.token_url)).status_code == 200
    answer = ask_token(server, forge_proof(server.token_url, **{"jti": "y", **claims}))
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_dpop_proof",
        "error_description": f"wrong: {what}",
    }


def test_a_signature_by_another_key_is_refused(server: OAuthTestServer) -> None:
    other = jwk.ECKey.generate_key("P-256").as_dict(private=False)
    answer = ask_token(server, forge_proof(server.token_url, {"jwk": other}))
    assert "unreadable" in answer.json()["error_description"]
    assert "unreadable" in ask_token(server, "").json()["error_description"]


def test_a_proof_works_once(server: OAuthTestServer) -> None:
    proof = MINE.proof("authorization", "POST", server.token_url)
    assert [ask_token(server, proof).status_code for _ in range(2)] == [200, 400]


LOGIN = {
    "response_type": "code",
    "redirect_uri": "http://127.0.0.1/cb",
    "code_challenge_method": "S256",
}
VERIFIER = Verifier.new()


def login_code(server: OAuthTestServer, **more: str) -> str:
    """The code that a person's browser brings back."""
    fields = {**LOGIN, "client_id": server.client_id, "code_challenge": VERIFIER.challenge, **more}
    url = f"{server.base_url}/oauth/authorize"
    answer = requests.get(url, fields, allow_redirects=False, timeout=20)
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def trade(server: OAuthTestServer, code: str, key: Prover) -> Any:
    return requests.post(
        server.token_url,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": LOGIN["redirect_uri"],
            "code_verifier": VERIFIER.value,
        },
        auth=(server.client_id, server.client_secret),
        headers={"DPoP": key.proof("authorization", "POST", server.token_url)},
        timeout=20,
    ).json()


def push(server: OAuthTestServer, jkt: str) -> requests.Response:
    """A pushed request that is proved with our key and names the key ``jkt``."""
    url = f"{server.base_url}/oauth/par"
    return requests.post(
        url,
        {
            **LOGIN,
            "code_challenge": VERIFIER.challenge,
            "client_id": server.client_id,
            "dpop_jkt": jkt,
        },
        auth=(server.client_id, server.client_secret),
        headers={"DPoP": MINE.proof("authorization", "POST", url)},
        timeout=20,
    )


@pytest.mark.parametrize("pushed", [False, True])
def test_a_code_belongs_to_the_key_that_its_login_named(
    server: OAuthTestServer, pushed: bool
) -> None:
    named = {"dpop_jkt": MINE.thumbprint}
    if pushed:
        named = {"request_uri": push(server, MINE.thumbprint).json()["request_uri"]}
    code = login_code(server, **named)
    stolen = trade(server, code, prover(new_key("ES256")))
    assert stolen["error_description"] == "the refresh token or code belongs to another key"
    assert trade(server, code, MINE)["token_type"] == "DPoP"


def test_a_pushed_request_names_the_key_that_proves_it(server: OAuthTestServer) -> None:
    refused = push(server, prover(new_key("ES256")).thumbprint)
    assert refused.json()["error_description"] == "dpop_jkt names another key"


def call(server: OAuthTestServer, token: str, proof: str, scheme: str = "DPoP") -> str:
    """The error that the API names; empty when it answers."""
    answer = requests.get(
        f"{server.base_url}/countries",
        headers={"Authorization": f"{scheme} {token}", "DPoP": proof},
        timeout=20,
    )
    return answer.headers.get("WWW-Authenticate", "")


def test_the_api_wants_the_key_the_scheme_and_a_fresh_proof(server: OAuthTestServer) -> None:
    url, token = f"{server.base_url}/countries", bound_token(server)
    proof = MINE.proof("resource", "GET", url, access_token=token)
    assert "invalid_token" in call(server, token, proof, scheme="Bearer")
    assert call(server, token, proof) == ""
    assert "replayed" in call(server, token, proof)
    stranger = prover(new_key("ES256")).proof("resource", "GET", url, access_token=token)
    assert "another key" in call(server, token, stranger)


def test_the_nonces_of_both_servers_are_separate(server: OAuthTestServer) -> None:
    server.dpop.nonces = 1
    refused = ask_token(server, MINE.proof("authorization", "POST", server.token_url))
    assert refused.json()["error"] == "use_dpop_nonce"
    MINE.remember_nonce("resource", server.base_url, dict(refused.headers))  # the wrong drawer
    url = f"{server.base_url}/countries"
    assert "use_dpop_nonce" in call(
        server, "t", MINE.proof("resource", "GET", url, access_token="t")
    )


def test_forgotten_nonces_are_not_accepted(server: OAuthTestServer) -> None:
    server.dpop.nonces = 5
    own = prover(new_key("ES256"))
    first = ask_token(server, own.proof("authorization", "POST", server.token_url))
    own.remember_nonce("authorization", server.token_url, dict(first.headers))
    server.dpop.forget_nonces()
    again = ask_token(server, own.proof("authorization", "POST", server.token_url))
    assert again.json()["error"] == "use_dpop_nonce"


def test_open_paths_and_other_endpoints_ask_for_no_proof(server: OAuthTestServer) -> None:
    assert requests.get(f"{server.base_url}/echo", timeout=20).status_code == 200
    revoked = requests.post(
        f"{server.base_url}/oauth/revoke",
        {"token": "x"},
        auth=(server.client_id, server.client_secret),
        timeout=20,
    )
    assert revoked.status_code == 200
