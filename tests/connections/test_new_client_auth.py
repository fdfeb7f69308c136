"""A client authentication that this file alone adds, from the connection to the server."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.client_auth import (
    BUILT_IN,
    CLIENT_AUTH_METHODS,
    Need,
    client_secret_post,
    register_client_auth,
)
from oauth_taskflow.oauth.dialect import RevocationDialect
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials
from oauth_taskflow.presets.load import BadPreset, load_preset
from oauth_taskflow.testing import OAuthTestServer
from tests.connections.samples import connection

NAME = "signed_post"


def signed_post(client: Client, form: TokenForm) -> TokenForm:
    """The secret in the body, and a signature of the client id in a header."""
    digest = hmac.new(client.client_secret.encode(), client.client_id.encode(), hashlib.sha256)
    return client_secret_post(client, form).with_header("X-Signature", digest.hexdigest())


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register_client_auth(NAME, signed_post, needs="secret")
    yield
    del CLIENT_AUTH_METHODS[NAME]


def test_a_registered_method_is_used_by_the_connection_that_names_it(
    oauth_server: OAuthTestServer,
) -> None:
    shown = oauth_server.connection(client_auth=NAME)
    settings = parse_connection(
        connection(shown["extra"], login=shown["login"], password=shown["password"])
    )
    assert isinstance(settings.auth, OAuth2Settings)
    auth = settings.auth
    client = Client(auth.client_id, auth.client_secret)
    endpoint = TokenEndpoint(auth.token_url, client, auth.client_auth)
    assert isinstance(endpoint.exchange(ClientCredentials()), Granted)
    [request] = oauth_server.requests
    assert len(request.headers["X-Signature"]) == 64
    assert request.form["client_secret"] == oauth_server.client_secret


def test_what_a_registered_method_needs_is_asked_for() -> None:
    with pytest.raises(
        ConnectionConfigError, match=f"secret is missing, and client_auth is {NAME}"
    ):
        parse_connection(
            connection({"token_url": "https://x.example", "client_auth": NAME}, password="")
        )


@pytest.mark.parametrize("need", sorted(set(get_args(Need)) - {""}))
def test_a_connection_without_what_its_method_needs_is_refused(need: Need) -> None:
    register_client_auth(NAME, signed_post, needs=need)
    extra = {"token_url": "https://x.example", "client_auth": NAME}
    with pytest.raises(ConnectionConfigError, match=r"missing|needs|Add |Put "):
        parse_connection(connection(extra, password=""))


def test_an_unknown_method_is_refused_with_the_registered_one_that_is_like_it() -> None:
    extra = {"token_url": "https://x.example", "client_auth": "signed_pots"}
    with pytest.raises(ConnectionConfigError, match=f"one of .*{NAME}.* Did you mean '{NAME}'"):
        parse_connection(connection(extra))


def test_a_preset_may_name_a_registered_method_and_no_unknown_one(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(f"title: Acme\nclient_auth: [{NAME}]\n")
    assert load_preset("acme", tmp_path).client_auth == (NAME,)
    (tmp_path / "other.yaml").write_text("title: Other\nclient_auth: [signed_pots]\n")
    with pytest.raises(
        BadPreset, match=f"'signed_pots', which is not registered. Did you mean '{NAME}'"
    ):
        load_preset("other", tmp_path)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_method_of_the_package_is_not_replaced(name: str) -> None:
    with pytest.raises(ValueError, match="choose another name"):
        register_client_auth(name, signed_post)


def test_every_method_is_offered_and_every_name_is_a_method() -> None:
    assert BY_NAME["client_auth"].choices == BUILT_IN
    revocation = RevocationDialect.__annotations__["client_auth"]
    assert {name for name in BUILT_IN if repr(name) in revocation} == {
        "client_secret_basic",
        "client_secret_post",
        "none",
        "unauthenticated",
    }
