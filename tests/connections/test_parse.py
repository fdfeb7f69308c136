"""Airflow Connections → typed settings."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.connections import parse as connection_module
from oauth_taskflow.connections.fields.field import AUTH_TYPES, ConnectionField
from oauth_taskflow.connections.fields.table import FIELDS
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import (
    ApiKeySettings,
    BasicSettings,
    BearerSettings,
    ConnectionSettings,
    LoginSettings,
    NoAuthSettings,
    OAuth2Settings,
    TokenPlace,
)
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import TOKEN_URL, Connection, connection, kind


def oauth2(settings: ConnectionSettings) -> OAuth2Settings:
    assert isinstance(settings.auth, OAuth2Settings)
    return settings.auth


def test_a_minimal_connection_is_client_credentials_with_basic_authentication() -> None:
    settings = parse_connection(connection())
    assert settings == ConnectionSettings(
        conn_id="crm",
        base_url="https://api.example.com/v3",
        auth=OAuth2Settings(
            token_url=TOKEN_URL,
            client_id="client",
            grant_type="client_credentials",
            client_secret="s3cret-of-client",
        ),
        secrets=("s3cret-of-client", "client:s3cret-of-client"),
    )


def test_a_refresh_token_implies_its_grant() -> None:
    auth = oauth2(parse_connection(connection({"refresh_token": "rt-1"})))
    assert (auth.grant_type, auth.refresh_token) == ("refresh_token", "rt-1")


def test_every_oauth2_field_is_read() -> None:
    extra: dict[str, Any] = {
        "grant_type": "refresh_token",
        "refresh_token": "rt-1",
        "client_auth": "client_secret_post",
        "scope": ["a", "b"],
        "audience": "aud",
        "resource": "https://a.example, https://b.example",
        "token_params": {"tenant": "acme", "count": 3, "deep": True},
        "token_headers": {"X-Token-Key": "k-1"},
        "token_body": "json",
        "leeway": 30,
        "token_header": "Authorization: Zoho-oauthtoken {token}",
        "api_headers": {"X-Tenant": "acme"},
        "allowed_origins": ["https://files.example.com"],
        "timeout": 20,
        "verify": "/etc/ca.pem",
        "cert": ["/c.pem", "/k.pem"],
        "proxies": {"https": "http://me:proxy%2Fpw@proxy:3128"},
    }
    settings = parse_connection(connection(extra))
    assert oauth2(settings) == OAuth2Settings(
        token_url=TOKEN_URL,
        client_id="client",
        grant_type="refresh_token",
        client_auth="client_secret_post",
        client_secret="s3cret-of-client",
        refresh_token="rt-1",
        scope="a b",
        audience="aud",
        resource=("https://a.example", "https://b.example"),
        token_params={"tenant": "acme", "count": "3", "deep": "true"},
        token_headers={"X-Token-Key": "k-1"},
        token_body="json",
        leeway=30.0,
        token_place=TokenPlace("Authorization", "Zoho-oauthtoken"),
    )
    assert settings.api_headers == {"X-Tenant": "acme"}
    assert settings.allowed_origins == ("https://files.example.com",)
    assert settings.timeout == (20.0, 20.0)
    assert (settings.verify, settings.cert) == ("/etc/ca.pem", ("/c.pem", "/k.pem"))
    assert settings.proxies == {"https": "http://me:proxy%2Fpw@proxy:3128"}
    assert {"rt-1", "k-1", "proxy/pw", "s3cret-of-client"} <= set(settings.secrets)


def test_texts_from_the_form_are_converted_and_blanks_are_absent() -> None:
    extra: dict[str, Any] = {
        "timeout": "[5, 30]",
        "leeway": "12.5",
        "verify": "False",
        "api_headers": '{"X-Tenant": "acme"}',
        "allowed_origins": '["https://files.example.com:8443"]',
        "cert": "/one.pem",
        "refresh_token": "",
        "audience": None,
        "token_params": {},
        "scope": "a b",
    }
    settings = parse_connection(connection(extra))
    assert settings.timeout == (5.0, 30.0)
    assert (settings.verify, settings.cert) == (False, "/one.pem")
    assert settings.api_headers == {"X-Tenant": "acme"}
    assert settings.allowed_origins == ("https://files.example.com:8443",)
    assert (oauth2(settings).leeway, oauth2(settings).scope) == (12.5, "a b")
    assert oauth2(settings).grant_type == "client_credentials"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://api.example.com"}, "https://api.example.com"),
        ({"host": "HTTPS://API.example.com/V3/"}, "https://api.example.com/V3"),
        ({"host": "api.example.com"}, "https://api.example.com"),
        ({"host": "api.example.com/v3"}, "https://api.example.com/v3"),
        ({"host": "api.example.com", "schema": "http"}, "http://api.example.com"),
        ({"host": "api.example.com", "port": 8443}, "https://api.example.com:8443"),
        ({"host": "https://api.example.com/v3", "port": 8443}, "https://api.example.com:8443/v3"),
        ({"host": "https://api.example.com:8443", "port": 8443}, "https://api.example.com:8443"),
        ({"host": "[::1]", "port": 80, "schema": "http"}, "http://[::1]:80"),
        ({"host": "https://api.example.com", "schema": "http"}, "https://api.example.com"),
    ],
)
def test_the_base_url_is_found_in_all_of_airflows_forms(fields: dict[str, Any], url: str) -> None:
    assert parse_connection(connection(**fields)).base_url == url


def test_the_older_http_shape_works_unchanged() -> None:
    extra = {
        "auth_type": "oauth2",
        "client_id": "old-client",
        "client_secret": "old-secret",
        "token_url": TOKEN_URL,
        "scope": "read",
        "refresh_token": "rt-old",
        "verify_ssl": False,
        "proxy": {"https": "http://proxy:3128"},
        "timeout": 7,
        "check_response": False,
        "trust_env": True,
        "srv_lookup": False,
    }
    old = connection(extra, conn_type="http", host="api.example.com", login=None, password=None)
    settings = parse_connection(old)
    auth = oauth2(settings)
    assert settings.base_url == "http://api.example.com"  # HttpHook's default
    assert (auth.client_id, auth.client_secret, auth.refresh_token) == (
        "old-client",
        "old-secret",
        "rt-old",
    )
    assert (settings.verify, settings.timeout) == (False, (7.0, 7.0))
    assert settings.proxies == {"https": "http://proxy:3128"}
    assert settings.http_options == {"check_response": False}
    assert {"old-secret", "rt-old"} <= set(settings.secrets)


def test_the_older_shape_warns_once_that_stock_hooks_leak_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_warned", set())
    with caplog.at_level(logging.WARNING, logger="oauth_taskflow"):
        for _ in range(2):
            parse_connection(connection({"auth_type": "oauth2"}, conn_type="http"))
    assert [record.getMessage() for record in caplog.records] == [
        "Connection 'crm' is of type http with OAuth settings in its extra. Airflow's own HttpHook, HttpOperator and "
        "HttpSensor send every such key, secrets included, as HTTP headers: use OAuth2Hook only, or change the type "
        "to oauth2."
    ]


@pytest.mark.parametrize(
    ("host", "extra", "reported"),
    [
        ("http://api.internal/v3", {}, 1),
        ("http://127.0.0.1:8080", {}, 0),
        ("http://[::1]:8080", {}, 0),
        ("http://localhost", {}, 1),
        ("https://api.example.com", {}, 0),
        ("http://api.internal", {"auth_type": "none"}, 0),
    ],
)
def test_credentials_that_travel_unencrypted_are_warned_of_once(
    host: str,
    extra: dict[str, Any],
    reported: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "_warned_of_clear_text", set())
    plain = kind("none", host=host, login=None, password=None)
    with caplog.at_level(logging.WARNING, logger="oauth_taskflow"):
        for _ in range(2):
            parse_connection(plain if extra else connection(host=host))
    assert [record.getMessage() for record in caplog.records] == [
        f"Connection 'crm' sends its credentials to {urlsplit(host).hostname} without encryption. Write the host as "
        "https://… if the API speaks it."
    ] * reported


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"password": "1"}, "password"),
        ({"password": "abcd", "extra": {"refresh_token": "1"}}, "password, refresh_token"),
        ({"password": "abcde"}, None),
        ({"extra": {"auth_type": "basic", "token_url": None}, "password": "X"}, None),
        ({"extra": {"auth_type": "basic", "token_url": None}, "password": "1234"}, "password"),
    ],
)
def test_a_credential_that_is_too_short_to_be_hidden_is_warned_of_once(
    given: dict[str, Any],
    named: str | None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "_warned_of_short_credentials", set())
    extra = given.pop("extra", {})
    with caplog.at_level(logging.WARNING, logger="oauth_taskflow"):
        for _ in range(2):
            parse_connection(connection(extra, **given))
    assert [record.getMessage() for record in caplog.records] == [
        f"Connection 'crm': {named} has fewer than 5 characters, so logs cannot hide it, and it can be guessed. Get a "
        "longer one."
    ] * (named is not None)


def test_a_public_client_has_no_secret() -> None:
    extra = {"client_auth": "none", "refresh_token": "rt-1"}
    auth = oauth2(parse_connection(connection(extra, password=None)))
    assert (auth.client_auth, auth.client_secret) == ("none", "")


def test_static_kinds() -> None:
    assert parse_connection(kind("bearer", password="tok")).auth == BearerSettings("tok")
    key = kind("api_key", {"api_key_name": "X-Key", "api_key_prefix": "Token"}, password="k")
    assert parse_connection(key).auth == ApiKeySettings("k", "X-Key", "header", "Token ")
    query = kind("api_key", {"api_key_in": "query", "api_key_name": "api key"}, password="k")
    assert parse_connection(query).auth == ApiKeySettings("k", "api key", "query", "")
    assert parse_connection(kind("basic", password="pw")).auth == BasicSettings("client", "pw")
    assert parse_connection(kind("none", password=None)).auth == NoAuthSettings()


def test_a_session_connection_without_any_key_logs_in_as_airflows_api_wants() -> None:
    settings = parse_connection(
        kind("session", host="http://airflow:8080/api/v2", login="admin", password="pw-admin")
    )
    assert settings.auth == LoginSettings(
        url="http://airflow:8080/auth/token", fields={"username": "admin", "password": "pw-admin"}
    )


def test_every_session_field_is_read() -> None:
    extra = {
        "login_url": "login",
        "login_body": "form",
        "login_fields": {"user": "{login}", "pass": "{password}", "grant": "x"},
        "token_headers": {"Accept": "text/json"},
        "token_path": "data.jwt",
        "expires_path": "data.ttl",
        "token_lifetime": "900",
        "token_header": "X-Session",
        "leeway": 5,
    }
    assert parse_connection(kind("session", extra)).auth == LoginSettings(
        url="https://api.example.com/v3/login",
        fields={"user": "client", "pass": "s3cret-of-client", "grant": "x"},
        body="form",
        headers={"Accept": "text/json"},
        token_path="data.jwt",
        expires_path="data.ttl",
        token_lifetime=900.0,
        token_place=TokenPlace("X-Session", ""),
        leeway=5.0,
    )


def test_no_secret_shows_in_the_repr_of_settings() -> None:
    extra = {
        "refresh_token": "rt-hidden",
        "token_params": {"assertion": "as-hidden"},
        "api_headers": {"X-Key": "hk-hidden"},
    }
    shown = repr(parse_connection(connection(extra)))
    assert "hidden" not in shown
    assert "s3cret" not in shown
    for auth_type in ("bearer", "api_key", "basic", "session"):
        assert "s3cret" not in repr(parse_connection(kind(auth_type)))


urls = st.sampled_from(["https://[::1", "//[", "http://h:99999", "https://a.example", "a,b"])
json_values = st.recursive(
    urls | st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([field.name for field in FIELDS]) | st.text(max_size=8)


PASSWORD = "S3CRET-PASSWORD"


def complaint(made: Connection) -> str:
    """The refusal's text, or nothing; any other exception is the test's failure."""
    try:
        settings = parse_connection(made)
    except ConnectionConfigError as error:
        return str(error)
    assert PASSWORD not in repr(settings)
    return ""


@given(
    auth_type=st.sampled_from(AUTH_TYPES),
    extra=st.dictionaries(names, json_values, max_size=3),
    host=urls | st.text(),
    schema=st.text(max_size=5) | st.none(),
    conn_type=st.sampled_from(["oauth2", "http"]),
)
def test_any_connection_gives_settings_or_one_typed_error(
    auth_type: str, extra: dict[str, Any], host: str, schema: str | None, conn_type: str
) -> None:
    made = kind(auth_type, extra, host=host, schema=schema, conn_type=conn_type, password=PASSWORD)
    assert PASSWORD not in complaint(made)


@given(field=st.sampled_from(FIELDS), value=json_values)
def test_any_value_of_any_field_gives_settings_or_one_typed_error(
    field: ConnectionField, value: Any
) -> None:
    auth_type = min(field.auth_types)
    token_url = {"token_url": TOKEN_URL} if auth_type == "oauth2" else {}
    made = kind(auth_type, {**token_url, field.name: value}, password=PASSWORD)
    assert PASSWORD not in complaint(made)
