"""Requests to the token endpoint and its neighbours, and what an API is sent: the same parameters and headers from all."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from hypothesis import example, given
from hypothesis import strategies as st
from oauthlib.oauth2 import (
    BackendApplicationClient,
    DeviceClient,
    LegacyApplicationClient,
    WebApplicationClient,
)
from requests.adapters import BaseAdapter
from requests_oauth2client import (
    AuthorizationRequest,
    BearerToken,
    ClientSecretBasic,
    ClientSecretJwt,
    ClientSecretPost,
    OAuth2Client,
    PublicApp,
)

from oauth_taskflow.api.auth import OAuth2Auth
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.credential_source import InlineCredential
from oauth_taskflow.oauth.endpoint.introspection import introspect
from oauth_taskflow.oauth.endpoint.request_encoding import Encoded, encode
from oauth_taskflow.oauth.endpoint.revocation import TokenKind, revoke
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.extension_grants import (
    JWT_BEARER,
    GivenAssertion,
    Password,
    PresentedToken,
    TokenExchange,
)
from oauth_taskflow.oauth.grants import ClientCredentials, Grant, GrantOptions, RefreshToken
from oauth_taskflow.oauth.login.authorization import (
    Authorization,
    AuthorizationCode,
    AuthorizationServer,
    Verifier,
    push,
)
from oauth_taskflow.oauth.login.device import DeviceCode, authorize_device
from oauth_taskflow.oauth.signing import Signer, shared_key
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.oracles.inputs import any_text, few, scopes, some_scopes, tokens, visible

URL = "https://id.example.com/token"
HERE = "http://127.0.0.1:8765/callback"
SECRET = "s" * 32
Params = list[tuple[str, str]]


class Wire(BaseAdapter):
    """Takes requests and sends nothing; every answer is a token."""

    def send(self, request: requests.PreparedRequest, *args: Any, **_: Any) -> requests.Response:
        self.sent = request
        answer = requests.Response()
        answer.status_code, answer.request = 200, request
        answer._content = b'{"access_token": "at", "token_type": "Bearer"}'
        return answer

    def close(self) -> None:
        """Nothing is open."""


def other_client(auth: requests.auth.AuthBase) -> tuple[OAuth2Client, Wire]:
    """requests-oauth2client, and where its requests end."""
    session, wire = requests.Session(), Wire()
    session.mount("https://", wire)
    return OAuth2Client(URL, auth, session=session), wire


def params(body: str | bytes | None) -> Params:
    text = body.decode() if isinstance(body, bytes) else body or ""
    return sorted(parse_qsl(text, keep_blank_values=True))


def ours(grant: Grant, method: str = "none", client: Client | None = None) -> Encoded:
    form = CLIENT_AUTH_METHODS[method].apply(client or Client("me"), grant.form())
    return encode(form, method="POST", url=URL, body="form")


def drop_client(found: Params) -> Params:
    """oauthlib leaves the client to the sender of the request."""
    return [pair for pair in found if pair[0] != "client_id"]


def assert_all_send(grant: Grant, wire: Wire, by_oauthlib: str | None = None) -> None:
    """The same parameters. requests-oauth2client is asked to leave empty ones out, as RFC 6749 §3.2 reads them."""
    mine = ours(grant)
    assert params(mine.body) == params(wire.sent.body)
    for name in ("Accept", "Content-Type"):
        assert mine.headers[name] == wire.sent.headers[name]
    if by_oauthlib is not None:
        assert drop_client(params(mine.body)) == params(by_oauthlib)


@given(scopes)
def test_client_credentials(scope: str) -> None:
    other, wire = other_client(PublicApp("me"))
    other.client_credentials(scope=scope or None, audience="https://api.example.com")
    options = GrantOptions(scope=scope, audience="https://api.example.com")
    by_oauthlib = BackendApplicationClient("me").prepare_request_body(
        scope=scope, audience="https://api.example.com"
    )
    assert_all_send(ClientCredentials(options), wire, by_oauthlib)


@given(any_text, scopes)
def test_refresh_token(token: str, scope: str) -> None:
    other, wire = other_client(PublicApp("me"))
    other.refresh_token(token, scope=scope or None)
    by_oauthlib = WebApplicationClient("me").prepare_refresh_body(refresh_token=token, scope=scope)
    assert_all_send(RefreshToken(token, GrantOptions(scope=scope)), wire, by_oauthlib)


@given(any_text)
@example(" a b+c%20&d=e#ü")
def test_authorization_code(code: str) -> None:
    verifier = Verifier.new()
    other, wire = other_client(PublicApp("me"))
    other.authorization_code(code, redirect_uri=HERE, code_verifier=verifier.value)
    by_oauthlib = WebApplicationClient("me").prepare_request_body(
        code, HERE, include_client_id=False, code_verifier=verifier.value
    )
    assert_all_send(AuthorizationCode(code, HERE, verifier), wire, by_oauthlib)


@given(any_text)
def test_device_code(code: str) -> None:
    other, wire = other_client(PublicApp("me"))
    other.device_code(code)
    by_oauthlib = DeviceClient("me").prepare_request_body(device_code=code)
    assert_all_send(DeviceCode(code), wire, by_oauthlib)


@given(any_text, any_text, scopes)
def test_password(user: str, password: str, scope: str) -> None:
    other, wire = other_client(PublicApp("me"))
    other.resource_owner_password(user, password, scope=scope or None)
    by_oauthlib = LegacyApplicationClient("me").prepare_request_body(user, password, scope=scope)
    assert_all_send(Password(user, password, GrantOptions(scope=scope)), wire, by_oauthlib)


@given(any_text, st.none() | any_text, st.sampled_from(["", "urn:x:jwt"]))
def test_token_exchange(subject: str, actor: str | None, wanted: str) -> None:
    other, wire = other_client(PublicApp("me"))
    kind = "urn:ietf:params:oauth:token-type:access_token"
    acting = {"actor_token": actor, "actor_token_type": kind} if actor else {}
    other.token_exchange(
        subject_token=subject,
        subject_token_type=kind,
        requested_token_type=wanted or None,
        **acting,  # type: ignore[arg-type]  # its annotations are per name
    )
    shown = PresentedToken(InlineCredential(actor)) if actor else None
    assert_all_send(TokenExchange(PresentedToken(InlineCredential(subject)), shown, wanted), wire)


def test_a_jwt_made_elsewhere() -> None:
    jwt = shared_key(SECRET).sign({"iss": "me"})
    other, wire = other_client(PublicApp("me"))
    other.jwt_bearer(jwt)
    assert_all_send(GivenAssertion(JWT_BEARER, InlineCredential(jwt)), wire)


@given(visible, visible)
def test_a_secret_in_the_body(client_id: str, secret: str) -> None:
    other, wire = other_client(ClientSecretPost(client_id, secret))
    other.client_credentials()
    mine = ours(ClientCredentials(), "client_secret_post", Client(client_id, secret))
    assert params(mine.body) == params(wire.sent.body)
    assert "Authorization" not in mine.headers


@given(visible, visible)
@example("id:1", "a+b%25c")
def test_a_secret_in_the_header(client_id: str, secret: str) -> None:
    other, wire = other_client(ClientSecretBasic(client_id, secret))
    other.client_credentials()
    client = Client(client_id, secret)
    # requests-oauth2client does not encode id and secret before base64, as RFC 6749 §2.3.1 asks: that is basic_raw here.
    raw = ours(ClientCredentials(), "client_secret_basic_raw", client)
    assert raw.headers["Authorization"] == wire.sent.headers["Authorization"]
    assert params(raw.body) == params(wire.sent.body)
    # Authlib's server decodes them, but for the plus that RFC 6749 Appendix B makes of a blank.
    encoded = ours(ClientCredentials(), "client_secret_basic", client)
    if " " not in client_id + secret:
        assert extract_basic_authorization(encoded.headers) == (client_id, secret)


def test_signed_clients_send_the_same_parameters() -> None:
    other, wire = other_client(ClientSecretJwt("me", SECRET))
    other.client_credentials()
    client = Client("me", signer=Signer(shared_key(SECRET), URL))
    mine = dict(params(ours(ClientCredentials(), "client_secret_jwt", client).body))
    theirs = dict(params(wire.sent.body))
    assert set(mine) == set(theirs)
    for found in (mine, theirs):
        assert found.pop("client_assertion").count(".") == 2
    assert mine == theirs


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        yield running


def last_two(server: OAuthTestServer) -> tuple[Any, Any]:
    """Path, form and what matters of the headers of the two latest requests."""
    names = ("Accept", "Authorization", "Content-Type")
    one, two = (
        (each.path, sorted(each.form.items()), {name: each.headers.get(name) for name in names})
        for each in server.requests[-2:]
    )
    return one, two


@few
@given(token=tokens, kind=st.sampled_from(["access_token", "refresh_token"]))
def test_questions_about_a_token_and_its_end(
    server: OAuthTestServer, token: str, kind: TokenKind
) -> None:
    asking, ending = f"{server.base_url}/oauth/introspect", f"{server.base_url}/oauth/revoke"
    other = OAuth2Client(
        server.token_url,
        ClientSecretBasic(server.client_id, server.client_secret),
        introspection_endpoint=asking,
        revocation_endpoint=ending,
        testing=True,
    )
    mine = TokenEndpoint(server.token_url, Client(server.client_id, server.client_secret))
    found = introspect(mine, asking, token, kind)
    assert other.introspect_token(token, kind)["active"] is found.active is False
    asked, other_asked = last_two(server)
    assert asked == other_asked
    revoke(mine, ending, token, kind, GrantOptions())
    assert other.revoke_token(token, kind) is True
    ended, other_ended = last_two(server)
    assert ended == other_ended


@few
@given(scope=some_scopes)
def test_pushed_requests_and_device_codes(server: OAuthTestServer, scope: str) -> None:
    pushing, device = f"{server.base_url}/oauth/par", f"{server.base_url}/oauth/device"
    other = OAuth2Client(
        server.token_url,
        ClientSecretBasic(server.client_id, server.client_secret),
        pushed_authorization_request_endpoint=pushing,
        device_authorization_endpoint=device,
        testing=True,
    )
    mine = TokenEndpoint(server.token_url, Client(server.client_id, server.client_secret))
    place = AuthorizationServer(f"{server.base_url}/oauth/authorize")
    attempt = Authorization(place, server.client_id, HERE, GrantOptions(scope=scope))
    theirs = AuthorizationRequest(
        place.authorize_url,
        client_id=server.client_id,
        redirect_uri=HERE,
        scope=scope,
        state=attempt.state,
        nonce=None,
        code_verifier=attempt.verifier.value,
    )
    assert "request_uri=" in push(mine, pushing, attempt)
    assert other.pushed_authorization_request(theirs).request_uri
    pushed, other_pushed = last_two(server)
    assert pushed == other_pushed
    known = "airports.read"  # the server refuses others
    assert authorize_device(mine, device, GrantOptions(scope=known)).user_code
    # It leaves client_id to the header; RFC 8628 §3.1 asks for it where the client does not authenticate, and ours sends
    # it always.
    assert other.authorize_device(client_id=server.client_id, scope=known).user_code
    asked, other_asked = last_two(server)
    assert asked == other_asked


class Given:
    """A token source that has one token."""

    def __init__(self, access_token: str) -> None:
        self.only = Token(access_token, 0.0)

    def token(self) -> Token:
        return self.only

    def replace_refused(self, access_token: str) -> Token:
        return self.only


@given(tokens)
def test_the_header_of_a_bearer_token(token: str) -> None:
    request = requests.Request("GET", "https://api.example.com/v3", auth=OAuth2Auth(Given(token)))
    header = request.prepare().headers["Authorization"]
    client = WebApplicationClient("me", access_token=token)
    _, by_oauthlib, _ = client.add_token("https://api.example.com/v3")
    assert header == BearerToken(token).authorization_header() == by_oauthlib["Authorization"]


def test_basic_is_base64_of_utf_8() -> None:
    header = ours(ClientCredentials(), "client_secret_basic_raw", Client("me", "pä")).headers
    assert header["Authorization"] == "Basic " + base64.b64encode("me:pä".encode()).decode()
