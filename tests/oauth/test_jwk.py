"""Texts that are not a private JSON Web Key are refused without being repeated (RFC 7517)."""

from __future__ import annotations

import pytest

from oauth_taskflow.oauth.jwk import BadJwk, private_jwk


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"kty": "RSA", "d": "s3cret"', "neither PEM nor the JSON of a key"),
        ('["s3cret"]', "neither PEM nor the JSON of a key"),
        ("[" * 100_000, "neither PEM nor the JSON of a key"),
        ('{"kty": "oct", "k": "s3cret"}', "kty is not RSA, EC or OKP"),
        ('{"kty": "RSA", "n": "s3cret", "e": "AQAB"}', "a public one: it has no d"),
    ],
    ids=["unfinished", "list", "deep", "symmetric", "public"],
)
def test_a_text_that_is_not_a_private_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadJwk, match=reason) as refused:
        private_jwk(text)
    assert "s3cret" not in str(refused.value)
