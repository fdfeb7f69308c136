"""``WWW-Authenticate`` as RFC 9110 has it, and as servers write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.http_headers import Challenge, find_refusal, parse_challenges

TOKEN = st.text("abcdefXYZ-0189", min_size=1).filter(lambda text: text[0].isalpha())


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("Bearer", [("bearer", {})]),
        ('Bearer realm="example"', [("bearer", {"realm": "example"})]),
        (
            'Bearer realm="example", error="invalid_token", error_description="The access token expired"',
            [
                (
                    "bearer",
                    {
                        "realm": "example",
                        "error": "invalid_token",
                        "error_description": "The access token expired",
                    },
                )
            ],
        ),
        (
            'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
        ),
        (
            'Basic realm="error=\\"no\\", Bearer error=no", Bearer error="invalid_token"',
            [
                ("basic", {"realm": 'error="no", Bearer error=no'}),
                ("bearer", {"error": "invalid_token"}),
            ],
        ),
        (
            'DPoP error="use_dpop_nonce", algs="ES256 PS256", Bearer error="invalid_token"',
            [
                ("dpop", {"error": "use_dpop_nonce", "algs": "ES256 PS256"}),
                ("bearer", {"error": "invalid_token"}),
            ],
        ),
        (
            "Negotiate YIIB/+8=, Bearer error=invalid_token",
            [("negotiate", {}), ("bearer", {"error": "invalid_token"})],
        ),
        ("Negotiate, Basic", [("negotiate", {}), ("basic", {})]),
        ("BEARER Error = invalid_token", [("bearer", {"error": "invalid_token"})]),
        ('Bearer error="a" scope="x y"', [("bearer", {"error": "a", "scope": "x y"})]),
        ('error="invalid_token"', [("", {"error": "invalid_token"})]),
        ("Bearer error=first, error=second", [("bearer", {"error": "first"})]),
        (',, Bearer ,error="" ,', [("bearer", {"error": ""})]),
        (
            'Bearer realm="never closed, error=x',
            [("bearer", {}), ("realm", {}), ("never", {"error": "x"})],
        ),
    ],
)
def test_several_challenges_are_separated(
    header: str, found: list[tuple[str, dict[str, str]]]
) -> None:
    assert [(one.scheme, dict(one.params)) for one in parse_challenges(header)] == found


@pytest.mark.slow
@given(st.lists(st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), st.text('aä\\", =é')))))
def test_written_challenges_are_read_back(challenges: list[tuple[str, dict[str, str]]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(
        " ".join([scheme, ", ".join(f"{name}={quoted(value)}" for name, value in params.items())])
        for scheme, params in challenges
    )
    expected = tuple(Challenge(scheme.lower(), params) for scheme, params in challenges)
    assert parse_challenges(header) == expected


@given(st.text('Bearer ="\\,\té'))
def test_no_header_breaks_the_parser(header: str) -> None:
    assert isinstance(parse_challenges(header), tuple)


def test_the_reason_is_that_of_the_scheme_that_was_used() -> None:
    both = 'Bearer error="invalid_token", DPoP error="use_dpop_nonce"'
    assert find_refusal(both, "DPoP").params["error"] == "use_dpop_nonce"
    assert find_refusal(both, "Bearer").params["error"] == "invalid_token"
    assert find_refusal(both).params["error"] == "invalid_token"
    assert find_refusal('Basic realm="x", Bearer error="a"', "Basic").params["error"] == "a"
    assert find_refusal('Basic realm="error=x"') == Challenge("")
