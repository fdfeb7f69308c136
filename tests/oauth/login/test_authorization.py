"""The request to the authorization endpoint, and what is made of the answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import AuthorizationFailed, OAuthTaskflowError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.login.authorization import (
    Authorization,
    AuthorizationServer,
    Verifier,
    push,
)
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory
from tests.support.clock import FakeClock

ISSUER = "https://id.example.com"
HERE = "http://127.0.0.1:4711/callback"
SERVER = AuthorizationServer(f"{ISSUER}/authorize?tenant=a", ISSUER)


def attempt(**changed: Any) -> Authorization:
    options = GrantOptions(scope="a b", resource=("https://x.example", "https://y.example"))
    known: dict[str, Any] = {"server": SERVER, "client_id": "c", "redirect_uri": HERE}
    return Authorization(**{**known, "options": options, "conn_id": "crm", **changed})


def answer(to: Authorization, **values: str | None) -> list[tuple[str, str]]:
    whole = {"code": "the-code", "state": to.state, "iss": ISSUER, **values}
    return [(name, value) for name, value in whole.items() if value is not None]


def endpoint(server: OAuthTestServer) -> TokenEndpoint:
    client = Client(server.client_id, server.client_secret)
    return TokenEndpoint(server.token_url, client, conn_id="crm")


def authorization_at(server: OAuthTestServer) -> Authorization:
    origin = server.base_url
    place = AuthorizationServer(f"{origin}/oauth/authorize", origin, names_itself=True)
    options = GrantOptions(scope="airports.read")
    return attempt(server=place, client_id=server.client_id, options=options)


def consent(url: str) -> str:
    """The address that the browser is sent back to."""
    return requests.get(url, allow_redirects=False, timeout=20).headers["Location"]


def test_the_url_holds_the_request_and_keeps_the_endpoints_own_query() -> None:
    mine = attempt(params={"access_type": "offline"})
    parts = urlsplit(mine.url)
    query = parse_qs(parts.query)
    assert mine.url.startswith(f"{ISSUER}/authorize?tenant=a&")
    assert query["resource"] == ["https://x.example", "https://y.example"]
    assert (query["scope"], query["access_type"]) == (["a b"], ["offline"])
    assert query["code_challenge"] == [mine.verifier.challenge]
    assert mine.verifier.value not in mine.url


def test_the_url_is_the_one_that_authlib_builds() -> None:
    mine = attempt(options=GrantOptions(scope="a b"))
    theirs = prepare_grant_uri(
        mine.server.authorize_url,
        client_id="c",
        response_type="code",
        redirect_uri=HERE,
        scope=["a", "b"],
        state=mine.state,
        code_challenge=mine.verifier.challenge,
        code_challenge_method="S256",
    )
    assert sorted(parse_qsl(urlsplit(theirs).query)) == sorted(parse_qsl(urlsplit(mine.url).query))


def test_a_connection_cannot_switch_the_guards_off() -> None:
    loose = {"state": "x", "code_challenge_method": "plain", "code_challenge": "y", "dpop_jkt": "z"}
    mine = attempt(params=loose, dpop_jkt="ours")
    query = parse_qs(urlsplit(mine.url).query)
    assert query["dpop_jkt"] == ["ours"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["state"] == [mine.state]


def test_a_connection_cannot_ask_for_a_token_in_the_browser() -> None:
    mine = attempt(params={"response_type": "token", "response_mode": "fragment"})
    assert parse_qs(urlsplit(mine.url).query)["response_type"] == ["code"]
    with pytest.raises(AuthorizationFailed, match="neither a code nor an error"):
        mine.read(answer(mine, code=None, access_token="given-in-the-browser"))


def test_state_has_128_bits_and_more_and_belongs_to_one_attempt() -> None:
    states = {attempt().state for _ in range(100)}
    assert len(states) == 100
    assert min(len(state) for state in states) * 6 >= 128


def test_a_right_answer_becomes_the_grant_with_the_same_redirect_uri() -> None:
    mine = attempt()
    grant = mine.read(answer(mine))
    form = dict(grant.form().params)
    assert (form["code"], form["redirect_uri"]) == ("the-code", HERE)
    assert form["code_verifier"] == mine.verifier.value
    assert "scope" not in form
    assert "the-code" not in repr(grant)
    assert grant.secrets() == ("the-code", mine.verifier.value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"state": "another"}, "its state is not the one sent"),
        ({"state": None}, "its state is not the one sent"),
        ({"iss": "https://evil.example"}, "another authorization server, 'https://evil.example'"),
        ({"code": None}, "neither a code nor an error"),
        ({"code": None, "error": "access_denied"}, "refused (access_denied)"),
        (
            {"code": None, "error": "invalid_request", "error_description": "PKCE is unknown"},
            "refused (invalid_request): PKCE is unknown",
        ),
    ],
)
def test_a_wrong_answer_ends_the_attempt(changed: dict[str, str | None], reason: str) -> None:
    mine = attempt()
    with pytest.raises(AuthorizationFailed) as caught:
        mine.read(answer(mine, **changed))
    text = str(caught.value)
    assert reason in text
    assert text.endswith("Start the login again: airflow oauth login crm")
    assert mine.state not in text


def test_an_answer_after_ten_minutes_is_refused_however_right() -> None:
    now = SYSTEM_CLOCK.monotonic()
    late, in_time = attempt(began=now - 601), attempt(began=now - 590)
    with pytest.raises(AuthorizationFailed, match="later than 10 minutes"):
        late.read(answer(late))
    assert in_time.read(answer(in_time)).code == "the-code"


def test_a_refused_login_is_worded_whole() -> None:
    mine = attempt()
    with pytest.raises(AuthorizationFailed) as caught:
        mine.read(answer(mine, code=None, error="access_denied", error_description="No.\x1b[2J"))
    assert str(caught.value) == (
        "The authorization server refused (access_denied): No.[2J for connection 'crm' at "
        "https://id.example.com/authorize?tenant=a. Start the login again: airflow oauth login crm"
    )


@pytest.mark.parametrize(
    "description",
    ["Pushed Authorization Request is required.", "PAR required", "request_uri is missing"],
)
def test_a_server_that_demands_pushed_requests_is_named_with_the_key(description: str) -> None:
    mine = attempt()
    with pytest.raises(AuthorizationFailed) as caught:
        mine.read(answer(mine, code=None, error="invalid_request", error_description=description))
    assert str(caught.value) == (
        f"The authorization server refused (invalid_request): {description.rstrip('.')} for connection 'crm' at "
        "https://id.example.com/authorize?tenant=a. The server demands pushed authorization requests (RFC 9126): put the "
        "address of its pushed authorization request endpoint into par_url of the connection, or its issuer into issuer. "
        "Start the login again: airflow oauth login crm"
    )


def test_a_repeated_parameter_is_refused() -> None:
    mine = attempt()
    with pytest.raises(AuthorizationFailed, match="repeats a parameter"):
        mine.read([*answer(mine), ("code", "second")])


def test_an_issuer_that_always_names_itself_must_do_so() -> None:
    mine = attempt(server=replace(SERVER, names_itself=True))
    with pytest.raises(AuthorizationFailed, match="does not name its issuer"):
        mine.read(answer(mine, iss=None))
    other = attempt()
    assert other.read(answer(other, iss=None)).code == "the-code"


@pytest.mark.parametrize(
    ("iss", "what"),
    [
        (None, "The answer does not name its issuer, although the authorization server announces"),
        ("https://evil.example", "The answer comes from another authorization server"),
    ],
)
def test_an_error_without_the_right_issuer_is_reported_and_not_believed(
    iss: str | None, what: str
) -> None:
    mine = attempt(server=replace(SERVER, names_itself=True))
    said = {"error": "access_denied", "error_description": f"No for {mine.state}."}
    with pytest.raises(AuthorizationFailed) as caught:
        mine.read(answer(mine, code=None, iss=iss, **said))
    assert str(caught.value).startswith(what)
    assert "it reports (access_denied): No for *** for connection 'crm'" in str(caught.value)


def test_an_unknown_issuer_cannot_be_compared() -> None:
    mine = attempt(server=replace(SERVER, issuer=""))
    assert mine.read(answer(mine, iss="https://any.example")).code == "the-code"


@pytest.mark.parametrize("before", ["http://127.0.0.1:4711/callback?", "https://a.example/cb?", ""])
def test_a_pasted_address_or_its_query_alone_is_read(before: str) -> None:
    mine = attempt()
    assert mine.read_url(f" {before}{urlencode(answer(mine))}\n").code == "the-code"


def test_the_code_is_traded_for_a_token_with_a_refresh_token(oauth_server: OAuthTestServer) -> None:
    mine = authorization_at(oauth_server)
    outcome = endpoint(oauth_server).exchange(mine.read_url(consent(mine.url)))
    assert isinstance(outcome, Granted)
    assert outcome.refresh_token
    assert outcome.token.scope == "airports.read"


def test_a_code_without_its_verifier_is_refused(oauth_server: OAuthTestServer) -> None:
    mine = authorization_at(oauth_server)
    grant = replace(mine.read_url(consent(mine.url)), verifier=Verifier.new())
    outcome = endpoint(oauth_server).exchange(grant)
    assert isinstance(outcome, Rejected)
    assert "invalid_grant" in str(outcome.error)


def test_a_pushed_request_leaves_nothing_in_the_url_and_works_once(
    oauth_server: OAuthTestServer,
) -> None:
    oauth_server.desk.par_required = True
    mine, place = authorization_at(oauth_server), f"{oauth_server.base_url}/oauth/par"
    url = push(endpoint(oauth_server), place, mine)
    assert sorted(parse_qs(urlsplit(url).query)) == ["client_id", "request_uri"]
    assert mine.read_url(consent(url)).code
    assert requests.get(url, allow_redirects=False, timeout=20).status_code == 400
    assert push(endpoint(oauth_server), place, mine) != url


def test_the_next_login_pushes_an_expired_request_again(
    oauth_server_factory: ServerFactory,
) -> None:
    clock = FakeClock()
    server = oauth_server_factory(clock=clock)
    place = f"{server.base_url}/oauth/par"
    late = push(endpoint(server), place, authorization_at(server))
    clock.advance(61)
    assert requests.get(late, allow_redirects=False, timeout=20).status_code == 400
    again = authorization_at(server)
    url = push(endpoint(server), place, again)
    assert again.read_url(consent(url)).code


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        ({"status": 200, "body": "{}"}, "accepted without a request_uri"),
        # Half of a surrogate pair has no form in a URL.
        ({"status": 201, "body": '{"request_uri": "u\\ud800"}'}, "accepted without a request_uri"),
        ({"status": 400, "body": '{"error": "invalid_request"}'}, "refused (invalid_request"),
        ({"status": 503, "body": ""}, "unavailable (HTTP 503)"),
        ({"status": 307, "headers": {"Location": "https://evil.example"}}, "redirects (HTTP 307)"),
        ({"drop": True}, "not reachable"),
    ],
)
def test_a_failing_par_endpoint_is_named(
    oauth_server: OAuthTestServer, answered: dict[str, Any], reason: str
) -> None:
    oauth_server.fault("/oauth/par", **answered)
    with pytest.raises(OAuthTaskflowError) as caught:
        push(
            endpoint(oauth_server),
            f"{oauth_server.base_url}/oauth/par",
            authorization_at(oauth_server),
        )
    assert reason in str(caught.value)
