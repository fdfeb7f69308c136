"""Key files of providers in a connection, and what the connection adds to them."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.extension_grants import JwtBearer
from tests.connections.key_file_samples import PEM, auth_of, google_file


def test_keys_of_the_connection_take_precedence_over_its_key_file() -> None:
    found = auth_of(
        {"private_key": google_file(), "key_id": "mine", "provider": "docusign"}, login="me"
    )
    assert (found.client_id, found.preset.title) == ("me", "DocuSign")
    assert isinstance(found.grant, JwtBearer)
    assert found.grant.signer.key.key_id == "mine"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('{"type": "service_account", "private_key": "-----BEGIN', "The JSON of the private key is broken"),
        (google_file(private_key=None), "The JSON holds no private key"),
        ({"type": "authorized_user", "refresh_token": "1//x"}, "The JSON holds no private key"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "The JSON Web Key is a public one: it has no d"),
        ({"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "c"}, "The JSON Web Key cannot be read"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "The JSON is not a JSON Web Key that can sign"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_and_not_quoted(key: Any, message: str) -> None:
    with pytest.raises(ConnectionConfigError, match=message) as caught:
        auth_of({"private_key": key, "token_url": "https://id.example.com/token"}, login="me")
    assert caught.value.field == "private_key"
    assert "BEGIN" not in str(caught.value)


def test_a_key_by_the_name_of_another_tool_suggests_ours() -> None:
    with pytest.raises(ConnectionConfigError, match="Here it is 'private_key'"):
        auth_of({"keyfile_dict": google_file()})


ENTRA = {"provider": "microsoft-entra", "tenant": "acme"}
OKTA = {"provider": "okta", "domain": "acme.okta.com"}
JWT = {"grant_type": "jwt_bearer", "subject": "ann"}


@pytest.mark.parametrize(
    ("extra", "password", "method"),
    [
        ({**ENTRA, "private_key": PEM}, "", "private_key_jwt"),
        (ENTRA, "s3cret", "client_secret_post"),
        ({"provider": "google", "private_key": PEM, **JWT}, "", "unauthenticated"),
        ({"provider": "salesforce", "private_key": PEM, **JWT}, "", "unauthenticated"),
        ({"provider": "salesforce", "private_key": PEM, **JWT}, "s3cret", "client_secret_post"),
        ({**OKTA, "private_key": PEM}, "", "private_key_jwt"),
        ({"provider": "github-app-installation", "installation_id": "1", "private_key": PEM}, "", "private_key_jwt_header"),
    ],
)  # fmt: skip
def test_the_first_client_auth_method_the_connection_supports_is_chosen(
    extra: dict[str, Any], password: str, method: str
) -> None:
    found = auth_of(extra, login="app", password=password)
    assert found.client_auth == method


def test_a_secret_that_is_missing_is_still_missing() -> None:
    with pytest.raises(ConnectionConfigError, match="and client_auth is client_secret_post"):
        auth_of(ENTRA, login="app")


@pytest.mark.parametrize(
    ("extra", "audience"),
    [
        ({"provider": "salesforce"}, "https://login.salesforce.com"),
        ({"provider": "salesforce", "domain": "test"}, "https://test.salesforce.com"),
        ({"provider": "docusign", "account_server": "account-d"}, "account-d.docusign.com"),
        ({"provider": "docusign", "assertion_audience": "x"}, "x"),
        ({"provider": "google"}, "https://oauth2.googleapis.com/token"),
    ],
)
def test_a_preset_names_the_audience_of_assertions(extra: dict[str, str], audience: str) -> None:
    grant = auth_of({"private_key": PEM, **JWT, **extra}, login="app").grant
    assert isinstance(grant, JwtBearer)
    assert grant.signer.audience == audience
