"""Private keys in the forms in which providers hand them out, whole, from a connection to the API."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from joserfc import jwk, jwt

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.secret_registry import list_secrets
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.server_state import Client
from tests.connections.key_file_samples import EMAIL, PEM, PUBLIC, box_file, google_file
from tests.taskflow.conftest import SetConnection

SCOPES = ("airports.read",)


def register(server: OAuthTestServer, client_id: str, secret: str, *methods: str) -> None:
    client = Client(client_id, secret, frozenset(methods), SCOPES, public_key=PUBLIC)
    server.state.clients[client_id] = client


def request_token(
    server: OAuthTestServer, set_connection: SetConnection, **extra: Any
) -> dict[str, str]:
    """The form of the token request of a connection that has nothing but a host and ``extra``."""
    set_connection("sa", {"conn_type": "oauth2", "host": server.base_url, "extra": extra})
    with open_session("sa") as session:
        assert session.get("/page/airports").status_code == 200
    return dict(server.requests[0].form)


def decode(form: dict[str, str]) -> jwt.Token:
    """The assertion in ``form``, as joserfc reads it."""
    return jwt.decode(form["assertion"], jwk.import_key(PUBLIC, "RSA"), algorithms=["RS256"])


@pytest.mark.parametrize("form", ["text", "mapping", "broken lines", "file", "file of Windows"])
def test_a_google_key_file_is_all_that_a_connection_needs(
    form: str, oauth_server: OAuthTestServer, set_connection: SetConnection, tmp_path: Path
) -> None:
    register(oauth_server, EMAIL, "", "none")
    key = google_file(token_uri=oauth_server.token_url)
    text = json.dumps(key, indent=2)
    (tmp_path / "key.json").write_text(text)
    (tmp_path / "bom.json").write_text(text, encoding="utf-8-sig")
    forms: dict[str, dict[str, Any]] = {
        "text": {"private_key": text},
        "mapping": {"private_key": key},
        # Shells and templates turn the key's escaped line breaks into real ones.
        "broken lines": {"private_key": text.replace("\\n", "\n")},
        "file": {"private_key_file": str(tmp_path / "key.json")},
        "file of Windows": {"private_key_file": str(tmp_path / "bom.json")},
    }
    sent = request_token(oauth_server, set_connection, scope="airports.read", **forms[form])
    assert set(sent) == {"grant_type", "assertion"}
    token = decode(sent)
    assert token.header["kid"] == "f00"
    claims = {name: token.claims[name] for name in token.claims if name != "jti"}
    lasting = claims.pop("exp") - claims.pop("iat")
    assert 0 < lasting <= 3600
    assert claims == {"iss": EMAIL, "scope": "airports.read", "aud": oauth_server.token_url}
    assert PEM.strip() in {secret.strip() for secret in list_secrets()}


def test_a_service_account_acts_for_a_user_only_with_a_subject(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, EMAIL, "", "none")
    key = google_file(token_uri=oauth_server.token_url)
    sent = request_token(oauth_server, set_connection, private_key=key, subject="ann@acme.example")
    assert decode(sent).claims["sub"] == "ann@acme.example"


def test_a_box_key_file_brings_secret_passphrase_and_enterprise(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "box-app", "box-secret", "client_secret_post")
    sent = request_token(
        oauth_server, set_connection, private_key=box_file(), token_url=oauth_server.token_url
    )
    assert (sent["client_id"], sent["client_secret"]) == ("box-app", "box-secret")
    token = decode(sent)
    assert token.header["kid"] == "pk1"
    assert (token.claims["sub"], token.claims["box_sub_type"]) == ("4711", "enterprise")
    assert {"box-secret", "open sesame"} <= set(list_secrets())


def test_a_json_web_key_signs_under_its_own_kid(
    oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    register(oauth_server, "okta-app", "", "private_key_jwt")
    key = {**jwk.RSAKey.import_key(PEM).as_dict(private=True), "kid": "k7"}
    for private_key in (key, json.dumps(key)):
        sent = request_token(
            oauth_server,
            set_connection,
            client_id="okta-app",
            private_key=private_key,
            token_url=oauth_server.token_url,
        )
        assertion = {"assertion": sent["client_assertion"]}
        assert decode(assertion).header["kid"] == "k7"


def examples(tmp_path: Path) -> list[str]:
    """The whole connections in the manual, with what stands for something filled in."""
    (tmp_path / "etl-key.json").write_text(json.dumps(google_file()))
    (tmp_path / "etl.p8").write_text(PEM)
    manual = files("oauth_taskflow").joinpath("../docs/connections.md").read_text(encoding="utf-8")
    found = re.findall(r"```json\n(\{\"conn_type.*?)```", manual, re.DOTALL)
    return [
        re.sub(r"<[a-z ]+>", "x", text).replace("/run/secrets", str(tmp_path)) for text in found
    ]


def test_the_connections_in_the_manual_can_be_used(tmp_path: Path) -> None:
    found = [
        parse_connection(Connection.from_json(text, conn_id="x")) for text in examples(tmp_path)
    ]
    methods = [one.auth.client_auth for one in found if isinstance(one.auth, OAuth2Settings)]
    bare = "unauthenticated"
    assert methods == ["client_secret_basic", bare, bare, "client_assertion", bare]
