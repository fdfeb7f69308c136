"""The sentences about what an action sends to which host, before it is confirmed."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.taskflow.grants.action_effects import ActionEffects, describe_effects
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.airflow
ID = "https://id.example.com/oauth"
SEED = {"refresh_token": "rt-1", "token_url": f"{ID}/token"}
CALLED = "is sent to api.example.com."


def describe(set_connection: SetConnection, extra: dict[str, Any], **fields: Any) -> ActionEffects:
    given = {"conn_type": "oauth2", "host": "https://api.example.com/v3", "login": "me"}
    set_connection("crm", {**given, "password": "s3cret-1", "extra": extra, **fields})
    found = describe_effects("crm")
    assert "s3cret-1" not in str(found)
    return found


def test_a_refresh_token_goes_to_the_token_endpoint_unless_a_test_needs_none(
    set_connection: SetConnection,
) -> None:
    found = describe(set_connection, {**SEED, "revoke_url": "https://other.example.com:8443/end"})
    assert found.refresh.startswith("The refresh token is sent to id.example.com. If the provider")
    assert found.test == (
        "Nothing is sent while the stored token is valid; else the refresh token is sent to id.example.com."
    )
    assert found.revoke == "The stored tokens are sent to other.example.com:8443."
    assert describe(set_connection, SEED).revoke == ""


def test_a_client_sends_its_own_credentials(set_connection: SetConnection) -> None:
    found = describe(set_connection, {"token_url": f"{ID}/token"})
    assert found.refresh == "The credentials of the client are sent to id.example.com."
    assert found.test == (
        "The credentials of the client are sent to id.example.com for a token that is not stored."
    )


def test_an_issuer_is_not_asked_for_its_metadata(set_connection: SetConnection) -> None:
    found = describe(set_connection, {"issuer": "https://id.invalid"})
    assert "are sent to the endpoint that id.invalid publishes" in found.refresh
    assert found.revoke == "The stored tokens are sent to the endpoint that id.invalid publishes."


@pytest.mark.parametrize(
    ("extra", "sent"),
    [
        ({"auth_type": "api_key"}, "One request with the credentials"),
        ({"auth_type": "basic"}, "One request with the credentials"),
        ({"auth_type": "none"}, "One request without credentials"),
        (
            {"auth_type": "aws_sigv4", "aws_region": "eu-west-1", "aws_service": "execute-api"},
            "One signed request",
        ),
    ],
)
def test_other_kinds_call_the_api(
    set_connection: SetConnection, extra: dict[str, Any], sent: str
) -> None:
    fields = {"login": "", "password": ""} if extra["auth_type"] == "none" else {}
    assert describe(set_connection, extra, **fields) == ActionEffects(test=f"{sent} {CALLED}")


def test_a_login_goes_to_its_own_address(set_connection: SetConnection) -> None:
    extra = {"auth_type": "session", "login_url": "https://login.example.com/in"}
    found = describe(set_connection, extra)
    assert found == ActionEffects(test="One login request is sent to login.example.com.")
