"""Metadata of authorization servers without I/O: where they may be, and what is believed of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.oauth.endpoint.server_metadata import BadMetadata, metadata_urls, parse_metadata
from tests.oauth.metadata import ISSUER, document


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}/", f"{ISSUER}/tenant/1", f"{ISSUER}/a/"])
def test_the_well_known_urls_are_those_that_authlib_makes(issuer: str) -> None:
    urls = metadata_urls(issuer)
    assert urls[0] == get_well_known_url(issuer.rstrip("/"), external=True)
    assert f"{issuer.rstrip('/')}/.well-known/openid-configuration" in urls


def test_rfc_8414_section_3_1_and_5_examples() -> None:
    assert metadata_urls("https://example.com/issuer1") == (
        "https://example.com/.well-known/oauth-authorization-server/issuer1",
        "https://example.com/issuer1/.well-known/openid-configuration",
        "https://example.com/.well-known/openid-configuration/issuer1",
    )
    assert len(metadata_urls("https://example.com")) == 2


def test_published_metadata_are_read() -> None:
    published: dict[str, Any] = {
        "revocation_endpoint": f"{ISSUER}/revoke",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.example.com/token"},
        "authorization_response_iss_parameter_supported": True,
    }
    raw = document(**published)
    AuthorizationServerMetadata(json.loads(raw)).validate_issuer()
    metadata = parse_metadata(raw, ISSUER)
    assert metadata.endpoint("token_endpoint") == f"{ISSUER}/token"
    assert metadata.endpoint("token_endpoint", mtls=True) == "https://mtls.example.com/token"
    assert metadata.endpoint("revocation_endpoint", mtls=True) == f"{ISSUER}/revoke"
    assert metadata.endpoint("device_authorization_endpoint") is None
    assert metadata.find_list("token_endpoint_auth_methods_supported") == ("private_key_jwt",)
    assert metadata.find_list("scopes_supported") is None
    assert metadata.iss_in_callback


@pytest.mark.parametrize(
    "other", [f"{ISSUER}/", "https://ID.example.com", "http://id.example.com", 7]
)
def test_another_issuer_is_refused_even_if_it_looks_alike(other: Any) -> None:
    with pytest.raises(BadMetadata, match="as issuer"):
        parse_metadata(json.dumps({"issuer": other}).encode(), ISSUER)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/token",
        "http://other.example.com/token",
        "https://169.254.169.254/token",
        "https://10.0.0.7/token",
        "https://[::1]/token",
        "https://127.0.0.1/token",
        "https://localhost/token",
        "https://user@id.example.com/token",
        "https://id.example.com/token#x",
        "https://[::1",
        "file:///etc/passwd",
    ],
)
def test_an_endpoint_that_no_secret_may_go_to_is_refused(url: str) -> None:
    found = parse_metadata(document(token_endpoint=url, revocation_endpoint=url), ISSUER)
    for name in ("token_endpoint", "revocation_endpoint"):
        with pytest.raises(BadMetadata, match=f"an address for {name} that no secret"):
            found.endpoint(name)
    found = parse_metadata(document(mtls_endpoint_aliases={"token_endpoint": url}), ISSUER)
    with pytest.raises(BadMetadata, match="no secret may be sent to"):
        found.endpoint("token_endpoint", mtls=True)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("end_session_endpoint", f"{ISSUER}/#/logout"),
        ("end_session_endpoint", ""),
        ("userinfo_endpoint", "/userinfo"),
        ("registration_endpoint", "http://localhost:8080/register"),
    ],
)
def test_an_odd_address_that_is_not_used_does_not_matter(name: str, url: str) -> None:
    found = parse_metadata(document(**{name: url}, mtls_endpoint_aliases={name: url}), ISSUER)
    assert found.endpoint("token_endpoint", mtls=True) == f"{ISSUER}/token"


def test_an_empty_address_is_not_published() -> None:
    aliases = {"token_endpoint": "", "revocation_endpoint": ""}
    found = parse_metadata(document(revocation_endpoint="", mtls_endpoint_aliases=aliases), ISSUER)
    assert found.endpoint("revocation_endpoint", mtls=True) is None
    assert found.endpoint("token_endpoint", mtls=True) == f"{ISSUER}/token"


def test_an_endpoint_at_another_public_address_is_fine() -> None:
    for url in ("https://oauth2.example.net/token", "https://8.8.8.8/token"):
        found = parse_metadata(document(token_endpoint=url), ISSUER)
        assert found.endpoint("token_endpoint") == url


anything = st.recursive(st.none() | st.text() | st.floats() | st.booleans(), st.lists, max_leaves=5)


@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_metadata_or_a_named_problem(raw: bytes) -> None:
    with pytest.raises(BadMetadata):
        parse_metadata(raw, ISSUER)
