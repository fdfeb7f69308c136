"""Token endpoints that depart from RFC 6749: what is sent to them and how their answers are read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidGrant,
    InvalidTokenResponse,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.dialect import Dialect, Expiry, RequestDialect, ResponseDialect
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, OutcomeUnknown, Rejected
from oauth_taskflow.oauth.endpoint.request_encoding import JsonText, encode
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, GrantOptions, RefreshToken
from oauth_taskflow.testing import Fault, LoggedRequest, OAuthTestServer

ANSWER = Fault("*", 200, {"Content-Type": "application/json"}, '{"access_token": "at"}')
NOW = 1_800_000_000.0


def send(dialect: Dialect, grant: Grant, client_auth: str = "client_secret_post") -> LoggedRequest:
    """The request that arrives at a server with that dialect, which grants it."""
    with OAuthTestServer() as server:
        server.faults.add(ANSWER)
        endpoint = TokenEndpoint(
            server.token_url,
            Client("me", "s3cret"),
            client_auth,
            dialect=_with_address(dialect, server.base_url),
        )
        assert isinstance(endpoint.exchange(grant), Granted)
        (request,) = server.requests
    return request


def _with_address(dialect: Dialect, base_url: str) -> Dialect:
    url = dialect.request.refresh_url
    if url is None:
        return dialect
    return Dialect(request=RequestDialect(refresh_url=base_url + url))


def read(body: dict[str, Any], form: ResponseDialect, status: int = 200) -> Outcome:
    """The outcome of ``body``, read with ``form``; it arrived at once."""
    raw = json.dumps(body).encode()
    answer = TokenHttpResponse(status, {"content-type": "application/json"}, raw, NOW, NOW)
    question = TokenRequestInfo(
        "crm", "https://id.example.com/token", "refresh_token", dialect=form
    )
    return interpret(answer, question)


def expect_granted(body: dict[str, Any], form: ResponseDialect) -> Granted:
    outcome = read(body, form)
    assert isinstance(outcome, Granted)
    return outcome


def expect_refused(
    body: dict[str, Any], form: ResponseDialect, status: int = 200
) -> TokenRequestRejected:
    outcome = read(body, form, status)
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, TokenRequestRejected)
    return outcome.error


def expires(rule: Expiry, **body: Any) -> float | None:
    """Seconds from now to the expiry that ``rule`` finds in an answer."""
    body = {"access_token": "at", **body}
    found = expect_granted(body, ResponseDialect(expiry=rule)).token.expires_at
    return None if found is None else found - NOW


def test_parameters_go_under_the_names_of_the_server() -> None:
    rules = RequestDialect(rename={"client_id": "client_key", "grant_type": ""})
    request = send(Dialect(request=rules), ClientCredentials())
    assert request.form == {"client_key": "me", "client_secret": "s3cret"}


def test_a_get_request_carries_everything_in_the_query() -> None:
    rules = Dialect(request=RequestDialect(method="GET"))
    request = send(rules, ClientCredentials(GrantOptions(scope="a b", body="query")))
    assert request.method == "GET"
    assert request.path == "/oauth/token"
    assert dict(request.query) == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "client_id": "me",
        "client_secret": "s3cret",
    }
    assert "Content-Type" not in request.headers


def test_a_post_request_may_carry_its_parameters_in_the_query_and_no_body() -> None:
    grant = ClientCredentials(GrantOptions(body="query"))
    request = send(Dialect(), grant, "client_secret_basic")
    assert request.method == "POST"
    assert dict(request.query) == {"grant_type": "client_credentials"}
    assert request.body == ""
    assert request.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("grant", "path"),
    [(RefreshToken("rt"), "/oauth/refresh"), (ClientCredentials(), "/oauth/token")],
)
def test_only_refresh_tokens_go_to_the_refresh_url(grant: Grant, path: str) -> None:
    rules = Dialect(request=RequestDialect(refresh_url="/oauth/refresh"))
    assert send(rules, grant).path == path


def test_a_refresh_url_must_be_https_as_the_token_url_must() -> None:
    rules = Dialect(request=RequestDialect(refresh_url="http://id.example.com/refresh"))
    with pytest.raises(ConnectionConfigError, match="is not an https URL"):
        TokenEndpoint("https://id.example.com/token", Client("me"), dialect=rules)


def test_a_secret_in_the_query_is_never_shown() -> None:
    endpoint = TokenEndpoint(
        "https://id.example.invalid/token", Client("me", "s3cret"), "client_secret_post"
    )
    outcome = endpoint.exchange(RefreshToken("rt-s3cret", GrantOptions(body="query")))
    assert not isinstance(outcome, Granted)
    assert "s3cret" not in str(outcome.error) + repr(outcome)


def test_tokens_are_found_at_their_paths_and_nowhere_else() -> None:
    form = ResponseDialect(access_token="data.access_token", refresh_token="data.refresh_token")
    body = {
        "code": 0,
        "data": {"access_token": "at-1", "refresh_token": "rt-1", "ids": ["7", "at-1"]},
        "copy": "at-1",
    }
    found = expect_granted(body, form)
    assert (found.token.access_token, found.refresh_token) == ("at-1", "rt-1")
    assert found.token.extras == {"code": 0, "data": {"ids": ["7"]}}
    assert isinstance(read({"access_token": "at-1"}, form), OutcomeUnknown)


def test_a_refresh_token_may_be_the_access_token_itself() -> None:
    found = expect_granted({"access_token": "long"}, ResponseDialect(refresh_token="access_token"))
    assert found.refresh_token == "long"


def test_a_false_success_predicate_is_an_error_although_the_status_is_200() -> None:
    form = ResponseDialect(
        access_token="data.access_token",
        success="code == `0`",
        error="code",
        error_description="message",
        errors={"40105": "invalid_grant"},
    )
    error = expect_refused({"code": 40105, "message": "Token expired", "data": {}}, form)
    assert isinstance(error, InvalidGrant)
    assert (error.error, error.description) == ("invalid_grant", "Token expired")
    assert expect_refused({"code": 51000}, form).error == "51000"
    assert expect_refused({"message": "?"}, form).error == "unnamed_error"


def test_a_true_success_predicate_outweighs_a_field_named_error() -> None:
    body = {"access_token": "at", "error": {"code": "ok"}}
    assert isinstance(read(body, ResponseDialect()), Rejected)
    assert (
        expect_granted(body, ResponseDialect(success="error.code == 'ok'")).token.access_token
        == "at"
    )


def test_an_error_keeps_its_ordinary_description_when_the_form_names_none() -> None:
    form = ResponseDialect(error="sub_code")
    error = expect_refused({"sub_code": 7, "error": "x", "error_description": "Why"}, form, 400)
    assert (error.error, error.description) == ("7", "Why")
    assert expect_refused({"sub_code": 7}, form, 400).description == ""
    assert expect_granted({"access_token": "at"}, form).token.access_token == "at"


@pytest.mark.parametrize("path", ["contains(status, 'ok')", "status > access_token"])
def test_a_path_that_does_not_fit_the_body_finds_nothing(path: str) -> None:
    form = ResponseDialect(success=path)
    assert expect_refused({"status": 5, "access_token": "at"}, form).error == "unnamed_error"


def test_other_names_of_bearer_are_accepted_when_the_form_lists_them() -> None:
    body = {"access_token": "at", "token_type": "User Access Token"}
    outcome = read(body, ResponseDialect())
    assert isinstance(outcome, OutcomeUnknown)
    assert isinstance(outcome.error, InvalidTokenResponse)
    assert (
        expect_granted(body, ResponseDialect(token_types=("User Access Token",))).token.extras == {}
    )


def _jwt(**claims: Any) -> str:
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{text}.c2ln"


@pytest.mark.parametrize(
    ("rule", "body", "seconds"),
    [
        (Expiry(source="expires_in"), {"expires_in": "14399"}, 14399),
        (Expiry(source="expires_in", unit="ms"), {"expires_in": 86_400_000}, 86400),
        (Expiry(source="expires_in", path="data.ttl"), {"data": {"ttl": 60}}, 60),
        (Expiry(source="expires_in", lifetime_s=9), {"expires_in": 0}, None),
        (Expiry(source="expires_in", lifetime_s=9), {"expires_in": "soon"}, 9),
        (Expiry(source="expires_in"), {}, None),
        (Expiry(source="expires_at"), {"expires_at": "2027-01-15T09:00:00Z"}, 3600),
        (Expiry(source="expires_at"), {"expires_at": NOW + 60, "expires_in": 5}, 60),
        (Expiry(source="expires_at", path="d.end"), {"d": {"end": (NOW + 60) * 1000}}, 60),
        (Expiry(source="expires_at", lifetime_s=9), {"expires_at": NOW - 60}, 9),
        (Expiry(source="jwt"), {"access_token": _jwt(exp=NOW + 60), "expires_in": 5}, 60),
        (Expiry(source="fixed", lifetime_s=1200), {"expires_in": 5}, 1200),
        (Expiry(path="data.ttl"), {"data": {"ttl": "60"}, "expires_in": 5}, 60),
        (Expiry(path="data.end"), {"data": {"end": "2027-01-15T09:00:00Z"}}, 3600),
        (Expiry(path="data.end"), {"data": None, "expires_in": 5}, 5),
        (Expiry(lifetime_s=1200), {}, 1200),
        (Expiry(lifetime_s=1200), {"expires_in": 5}, 5),
    ],
)
def test_the_expiry_comes_from_where_the_form_says(
    rule: Expiry, body: dict[str, Any], seconds: float | None
) -> None:
    assert expires(rule, **body) == seconds


def test_a_json_value_is_a_value_in_a_json_body_and_its_text_elsewhere() -> None:
    form = TokenForm((("claims", JsonText('{"a": [1]}')), ("text", '{"a": [1]}')))
    in_json, in_form = (encode(form, method="POST", url="u", body=b) for b in ("json", "form"))
    assert json.loads(in_json.body or b"") == {"claims": {"a": [1]}, "text": '{"a": [1]}'}
    assert in_form.body == b"claims=%7B%22a%22%3A+%5B1%5D%7D&text=%7B%22a%22%3A+%5B1%5D%7D"


@pytest.mark.parametrize(("status", "code"), [(404, "http_404"), (200, "unnamed_error")])
def test_an_error_without_a_code_has_that_of_its_status(status: int, code: str) -> None:
    form = ResponseDialect(success="token", access_token="token", error_description="message")
    raw = TokenHttpResponse(
        status, {"content-type": "application/json"}, b'{"message": "Gone"}', NOW, NOW
    )
    outcome = interpret(raw, TokenRequestInfo("crm", "https://x", "g", dialect=form))
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.error, TokenRequestRejected)
    assert (outcome.error.error, outcome.error.description) == (code, "Gone")


@pytest.mark.parametrize(("source", "lasting"), [("auto", 9), ("introspection", None)])
def test_the_usual_lifetime_counts_only_after_introspection(
    source: Any, lasting: float | None
) -> None:
    raw = TokenHttpResponse(200, {}, b'{"access_token": "at"}', NOW, NOW)
    form = ResponseDialect(expiry=Expiry(source=source, lifetime_s=9))
    outcome = interpret(raw, TokenRequestInfo("crm", "https://x", "g", dialect=form))
    assert isinstance(outcome, Granted)
    assert outcome.token.expires_at == (None if lasting is None else NOW + lasting)
