"""The addresses to which credentials may be sent."""

from __future__ import annotations

import pytest

from oauth_taskflow.urls import is_loopback, is_safe_endpoint, split_url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost", "10.0.0.1", "127.0.0.1.evil.test"])
def test_names_and_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("url", ["https://[::1", "https://a.example:99999/"])
def test_a_url_that_cannot_be_parsed_has_no_parts(url: str) -> None:
    assert split_url(url) is None
    assert not is_safe_endpoint(url)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example.com/token", True),
        ("http://127.0.0.1:8080/token", True),
        ("http://[::1]/token", True),
        ("http://localhost/token", False),
        ("http://id.example.com/token", False),
        ("https://user@id.example.com/token", False),
        ("https://id.example.com/token#part", False),
        ("ftp://id.example.com/token", False),
        ("https:///token", False),
    ],
)
def test_credentials_are_posted_to_https_or_to_this_machine_only(url: str, safe: bool) -> None:
    assert is_safe_endpoint(url) is safe
