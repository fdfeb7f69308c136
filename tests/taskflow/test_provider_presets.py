"""Connections that name a provider: what the preset says for them, and that their own keys win."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from oauth_taskflow.connections.api_address import with_base_url
from oauth_taskflow.connections.fields.table import BY_NAME, PLANNED
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import (
    BasicSettings,
    BearerSettings,
    ConnectionSettings,
    OAuth2Settings,
    TokenPlace,
)
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.client_auth import methods_that_need
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.presets.model import BaseUrl
from oauth_taskflow.taskflow.sessions import open_session, resolve_base_url
from oauth_taskflow.taskflow.token_sources import (
    grant,
    grant_options,
    token_endpoint,
)
from oauth_taskflow.testing import Fault, LoggedRequest, OAuthTestServer
from tests.connections.samples import kind
from tests.oauth.keys import new_key, pem_of
from tests.taskflow.conftest import SetConnection

JSON = {"Content-Type": "application/json"}


def read_preset_connection(
    provider: str, extra: dict[str, Any] | None = None, **fields: Any
) -> Any:
    """The settings of a connection that says little more than who the provider is."""
    whole = {"provider": provider, **(extra or {})}
    connection = kind(whole.pop("auth_type", "oauth2"), whole, **{"host": "", **fields})
    return parse_connection(connection)


def oauth2(settings: ConnectionSettings) -> OAuth2Settings:
    assert isinstance(settings.auth, OAuth2Settings)
    return settings.auth


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets of our own."""
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        yield running


def script_answer(
    server: OAuthTestServer, body: str, status: int = 200, path: str = "/oauth/*"
) -> None:
    server.faults.add(Fault(path, status, JSON, body))


Writes = dict[str, Any]


def write_preset(folder: Path, server: OAuthTestServer, **fields: Any) -> None:
    """The preset ``acme`` for the test server, whose address no preset of ours may name."""
    whole = {"title": "Acme", "verified": "2026-11", **fields}
    (folder / "acme.yaml").write_text(yaml.safe_dump(whole))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_makes_a_connection_complete(name: str) -> None:
    preset = load_preset(name)
    keys = {key: variable.example for key, variable in preset.variables.items()}
    signed = preset.client_auth[0] in methods_that_need("private_key")
    by_person = preset.auth_type == "oauth2" and not signed
    extra = {**keys, "refresh_token": "rt"} if by_person else keys
    if signed:
        extra["private_key"] = pem_of(new_key())
    if preset.auth_type == "self_signed_jwt":
        extra["private_key"] = pem_of(new_key())
    signs = signed or preset.auth_type == "self_signed_jwt"
    public = signs or preset.client_auth[0] == "none"
    whole = {"provider": name, **extra}
    if preset.auth_type != "oauth2":
        whole["auth_type"] = preset.auth_type
    host = "" if preset.base_url or preset.base_url_from else "https://api.example.com"
    settings = parse_connection(
        kind(
            whole.pop("auth_type", "oauth2"), whole, host=host, password="" if public else "s3cret"
        )
    )
    assert settings.base_url.startswith("https://") or settings.base_url_from
    if isinstance(settings.auth, OAuth2Settings):
        assert token_endpoint(settings, settings.auth).url == settings.auth.token_url
        usual = "client_credentials" if signed else "refresh_token"
        assert grant(settings.auth).grant_type == usual


def test_no_key_of_a_preset_is_one_of_every_connection() -> None:
    taken = {*BY_NAME, *PLANNED, "client_id"}
    variables = {key: name for name in preset_names() for key in load_preset(name).variables}
    assert {key: name for key, name in variables.items() if key in taken} == {}


def test_the_preset_fills_what_the_connection_leaves_out() -> None:
    settings = read_preset_connection(
        "shopify", {"shop": "acme", "scope": "read_orders, read_products"}
    )
    auth = oauth2(settings)
    assert settings.base_url == "https://acme.myshopify.com/admin"
    assert auth.token_url == "https://acme.myshopify.com/admin/oauth/access_token"
    assert auth.client_auth == "client_secret_post"
    assert auth.token_place == TokenPlace("X-Shopify-Access-Token", "")
    assert grant(auth).options.scope == "read_orders,read_products"
    assert grant(auth).options.params == {"expiring": "1"}


def test_keys_of_the_connection_win() -> None:
    settings = read_preset_connection(
        "notion",
        {
            "refresh_token": "rt",
            "token_url": "https://proxy.example.com/token",
            "token_body": "form",
            "api_headers": {"Notion-Version": "2025-09-03", "X-Trace": "1"},
            "leeway": 5,
        },
        host="https://proxy.example.com/notion",
    )
    auth = oauth2(settings)
    assert settings.base_url == "https://proxy.example.com/notion"
    assert (auth.token_url, auth.token_body) == ("https://proxy.example.com/token", "form")
    assert settings.api_headers == {"Notion-Version": "2025-09-03", "X-Trace": "1"}
    assert auth.token_headers == {"Notion-Version": "2022-06-28"}
    assert auth.leeway == 5


