"""Token requests, client authentication, lifetimes, revocation and metadata."""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import quote_plus

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.assertion_grants import ACCESS_TOKEN_TYPE
from oauth_taskflow.testing.fixtures import ServerFactory
from tests.testing.calls import TIMEOUT, FakeClock, ask_token, client_credentials, get, refresh

GRANT = {"grant_type": "client_credentials"}


def post(
    server: OAuthTestServer, path: str = "/oauth/token", **options: object
) -> requests.Response:
    return requests.request("POST", server.base_url + path, timeout=TIMEOUT, **options)  # type: ignore[arg-type]  # passed on


def test_client_credentials_yield_a_bearer_token_that_opens_the_api(
    oauth_server: OAuthTestServer,
) -> None:
    answer = client_credentials(oauth_server, scope="airports.read")

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()
    assert token | {"access_token": ""} == {
        "token_type": "Bearer",
        "access_token": "",
        "expires_in": 3600,
        "scope": "airports.read",
    }
    assert get(oauth_server, "/airports/EDDF", token["access_token"]).json()["country"] == "DE"


def test_without_a_scope_all_scopes_of_the_client_are_granted(
    oauth_server: OAuthTestServer,
) -> None:
    granted = client_credentials(oauth_server).json()["scope"]

    assert granted == "airports.read airports.write offline_access"


def test_an_unknown_scope_is_refused(oauth_server: OAuthTestServer) -> None:
    answer = client_credentials(oauth_server, scope="airports.fly")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("secret", ["simple", "a:b%+c d", "ümlaut/&=", "%41"])
def test_basic_credentials_are_form_decoded(
    oauth_server_factory: ServerFactory, secret: str
) -> None:
    server = oauth_server_factory(client_id="my client:é", client_secret=secret)
    pair = f"{quote_plus(server.client_id)}:{quote_plus(secret)}"
    header = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    assert post(server, data=GRANT, headers=header).status_code == 200


def test_credentials_that_are_not_form_encoded_are_refused(
    oauth_server_factory: ServerFactory,
) -> None:
    server = oauth_server_factory(client_secret="50%25off")

    answer = client_credentials(server)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("pair", ["nobody:test-secret", "test-client:wrong", "no-colon"])
def test_wrong_basic_credentials_are_invalid_client(
    oauth_server: OAuthTestServer, pair: str
) -> None:
    header = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    answer = post(oauth_server, data=GRANT, headers=header)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("header", ["Basic !!!", "Basic /w==", "Digest abc"])
def test_an_unreadable_authorization_header_is_invalid_client(
    oauth_server: OAuthTestServer, header: str
) -> None:
    answer = post(oauth_server, data=GRANT, headers={"Authorization": header})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_credentials_in_the_body_are_accepted(oauth_server: OAuthTestServer) -> None:
    body = {**GRANT, "client_id": "test-client", "client_secret": "test-secret"}

    assert post(oauth_server, data=body).status_code == 200
    assert post(oauth_server, data=body | {"client_secret": "wrong"}).status_code == 401


def test_a_method_that_the_client_is_not_registered_for_is_refused(
    oauth_server_factory: ServerFactory,
) -> None:
    server = oauth_server_factory(client_auth=("client_secret_post",))

    assert client_credentials(server).json()["error"] == "invalid_client"


def test_a_public_client_refreshes_by_its_id_alone_and_gets_no_client_credentials(
    oauth_server_factory: ServerFactory,
) -> None:
    server = oauth_server_factory(client_auth=("none",))
    body = {"client_id": server.client_id}
    fields = {"grant_type": "refresh_token", "refresh_token": server.issue_refresh_token()}

    assert post(server, data=body | fields).status_code == 200
    assert post(server, data=body | GRANT).json()["error"] == "unauthorized_client"


def test_two_client_authentication_methods_at_once_are_refused(
    oauth_server: OAuthTestServer,
) -> None:
    answer = client_credentials(oauth_server, client_secret="test-secret")

    assert answer.status_code == 400
    assert answer.json()["error_description"] == "More than one client authentication method."


