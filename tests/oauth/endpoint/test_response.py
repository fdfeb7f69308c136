"""Any answer of a token endpoint becomes an outcome; no message ever holds a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import (
    ConnectionConfigError,
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    InvalidTokenResponse,
    OAuthTaskflowError,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import (
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.grants import RefreshToken

NOW = 1_800_000_000.0
SECRET, REFRESH = "client-s3cret/+=", "refresh-t0ken-value"
QUESTION = TokenRequestInfo(
    "crm",
    "https://id.example.com/token",
    "refresh_token",
    "a b",
    secrets=(SECRET, REFRESH),
    refusal_hint=RefreshToken(REFRESH).refusal_hint,
    by_consent=True,
)
JSON = "application/json; charset=utf-8"
PLACE = "for connection 'crm' at id.example.com/token"


def outcome(status: int, body: object, content_type: str = JSON, **headers: str) -> Outcome:
    """The outcome of an answer with that body; objects are sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return interpret(
        TokenHttpResponse(status, {"content-type": content_type, **headers}, raw, NOW, NOW + 1),
        QUESTION,
    )


def expect_granted(body: dict[str, Any], **fields: Any) -> Granted:
    found = outcome(200, {"access_token": "at", **body, **fields})
    assert isinstance(found, Granted)
    return found


def expect_rejected(status: int, body: object, **headers: str) -> OAuthTaskflowError:
    found = outcome(status, body, **headers)
    assert isinstance(found, Rejected)
    return found.error


def test_rfc_6749_section_5_1_example() -> None:
    found = expect_granted(
        {
            "access_token": "2YotnFZFEjr1zCsicMWpAA",
            "token_type": "example",
            "expires_in": 3600,
            "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA",
            "example_parameter": "example_value",
        },
        token_type="Bearer",
    )
    assert found.token.access_token == "2YotnFZFEjr1zCsicMWpAA"
    assert found.token.expires_at == NOW + 3600
    assert found.refresh_token == "tGzv3JOkF0XG5Qx2TlKWIA"
    assert found.token.extras["example_parameter"] == "example_value"


def test_rfc_8693_section_2_3_answer_keeps_the_issued_token_type() -> None:
    kind = "urn:ietf:params:oauth:token-type:jwt"
    token = expect_granted({"issued_token_type": kind, "token_type": "Bearer"}).token
    assert token.extras == {"issued_token_type": kind}


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", "Bearer ", "BearerToken", "", None])
def test_bearer_tokens_in_every_spelling(kind: str | None) -> None:
    assert expect_granted({"token_type": kind}).token.token_type == "Bearer"


@pytest.mark.parametrize("kind", ["mac", "N_A", "DPoP", 7, ["bearer"]])
def test_other_token_types_are_not_used_as_bearer_tokens(kind: object) -> None:
    found = outcome(200, {"access_token": "at", "token_type": kind})
    assert isinstance(found, OutcomeUnknown)
    assert isinstance(found.error, InvalidTokenResponse)
    assert not found.again


def test_a_wrong_token_type_is_worded_whole() -> None:
    found = outcome(200, {"access_token": "at", "token_type": "mac"})
    assert isinstance(found, OutcomeUnknown)
    assert str(found.error) == (
        f"Tokens of type 'mac' cannot be sent as bearer tokens (HTTP 200) {PLACE}. "
        "Ask for bearer tokens (RFC 6750), or set dpop if the server issues DPoP tokens."
    )


def test_a_form_encoded_answer_is_read() -> None:
    body = b"access_token=at&expires_in=60&refresh_token=rt&expires_in=99"
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        found = outcome(200, body, kind)
        assert isinstance(found, Granted)
        assert (found.token.expires_at, found.refresh_token) == (NOW + 60, "rt")


@pytest.mark.parametrize("value", [None, "", False, 0, [], {}])
def test_an_error_field_that_is_empty_costs_no_token(value: object) -> None:
    assert expect_granted({"error": value, "refresh_token": "rt"}).refresh_token == "rt"


@pytest.mark.parametrize("value", [None, "", " ", "\n", 5, "\ud800"])
def test_an_unusable_refresh_token_keeps_the_old_one(value: object) -> None:
    assert expect_granted({"refresh_token": value}).refresh_token is None


@pytest.mark.parametrize(
    ("scope", "missing", "extra", "kept"),
    [
        (None, (), (), "a b"),
        ("a b", (), (), "a b"),
        ("b a c", (), ("c",), "b a c"),
        ("a", ("b",), (), "a"),
        (["a"], ("b",), (), "a"),
        ("a,b", (), (), "a,b"),
        ("A b", ("a",), ("A",), "A b"),
        ({}, (), (), "a b"),
    ],
)
def test_scope_as_granted(
    scope: object, missing: tuple[str, ...], extra: tuple[str, ...], kept: str
) -> None:
    found = expect_granted({"scope": scope})
    assert (found.missing_scope, found.extra_scope) == (missing, extra)
    assert found.token.scope == kept


