"""RFC 6749 §4.1, RFC 7636, RFC 9207 and RFC 9449 §10: where a browser is sent, and what is made of what it brings back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jwskate import Jwk
from oauthlib.oauth2 import WebApplicationClient
from oauthlib.oauth2.rfc6749.errors import OAuth2Error as OauthlibError
from requests_oauth2client import AuthorizationRequest, DPoPKey
from requests_oauth2client.exceptions import AuthorizationResponseError, InvalidAuthResponse

from oauth_taskflow.errors import AuthorizationFailed
from oauth_taskflow.oauth.dpop import new_key, prover
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.login.authorization import Authorization, AuthorizationServer
from tests.oauth.oracles.inputs import any_text, scopes, visible

ISSUER = "https://id.example.com"
PLACE = f"{ISSUER}/authorize"
HERE = "http://127.0.0.1:8765/callback"
STATE = "the-state"
queries = st.sampled_from(["", "?tenant=a", "?tenant=a&x=%C3%BC"])
extras = st.dictionaries(st.sampled_from(["prompt", "access_type", "login_hint"]), any_text)


def split_request(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Endpoint and parameters."""
    parts = urlsplit(url)
    return url.partition("?")[0], sorted(parse_qsl(parts.query, keep_blank_values=True))


@given(visible, scopes, queries, extras)
def test_the_browser_is_sent_to_the_same_place(
    client_id: str, scope: str, query: str, more: dict[str, Any]
) -> None:
    url = PLACE + query
    options = GrantOptions(scope=scope)
    mine = Authorization(AuthorizationServer(url), client_id, HERE, options, params=more)
    secret = mine.verifier.value
    other = AuthorizationRequest(
        url,
        client_id=client_id,
        redirect_uri=HERE,
        scope=scope or None,
        state=mine.state,
        nonce=None,
        code_verifier=secret,
        **more,
    )
    client = WebApplicationClient(client_id)
    third = client.prepare_request_uri(
        url,
        HERE,
        scope,
        mine.state,
        code_challenge=client.create_code_challenge(secret, "S256"),
        code_challenge_method="S256",
        **more,
    )
    assert split_request(mine.url) == split_request(third)
    # Its own query is kept by RFC 6749 §3.1; requests-oauth2client replaces it.
    if not query:
        assert split_request(mine.url) == split_request(other.uri)


def test_a_login_with_dpop_names_its_key_alike() -> None:
    stored = new_key("ES256")
    key = DPoPKey(Jwk.from_pem(stored.partition("\n")[2]), alg="ES256")
    other = AuthorizationRequest(PLACE, client_id="me", dpop_key=key)
    server = AuthorizationServer(PLACE)
    mine = Authorization(server, "me", HERE, dpop_jkt=prover(stored).thumbprint)
    assert dict(mine.parameters)["dpop_jkt"] == other.args["dpop_jkt"]


answers = st.fixed_dictionaries(
    {},
    optional={
        "code": visible,
        "state": st.sampled_from([STATE, STATE, "another-state"]),
        "iss": st.sampled_from([ISSUER, ISSUER, "https://evil.example.com"]),
        "error": st.sampled_from(["access_denied", "server_error", "login_required"]),
        "session_state": any_text,
    },
)
RIGHT = {"code": "c", "state": STATE, "iss": ISSUER}


def read(answer: dict[str, str], *, names_itself: bool) -> str | None:
    """The code that we take; None when the answer is refused."""
    server = AuthorizationServer(PLACE, ISSUER, names_itself)
    mine = Authorization(server, "me", HERE, state=STATE)
    try:
        return mine.read_url(f"{HERE}?{urlencode(answer)}").code
    except AuthorizationFailed:
        return None


def read_by_requests_oauth2client(answer: dict[str, str], *, names_itself: bool) -> str | None:
    request = AuthorizationRequest(
        PLACE,
        client_id="me",
        redirect_uri=HERE,
        state=STATE,
        issuer=ISSUER,
        authorization_response_iss_parameter_supported=names_itself,
    )
    try:
        return request.validate_callback(f"{HERE}?{urlencode(answer)}").code
    except (InvalidAuthResponse, AuthorizationResponseError):
        return None


def read_by_oauthlib(answer: dict[str, str]) -> str | None:
    uri = f"{HERE.replace('http:', 'https:')}?{urlencode(answer)}"  # it reads nothing else
    try:
        found: dict[str, Any] = WebApplicationClient("me").parse_request_uri_response(uri, STATE)
    except OauthlibError:
        return None
    return str(found["code"])


@given(answers, st.booleans())
@example(RIGHT, True)
@example({**RIGHT, "iss": "https://evil.example.com"}, False)
@example({"code": "c", "state": STATE}, True)
@example({**RIGHT, "error": "access_denied"}, False)
def test_the_same_answers_are_taken(answer: dict[str, str], names_itself: bool) -> None:
    code = read(answer, names_itself=names_itself)
    assert code == read_by_requests_oauth2client(answer, names_itself=names_itself)
    if answer.get("iss", ISSUER) == ISSUER and not names_itself:  # oauthlib knows no RFC 9207
        assert code == read_by_oauthlib(answer)


@pytest.mark.parametrize("repeated", ["code", "state", "iss"])
def test_an_answer_that_says_something_twice_is_refused_by_us_alone(repeated: str) -> None:
    # RFC 6749 §3.1: parameters must not be included more than once. The others take one of the two.
    pairs = [*RIGHT.items(), (repeated, RIGHT[repeated])]
    mine = Authorization(AuthorizationServer(PLACE, ISSUER), "me", HERE, state=STATE)
    with pytest.raises(AuthorizationFailed, match="repeats a parameter"):
        mine.read(pairs)
    assert read_by_oauthlib(dict(pairs)) == "c"