def test_a_repeated_parameter_is_refused(oauth_server: OAuthTestServer) -> None:
    body = [("grant_type", "client_credentials")] * 2

    answer = post(oauth_server, data=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_only_a_form_by_post_is_a_token_request(oauth_server: OAuthTestServer) -> None:
    assert post(oauth_server, json=GRANT).json()["error"] == "invalid_request"
    assert requests.get(oauth_server.token_url, timeout=TIMEOUT).status_code == 405


def test_json_token_requests_are_read_when_the_policy_says_so(
    oauth_server: OAuthTestServer,
) -> None:
    oauth_server.policy = replace(oauth_server.policy, json_body=True)
    auth = ("test-client", "test-secret")

    assert post(oauth_server, json=GRANT, auth=auth).status_code == 200
    assert post(oauth_server, data=GRANT, auth=auth).status_code == 200
    assert post(oauth_server, json=[1], auth=auth).json()["error"] == "invalid_request"


def test_an_unknown_grant_is_unsupported(oauth_server: OAuthTestServer) -> None:
    answer = post(oauth_server, data={"grant_type": "unheard-of"})

    assert answer.json()["error"] == "unsupported_grant_type"


def test_an_access_token_works_until_the_last_moment_of_its_lifetime(
    oauth_server_factory: ServerFactory,
) -> None:
    clock = FakeClock()
    server = oauth_server_factory(token_lifetime=1.5, clock=clock)
    answer = client_credentials(server).json()

    assert answer["expires_in"] == 1.5
    clock.at += 1.4
    assert get(server, "/countries", answer["access_token"]).status_code == 200
    clock.at += 0.1
    late = get(server, "/countries", answer["access_token"])
    assert late.status_code == 401
    assert 'error="invalid_token"' in late.headers["WWW-Authenticate"]


def test_a_tolerant_api_accepts_a_token_longer_than_its_named_lifetime(
    oauth_server_factory: ServerFactory,
) -> None:
    clock = FakeClock()
    server = oauth_server_factory(token_lifetime=1.5, clock=clock)
    server.policy = replace(server.policy, tolerance=60.0)
    answer = client_credentials(server).json()

    assert answer["expires_in"] == 1.5
    clock.at += 61.4
    assert get(server, "/countries", answer["access_token"]).status_code == 200
    clock.at += 0.1
    assert get(server, "/countries", answer["access_token"]).status_code == 401


def test_an_unlimited_token_names_no_expires_in(oauth_server_factory: ServerFactory) -> None:
    clock = FakeClock()
    server = oauth_server_factory(token_lifetime=None, clock=clock)
    answer = client_credentials(server).json()
    clock.at += 1e9

    assert "expires_in" not in answer
    assert get(server, "/countries", answer["access_token"]).status_code == 200


def test_revoked_access_tokens_are_refused_by_the_api(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_access_token()
    assert get(oauth_server, "/countries", token).status_code == 200

    assert oauth_server.revoke_access_tokens() == 1

    assert get(oauth_server, "/countries", token).status_code == 401


def test_revoking_a_refresh_token_ends_its_access_tokens_too(oauth_server: OAuthTestServer) -> None:
    pair = refresh(oauth_server, oauth_server.issue_refresh_token()).json()
    auth = ("test-client", "test-secret")

    answer = post(oauth_server, "/oauth/revoke", data={"token": pair["refresh_token"]}, auth=auth)

    post(oauth_server, "/oauth/revoke", data={"token": pair["refresh_token"]}, auth=auth)

    assert answer.status_code == 200
    assert oauth_server.counters.revoked_families == 1
    assert refresh(oauth_server, pair["refresh_token"]).json()["error"] == "invalid_grant"
    assert get(oauth_server, "/countries", pair["access_token"]).status_code == 401


def test_revoking_an_access_token_leaves_the_refresh_token_alone(
    oauth_server: OAuthTestServer,
) -> None:
    pair = refresh(oauth_server, oauth_server.issue_refresh_token()).json()
    auth = ("test-client", "test-secret")

    post(oauth_server, "/oauth/revoke", data={"token": pair["access_token"]}, auth=auth)

    assert get(oauth_server, "/countries", pair["access_token"]).status_code == 401
    assert refresh(oauth_server, pair["refresh_token"]).status_code == 200


def test_revoking_an_unknown_token_succeeds(oauth_server: OAuthTestServer) -> None:
    auth = ("test-client", "test-secret")

    assert post(oauth_server, "/oauth/revoke", data={"token": "x"}, auth=auth).status_code == 200


def test_metadata_names_the_endpoints(oauth_server: OAuthTestServer) -> None:
    path = "/.well-known/oauth-authorization-server"
    metadata = requests.get(oauth_server.base_url + path, timeout=TIMEOUT).json()

    assert metadata["issuer"] == oauth_server.base_url
    assert metadata["token_endpoint"] == oauth_server.token_url
    assert metadata["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
    ]


SAML = "urn:ietf:params:oauth:grant-type:saml2-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"grant_type": SAML, "assertion": "a"}, "invalid_request"),
        ({"grant_type": SAML, "assertion": "_w"}, "invalid_request"),
        ({"grant_type": SAML, "assertion": "PGEvPg"}, "invalid_grant"),
        ({"grant_type": EXCHANGE, "subject_token": "t"}, "invalid_request"),
        (
            {"grant_type": EXCHANGE, "subject_token": "t", "subject_token_type": ACCESS_TOKEN_TYPE},
            "invalid_grant",
        ),
        ({"grant_type": "account_credentials", "account_id": "other"}, "invalid_grant"),
    ],
)
def test_a_credential_that_says_nothing_is_refused(
    oauth_server: OAuthTestServer, fields: dict[str, str], error: str
) -> None:
    answer = ask_token(oauth_server, **fields)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
