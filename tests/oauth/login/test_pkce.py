"""PKCE against RFC 7636 and against Authlib's and Python's own arithmetic."""

from __future__ import annotations

import re

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from oauth_taskflow.oauth.login.authorization import Verifier


def test_the_example_of_rfc_7636_appendix_b() -> None:
    verifier = Verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert verifier.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_thousand_verifiers_are_all_different_well_formed_and_agree_with_authlib() -> None:
    made = [Verifier.new() for _ in range(1000)]
    assert len({verifier.value for verifier in made}) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier.value) for verifier in made)
    assert all(v.challenge == create_s256_code_challenge(v.value) for v in made)


def test_a_verifier_does_not_show_itself() -> None:
    verifier = Verifier.new()
    assert verifier.value not in repr(verifier)
