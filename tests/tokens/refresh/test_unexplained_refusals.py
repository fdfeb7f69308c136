"""Refusals without a reason: what they may mean is said, and a refresh token that may be dead is sent ever more rarely."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import pytest

from oauth_taskflow.errors import (
    InvalidClient,
    InvalidGrant,
    RefreshResponseLost,
    TokenEndpointUnavailable,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import STANDARD, Dialect, ResponseDialect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantState
from tests.oauth.raw_server import answering, answering_each, http_answer, raw_server
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.grant import give_alternates

HINT = (
    "The server names no error code. Either the refresh token is spent, expired or revoked; then authorize the connection "
    "again: airflow oauth login crm. Or the client is refused; then correct client id (login), client secret "
    "(password) or client_auth. If its documentation says what the status means, put it into token_errors."
)
BODIES = [b"", b"<html>Bad request</html>", b'{"message": "no"}', b"nope", b"[]"]


def manager(store: ClockedStore, place: str, dialect: Dialect = STANDARD) -> TokenManager:
    """A refresh-token grant at the server ``place``, on the store's clock."""
    client = Client("me", "client-secret")
    asked = TokenEndpoint(f"http://{place}/token", client, conn_id="crm", dialect=dialect)
    return TokenManager.for_grant(store, asked, RefreshToken("seed-token"), clock=store._clock)


def meaning(errors: Mapping[str, str]) -> Dialect:
    """A server whose codes mean that."""
    return Dialect(response=ResponseDialect(errors=dict(errors)))


