"""RFC 6749 §5: the same answer of a token endpoint means the same to all, a token or an error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
import requests_oauth2client as ro
from authlib.oauth2 import OAuth2Error as AuthlibError
from authlib.oauth2.client import OAuth2Client as AuthlibClient
from hypothesis import example, given
from hypothesis import strategies as st
from oauthlib.oauth2.rfc6749.errors import OAuth2Error as OauthlibError
from oauthlib.oauth2.rfc6749.parameters import parse_token_response
from oauthlib.oauth2.rfc6749.tokens import OAuth2Token

from oauth_taskflow.errors import (
    InvalidTokenResponse,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome
from oauth_taskflow.oauth.endpoint.response import interpret
from tests.oauth.oracles.inputs import some_scopes, tokens, visible

URL = "https://id.example.com/token"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Read:
    """A token as one implementation understood it; ``lifetime`` in whole seconds."""

    access_token: str
    refresh_token: str | None
    lifetime: int | None
    scope: frozenset[str]
    extras: dict[str, Any] = field(default_factory=dict)


def outcome(body: bytes, status: int = 200, kind: str = JSON, scope: str = "") -> Outcome:
    now = time.time()
    answer = TokenHttpResponse(status, {"content-type": kind}, body, now, now)
    return interpret(answer, TokenRequestInfo("crm", URL, "client_credentials", scope=scope))


def ours(body: bytes, kind: str = JSON) -> Read:
    found = outcome(body, kind=kind)
    assert isinstance(found, Granted), found
    token = found.token
    lifetime = None if token.expires_at is None else round(token.expires_at - token.obtained_at)
    extras = {name: value for name, value in token.extras.items() if not name.startswith("expires")}
    scope = frozenset((token.scope or "").split())
    return Read(token.access_token, found.refresh_token, lifetime, scope, extras)


def response(body: bytes, status: int = 200) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = body
    return made


def read_with_oauthlib(body: bytes) -> Read:
    token = dict(parse_token_response(body.decode()))
    scope = frozenset(token.pop("scope", ()))
    lifetime = token.pop("expires_in", None)
    for name in ("token_type", "expires_at"):
        token.pop(name, None)
    return Read(token.pop("access_token"), token.pop("refresh_token", None), lifetime, scope, token)


def read_with_requests_oauth2client(body: bytes) -> Read:
    token = ro.OAuth2Client(URL, client_id="me").parse_token_response(response(body))
    lifetime = (
        None if token.expires_at is None else round(token.expires_at.timestamp() - time.time())
    )
    scope = frozenset((token.scope or "").split())
    more = {name: value for name, value in token.kwargs.items() if name != "_dpop_key"}
    return Read(token.access_token, token.refresh_token, lifetime, scope, more)


def read_with_authlib(body: bytes) -> Read:
    token = dict(AuthlibClient(requests.Session()).parse_response_token(response(body)))
    lifetime = token.pop("expires_at", None)
    lifetime = None if lifetime is None else round(lifetime - time.time())
    scope = frozenset((token.pop("scope", None) or "").split())
    for name in ("token_type", "expires_in"):
        token.pop(name, None)
    return Read(token.pop("access_token"), token.pop("refresh_token", None), lifetime, scope, token)


def assert_same(left: Read, right: Read) -> None:
    """Equal, but for the seconds that pass while a test runs: the others ask the clock themselves."""
    assert (left.access_token, left.refresh_token, left.scope, left.extras) == (
        right.access_token,
        right.refresh_token,
        right.scope,
        right.extras,
    )
    assert (left.lifetime is None) == (right.lifetime is None)
    assert abs((left.lifetime or 0) - (right.lifetime or 0)) < 120


# The blank keeps these from being a token: copies of a token are not extras for us.
extras = st.dictionaries(
    st.from_regex(r"x_[a-z]{1,8}", fullmatch=True),
    st.text(max_size=10).map(" {}".format)
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.lists(st.integers()),
    max_size=3,
)
seconds = st.integers(1000, 10**8)
answers = st.fixed_dictionaries(
    {"access_token": tokens},
    optional={
        "token_type": st.sampled_from(["Bearer", "bearer", "BEARER"]),
        # 0 is "does not expire" to all; as text it divides them, and a negative one does not count (RFC 6749 Appendix A.14).
        "expires_in": st.just(0) | seconds | seconds.map(str),
        "refresh_token": tokens,
        "scope": some_scopes,
    },
)
THEIRS = [read_with_oauthlib, read_with_requests_oauth2client, read_with_authlib]


@pytest.mark.parametrize("theirs", THEIRS)
@given(answers, extras)
def test_a_token_is_read_alike(
    theirs: Callable[[bytes], Read], answer: dict[str, Any], more: dict[str, Any]
) -> None:
    body = json.dumps({**answer, **more}).encode()
    assert_same(ours(body), theirs(body))


@given(answers)
def test_a_form_encoded_token_is_read_as_oauthlib_does(answer: dict[str, Any]) -> None:
    # Not in the RFC any more; Facebook and GitHub sent them.
    body = urlencode(answer).encode()
    assert_same(ours(body, FORM), read_with_oauthlib(body))


@given(answers, some_scopes)
def test_missing_and_added_scopes_are_those_of_oauthlib(answer: dict[str, Any], asked: str) -> None:
    found = outcome(json.dumps(answer).encode(), scope=asked)
    assert isinstance(found, Granted)
    theirs = OAuth2Token(answer, old_scope=asked)
    assert set(found.missing_scope) == set(theirs.missing_scopes)
    assert set(found.extra_scope) == set(theirs.additional_scopes)


@given(st.sampled_from(["mac", "N_A", "DPoP", "Basic"]), tokens)
def test_no_library_takes_a_token_of_another_type_as_a_bearer_token(kind: str, token: str) -> None:
    # RFC 6749 §7.1. Authlib and oauthlib hand such tokens out and refuse when they are to be sent.
    body = json.dumps({"access_token": token, "token_type": kind}).encode()
    found = outcome(body)
    assert not isinstance(found, Granted)
    assert isinstance(found.error, InvalidTokenResponse)
    with pytest.raises(ro.InvalidTokenResponse):
        read_with_requests_oauth2client(body)


REFUSED = {
    "invalid_request": ro.InvalidRequest,
    "invalid_client": ro.InvalidClient,
    "invalid_grant": ro.InvalidGrant,
    "invalid_scope": ro.InvalidScope,
    "invalid_target": ro.InvalidTarget,
    "unauthorized_client": ro.UnauthorizedClient,
    "unsupported_grant_type": ro.UnknownTokenEndpointError,  # it has no class for this one
    "access_denied": ro.AccessDenied,
    "authorization_pending": ro.AuthorizationPending,
    "slow_down": ro.SlowDown,
    "expired_token": ro.ExpiredToken,
}
codes = st.sampled_from(sorted(REFUSED)) | st.from_regex(r"[a-z][a-z_]{2,15}[a-z]", fullmatch=True)
BUSY = ("temporarily_unavailable", "server_error")
ALIASES = {"invalid_refresh_token", "bad_refresh_token", "token_revoked"}


def theirs_say(body: Mapping[str, str], status: int) -> list[tuple[str, str | None]]:
    """Code and description as the others understood them."""
    raw = json.dumps(body).encode()
    with pytest.raises(OauthlibError) as one:
        parse_token_response(raw.decode())
    with pytest.raises(ro.EndpointError) as two:
        ro.OAuth2Client(URL, client_id="me").on_token_error(response(raw, status))
    with pytest.raises(AuthlibError) as three:
        AuthlibClient(requests.Session()).parse_response_token(response(raw, status))
    assert type(two.value) is REFUSED.get(body["error"], type(two.value))
    return [
        (one.value.error, one.value.description),
        (two.value.error, two.value.description),
        (three.value.error, three.value.description),
    ]


@given(codes.filter(lambda code: code not in {*BUSY, *ALIASES}), st.sampled_from([400, 401, 403]))
@example("invalid_client", 401)
def test_a_refusal_has_the_same_code_for_all(code: str, status: int) -> None:
    body = {"error": code, "error_description": "no, not this one"}
    found = outcome(json.dumps(body).encode(), status)
    assert not isinstance(found, Granted)
    assert isinstance(found.error, TokenRequestRejected)
    for said in theirs_say(body, status):
        assert said == (found.error.error, found.error.description)


@pytest.mark.parametrize("code", BUSY)
def test_a_busy_server_is_named_by_all_and_tried_again_by_us(code: str) -> None:
    found = outcome(json.dumps({"error": code}).encode(), 400)
    assert not isinstance(found, Granted)
    assert isinstance(found.error, TokenEndpointUnavailable)
    assert code in str(found.error)
    assert {said for said, _ in theirs_say({"error": code}, 400)} == {code}


@given(st.binary(max_size=40) | visible.map(str.encode))
@example(b"{}")
@example(b"[]")
@example(b"null")
@example(b'{"token_type": "Bearer"}')
def test_we_refuse_the_token_responses_that_other_libraries_refuse(body: bytes) -> None:
    assert not isinstance(outcome(body), Granted)
    with pytest.raises(ro.OAuth2Error):
        read_with_requests_oauth2client(body)
