"""RFC 7636: one challenge for each verifier, and verifiers that every server takes."""

from __future__ import annotations

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN
from hypothesis import given
from hypothesis import strategies as st
from oauthlib.oauth2 import WebApplicationClient
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from requests_oauth2client import PkceUtils

from oauth_taskflow.oauth.login.authorization import Verifier

verifiers = st.from_regex(r"[A-Za-z0-9._~-]{43,128}", fullmatch=True)


@given(verifiers)
def test_all_make_the_same_challenge(value: str) -> None:
    challenges = {
        create_s256_code_challenge(value),
        WebApplicationClient("me").create_code_challenge(value, "S256"),
        PkceUtils.derive_challenge(value),
    }
    assert challenges == {Verifier(value).challenge}


def test_their_servers_take_our_verifiers() -> None:
    for ours, other in [(Verifier.new(), Verifier.new()) for _ in range(50)]:
        assert CODE_VERIFIER_PATTERN.match(ours.value)
        assert PkceUtils.validate_code_verifier(ours.value, ours.challenge)
        assert code_challenge_method_s256(ours.value, ours.challenge)
        assert not PkceUtils.validate_code_verifier(other.value, ours.challenge)
