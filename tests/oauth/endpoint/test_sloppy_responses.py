"""Answers of servers that keep to no standard: what they say is shown, and nothing that they hold is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import TokenRequestRejected
from oauth_taskflow.oauth.dialect import ResponseDialect
from oauth_taskflow.oauth.endpoint import messages
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, Rejected, Unusable
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.grants import ClientCredentials

NOW = 1_800_000_000.0
SECRET = "client-s3cret/+="
JSON = "application/json; charset=utf-8"
QUESTION = TokenRequestInfo(
    "crm", "https://id.example.com/token", "refresh_token", secrets=(SECRET,)
)
PLACE = "for connection 'crm' at id.example.com/token"


def outcome(status: int, body: object, content_type: str = JSON) -> Outcome:
    """The outcome of an answer with that body; objects are sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return interpret(
        TokenHttpResponse(status, {"content-type": content_type}, raw, NOW, NOW + 1), QUESTION
    )


def refusal(status: int, body: object) -> str:
    found = outcome(status, body)
    assert isinstance(found, Rejected)
    return str(found.error)


def test_numbers_that_are_none_cost_no_refresh_token() -> None:
    for word in ("NaN", "Infinity", "-Infinity"):
        body = f'{{"access_token": "at", "refresh_token": "rt", "expires_in": {word}}}'
        found = outcome(200, body.encode(), JSON)
        assert isinstance(found, Granted)
        assert (found.token.expires_at, found.refresh_token) == (None, "rt")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"message": f"No such app {SECRET}."}, "(http_400, HTTP 400): No such app ***"),
        (
            401,
            {"errorCode": "E0000011", "errorSummary": "Invalid"},
            "(http_401, HTTP 401): Invalid",
        ),
        (400, {"errors": [{"code": "9", "detail": "Bad id"}]}, "(http_400, HTTP 400): Bad id"),
        (422, {"errors": ["Bad id"]}, "(http_422, HTTP 422): Bad id"),
        (400, {"message": "ref 0123456789abcdef01234567"}, "(http_400, HTTP 400): ref ***"),
        (403, b"<html><p>Blocked</p></html>", "(http_403, HTTP 403): a web page: Blocked"),
    ],
)
def test_nonstandard_error_texts_are_shown(status: int, body: object, said: str) -> None:
    assert f"{said} {PLACE}" in refusal(status, body)


@pytest.mark.parametrize("status", [404, 405])
def test_where_nothing_takes_token_requests_the_address_is_to_be_checked(status: int) -> None:
    hint = "Check token_url: no token endpoint answers there."
    assert refusal(status, b"").endswith(hint)


def test_a_client_that_is_denied_access_asks_for_no_consent() -> None:
    answer = TokenHttpResponse(
        403, {"content-type": JSON}, b'{"error": "access_denied"}', NOW, NOW + 1
    )
    hint = ClientCredentials().refusal_hint
    found = interpret(
        answer, TokenRequestInfo("m2m", QUESTION.url, "client_credentials", refusal_hint=hint)
    )
    assert isinstance(found, Rejected)
    assert type(found.error) is TokenRequestRejected
    assert str(found.error).endswith("Check what the server knows of this client.")


@pytest.mark.parametrize(
    "text", ["x" * 900_000, "eyJ-" * 200_000, "<" * 900_000, "<script>" * 90_000]
)
def test_an_endless_text_is_cut_in_no_time(text: str) -> None:
    began = time.monotonic()
    outcome(400, {"error": "invalid_grant", "error_description": text})
    outcome(403, f"<html>{text}".encode(), "text/html")
    assert time.monotonic() - began < 10


def test_of_many_refresh_tokens_as_many_are_kept_as_a_grant_has_room_for() -> None:
    places = {f"place{number}": {"refresh_token": f"rt-{number}"} for number in range(5)}
    found = outcome(200, {"access_token": "at", **places})
    assert isinstance(found, Granted)
    assert (found.refresh_token, found.others) == ("rt-0", ("rt-1", "rt-2"))
    assert "rt-" not in str(found.token.extras)


@pytest.mark.parametrize(
    ("answers", "success"),
    [({"access_token": "at", "refresh_token": "rt"}, None), ({"refresh_token": "rt"}, "ok")],
)
def test_an_answer_is_decoded_and_parsed_once(
    answers: object, success: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("decode", "parse_body"):
        real = getattr(messages, name)

        def count(*given: Any, real: Callable[..., Any] = real, name: str = name) -> Any:
            calls.append(name)
            return real(*given)

        monkeypatch.setattr(messages, name, count)
    question = replace(QUESTION, dialect=ResponseDialect(success=success))
    raw = json.dumps(answers).encode()
    found = interpret(TokenHttpResponse(200, {"content-type": JSON}, raw, NOW, NOW), question)
    assert isinstance(found, Granted | Unusable)
    assert calls == ["decode", "parse_body"]


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("a b\n", "text that no header carries"),
        ("ä", "text that no header carries"),
        (["at"], "an array"),
        ({"token": "at"}, "an object"),
        (5, "a number"),
    ],
)
def test_an_access_token_in_its_place_that_cannot_be_sent_is_named(token: Any, kind: str) -> None:
    found = outcome(200, {"access_token": token, "refresh_token": "rt"})
    assert isinstance(found, Unusable)
    assert found.refresh_token == "rt"
    assert str(found.error) == (
        f"The access token in the answer is {kind} (HTTP 200, application/json: fields access_token, refresh_token) "
        f"{PLACE}. Look at the authorization server and the proxies before it; if the token is elsewhere in the "
        "answer, set token_path."
    )
