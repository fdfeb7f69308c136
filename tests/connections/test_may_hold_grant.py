"""Which connections the broker must not hand out as they are stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oauth_taskflow.connections.parse import may_hold_grant, parse_connection
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import connection

GRANT = {
    "client_secret": "hidden-secret",
    "refresh_token": "hidden-seed",
    "token_url": "https://id.example.com/token",
}
STATIC = ("bearer", "api_key", "basic", "aws_sigv4", "none")
SLIPS: list[dict[str, Any]] = [
    {"auth_type": "oauth"},
    {"auth_type": "oauth2.0"},
    {"auth_type": "OAuth2 "},
    {"auth_type": "sesion"},
    {"auth_type": "self-signed-jwt"},
    {"authtype": "oauth2"},
    {"auth-type": "oauth2", "provider": "xero"},
    {"auth_tpye": "oauth2"},
    {"AuthType": "OAuth2"},
]


@pytest.mark.parametrize("conn_type", ["http", "HTTPS", "oauth2"])
@pytest.mark.parametrize("extra", SLIPS, ids=str)
def test_a_slip_in_key_or_kind_does_not_make_a_grant_something_else(
    conn_type: str, extra: dict[str, Any]
) -> None:
    assert may_hold_grant(connection(json.dumps(extra), conn_type=conn_type))
    assert may_hold_grant(connection(json.dumps({**extra, **GRANT}), conn_type=conn_type))


@pytest.mark.parametrize("conn_type", ["http", "oauth2"])
@pytest.mark.parametrize("kind", [*STATIC, "own"])
@pytest.mark.parametrize(
    "leftover",
    [
        *({name: value} for name, value in GRANT.items()),
        {"clientSecret": "hidden-secret"},
        {"Refresh-Token": "hidden-seed"},
        {"token_endpoint": "https://id.example.com/token"},
        {"private_key": "hidden-key"},
        {"user_password": "hidden-password"},
    ],
    ids=str,
)
def test_what_is_left_of_a_grant_is_refused_and_not_handed_out(
    conn_type: str, kind: str, leftover: dict[str, str]
) -> None:
    found = connection(json.dumps({"auth_type": kind, **leftover}), conn_type=conn_type)
    assert may_hold_grant(found)
    with pytest.raises(ConnectionConfigError) as caught:
        parse_connection(found)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("conn_type", ["http", "oauth2"])
@pytest.mark.parametrize("kind", STATIC)
def test_static_kinds_hold_no_grant_and_neither_do_empty_fields(conn_type: str, kind: str) -> None:
    empty: dict[str, Any] = {"refresh_token": "", "token_url": None, "login_params": {}}
    assert not may_hold_grant(
        connection(json.dumps({"auth_type": kind, **empty}), conn_type=conn_type)
    )


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"auth_type": "own"},
        {"authtype": "ntlm"},
        {"Accept": "application/json", "timeout": 30},
        {"check_response": False, "verify": True},
    ],
    ids=str,
)
def test_a_connection_of_another_use_of_http_holds_none(extra: dict[str, Any]) -> None:
    assert not may_hold_grant(connection(json.dumps(extra), conn_type="http"))
    assert not may_hold_grant(connection(json.dumps({**extra, **GRANT}), conn_type="postgres"))


def test_an_extra_with_a_slip_in_its_json_is_searched_as_text() -> None:
    text = '{"client_secret": "hidden-secret", }'
    assert may_hold_grant(connection(text, conn_type="http"))
    assert not may_hold_grant(connection(text, conn_type="postgres"))