@pytest.mark.parametrize(
    ("grant_type", "body", "missing"),
    [
        ("authorization_code", b'{"access_token":"at","scope":"openid","refresh_token":"rt"}', ()),
        ("refresh_token", b'{"access_token":"at","scope":"openid"}', ()),
        ("authorization_code", b'{"access_token":"at","scope":"openid"}', ("offline_access",)),
    ],
)
def test_a_refresh_token_shows_that_offline_access_was_granted(
    grant_type: str, body: bytes, missing: tuple[str, ...]
) -> None:
    asked = replace(QUESTION, grant_type=grant_type, scope="openid offline_access")
    found = interpret(TokenHttpResponse(200, {}, body, NOW, NOW + 1), asked)
    assert getattr(found, "missing_scope", None) == missing


def test_without_a_request_for_a_scope_none_is_too_much() -> None:
    answer = TokenHttpResponse(
        200, {"content-type": JSON}, b'{"access_token":"at","scope":"a"}', NOW, NOW
    )
    found = interpret(answer, TokenRequestInfo("crm", QUESTION.url, "client_credentials"))
    assert isinstance(found, Granted)
    assert found.extra_scope == ()


def test_the_servers_clock_is_compared_with_ours() -> None:
    found = outcome(200, {"access_token": "at"}, date="Fri, 15 Jan 2027 08:05:01 GMT")
    assert isinstance(found, Granted)
    assert found.skew == 300.0


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_grant"}, InvalidGrant),
        (401, {"error": "invalid_grant"}, InvalidGrant),
        (403, {"error": "invalid_grant"}, InvalidGrant),
        (500, {"error": "invalid_grant"}, InvalidGrant),
        (200, {"error": "invalid_grant", "access_token": ""}, InvalidGrant),
        (200, {"error": "bad_refresh_token"}, InvalidGrant),
        (200, {"ok": False, "error": "invalid_refresh_token"}, InvalidGrant),
        (400, {"status": "BAD_REFRESH_TOKEN", "message": "x"}, InvalidGrant),
        (400, {"error": "invalid_client"}, InvalidClient),
        (401, {"error": "invalid_client"}, InvalidClient),
        (401, {"error": "unauthorized_client"}, InvalidClient),
        (401, b"", InvalidClient),
        (200, {"error": "incorrect_client_credentials"}, InvalidClient),
        (400, {"error": "consent_required"}, ConsentRequired),
        (400, {"error": "interaction_required"}, ConsentRequired),
        (400, {"error": "login_required"}, ConsentRequired),
        (403, {"error": "access_denied"}, ConsentRequired),
        (400, {"error": "invalid_scope"}, TokenRequestRejected),
        (400, {"error": "invalid_target"}, TokenRequestRejected),
        (400, {"error": "invalid_request"}, TokenRequestRejected),
        (400, {"error": "unauthorized_client"}, TokenRequestRejected),
        (400, {"error": "unsupported_grant_type"}, TokenRequestRejected),
        (400, {"error": {"type": "OAuthException", "code": 190}}, TokenRequestRejected),
        (400, {"error": {"code": 190}}, TokenRequestRejected),
        (400, {"error": ["strange"]}, TokenRequestRejected),
        (200, {"ok": False}, TokenRequestRejected),
        (404, b"<html>not here</html>", TokenRequestRejected),
    ],
)
def test_refusals_are_classified_by_their_remedy(
    status: int, body: object, kind: type[OAuthTaskflowError]
) -> None:
    error = expect_rejected(status, body)
    assert type(error) is kind
    assert not error.retryable


def test_a_refusal_is_worded_whole() -> None:
    error = expect_rejected(
        400, {"error": "invalid_grant", "error_description": f"Token {REFRESH} has\nexpired."}
    )
    assert str(error) == (
        f"Refresh token refused (invalid_grant, HTTP 400): Token *** has expired {PLACE}. "
        "A person must authorize it again: airflow oauth login crm. The old refresh token cannot come back."
    )


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_without_a_body_is_read_from_its_challenge(status: int) -> None:
    challenge = f'Basic realm="id", error="invalid_client", error_description="Not {SECRET}"'
    error = expect_rejected(status, b"", **{"www-authenticate": challenge})
    assert type(error) is InvalidClient
    assert f"(invalid_client, HTTP {status}): Not ***" in str(error)
    plain = expect_rejected(status, b"", **{"www-authenticate": 'Basic realm="error=x"'})
    assert f"(http_{status}, HTTP {status})" in str(plain)