def test_headers_may_hold_the_client_id_and_empty_ones_are_left_out() -> None:
    host = "https://api.example.com"
    assert read_preset_connection("adobe", host=host).api_headers == {"x-api-key": "client"}
    from_extra = read_preset_connection("adobe", {"client_id": "other"}, login="", host=host)
    assert from_extra.api_headers == {"x-api-key": "other"}
    ads = read_preset_connection("amazon-ads", {"refresh_token": "rt"})
    assert ads.api_headers == {"Amazon-Advertising-API-ClientId": "client"}


def test_default_scopes_are_asked_for_but_not_with_every_refresh() -> None:
    tenant = {"tenant": "contoso"}
    auth = oauth2(read_preset_connection("microsoft-entra", tenant))
    assert grant(auth).options.scope == "https://graph.microsoft.com/.default"
    login = "https://graph.microsoft.com/.default offline_access"
    assert grant_options(auth, "authorization_code").scope == login
    assert grant_options(auth, "refresh_token").scope == ""
    ebay = oauth2(read_preset_connection("ebay", {"refresh_token": "rt"}))
    assert grant(ebay).options.scope == "https://api.ebay.com/oauth/api_scope"
    named = oauth2(
        read_preset_connection("microsoft-entra", {**tenant, "scope": "Mail.Read offline_access"})
    )
    assert grant_options(named, "authorization_code").scope == "Mail.Read offline_access"


def test_a_provider_without_client_credentials_is_for_refresh_tokens() -> None:
    assert (
        oauth2(read_preset_connection("hubspot", {"refresh_token": "rt"})).grant_type
        == "refresh_token"
    )
    assert oauth2(read_preset_connection("fedex")).grant_type == "client_credentials"


@pytest.mark.parametrize("provider", ["intercom", "tiktok-ads", "meta", "gusto"])
def test_a_provider_that_only_people_let_in_is_not_asked_by_the_client_alone(
    provider: str, set_connection: SetConnection, airflow_home: Path
) -> None:
    assert oauth2(read_preset_connection(provider)).grant_type == "refresh_token"
    extra = {"provider": provider, "token_url": "http://127.0.0.1:9/token"}
    whole = {"conn_type": "oauth2", "login": "me", "password": "s3cret", "extra": extra}
    with (
        open_session(set_connection("crm", whole)) as session,
        pytest.raises(ConnectionConfigError, match="Authorize the connection: airflow oauth"),
    ):
        session.get("/x")


def test_other_kinds_of_authentication_take_what_means_something_to_them() -> None:
    twilio = read_preset_connection("twilio", {"auth_type": "basic"})
    assert isinstance(twilio.auth, BasicSettings)
    token = read_preset_connection("shopify", {"auth_type": "bearer", "shop": "acme"})
    assert isinstance(token.auth, BearerSettings)
    assert token.auth.token_place.name == "X-Shopify-Access-Token"
    assert token.base_url == "https://acme.myshopify.com/admin"


def instance(url: object, *hosts: str, suffix: str = "") -> str:
    """The base URL of settings whose token response names ``url``."""
    settings = ConnectionSettings(
        "crm",
        "",
        BasicSettings("a", "b"),
        base_url_from=BaseUrl(path="instance_url", hosts=hosts, suffix=suffix),
    )
    return with_base_url(settings, Token("at", 0, extras={"instance_url": url})).base_url


def test_the_token_response_names_the_api() -> None:
    rule = "*.salesforce.com"
    assert instance("https://eu1.my.salesforce.com/", rule) == "https://eu1.my.salesforce.com"
    assert instance("https://EU1.Salesforce.com:443", rule) == "https://EU1.Salesforce.com:443"
    assert instance(" https://eu1.salesforce.com ", rule) == "https://eu1.salesforce.com"
    assert instance("https://a.example.com", "a.example.com", suffix="/v1") == (
        "https://a.example.com/v1"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://eu1.salesforce.com",
        "https://salesforce.com",
        "https://salesforce.com.evil.test",
        "https://evil.test/.salesforce.com",
        "https://evilsalesforce.com",
        "https://x.salesforce.com@evil.test",
        "https://evil.test\\.salesforce.com",
        "https://evil.test#.salesforce.com",
        "https://x.salesforce.com:8443",
        "https://x.salesforce.com?next=1",
        "https://169.254.169.254",
        "https://[::1]",
        "https://127.0.0.1",
        "https://x.salesforce.com:99999",
        "https://x.salesforce.com\n.evil.test",
        "https://evil.test%2f.salesforce.com",
        "https://evil.test;.salesforce.com",
        "https://аcme.salesforce.com",  # noqa: RUF001  # a Cyrillic letter
        "https://.salesforce.com",
        "https://x..salesforce.com",
        "https://x.salesforce.com.",
        "https:///x.salesforce.com",
        "//x.salesforce.com",
        "x.salesforce.com",
    ],
)
def test_a_token_never_goes_to_a_host_that_the_preset_does_not_expect(url: str) -> None:
    with pytest.raises(ConnectionConfigError, match="in the token response is not expected"):
        instance(url, "*.salesforce.com", "*.force.com")


