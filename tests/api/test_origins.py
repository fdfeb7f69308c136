"""Where credentials may go."""

from __future__ import annotations

import pytest

from oauth_taskflow.api.origins import AllowedOrigins, Origin, is_unambiguous
from oauth_taskflow.errors import ForeignOriginRefused

API = AllowedOrigins(
    ["https://api.example.com/v3", "https://[2001:db8::1]:8443", "https://bücher.example"]
)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/x",
        "https://api.example.com:443/x?y=@z",
        "HTTPS://API.Example.COM/x",
        "https://api.example.com./x",
        "https://api.example.com",
        "https://[2001:0db8:0:0::1]:8443/",
        "https://xn--bcher-kva.example/",
        "https://BÜCHER.example/",
    ],
)
def test_the_same_origin_in_other_words_is_accepted(url: str) -> None:
    assert API.accept(url) == url
    assert url in API


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com.evil.test/x",
        "https://evil-api.example.com/",
        "https://example.com/",
        "https://api.example.com@evil.test/",
        "https://api.example.com:443@evil.test/",
        "https://user:pw@api.example.com/",
        "https://evil.test#@api.example.com/",
        "https://evil.test\\@api.example.com/",
        "https://api.example.com\\.evil.test/",
        "https://api.example.com:8443/",
        "https://api.example.com:bad/",
        "https://[2001:db8::2]:8443/",
        "https://[2001:db8::1/",
        "http://api.example.com:8080/",
        "ftp://api.example.com/",
        "//api.example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https:///x",
        "https://bucher.example/",
        "https://аpi.example.com/",  # noqa: RUF001 - a Cyrillic letter is the trick
        "https://xn--.example/é",
        "https://\u2100.example/",
        "https://\u00ad\u0301.example/",
        "",
    ],
)
def test_other_origins_however_disguised_are_refused(url: str) -> None:
    assert url not in API
    with pytest.raises(ForeignOriginRefused):
        API.accept(url)


@pytest.mark.parametrize(
    ("url", "upgraded"),
    [
        ("http://api.example.com/x?p=2", "https://api.example.com/x?p=2"),
        ("http://api.example.com:80/x", "https://api.example.com/x"),
        ("http://api.example.com:443/x", "https://api.example.com/x"),
    ],
)
def test_http_links_to_an_https_host_are_upgraded(url: str, upgraded: str) -> None:
    assert API.accept(url) == upgraded


def test_https_is_never_downgraded_and_http_never_accepted_as_https() -> None:
    with pytest.raises(ForeignOriginRefused):
        AllowedOrigins(["http://api.example.com"]).accept("https://api.example.com/")


def test_an_ipv6_link_is_upgraded_in_brackets() -> None:
    assert AllowedOrigins(["https://[::1]"]).accept("http://[::1]/x") == "https://[::1]/x"


def test_the_refusal_names_origins_and_hides_secrets() -> None:
    with pytest.raises(ForeignOriginRefused) as caught:
        AllowedOrigins(["https://api.example.com/v3?key=hush"]).accept(
            "https://evil.test/x?token=hush"
        )
    assert str(caught.value) == (
        "A request outside https://api.example.com was not sent: another origin at https://evil.test/x?token=***. "
        "If this host belongs to the API, list it in the connection's allowed_origins."
    )


def test_origins_print_without_default_ports() -> None:
    urls = ["https://a.example:443/x", "http://b.example:8080", "http://[::1]:80/"]
    assert [str(Origin.parse(url)) for url in urls] == [
        "https://a.example",
        "http://b.example:8080",
        "http://[::1]",
    ]
    assert str(Origin.parse("https://a.example/secret")) == "https://a.example"
    assert not is_unambiguous("nonsense")
