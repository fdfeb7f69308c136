"""Answers are kept as they arrived: an unusable one loses no refresh token, and is read again with a corrected connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from oauth_taskflow.errors import (
    InvalidGrant,
    InvalidTokenResponse,
    OAuthTaskflowError,
    RefreshResponseLost,
    TokenEndpointUnavailable,
    TokenRequestError,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import Dialect, ResponseDialect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, RefreshToken
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState
from oauth_taskflow.tokens.state.transitions import Transition
from tests.oauth.raw_server import http_answer
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.rotating import Form, Rotating, plain, rotating

NESTED = "data.access_token"


def manager(
    store: ClockedStore, server: Rotating, observer: Any = None, **response: Any
) -> TokenManager:
    """A worker with a connection that reads answers as ``response`` says."""
    endpoint = TokenEndpoint(
        server.url,
        Client("me", "client-secret"),
        conn_id="crm",
        dialect=Dialect(response=ResponseDialect(**response)),
        clock=store._clock,
    )
    reported = {"observer": observer} if observer else {}
    grant = RefreshToken("seed-token")
    return TokenManager.for_grant(store, endpoint, grant, clock=store._clock, **reported)


def shape_answers(**fields: Any) -> Form:
    """JSON answers with ``fields``, in which AT and RT stand for the tokens."""

    def form(access_token: str, refresh_token: str) -> bytes:
        text = json.dumps(fields).replace("AT", access_token).replace("RT", refresh_token)
        return http_answer(200, text.encode())

    return form


def failing(under_test: TokenManager) -> OAuthTaskflowError:
    with pytest.raises(OAuthTaskflowError) as raised:
        under_test.token()
    return raised.value


STANDARD = {"access_token": "AT", "refresh_token": "RT", "token_type": "Bearer"}
DATA = {"access_token": "AT", "refresh_token": "RT"}
# How the server answers, how the connection reads it at first, how it is corrected, and what the error says.
CASES: dict[str, tuple[Form, dict[str, Any], dict[str, Any], str]] = {
    "a misspelled path": (
        shape_answers(**STANDARD),
        {"access_token": "acces_token"},
        {},
        "No access token in the answer (HTTP 200, application/json: fields access_token",
    ),
    "a path that is missing": (
        shape_answers(data=DATA),
        {},
        {"access_token": NESTED, "refresh_token": "data.refresh_token"},
        "No access token in the answer",
    ),
    "an unknown type": (
        shape_answers(**{**STANDARD, "token_type": "User Token"}),
        {},
        {"token_types": ("User Token",)},
        "Tokens of type 'User Token' cannot be sent as bearer tokens",
    ),
    "both paths misspelled": (
        shape_answers(a="AT", r="RT"),
        {},
        {"access_token": "a", "refresh_token": "r"},
        "No access token in the answer",
    ),
    "a wrong success flag": (
        shape_answers(**STANDARD),
        {"success": "ok == `true`"},
        {},
        "Refresh token refused (unnamed_error, HTTP 200)",
    ),
    "form-encoded": (
        lambda at, rt: http_answer(
            200,
            urlencode({"token": at, "refresh_token": rt}).encode(),
            kind="application/x-www-form-urlencoded",
        ),
        {},
        {"access_token": "token"},
        "No access token in the answer",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_corrected_connection_recovers_without_a_person(store: ClockedStore, case: str) -> None:
    form, wrong, right, said = CASES[case]
    with rotating(form) as server:
        for _ in range(4):  # as many workers, each later than the cool-down
            error = failing(manager(store, server, **wrong))
            assert said in str(error)
            store._clock.sleep(600)
        asked = len(server.sent)
        assert (
            manager(store, server, **right).token().access_token == f"access-token-number-{asked}"
        )
        assert len(server.sent) == asked  # out of the answer that was kept
        store._clock.sleep(7200)
        after = manager(store, server, **right)
        after.renew(after.token().access_token)
    assert not server.revoked
    assert len(server.sent) == len(set(server.sent))


@pytest.mark.parametrize("case", CASES)
def test_the_error_says_that_no_new_login_is_needed(store: ClockedStore, case: str) -> None:
    form, wrong, _, _ = CASES[case]
    with rotating(form) as server:
        error = failing(manager(store, server, **wrong))
        assert "no new login is needed" in str(error)
        assert not isinstance(error, RefreshResponseLost | InvalidGrant)
        other = failing(manager(store, server, **wrong))  # raised from the store
    assert (type(other), str(other)) == (type(error), str(error))


@pytest.mark.parametrize("answer", [b"{}", b'{"status": "ok"}', b"", b"<html>soon back</html>"])
def test_an_answer_without_a_token_is_requested_again(store: ClockedStore, answer: bytes) -> None:
    def empty(_access_token: str, _refresh_token: str) -> bytes:
        server.current = "seed-token"  # what came from a proxy spent nothing
        return http_answer(200, answer)

    with rotating(empty) as server:
        with pytest.raises(TokenRequestError):
            manager(store, server).token()
        server.form = plain
        store._clock.sleep(61)
        assert manager(store, server).token().access_token.startswith("access-token")


@pytest.mark.parametrize("answer", [b"", b"<html>soon back</html>", b"busy"])
def test_an_answer_that_holds_nothing_may_pass_where_a_token_came_from_before(
    store: ClockedStore, answer: bytes
) -> None:
    def empty(_access_token: str, _refresh_token: str) -> bytes:
        server.current = server.sent[-1]  # what came from a proxy spent nothing
        return http_answer(200, answer)

    with rotating(empty) as server:
        first = failing(manager(store, server))
        assert (type(first), first.retryable) == (InvalidTokenResponse, False)
        server.form = plain
        store._clock.sleep(61)
        worker = manager(store, server)
        worker.token()
        server.form = empty
        store._clock.sleep(7200)
        for error in (failing(worker), failing(manager(store, server))):  # sent; from the store
            assert (type(error), error.retryable) == (TokenEndpointUnavailable, True)
            assert "No access token in the answer (HTTP 200" in str(error)
            assert "It gave tokens before" in str(error)
        server.form = plain
        store._clock.sleep(3)
        worker.token()


def test_a_misspelled_refresh_token_path_costs_nothing(store: ClockedStore) -> None:
    with rotating(plain) as server:
        for _ in range(4):
            worker = manager(store, server, refresh_token="refres_token")
            assert worker.token().access_token.startswith("access-token")
            store._clock.sleep(7200)
    assert not server.revoked


def test_a_refresh_token_read_at_a_wrong_place_is_found_in_the_kept_answer(
    store: ClockedStore,
) -> None:
    with rotating(shape_answers(access_token="AT", id="garbage", refresh_token="RT")) as server:
        wrong = manager(store, server, refresh_token="id")
        assert wrong.token().access_token == "access-token-number-1"
        server.revoked = False
        living = server.current
        record = wrong.stored.read()
        assert record.refresh_token == "garbage"
        assert manager(store, server).token().access_token == "access-token-number-1"
        assert wrong.stored.read().refresh_token == living
        assert server.sent == ["seed-token"]


def test_the_predecessor_is_sent_once_and_only_after_invalid_grant(store: ClockedStore) -> None:
    with rotating(shape_answers(refresh_token="RT", note="no access token")) as server:
        failing(manager(store, server))
        store._clock.sleep(61)
        server.current = "another one"
        assert isinstance(failing(manager(store, server)), InvalidGrant)
        for _ in range(3):
            failing(manager(store, server))
            store._clock.sleep(4000)
    assert server.sent == ["seed-token", "refresh-token-number-1", "seed-token"]


def test_the_predecessor_is_not_sent_when_the_new_token_is_refused_for_another_reason(
    store: ClockedStore,
) -> None:
    with rotating(shape_answers(refresh_token="RT", note="no access token")) as server:
        failing(manager(store, server))
        store._clock.sleep(61)
        server.form = lambda _at, _rt: http_answer(400, b"")
        assert isinstance(failing(manager(store, server)), TokenRequestRejected)
    assert server.sent == ["seed-token", "refresh-token-number-1"]


@pytest.mark.parametrize("status", [200, 400, 401])
def test_no_token_is_read_from_an_error_answer(store: ClockedStore, status: int) -> None:
    body = b'{"error": "invalid_scope", "access_token": "at-x", "refresh_token": "rt-x"}'
    with rotating(lambda _at, _rt: http_answer(status, body)) as server:
        under_test = manager(store, server)
        failing(under_test)
        record = under_test.stored.read()
    assert (record.token, record.refresh_token) == (None, "seed-token")


def test_an_answer_longer_than_a_mebibyte_counts_as_lost(store: ClockedStore) -> None:
    def long(access_token: str, refresh_token: str) -> bytes:
        return shape_answers(**STANDARD, filler="x" * (1 << 20))(access_token, refresh_token)

    with rotating(long) as server:
        error = failing(manager(store, server))
    assert isinstance(error, RefreshResponseLost)
    assert len(server.sent) == 2


def test_an_answer_of_exactly_a_mebibyte_is_read(store: ClockedStore) -> None:
    empty = len(
        shape_answers(**STANDARD, filler="")("access-token-number-1", "refresh-token-number-1")
    )
    head = len(http_answer(200, b"")) + 2  # a length of seven digits
    form = shape_answers(**STANDARD, filler="x" * ((1 << 20) - (empty - head) - 8))
    with rotating(form) as server:
        assert manager(store, server).token().access_token == "access-token-number-1"


@pytest.mark.parametrize("step", [Step.KEPT])
def test_a_worker_that_ends_between_arrival_and_judgement_of_an_answer_loses_nothing(
    store: ClockedStore, step: Step
) -> None:
    def end(event: Event) -> None:
        if event.step is step:
            raise SystemExit

    with rotating(plain) as server:
        with pytest.raises(SystemExit):
            manager(store, server, observer=end).token()
        assert manager(store, server).token().access_token == "access-token-number-1"
    assert server.sent == ["seed-token"]
    assert not server.revoked


@pytest.mark.parametrize("form", [plain, shape_answers(data=DATA), shape_answers(a="AT", r="RT")])
def test_a_kept_file_is_read_as_the_connection_says_at_import(
    store: ClockedStore, form: Callable[[str, str], bytes]
) -> None:
    right = {
        "access_token": "access_token || data.access_token || a",
        "refresh_token": "refresh_token || data.refresh_token || r",
    }
    with rotating(form) as server:
        with pytest.raises(SystemExit):
            manager(store, server, observer=_end_at_kept, access_token="x").token()
        assert manager(store, server, **right).token().access_token == "access-token-number-1"
    assert server.sent == ["seed-token"]


def _end_at_kept(event: Event) -> None:
    if event.step is Step.KEPT:
        raise SystemExit


def test_client_credentials_are_requested_again_once_the_path_is_right(
    store: ClockedStore,
) -> None:
    def asking(server: Rotating, **response: Any) -> TokenManager:
        dialect = Dialect(response=ResponseDialect(**response))
        endpoint = TokenEndpoint(server.url, Client("me", "s"), conn_id="crm", dialect=dialect)
        return TokenManager.for_grant(store, endpoint, ClientCredentials(), clock=store._clock)

    with rotating(plain) as server:
        server.current = ""
        error = failing(asking(server, access_token="x"))
        assert isinstance(error, InvalidTokenResponse)
        server.current, server.revoked = "", False
        assert asking(server).token().access_token.startswith("access-token")


def test_the_kept_answer_is_as_secret_as_the_tokens(store: ClockedStore) -> None:
    with rotating(plain) as server:
        under_test = manager(store, server)
        under_test.token()
        record = under_test.stored.read()
    assert record.answer is not None
    assert "number-1" not in repr(record) + repr(record.answer)
    assert record.state is GrantState.ACTIVE


def dpop_worker(
    store: ClockedStore, server: Rotating, dpop: str, seed: str = "seed-token"
) -> TokenManager:
    """A worker whose connection says ``dpop``."""
    client, clock = Client("me", "client-secret"), store._clock
    endpoint = TokenEndpoint(server.url, client, conn_id="crm", dpop=dpop, clock=clock)
    return TokenManager.for_grant(store, endpoint, RefreshToken(seed), clock=clock)


@pytest.mark.parametrize("seed", ["seed-token", ""])
def test_removing_dpop_recovers_a_grant_at_a_server_that_ignores_dpop(
    store: ClockedStore, seed: str
) -> None:
    with rotating(plain) as server:
        for _ in range(3):
            error = failing(dpop_worker(store, server, "ES256"))
            assert "is not bound to the DPoP key" in str(error)
            store._clock.sleep(600)
        assert dpop_worker(store, server, "", seed).token().access_token == "access-token-number-3"
        store._clock.sleep(7200)
        assert dpop_worker(store, server, "", seed).token().access_token == "access-token-number-4"
        failing(dpop_worker(store, server, "ES384", seed))  # and back
        assert dpop_worker(store, server, "", seed).token().access_token == "access-token-number-5"
    assert not server.revoked
    assert len(server.sent) == len(set(server.sent)) == 5


@pytest.mark.parametrize("writes", range(1, 6))
def test_a_worker_that_ends_while_a_grant_is_moved_loses_nothing(
    store: ClockedStore, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    left = [writes]
    change = ClockedStore.change

    def ending(self: ClockedStore, record: GrantRecord, transition: Transition) -> GrantRecord:
        left[0] -= 1
        if left[0] == 0:
            raise SystemExit
        return change(self, record, transition)

    with rotating(plain) as server:
        failing(dpop_worker(store, server, "ES256"))
        with monkeypatch.context() as patched:
            patched.setattr(ClockedStore, "change", ending)
            try:
                dpop_worker(store, server, "").token()
            except SystemExit:
                store._clock.sleep(120)
        store._clock.sleep(61)
        failing(dpop_worker(store, server, "ES256"))  # a task that began before
        assert dpop_worker(store, server, "").token().access_token == "access-token-number-2"
    assert not server.revoked


def test_a_new_consent_in_the_connection_is_used_instead_of_the_old_one(
    store: ClockedStore,
) -> None:
    with rotating(plain) as server:
        failing(dpop_worker(store, server, "ES256"))
        server.current = "new consent"
        assert dpop_worker(store, server, "", "new consent").token().access_token.endswith("-2")
    assert server.sent == ["seed-token", "new consent"]