@pytest.mark.parametrize("value", [None, "", 5, ["https://x.salesforce.com"]])
def test_a_token_response_without_address_is_named(value: object) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        instance(value, "*.salesforce.com")
    assert str(caught.value) == (
        "The token response names no API address (instance_url) in connection 'crm', field 'host'. "
        "Put the base URL of the API there."
    )


def test_settings_with_an_address_or_without_a_rule_stay_as_they_are() -> None:
    settings = ConnectionSettings("crm", "https://api.example.com", BasicSettings("a", "b"))
    assert resolve_base_url(settings) is settings
    nowhere = ConnectionSettings("crm", "", BasicSettings("a", "b"))
    assert resolve_base_url(nowhere) is nowhere
    assert with_base_url(settings, Token("at", 0)) is settings


def call(
    server: OAuthTestServer,
    set_connection: SetConnection,
    extra: dict[str, Any] | None = None,
    **fields: Any,
) -> list[LoggedRequest]:
    """The requests that one call of the API causes with a connection to provider ``acme``."""
    given = {"provider": "acme", "token_url": server.token_url, **(extra or {})}
    whole = {
        "conn_type": "oauth2",
        "login": server.client_id,
        "password": server.client_secret,
        "extra": given,
        **fields,
    }
    script_answer(server, "{}", path="/v1/*")
    with open_session(set_connection("crm", whole)) as session:
        session.get("/v1/airports", params={"limit": 1})
    return server.requests


def test_the_api_is_called_where_the_token_response_says(
    presets: Path, server: OAuthTestServer, set_connection: SetConnection, airflow_home: Path
) -> None:
    rule = {"path": "instance_url", "hosts": ["127.0.0.1"]}
    write_preset(presets, server, base_url_from=rule)
    script_answer(server, f'{{"access_token": "at-1", "instance_url": "{server.base_url}"}}')
    token, api = call(server, set_connection)
    assert token.path == "/oauth/token"
    assert (api.path, api.headers["Authorization"]) == ("/v1/airports", "Bearer at-1")


def test_a_token_header_and_api_headers_of_the_preset_are_on_the_wire(
    presets: Path, server: OAuthTestServer, set_connection: SetConnection, airflow_home: Path
) -> None:
    write_preset(
        presets,
        server,
        token_header="X-Shopify-Access-Token: {token}",
        api_headers={"X-Version": "{version}"},
        variables={"version": {"description": "V", "example": "v1"}},
    )
    script_answer(server, '{"access_token": "at-2"}')
    _, api = call(server, set_connection, {"version": "v7"}, host=server.base_url)
    assert api.headers["X-Shopify-Access-Token"] == "at-2"
    assert api.headers["X-Version"] == "v7"
    assert "Authorization" not in api.headers


def test_a_rate_limit_is_waited_for_as_the_preset_dates_it(
    presets: Path, server: OAuthTestServer, set_connection: SetConnection, airflow_home: Path
) -> None:
    write_preset(presets, server, rate_limit={"reset_header": "X-Left", "reset": "seconds"})
    script_answer(server, '{"access_token": "at-3"}')
    server.faults.add(Fault("/v1/*", 429, {"X-Left": "0.8"}))
    requests = call(server, set_connection, host=server.base_url)
    assert requests[1].status == 429
    assert requests[2].time - requests[1].time >= 0.8  # without it, half a second at most


def test_what_the_api_says_in_its_own_way_is_understood_as_the_preset_says(
    presets: Path, server: OAuthTestServer, set_connection: SetConnection, airflow_home: Path
) -> None:
    rule = {"status": 403, "when": "code == 'LIMIT'", "action": "rate_limit", "wait": "PT0.05S"}
    write_preset(presets, server, api_responses=[rule])
    script_answer(server, '{"access_token": "at-4"}')
    server.faults.add(Fault("/v1/*", 403, body='{"code": "LIMIT"}'))
    requests = call(server, set_connection, host=server.base_url)
    assert requests[1].status == 403
    assert requests[2].time - requests[1].time >= 0.05
