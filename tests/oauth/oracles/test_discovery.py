"""RFC 8414 and OpenID Connect Discovery: where metadata are looked for, and what is read there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc8414 import get_well_known_url as authlib_oauth
from authlib.oidc.discovery import get_well_known_url as authlib_oidc
from hypothesis import given
from hypothesis import strategies as st
from requests_oauth2client import (
    OAuth2Client,
    oauth2_discovery_document_url,
    oidc_discovery_document_url,
)

from oauth_taskflow.oauth.endpoint.server_metadata import (
    BadMetadata,
    is_issuer,
    metadata_urls,
    parse_metadata,
)
from tests.oauth.oracles.inputs import hosts, labels, paths, ports

issuers = st.builds("https://{}{}{}".format, hosts, ports, paths)
ENDPOINTS = (
    "token_endpoint",
    "authorization_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
)
# requests-oauth2client has an attribute for it, but does not take it from metadata; RFC 8628 §4 puts it there.
UNREAD = "device_authorization_endpoint"


@given(issuers)
def test_the_metadata_addresses_equal_those_of_other_libraries(issuer: str) -> None:
    urls = metadata_urls(issuer)
    assert urls[0] == authlib_oauth(issuer, external=True)
    assert urls[1] == authlib_oidc(issuer, external=True) == oidc_discovery_document_url(issuer)
    # RFC 8414 §3.1 inserts the name between host and path; requests-oauth2client puts it behind the path instead, so
    # that the two agree on issuers without one only.
    if "/" not in issuer.removeprefix("https://"):
        assert urls[0] == oauth2_discovery_document_url(issuer)


@given(issuers)
def test_a_final_slash_of_the_issuer_is_dropped_from_the_address(issuer: str) -> None:
    # RFC 8414 §3.1: "any terminating / MUST be removed"; Authlib keeps it where there is a path.
    assert metadata_urls(f"{issuer}/") == metadata_urls(issuer)
    assert metadata_urls(f"{issuer}/")[1] == authlib_oidc(f"{issuer}/", external=True)


@given(issuers, st.dictionaries(st.sampled_from(ENDPOINTS), labels), st.booleans())
def test_all_read_the_same_endpoints(issuer: str, names: dict[str, str], named: bool) -> None:
    published = {name: f"{issuer}/{label}" for name, label in names.items()}
    document: dict[str, Any] = {"issuer": issuer, "token_endpoint": f"{issuer}/t", **published}
    document["authorization_response_iss_parameter_supported"] = named
    ours = parse_metadata(json.dumps(document).encode(), issuer)
    client = OAuth2Client.from_discovery_document(document, issuer=issuer, client_id="me")
    theirs = AuthorizationServerMetadata(document)
    for name in ENDPOINTS:
        assert ours.endpoint(name) == theirs.get(name)
        if name != UNREAD:
            assert ours.endpoint(name) == getattr(client, name)
    assert ours.iss_in_callback == client.authorization_response_iss_parameter_supported == named


@given(issuers, issuers)
def test_all_libraries_refuse_metadata_of_another_issuer(issuer: str, other: str) -> None:
    raw = {"issuer": other, "token_endpoint": f"{other}/token"}
    if issuer == other:
        parse_metadata(json.dumps(raw).encode(), issuer)
        return
    with pytest.raises(BadMetadata):
        parse_metadata(json.dumps(raw).encode(), issuer)
    with pytest.raises(ValueError, match="issuer"):
        OAuth2Client.from_discovery_document(raw, issuer=issuer, client_id="me")


@pytest.mark.parametrize(
    "wrong",
    ["http://id.example.com", "https://id.example.com?a=1", "https://id.example.com#top", "id"],
)
def test_we_refuse_the_issuers_that_authlib_refuses(wrong: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        AuthorizationServerMetadata(issuer=wrong).validate_issuer()
    assert not is_issuer(wrong)


@given(issuers)
def test_we_accept_the_issuers_that_authlib_accepts(issuer: str) -> None:
    AuthorizationServerMetadata(issuer=issuer).validate_issuer()
    assert is_issuer(issuer)
