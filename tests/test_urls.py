"""The addresses to which credentials may be sent."""

from __future__ import annotations

import pytest

from oauth_taskflow.urls import (
    is_loopback,
    is_safe_endpoint,
    remove_param,
    replace_param,
    split_url,
)


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


@pytest.mark.parametrize(
    ("url", "replaced", "removed"),
    [
        ("https://a.example/x", "https://a.example/x", "https://a.example/x"),
        ("https://a.example/x?t=1&u=2", "https://a.example/x?t=%2B&u=2", "https://a.example/x?u=2"),
        ("https://a.example/x?t", "https://a.example/x?t=%2B", "https://a.example/x"),
        ("https://a.example/x?T=1", "https://a.example/x?T=1", "https://a.example/x?T=1"),
    ],
)
def test_a_parameter_is_replaced_or_removed_and_all_else_stays(
    url: str, replaced: str, removed: str
) -> None:
    assert replace_param(url, "t", "%2B") == replaced
    assert remove_param(url, "t") == removed
