"""The proof that is sent with an access token: its value, and its place on a request."""

from __future__ import annotations

import pytest
import requests

from oauth_taskflow.oauth.request_proof import ProofTokenSource, RequestProof
from oauth_taskflow.oauth.token import Token, TokenSource

# RFC 4231 §4.3.
KEY, DATA = "Jefe", "what do ya want for nothing?"
SHA256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
SHA512 = (
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
)
PROOF = RequestProof(name="appsecret_proof")


class Source(TokenSource):
    """Hands out ``t1``, and ``t2`` after a refusal."""

    def __init__(self) -> None:
        self._token = Token("t1", 0.0)

    def token(self) -> Token:
        return self._token

    def replace_refused(self, access_token: str) -> Token:
        self._token = Token(f"not-{access_token}", 0.0)
        return self._token


def test_a_proof_is_the_hmac_of_the_token_with_the_secret() -> None:
    assert PROOF.compute(DATA, KEY) == SHA256
    assert RequestProof(name="p", algorithm="hmac_sha512").compute(DATA, KEY) == SHA512


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://a.test/me", "https://a.test/me?appsecret_proof=P"),
        ("https://a.test/me?", "https://a.test/me?appsecret_proof=P"),
        ("https://a.test/me?x=%2F&y#z", "https://a.test/me?x=%2F&y&appsecret_proof=P#z"),
        ("https://a.test/?appsecret_proof=old&x=1", "https://a.test/?x=1&appsecret_proof=P"),
        ("https://a.test/?appsecret%5Fproof=old", "https://a.test/?appsecret_proof=P"),
    ],
)
def test_a_proof_replaces_an_older_one_and_keeps_the_rest_of_the_url(url: str, signed: str) -> None:
    request = requests.Request("GET", "https://a.test").prepare()
    request.url = url
    PROOF.put_on(request, "P")
    assert request.url == signed
    PROOF.put_on(request, "P")
    assert request.url == signed
    assert "appsecret" not in PROOF.remove_from(signed)


def test_a_header_can_carry_the_proof() -> None:
    request = requests.Request("GET", "https://a.test/me").prepare()
    RequestProof(name="X-Proof", place="header").put_on(request, "P")
    assert (request.url, request.headers["X-Proof"]) == ("https://a.test/me", "P")


def test_each_token_has_its_own_proof() -> None:
    tokens = ProofTokenSource(Source(), PROOF, "secret")
    first = tokens.token()
    assert first.proof == PROOF.compute("t1", "secret")
    assert tokens.token() is first
    assert tokens.replace_refused("t1").proof == PROOF.compute("not-t1", "secret")
    assert "secret" not in repr(tokens)
    assert first.proof not in repr(first)
