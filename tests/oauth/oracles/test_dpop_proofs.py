"""RFC 9449: requests-oauth2client's check takes our proofs, and ours say what its own would say."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwskate import Jwk, SignedJwt
from requests_oauth2client import DPoPKey, validate_dpop_proof
from requests_oauth2client.dpop import InvalidDPoPProof

from oauth_taskflow.oauth.dpop import DPOP_ALGORITHMS, new_key, prover
from tests.oauth.oracles.inputs import few, hosts, many, paths, ports, tokens, visible

KEYS = {algorithm: new_key(algorithm) for algorithm in DPOP_ALGORITHMS}
queries = st.sampled_from(["", "?page=2", "?a=%2F&b=#c", "#top"])
cases = st.sampled_from([str.lower, str.upper, str.title])
default_ports = st.sampled_from([("https", ":443"), ("http", ":80"), ("https", "")])
methods = st.sampled_from(["GET", "POST", "PATCH", "delete"])


def ath(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")


def check(proof: str, algorithm: str = "ES256", **expected: Any) -> SignedJwt:
    """What their resource server reads; in ``alg`` it would want the key itself to name one, as RFC 7517 §4.4 does not."""
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


@many
@given(st.tuples(hosts, ports, paths), queries, tokens, visible)
def test_ours_say_what_its_own_say(
    place: tuple[str, str, str], query: str, token: str, nonce: str
) -> None:
    host, port, path = place
    # Every request of an HTTP client has a path, so that ours writes it always (RFC 9110 §7.1).
    url = f"https://{host}{port}{path or '/'}{query}"
    stored = KEYS["ES256"]
    mine = prover(stored)
    mine.heard("resource", url, {"DPoP-Nonce": nonce})
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


@many
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