def test_the_error_in_the_body_goes_before_that_of_the_challenge() -> None:
    reported = {"www-authenticate": 'Bearer error="invalid_token"'}
    assert type(expect_rejected(401, {"error": "invalid_grant"}, **reported)) is InvalidGrant


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("invalid_scope", "Asked for was 'a b': take out of scope what this client may not have."),
        (
            "invalid_target",
            "Asked for was https://api.example.com/x?key=***, crm: correct audience or resource of the connection.",
        ),
        (
            "invalid_request",
            "The request may be wrong: sent were grant_type, refresh_token; compare them with what the server's "
            "documentation asks for. But some servers answer so when the refresh token is spent, expired or revoked: then "
            "authorize the connection again: airflow oauth login crm, and set token_errors to "
            '{"invalid_request": "invalid_grant"}.',
        ),
        ("consent_required", "A person must agree again: airflow oauth login crm"),
        (
            "unauthorized_client",
            "Check the grant, scope and client registration in the connection.",
        ),
    ],
)
def test_a_refusal_names_what_to_check(code: str, hint: str) -> None:
    body = json.dumps({"error": code}).encode()
    sent = ("grant_type", "refresh_token")
    answer = TokenHttpResponse(400, {"content-type": JSON}, body, NOW, NOW + 1, sent)
    found = interpret(answer, replace(QUESTION, targets=("https://api.example.com/x?key=k", "crm")))
    assert isinstance(found, Rejected)
    assert str(found.error).endswith(f"{PLACE}. {hint}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_wrong_token_url(status: int) -> None:
    error = expect_rejected(status, b"", location="https://u:p@elsewhere.example.com/t?token=x")
    assert isinstance(error, ConnectionConfigError)
    assert str(error) == (
        f"The token endpoint id.example.com/token redirects (HTTP {status}) to "
        "https://elsewhere.example.com/t?token=*** in connection 'crm', field 'token_url'. "
        "Credentials are never sent after a redirect: set token_url to the final address."
    )


@pytest.mark.parametrize(
    ("status", "body", "headers", "wait"),
    [
        (429, {"message": "slow down"}, {}, 30.0),
        (429, {"access_token": "at"}, {"retry-after": "7"}, 7.0),
        (429, {"access_token": "at"}, {"retry-after": "-3"}, 0.0),
        (408, b"", {}, None),
        (425, b"", {}, None),
        (503, b"", {"retry-after": "5"}, 5.0),
        (400, {"error": "temporarily_unavailable"}, {}, None),
    ],
)
def test_some_answers_prove_that_nothing_was_processed(
    status: int, body: object, headers: dict[str, str], wait: float | None
) -> None:
    found = outcome(status, body, **headers)
    assert isinstance(found, NotProcessed)
    assert isinstance(found.error, TokenEndpointUnavailable)
    assert found.error.retry_after == wait


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (504, b""),
        (400, {"error": "server_error"}),
        (500, {"error": "internal"}),
    ],
)
def test_other_failures_leave_the_outcome_unknown(status: int, body: object) -> None:
    found = outcome(status, body)
    assert isinstance(found, OutcomeUnknown)
    assert isinstance(found.error, TokenEndpointUnavailable)
    assert found.again


def test_a_server_failure_is_worded_whole() -> None:
    found = outcome(503, {"error": "server_error"})
    assert isinstance(found, OutcomeUnknown)
    assert str(found.error) == (
        f"Token endpoint unavailable (server_error, HTTP 503) {PLACE}. "
        "Tasks try again by themselves; if this lasts, look at the authorization server's status page."
    )


def test_a_server_failure_ends_a_login_because_a_code_is_sent_once() -> None:
    asked = TokenRequestInfo("crm", QUESTION.url, "authorization_code")
    found = interpret(TokenHttpResponse(503, {}, b"", NOW, NOW + 1), asked)
    assert isinstance(found, OutcomeUnknown)
    assert str(found.error).endswith(
        " Start the login again: airflow oauth login crm; if this lasts, look at the authorization server's status page."
    )


@pytest.mark.parametrize(
    ("body", "kind", "again", "found"),
    [
        (b"", "", False, "no content type: empty"),
        (b"{}", JSON, False, "application/json: no fields"),
        (b'{"a": NaN}', JSON, False, "application/json: fields a"),
        (b'{"access_token": "  "}', JSON, False, "application/json: fields access_token"),
        (
            b'{"code": 5, "message": "no such app"}',
            JSON,
            False,
            "application/json: fields code, message, which say: no such app",
        ),
        (b"[1]", JSON, False, "application/json: 3 bytes that are not a JSON object"),
        (
            b'{"a":' * 99999,
            JSON,
            False,
            "application/json: 499995 bytes that are not a JSON object",
        ),
        (b'{"token": "at", "x": 1}', JSON, False, "application/json: fields token, x"),
        (
            b"a=" * 300 + b"&a=1" * 300,
            "text/plain",
            False,
            "text/plain: 1800 bytes that are not a JSON object",
        ),
        (
            b"<!DOCTYPE html><style>p{}</style><p>Down for &lt;maintenance",
            "text/html",
            True,
            "text/html: a web page: Down for <maintenance",
        ),
        (
            b"<html>" + b"word " * 40,
            "text/html",
            True,
            f"text/html: {('a web page: ' + 'word ' * 40)[:80].strip()}",
        ),
    ],
)
def test_a_success_without_token_describes_the_answer(
    body: bytes, kind: str, again: bool, found: str
) -> None:
    result = outcome(200, body, kind)
    assert isinstance(result, OutcomeUnknown)
    assert result.again == again
    hint = (
        "Check that token_url is the token endpoint; if the token is elsewhere in its answer, set token_path."
        if ": fields" in found
        else "Check that token_url is the token endpoint and not a login page."
    )
    assert str(result.error) == f"No access token in the answer (HTTP 200, {found}) {PLACE}. {hint}"
