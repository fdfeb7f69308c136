"""Places in the host: filled by an author's own keys, login and password, and never a way to another host."""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_taskflow.api.origins import Origin
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import connection, kind

BOT = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


def parse_host(host: str, own: dict[str, Any] | None = None, **fields: Any) -> ConnectionSettings:
    return parse_connection(connection({"host_values": own or {}}, host=host, **fields))


def complaint(host: str, own: dict[str, Any] | None = None, **fields: Any) -> str:
    with pytest.raises(ConnectionConfigError) as caught:
        parse_host(host, own, **fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("host", "own", "url"),
    [
        ("https://{region}.x.example", {"region": "eu"}, "https://eu.x.example"),
        ("{region}.x.example/{v}", {"region": "EU-1", "v": 3}, "https://eu-1.x.example/3"),
        ("https://x.example/{tenant}", {"tenant": "a b/c?d"}, "https://x.example/a%20b%2Fc%3Fd"),
        ("https://{domain}/api", {"domain": "crm.acme.example"}, "https://crm.acme.example/api"),
        ("https://{login}.x.example", {}, "https://client.x.example"),
        ("http://127.0.0.1:{port}/v1", {"port": "8080"}, "http://127.0.0.1:8080/v1"),
        ("https://x.example/%7Bkept%7D", {}, "https://x.example/%7Bkept%7D"),
    ],
)
def test_places_in_the_host_are_filled(host: str, own: dict[str, Any], url: str) -> None:
    assert parse_host(host, own).base_url == url


def test_a_secret_in_the_path_is_encoded_and_hidden() -> None:
    settings = parse_connection(
        kind("none", host="https://api.telegram.org/bot{password}", password=BOT, login=None)
    )
    assert settings.base_url == f"https://api.telegram.org/bot{BOT.replace(':', '%3A')}"
    assert set(settings.url_secrets) == {BOT, BOT.replace(":", "%3A")}
    assert set(settings.url_secrets) <= set(settings.secrets)
    assert "AAHdqTcv" not in repr(settings)


def test_a_secret_in_the_name_is_hidden_as_it_is_sent() -> None:
    settings = parse_host("https://{password}.x.example", password="AbCdEf1234")
    assert settings.base_url == "https://abcdef1234.x.example"
    assert "abcdef1234" in settings.url_secrets
    assert "abcdef1234" in settings.secrets


def test_a_value_of_ones_own_with_the_name_of_a_secret_is_hidden() -> None:
    settings = parse_host("https://x.example/{api_token}", {"api_token": "t0ken-of-mine"})
    assert settings.url_secrets == ("t0ken-of-mine",)
    assert "t0ken-of-mine" in settings.secrets


@pytest.mark.parametrize(
    ("host", "own", "words"),
    [
        (
            "https://{regio}.x.example",
            {"region": "eu"},
            "has 'region', and the host has no such placeholder",
        ),
        ("https://{region}.x.example", {}, "placeholder {region}, and nothing fills it"),
        ("https://{}.x.example", {}, "placeholder {}, and nothing fills it"),
        ("https://x.example", {"region": "eu"}, "the host has no such placeholder"),
        ("{scheme}://x.example", {"scheme": "https"}, "The scheme of the host has a placeholder"),
        ("https://{password}.x.example", {"password": "eu"}, "cannot be the name of a placeholder"),
        ("https://x.example/{a-b}", {"a-b": "eu"}, "cannot be the name of a placeholder"),
        ("https://x.example/{a}/b", {"a": ".."}, "has . or .. as a segment"),
        ("https://x.example/.{a}/b", {"a": "."}, "has . or .. as a segment"),
        ("https://x.example/%2e{a}/b", {"a": "."}, "has . or .. as a segment"),
        ("https://x.example/{a}", {"a": "b\nc"}, "holds a control character"),
        ("https://x.example/{token}", {"token": "abc"}, "too short to be hidden in URLs"),
    ],
)
def test_a_host_whose_places_cannot_be_filled_is_refused(
    host: str, own: dict[str, Any], words: str
) -> None:
    assert words in complaint(host, own)


def test_a_misspelled_place_gets_its_hint() -> None:
    assert "Did you mean 'regio'?" in complaint("https://{regio}.x.example", {"region": "eu"})


def test_a_missing_or_short_password_is_refused_without_repeating_it() -> None:
    assert "needs the password" in complaint("https://x.example/{password}", password=None)
    short = complaint("https://x.example/{password}", password="abc")
    assert "too short" in short
    assert "abc" not in short


@pytest.mark.parametrize(
    "value",
    [
        *(
            "evil.test/",
            "evil.test#",
            "evil.test?",
            "a@evil.test",
            "evil.test:443",
            "evil.test\\",
            "a b",
        ),
        *(
            "%2f",
            "evil.test%2f",
            "[::1]",
            ".",
            "..",
            "a..b",
            "-a",
            "a-",
            ".a",
            "a.",
            "\u2147vil",
            "a\u3002b",
            "a\tb",
        ),
    ],
)
def test_no_value_leads_out_of_the_name_of_the_host(value: str) -> None:
    assert "does not fit into the name of the host" in complaint(
        "https://{region}.x.example", {"region": value}
    )


TEXT = st.text(
    st.sampled_from(string.printable + "\xe9\u2026\uff0f\uff0e\uff20\u3002\u2024"),
    min_size=1,
    max_size=12,
)


@given(value=TEXT)
@example(value="x.example@evil.test")
@example(value="evil.test/..//")
@example(value="\\evil.test")
def test_no_value_changes_the_origin_of_the_template(value: str) -> None:
    own = {"region": value, "tenant": value}
    for host in ("https://{region}.x.example/v1/a", "https://x.example/v1/{tenant}/a"):
        name = host.partition("{")[2].partition("}")[0]
        try:
            url = parse_host(host, {name: own[name]}).base_url
        except ConnectionConfigError:
            continue
        origin, parts = Origin.parse(url), urlsplit(url)
        assert (origin.scheme, origin.port) == ("https", 443)
        assert f".{origin.host}".endswith(".x.example")
        assert (parts.query, parts.fragment, parts.username) == ("", "", None)
        assert parts.path.startswith("/v1/")
        assert parts.path.endswith("/a")
        if name == "tenant":
            assert unquote(parts.path.split("/")[2]) == value
