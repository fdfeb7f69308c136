"""Wire formats of neighbouring releases: tasks and broker of this release and the next or former one work together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import BearerSettings, BrokeredSettings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.request_proof import RequestProof
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.presets.load import load_preset
from oauth_taskflow.taskflow.broker.protocol import build_token_answer
from tests.connections.samples import kind

CONFIGURED = {
    "provider": "meta",
    "refresh_token": "rt",
    "allowed_origins": ["https://files.example.com"],
    "api_headers": {"X-Tenant": "acme"},
    "timeout": [3, 4],
    "verify": False,
    "cert": "/etc/client.pem",
    "proxies": {"https": "http://proxy:3128"},
    "max_answer_bytes": 1000,
    "rate_limit_header": "X-Reset",
    "rate_limit_reset": "epoch",
    "token_header": "X-Token: Bare {token}",
}
WHEN = "error.errors[?reason=='rateLimitExceeded' || reason=='userRateLimitExceeded']"
BROKERED: dict[str, Any] = {
    "obtained_at": 1000.0,
    "expires_at": 4600.0,
    "answered_at": 1001.5,
    "request_proof": {"name": "appsecret_proof", "proof": "abc"},
    "api_responses": [{"status": 403, "when": WHEN, "action": "rate_limit"}],
    "absent_records": "empty",
}
COMMON: dict[str, Any] = {
    "auth_type": "bearer",
    "token_header": "X-Token: Bare {token}",
    "allowed_origins": ["https://files.example.com"],
    "api_headers": {"X-Tenant": "acme"},
    "timeout": [3.0, 4.0],
    "verify": False,
    "cert": "/etc/client.pem",
    "proxies": {"https": "http://proxy:3128"},
    "leeway": 60.0,
    "rate_limit_header": "X-Reset",
    "rate_limit_reset": "epoch",
    "max_answer_bytes": 1000,
}
# Recorded from a broker of release 0.1.
FORMER = {**COMMON, **BROKERED}


def answer_of_this_release() -> dict[str, Any]:
    configured = replace(
        parse_connection(kind("oauth2", CONFIGURED)),
        api_responses=load_preset("google").api_responses,
        absent_records="empty",
    )
    return build_token_answer(configured, Token("token-1", 1000.0, 4600.0, proof="abc"), 1001.5)


def test_a_task_of_the_former_release_reads_the_answer_of_this_broker() -> None:
    # It refuses any key that it does not know, so that the answer may hold the former keys only.
    assert json.loads(answer_of_this_release()["extra"]) == FORMER


def test_the_request_budgets_of_a_connection_reach_its_tasks() -> None:
    limits = [{"requests": 60, "per": "PT1M"}, {"requests": 5000, "per": "P1D", "name": "acme"}]
    configured = parse_connection(kind("oauth2", {**CONFIGURED, "rate_limit": limits}))
    answer = build_token_answer(configured, Token("token-1", 1000.0, 4600.0), 1001.5)
    received = kind("bearer", json.loads(answer["extra"]), password="token-1")
    assert parse_connection(received).budgets == configured.budgets
    assert len(configured.budgets) == 2


def test_this_task_reads_the_answer_of_a_broker_of_the_former_release() -> None:
    settings = parse_connection(kind("bearer", FORMER, password="token-1"))
    assert isinstance(settings.auth, BrokeredSettings)
    assert settings.auth.request_proof == RequestProof(name="appsecret_proof")
    assert (settings.auth.obtained_at, settings.auth.expires_at) == (1000.0, 4600.0)
    assert (settings.auth.answered_at, settings.auth.proof) == (1001.5, "abc")
    assert settings.api_responses == load_preset("google").api_responses
    assert settings.absent_records == "empty"


def test_this_task_reads_the_answer_of_a_broker_of_the_next_release() -> None:
    brokered = {**BROKERED, "a_key_of_the_future": 1}
    next_release = {**COMMON, "brokered": brokered}
    assert parse_connection(kind("bearer", next_release, password="t")) == parse_connection(
        kind("bearer", FORMER, password="t")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("obtained_at", -1),
        ("expires_at", "soon"),
        ("answered_at", []),
        ("request_proof", {"place": "body", "proof": "x"}),
        ("api_responses", [{"status": "forbidden"}]),
        ("absent_records", "perhaps"),
    ],
)
def test_a_wrong_value_inside_brokered_is_refused(name: str, value: object) -> None:
    brokered = {"obtained_at": 1, name: value}
    with pytest.raises(ConnectionConfigError) as caught:
        parse_connection(kind("bearer", {"brokered": brokered}, password="t"))
    assert caught.value.field == "brokered"
    assert "only the broker writes it" in str(caught.value)


@pytest.mark.parametrize("name", BROKERED)
def test_the_former_keys_are_unknown_fields_of_other_connections(name: str) -> None:
    with pytest.raises(ConnectionConfigError, match="Unknown field"):
        parse_connection(kind("oauth2", {"token_url": "https://id.test/t", name: BROKERED[name]}))


def test_brokered_without_obtained_at_is_an_ordinary_bearer_connection() -> None:
    own = kind("bearer", {"brokered": {"expires_at": 9}}, password="t")
    assert isinstance(parse_connection(own).auth, BearerSettings)
