"""Refresh tokens that look like none, or are no text: none that can be sent is dropped, and what cannot be is named."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import Dialect, ResponseDialect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from tests.oauth.raw_server import http_answer
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.rotating import Form, Rotating, rotating

LIFETIME = 3600


def manager(store: ClockedStore, server: Rotating, path: str = "refresh_token") -> TokenManager:
    """A worker that looks for the refresh token at ``path``."""
    clock = store._clock
    dialect = Dialect(response=ResponseDialect(refresh_token=path))
    endpoint = TokenEndpoint(
        server.url, Client("me", "client-secret"), conn_id="crm", dialect=dialect, clock=clock
    )
    return TokenManager.for_grant(store, endpoint, RefreshToken("seed-token"), clock=clock)


def answer(access_token: str, refresh_token: Any) -> bytes:
    fields = {"access_token": access_token, "refresh_token": refresh_token, "expires_in": LIFETIME}
    return http_answer(200, json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("before", "behind"), [("", "\n"), ("", "\r\n"), (" ", " "), ("\t", ""), ("ü-", "-€")]
)
def test_a_refresh_token_goes_back_as_it_came(
    store: ClockedStore, before: str, behind: str
) -> None:
    def form(access_token: str, refresh_token: str) -> bytes:
        server.current = before + refresh_token + behind
        return answer(access_token, server.current)

    with rotating(form) as server:
        for number in range(1, 4):
            assert manager(store, server).token().access_token == f"access-token-number-{number}"
            store._clock.sleep(LIFETIME + 1)
        assert not server.revoked


NESTED: dict[str, tuple[Form, str, str]] = {
    "an object": (lambda at, rt: answer(at, {"token": rt}), "refresh_token.token", "an object"),
    "an array": (lambda at, rt: answer(at, [rt]), "refresh_token[0]", "an array"),
}


@pytest.mark.parametrize("case", NESTED)
def test_a_refresh_token_that_is_no_text_is_named_and_found_once_its_path_is_right(
    store: ClockedStore, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    form, path, kind = NESTED[case]
    caplog.set_level(logging.WARNING, "oauth_taskflow.tokens")
    with rotating(form) as server:
        assert manager(store, server).token().access_token == "access-token-number-1"
        assert f"at refresh_token in the answer is {kind} and no text" in caplog.text
        assert "set refresh_token_path" in caplog.text
        assert "refresh-token-number-1" not in caplog.text
        assert manager(store, server, path).token().access_token == "access-token-number-1"
        store._clock.sleep(LIFETIME + 1)
        assert manager(store, server, path).token().access_token == "access-token-number-2"
        assert not server.revoked
    assert server.sent == ["seed-token", "refresh-token-number-1"]


@pytest.mark.parametrize("value", [None, "", " ", 0, False, True, {}, [], "\ud800"])
def test_what_says_that_there_is_no_new_refresh_token_is_no_cause_for_a_warning(
    store: ClockedStore, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    with rotating(lambda at, _rt: answer(at, value)) as server:
        under_test = manager(store, server)
        under_test.token()
        assert under_test.stored.read().refresh_token == "seed-token"
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