def list_sent(seen: list[bytes]) -> list[str]:
    """The refresh tokens of ``seen`` requests."""
    return [one.rpartition(b"refresh_token=")[2].split(b"&")[0].decode() for one in seen]


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("body", BODIES)
def test_an_unexplained_refusal_names_both_causes_and_the_login_without_demanding_a_person(
    store: ClockedStore, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with raw_server(answering(http_answer(status, body))) as place:
        under_test = manager(store, place)
        with pytest.raises(TokenRequestRejected) as raised:
            under_test.token()
    assert str(raised.value).endswith(f" for connection 'crm' at {place}/token. {HINT}")
    assert isinstance(raised.value, InvalidClient) == (status == 401)
    assert under_test.stored.read().state is GrantState.MISCONFIGURED
    assert caplog.records == []


def test_a_sentence_in_the_place_of_the_code_is_shown_without_what_may_be_a_token(
    store: ClockedStore,
) -> None:
    body = {"errcode": "M_NOT_JSON", "error": f"Content not JSON: {'t0k' * 10}."}
    with (
        raw_server(answering(http_answer(400, json.dumps(body).encode()))) as place,
        pytest.raises(TokenRequestRejected) as raised,
    ):
        manager(store, place).token()
    shown = "Refresh token refused (http_400, HTTP 400): Content not JSON: ***"
    assert str(raised.value) == f"{shown} for connection 'crm' at {place}/token. {HINT}"
    assert raised.value.error == "http_400"


def test_unexplained_refusals_are_retried_at_growing_intervals_up_to_an_hour(
    store: ClockedStore,
) -> None:
    seen: list[bytes] = []
    with raw_server(answering(http_answer(400, b""), seen)) as place:
        pauses = []
        for _ in range(9):
            for _worker in range(2):  # the second one gets the error from the store
                with pytest.raises(TokenRequestRejected):
                    manager(store, place).token()
            trouble = manager(store, place).stored.read().last_failure
            assert trouble is not None
            assert trouble.until is not None
            pauses.append(round(trouble.until - store._clock.now()))
            store._clock.sleep(pauses[-1] + 1)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert len(seen) == 9


def test_another_refresh_token_of_the_grant_is_tried(store: ClockedStore) -> None:
    seen: list[bytes] = []
    came = b'{"access_token": "at", "refresh_token": "rt-1", "expires_in": 3600}'
    first = came.replace(b"at", b"first").replace(b"3600", b"1")
    answers = [http_answer(200, first), http_answer(400, b""), http_answer(200, came)]
    with raw_server(answering_each(answers, seen)) as place:
        under_test = manager(store, place)
        under_test.token()
        give_alternates(store, under_test, "alternate")
        store._clock.sleep(2)
        assert under_test.token().access_token == "at"
    assert list_sent(seen) == ["seed-token", "rt-1", "alternate"]


def test_an_invalid_request_may_be_about_the_refresh_token(store: ClockedStore) -> None:
    body = b'{"error": "invalid_request", "error_description": "Refresh token inactive"}'
    seen: list[bytes] = []
    answers = [b"", http_answer(400, body), http_answer(400, body)]
    with raw_server(answering_each(answers, seen)) as place:
        under_test = manager(store, place)
        with pytest.raises(RefreshResponseLost) as lost:
            under_test.token()
        store._clock.sleep(61)
        dialect = meaning({"invalid_request": "invalid_grant"})
        with pytest.raises(RefreshResponseLost):
            manager(store, place, dialect).token()
    assert "(invalid_request, HTTP 400)" in str(lost.value)
    assert under_test.stored.read().state is GrantState.NEEDS_CONSENT
    assert len(seen) == 3


def test_an_invalid_request_names_the_parameters_and_the_login(store: ClockedStore) -> None:
    body = b'{"error": "invalid_request", "error_description": "Refresh token inactive"}'
    with raw_server(answering(http_answer(400, body))) as place:
        under_test = manager(store, place)
        with pytest.raises(TokenRequestRejected) as raised:
            under_test.token()
    assert "sent were grant_type, refresh_token; compare" in str(raised.value)
    assert "again: airflow oauth login crm, and set token_errors" in str(raised.value)
    assert under_test.stored.read().state is GrantState.MISCONFIGURED


def test_an_invalid_request_names_the_other_place_of_id_and_secret_before_the_login(
    store: ClockedStore,
) -> None:
    body = b'{"error": "invalid_request", "error_description": "client_id is missing"}'
    with (
        raw_server(answering(http_answer(400, body))) as place,
        pytest.raises(TokenRequestRejected) as raised,
    ):
        manager(store, place).token()
    assert raised.value.hint == (
        "The request may be wrong: sent were grant_type, refresh_token; compare them with what the server's documentation "
        "asks for. Client id and secret went in the Authorization header (client_secret_basic). If the server wants them in "
        "the body, set client_auth: client_secret_post. But some servers answer so when the refresh token is spent, expired "
        "or revoked: then authorize the connection again: airflow oauth login crm."
    )


@pytest.mark.parametrize("order", [("", "invalid_grant"), ("invalid_grant", "")])
def test_no_person_is_demanded_while_one_refresh_token_is_refused_without_a_reason(
    store: ClockedStore, order: tuple[str, str]
) -> None:
    refusals = [http_answer(400, json.dumps({"error": x}).encode() if x else b"") for x in order]
    came = http_answer(200, b'{"access_token": "at", "refresh_token": "rt-1", "expires_in": 1}')
    with raw_server(answering_each([came, *refusals])) as place:
        under_test = manager(store, place)
        under_test.token()
        give_alternates(store, under_test, "alternate")
        store._clock.sleep(2)
        with pytest.raises(TokenRequestRejected) as raised:
            under_test.token()
    assert raised.value.is_unexplained
    assert under_test.stored.read().state is GrantState.MISCONFIGURED


def test_an_unexplained_refusal_after_a_lost_answer_is_reported_as_a_lost_answer(
    store: ClockedStore,
) -> None:
    answers = [b"", http_answer(403, b"")]
    with raw_server(answering_each(answers)) as place:
        under_test = manager(store, place)
        with pytest.raises(RefreshResponseLost) as raised:
            under_test.token()
    assert "(http_403, HTTP 403)" in str(raised.value)
    assert under_test.stored.read().state is GrantState.MISCONFIGURED


@pytest.mark.parametrize(
    ("status", "means", "kind"),
    [(400, "invalid_grant", InvalidGrant), (403, "invalid_client", InvalidClient)],
)
def test_a_connection_or_preset_may_say_what_a_status_means(
    store: ClockedStore, status: int, means: str, kind: type[TokenRequestRejected]
) -> None:
    with raw_server(answering(http_answer(status, b""))) as place:
        under_test = manager(store, place, meaning({f"http_{status}": means}))
        with pytest.raises(kind) as raised:
            under_test.token()
    assert (raised.value.error, raised.value.is_unexplained) == (means, False)


def test_a_server_that_calls_its_own_outage_invalid_grant_costs_no_consent(
    store: ClockedStore,
) -> None:
    dialect = meaning({"invalid_grant": "temporarily_unavailable"})
    with raw_server(answering(http_answer(400, b'{"error": "invalid_grant"}'))) as place:
        under_test = manager(store, place, dialect)
        with pytest.raises(TokenEndpointUnavailable, match="temporarily_unavailable"):
            under_test.token()
    assert under_test.stored.read().state is GrantState.ACTIVE
