"""Additions of a connection to requests, where tokens go, and how a login is made, as the fields say."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import (
    BearerSettings,
    LoginSettings,
    OAuth2Settings,
    TokenPlace,
)
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import Connection, connection, kind


def complaint(wrong: Connection) -> str:
    with pytest.raises(ConnectionConfigError) as caught:
        parse_connection(wrong)
    return str(caught.value)


def login(extra: dict[str, Any], **fields: Any) -> LoginSettings:
    auth = parse_connection(kind("session", extra, **fields)).auth
    assert isinstance(auth, LoginSettings)
    return auth


def test_login_and_password_fill_the_places_once() -> None:
    settings = parse_connection(
        kind(
            "none",
            {
                "api_params": {"key": "{login}", "token": "{password}"},
                "api_body": {"a": ["{login}"]},
            },
            login="{password}",
            password="t0ken-of-trello",
        )
    )
    assert settings.api_params == {"key": "{password}", "token": "t0ken-of-trello"}
    assert settings.api_body == {"a": ["{password}"]}
    assert "t0ken" not in repr(settings)


def test_all_added_values_are_secrets_but_those_that_are_in_any_text() -> None:
    extra = {"api_params": {"auth": "hush-hush", "v": "2"}, "api_body": {"a": {"b": "psst-psst"}}}
    secrets = parse_connection(connection(extra)).secrets
    assert {"hush-hush", "psst-psst"} <= set(secrets)
    assert "2" not in secrets


def test_members_of_the_body_keep_their_types() -> None:
    added = {"n": 1, "on": True, "none": None, "deep": {"list": [1.5, "x"]}}
    assert parse_connection(connection({"api_body": added})).api_body == added
    assert parse_connection(connection({"api_body": '{"n": 1}'})).api_body == {"n": 1}


def test_the_token_goes_into_the_query() -> None:
    auth = parse_connection(connection({"token_in": "query"})).auth
    assert isinstance(auth, OAuth2Settings)
    assert auth.token_place == TokenPlace("", "", "access_token")
    bearer = parse_connection(kind("bearer", {"token_in": "query", "token_param": "auth"})).auth
    assert isinstance(bearer, BearerSettings)
    assert bearer.token_place.param == "auth"
    assert login({"token_in": "query", "token_param": "sid"}).token_place.param == "sid"


def test_a_whole_login_is_read() -> None:
    auth = login(
        {
            "login_method": "PUT",
            "login_params": {"user": "{login}"},
            "login_fields": {"auth": {"pw": "{password}", "remember": True, "days": 3}, "n": 1},
            "token_headers": {"X-Key": "{password}"},
        },
        login="ann",
        password="hush-hush",
    )
    assert (auth.method, auth.params) == ("PUT", {"user": "ann"})
    assert auth.fields == {"auth": {"pw": "hush-hush", "remember": True, "days": 3}, "n": "1"}
    assert auth.headers == {"X-Key": "hush-hush"}
    assert "hush" not in repr(auth)


def test_credentials_that_a_header_carries_are_not_in_the_body_too() -> None:
    assert login({"login_method": "GET", "login_params": {"k": "{password}"}}).fields == {}
    assert login({"login_params": {"k": "{password}"}}).fields == {}
    basic = login({"login_auth": "basic"}, login="ann", password="hush")
    assert (basic.fields, basic.basic) == ({}, ("ann", "hush"))
    both = login({"login_auth": "basic", "login_fields": {"a": "b"}})
    assert both.fields == {"a": "b"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (connection({"token_param": "auth"}), "token_param would not be sent"),
        (
            connection({"token_in": "query", "token_header": "X: {token}"}),
            "token_header would not be",
        ),
        (connection({"token_in": "query", "dpop": True}), "field 'token_in'. Remove it"),
        (connection({"token_in": "body"}), "must be one of header, query"),
        (connection({"api_params": {"": "x"}}), "A name is empty"),
        (connection({"api_params": {"a": ["x"]}}), "must map names to texts"),
        (connection({"api_body": ["x"]}), "must be a mapping"),
        (kind("basic", {"token_in": "query"}), "has no effect with auth_type basic"),
        (
            connection({"token_in": "query", "api_params": {"access_token": "x"}}),
            "api_params has 'access_token', which carries the credentials already",
        ),
        (
            kind("api_key", {"api_key_in": "query", "api_params": {"X-API-Key": "x"}}),
            "which carries the credentials already",
        ),
        (kind("none", {"api_params": {"k": "{password}"}}, password=""), "needs the password"),
        (kind("none", {"api_params": {"k": "v"}}), "auth_type none would not send it"),
        (kind("session", {"login_method": "DELETE"}), "must be one of POST, PUT, GET"),
        (kind("session", {"login_method": "GET", "login_fields": {"a": "b"}}), "has no body"),
        (kind("session", {"login_method": "GET", "login_body": "form"}), "has no body"),
        (
            kind("session", {"login_body": "form", "login_fields": {"a": {"b": 1}}}),
            "no nested fields",
        ),
        (kind("session", {"login_fields": {"a": None}}), "must map names to texts"),
        (kind("session", {"login_auth": "basic"}, login=""), "The user name is missing"),
        (kind("session", {"login_auth": "basic"}, login="a:b"), "holds a colon"),
        (
            kind("session", {"token_headers": {"X": "{password}"}}, password="hush\u2026hush"),
            "No header can carry the value of 'X'",
        ),
    ],
)
def test_additions_that_contradict_the_connection_are_refused(
    wrong: Connection, words: str
) -> None:
    text = complaint(wrong)
    assert words in text
    assert "hush" not in text
